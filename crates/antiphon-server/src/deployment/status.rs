//! What operators see of modules.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Control, Deployment, Held};
use crate::desired::{Digest, Id};

/// A module, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModuleStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The number of the newest change: the entity tag.
    pub revision: u64,
    /// Where the newest change comes from.
    pub origin: Origin,
    /// What the operator said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Arc<str>>,
    /// Whether an operator has drained it.
    pub stopped: bool,
    /// The version that serves, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<Digest>,
    /// Why no version serves, or why the version that is asked for does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// Its versions: the one that serves first, then the canary, then the others.
    pub versions: Vec<VersionStatus>,
}

/// Where a module's newest change comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file or the configuration.
    File,
    /// An operator, or a rule.
    Operator,
}

/// A version of a module, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VersionStatus {
    /// Its bytes.
    pub digest: Digest,
    /// The fingerprint of its settings, in hexadecimal.
    pub settings: String,
    /// What it does.
    pub state: State,
    /// Its share of the calls, in percent.
    pub share: u8,
    /// Since when it has been in this state, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Why it is quarantined, or waits; also while it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it did, once it is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
}

/// What a version does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is read, compiled and started.
    Preparing,
    /// It could serve.
    Warm,
    /// It serves.
    Serving,
    /// It serves a share of the calls, and is judged.
    Canary,
    /// It serves no new call, and ends its last ones.
    Draining,
    /// The machine lacks something that it takes to start. It is tried again.
    Waiting,
    /// It does not load or start. Its reason says what happened.
    Quarantined,
}

/// Why something does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The stable code of the error.
    pub code: &'static str,
    /// What happened, and what to do.
    pub message: Arc<str>,
}

/// What a version did since it was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that got an instance.
    pub calls: u64,
    /// Calls that ended in an error, by its code.
    pub errors: BTreeMap<&'static str, u64>,
    /// Errors whose fault is the guest's or the engine's: those that the rule for canaries counts.
    pub faults: u64,
    /// Calls that their callers dropped.
    pub dropped: u64,
    /// Instances that are free.
    pub idle: usize,
    /// Instances that serve a call.
    pub busy: usize,
    /// Instances that are being started.
    pub starting: usize,
    /// The most instances.
    pub max: usize,
    /// Calls that wait.
    pub queued: usize,
    /// Instances that were started because one was lost.
    pub rebuilds: u64,
    /// Starts that failed.
    pub failed_starts: u64,
    /// Half of the calls waited no longer, in microseconds.
    pub wait_p50_us: u64,
    /// 99 of 100 calls waited no longer, in microseconds.
    pub wait_p99_us: u64,
    /// Half of the calls ran no longer, in microseconds.
    pub run_p50_us: u64,
    /// 99 of 100 calls ran no longer, in microseconds.
    pub run_p99_us: u64,
}

impl Deployment {
    /// Returns what operators see; `None` for what is no module any longer, or not yet.
    pub(crate) fn status(&self) -> Option<ModuleStatus> {
        let control = self.control();
        if !control.exists() {
            return None;
        }
        let mut versions: Vec<_> = control
            .held
            .iter()
            .map(|(id, held)| (rank(&control, *id), version(&control, *id, held)))
            .collect();
        versions.sort_by_key(|(rank, version)| (*rank, version.since_ms));
        let mut versions: Vec<_> = versions.into_iter().map(|(_, version)| version).collect();
        let draining =
            control.draining.iter().filter_map(|(version, since)| Some((version.upgrade()?, since)));
        versions.extend(draining.map(|(version, since)| VersionStatus {
            digest: version.digest,
            settings: hex(version.id),
            state: State::Draining,
            share: 0,
            since_ms: *since,
            reason: None,
            stats: Some(version.stats()),
        }));
        let failed = control.desired.serve.and_then(|serve| control.failure(serve));
        Some(ModuleStatus {
            name: Arc::clone(self.name()),
            revision: control.revision,
            origin: control.origin(),
            note: control.note.clone(),
            stopped: control.desired.stopped,
            serving: control.stable.map(|id| id.digest),
            problem: control.problem.clone().or_else(|| failed.cloned()),
            versions,
        })
    }
}

fn rank(control: &Control, id: Id) -> u8 {
    match id {
        _ if control.stable == Some(id) => 0,
        _ if control.canary.is_some_and(|canary| canary.id == id) => 1,
        _ => 2,
    }
}

fn version(control: &Control, id: Id, held: &Held) -> VersionStatus {
    let canary = control.canary.filter(|canary| canary.id == id);
    let stable = control.stable == Some(id);
    let share = match (canary, stable) {
        (Some(canary), _) => canary.share,
        (None, true) => 100_u8.saturating_sub(control.canary.map_or(0, |canary| canary.share)),
        (None, false) => 0,
    };
    let (state, reason, stats) = match held {
        // One that has failed before says how.
        Held::Preparing { .. } => (State::Preparing, control.failure(id).cloned(), None),
        Held::Failed(quarantine) if quarantine.waits() => (State::Waiting, Some(quarantine.reason()), None),
        Held::Failed(quarantine) => (State::Quarantined, Some(quarantine.reason()), None),
        Held::Warm { version, .. } => {
            let state = match (stable, canary) {
                (true, _) => State::Serving,
                (false, Some(_)) => State::Canary,
                (false, None) => State::Warm,
            };
            (state, None, Some(version.stats()))
        }
    };
    VersionStatus {
        digest: id.digest,
        settings: hex(id),
        state,
        share,
        since_ms: control.since_ms(id),
        reason,
        stats,
    }
}

fn hex(id: Id) -> String {
    format!("{:016x}", id.settings)
}
