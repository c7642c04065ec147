//! Why a command failed, and how that is reported.

use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use antiphon_server::config::Problems;
use antiphon_server::start::NotStarted;
use serde_json::{Value, json};

use super::args::ErrorFormat;
use super::terminal::{self, escaped, escaped_json};

/// The most causes of an error that are followed.
const MAX_CHAIN: usize = 32;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// `usage`, `system`, `config`, or the code of a problem document.
    code: String,
    message: String,
    chain: Vec<String>,
    status: u8,
    /// The problem document, or the problems of the configuration.
    details: Option<Value>,
}

impl Failure {
    /// An argument cannot be used.
    pub(crate) fn usage(message: impl Into<String>, cause: Option<&(dyn StdError + 'static)>) -> Self {
        let chain = cause.map_or_else(Vec::new, chain);
        Self { code: "usage".into(), message: message.into(), chain, status: 2, details: None }
    }

    /// The system, or the network, refused something.
    pub(crate) fn system(message: impl Into<String>, cause: &(dyn StdError + 'static)) -> Self {
        Self { code: "system".into(), status: 3, ..Self::usage(message, Some(cause)) }
    }

    /// The server answers, but not as a server of this kind does.
    pub(crate) fn answer(message: impl Into<String>) -> Self {
        Self { code: "answer_unreadable".into(), status: 3, ..Self::usage(message, None) }
    }

    pub(crate) fn of_clap(error: &clap::Error) -> Self {
        let rendered = error.render().to_string();
        let message = rendered.trim().strip_prefix("error: ").unwrap_or(rendered.trim());
        Self::usage(message, None)
    }

    /// The server answered with a problem document.
    pub(crate) fn problem(document: Value) -> Self {
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (code, detail) = (text("code"), text("detail"));
        let status = match code.as_str() {
            "guest_failed" => 1,
            "unsupported" => 2,
            "invalid_module" | "init_failed" => 4,
            _ => 3,
        };
        let message = if detail.is_empty() { text("title") } else { detail };
        Self { code, message, chain: Vec::new(), status, details: Some(document) }
    }

    /// Writes the failure to standard error, and returns the exit code.
    pub(crate) fn report(&self, format: ErrorFormat) -> ExitCode {
        match format {
            ErrorFormat::Text => terminal::error(&self.text()),
            ErrorFormat::Json => {
                let object = json!({
                    "code": self.code, "message": self.message, "chain": self.chain, "details": self.details,
                });
                terminal::plain(&escaped_json(&object.to_string()));
            }
        }
        self.status.into()
    }

    fn text(&self) -> String {
        let mut text = self.message.lines().map(escaped).collect::<Vec<_>>().join("\n");
        for cause in self.chain.iter().filter(|cause| !self.message.contains(*cause)) {
            text.push_str("\n  caused by: ");
            text.push_str(&escaped(cause));
        }
        let known = matches!(&*self.code, "usage" | "system" | "config");
        if let Some(document) = self.details.as_ref().filter(|_| !known) {
            let text_of = |name: &str| {
                document
                    .get(name)
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            if let Some(limit) = document.get("limit") {
                text.push_str(&format!("\n  limit: {}", escaped(&limit.to_string())));
            }
            let parts = [
                ("fault", "fault"),
                ("module", "module"),
                ("version", "digest"),
                ("trace", "trace_id"),
                ("retryable", "retryable"),
            ];
            let parts = parts
                .into_iter()
                .filter_map(|(shown, name)| Some(format!("{shown}: {}", escaped(&text_of(name)?))));
            let parts: Vec<_> = std::iter::once(escaped(&self.code)).chain(parts).collect();
            text.push_str(&format!("\n  [{}]", parts.join(", ")));
        }
        text
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let details = serde_json::to_value(&problems.problems).ok();
        Self { code: "config".into(), details, ..Self::usage(problems.to_string(), None) }
    }
}

impl From<NotStarted> for Failure {
    fn from(error: NotStarted) -> Self {
        let cause = error.source().map_or_else(Vec::new, chain);
        Self { code: "system".into(), status: 3, chain: cause, ..Self::usage(error.to_string(), None) }
    }
}

/// Returns the texts of an error and its causes, outermost first.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| texts.len() < MAX_CHAIN) {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

/// An input that is not there, or cannot be read.
pub(crate) fn unreadable(path: &std::path::Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::usage(format!("cannot read {}", path.display()), Some(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_shown_with_its_code_and_has_the_exit_code_of_its_kind() {
        for (code, status) in [("guest_failed", 1), ("init_failed", 4), ("trapped", 3), ("unknown_module", 3)]
        {
            let document =
                json!({"code": code, "detail": "no\u{1b}way", "fault": "guest", "retryable": false});
            let failure = Failure::problem(document);
            assert_eq!(failure.status, status);
            assert_eq!(failure.text(), format!("no\\u{{1b}}way\n  [{code}, fault: guest, retryable: false]"));
        }
    }
}
