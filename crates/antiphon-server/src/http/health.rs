//! Whether the server lives, and whether it should get calls.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::deployment::{ModuleStatus, Modules, State};

/// What stands against getting calls, apart from modules that are being prepared.
#[derive(Debug, Default)]
pub(super) struct Health {
    stopping: AtomicBool,
}

impl Health {
    /// Notes that the server stops.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns each reason against getting calls. A quarantined module is none: the others would
    /// suffer for it.
    fn reasons(&self, modules: &Modules) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Relaxed) {
            reasons.push("stopping: the server finishes its last calls".to_owned());
        }
        let preparing = modules.preparing();
        if let [first, ..] = preparing.as_slice() {
            let count = preparing.len();
            reasons
                .push(format!("preparing: {count} modules are compiled and started, the first is {first}"));
        }
        reasons
    }

    /// Returns whether the server should get calls, with each reason against it on a line.
    pub(super) fn ready(&self, modules: &Modules) -> (StatusCode, String) {
        let reasons = self.reasons(modules);
        if reasons.is_empty() {
            return (StatusCode::OK, "ready\n".to_owned());
        }
        let lines = reasons.iter().map(|reason| format!("not ready: {reason}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
    }

    /// Returns the answer of [`ready`](Self::ready), and each module with what it does and why.
    pub(super) fn ready_verbose(&self, modules: &Modules) -> (StatusCode, String) {
        let (status, mut text) = self.ready(modules);
        for module in modules.list() {
            describe(&mut text, &module);
        }
        (status, text)
    }
}

fn describe(text: &mut String, module: &ModuleStatus) {
    let serving = match &module.serving {
        Some(digest) => format!("serves {digest}"),
        None => "serves no version".to_owned(),
    };
    let _ = writeln!(text, "module {}: {serving}", module.name);
    if let Some(problem) = &module.problem {
        let _ = writeln!(text, "  problem: {}: {}", problem.code, problem.message.escape_debug());
    }
    for version in &module.versions {
        if !matches!(version.state, State::Waiting | State::Quarantined) {
            continue;
        }
        let state = if version.state == State::Waiting { "waits" } else { "quarantined" };
        let (code, message) =
            version.reason.as_ref().map_or(("", ""), |reason| (reason.code, &*reason.message));
        let _ = writeln!(text, "  {state} {}: {code}: {}", version.digest, message.escape_debug());
    }
}
