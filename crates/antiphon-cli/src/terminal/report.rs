//! How a failure is reported: its fields, its text, its exit code.

use std::error::Error as StdError;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use antiphon::Exceeded;
use antiphon::errors::{Error, ErrorKind, Fate};
use serde::Serialize;

use super::messages;
use super::text::{escape_block, escape_json, escape_line};
use crate::args::{ErrorFormat, option_of};
use crate::failure::Failure;

/// The most causes of an error that are followed.
const MAX_CHAIN: usize = 32;

/// The codes of failures that are not errors of the library.
const USAGE: &str = "usage";
const SYSTEM: &str = "system";
const ANSWER: &str = "answer_unreadable";

/// A failure, ready to be written. Its texts are hostile, because they come from guests and
/// modules; writing escapes them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    code: &'static str,
    kind: String,
    fault: &'static str,
    /// What happened to the instance: `kept`, `discarded`, `never_born`.
    fate: &'static str,
    phase: Option<&'static str>,
    limit: Option<Limit>,
    message: String,
    guest_error: Option<String>,
    /// The exit code that the guest passed to WASI; not that of this program.
    exit_code: Option<i32>,
    chain: Vec<String>,
    /// The guest's frames, innermost first.
    backtrace: Option<Vec<String>>,
    /// The message for humans, which has a prefix for some kinds.
    #[serde(skip)]
    display: String,
    #[serde(skip)]
    status: u8,
}

/// The limit that ended a call, in numbers.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Limit {
    name: &'static str,
    allowed: u64,
    used: u64,
    unit: &'static str,
    /// The option that raises it; null if none does.
    option: Option<&'static str>,
    #[serde(skip)]
    text: String,
}

impl From<Exceeded> for Limit {
    fn from(exceeded: Exceeded) -> Self {
        let Exceeded { limit: name, allowed, used, unit, .. } = exceeded;
        let (option, mut text) = (option_of(name), exceeded.to_string());
        if let Some(option) = option {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "; raise it with {option}");
        }
        Self { name, allowed, used, unit, option, text }
    }
}

impl Report {
    pub(crate) fn new(failure: &Failure) -> Self {
        match failure {
            Failure::Library(error) => Self::of_library(error),
            Failure::Usage(message, error) => {
                Self { chain: chain(error), ..Self::of_caller(USAGE, "Usage", 2, message.clone()) }
            }
            Failure::TooLarge(what, limit) => {
                let message = format!("{what} is over its limit of {limit} bytes; raise it with --payload");
                let kind = ErrorKind::TooLarge;
                Self::of_caller(kind.code(), &format!("{kind:?}"), status(kind), message)
            }
            Failure::Answer(codec, reason) => {
                let message =
                    format!("the guest's answer is not valid {codec}; call without --json to see its bytes");
                let report = Self::of_caller(ANSWER, "AnswerUnreadable", 3, message);
                Self { fault: "guest", fate: fate(Fate::Kept), chain: vec![reason.clone()], ..report }
            }
            Failure::Output(error) => Self::of_host("cannot write to standard output", error),
            Failure::System(what, error) => Self::of_host(what, error),
        }
    }

    /// Reports an error of clap as JSON. Humans get clap's own output, which is better than this
    /// text.
    pub(crate) fn from_clap(error: &clap::Error) -> Self {
        let rendered = error.render().to_string();
        let message = rendered.trim().strip_prefix("error: ").unwrap_or(rendered.trim());
        Self::of_caller(USAGE, "Usage", 2, message.to_owned())
    }

    fn of_library(error: &Error) -> Self {
        let kind = error.kind();
        Self {
            code: error.code(),
            kind: format!("{kind:?}"),
            fault: error.fault().name(),
            fate: fate(error.fate()),
            phase: error.phase().map(antiphon::errors::Phase::name),
            limit: error.exceeded().map(Limit::from),
            message: error.message().to_owned(),
            guest_error: error.guest_error().map(str::to_owned),
            exit_code: error.exit_code(),
            chain: error.source().map_or_else(Vec::new, chain),
            backtrace: error.backtrace().map(|frames| frames.lines().map(str::to_owned).collect()),
            display: error.to_string(),
            status: status(kind),
        }
    }

    fn of_caller(code: &'static str, kind: &str, status: u8, message: String) -> Self {
        Self {
            code,
            kind: kind.to_owned(),
            fault: "caller",
            fate: fate(Fate::NeverBorn),
            phase: None,
            limit: None,
            display: message.clone(),
            message,
            guest_error: None,
            exit_code: None,
            chain: Vec::new(),
            backtrace: None,
            status,
        }
    }

    fn of_host(what: &str, error: &io::Error) -> Self {
        let report = Self::of_caller(SYSTEM, "System", 3, what.to_owned());
        Self { fault: "host", chain: chain(error), ..report }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.status.into()
    }

    /// Returns the program's exit code as a number.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// Returns the code of the failure, such as `guest_failed`.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Returns what went wrong, unescaped, as the guest or the engine put it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the first cause that says more than the message.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.chain.iter().find(|cause| !self.repeats(cause)).map(String::as_str)
    }

    /// Returns the guest's own text.
    pub(crate) fn guest_error(&self) -> Option<&str> {
        self.guest_error.as_deref()
    }

    /// Returns the exit code of the guest.
    pub(crate) fn guest_exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Writes the report to standard error.
    pub(crate) fn print(&self, format: ErrorFormat) {
        match format {
            ErrorFormat::Text => messages::error(&self.text()),
            ErrorFormat::Json => messages::plain(&self.json()),
        }
    }

    fn json(&self) -> String {
        let json = serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("a struct of strings and numbers is always JSON: {error}"));
        escape_json(&json)
    }

    /// Returns the message on the first line; everything else that is known follows, indented.
    fn text(&self) -> String {
        let mut out = escape_block(&self.display, "    ");
        let mut detail = |name: &str, value: &str| {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "\n  {name}: {}", escape_block(value, "    "));
        };
        for cause in self.chain.iter().filter(|cause| !self.repeats(cause)) {
            detail("caused by", cause);
        }
        if let Some(limit) = &self.limit {
            detail("limit", &limit.text);
        }
        if let Some(guest_error) = self.guest_error.as_ref().filter(|text| !self.display.contains(*text)) {
            detail("the guest said", guest_error);
        }
        if let Some(code) = self.exit_code {
            detail("the guest exited with", &code.to_string());
        }
        if let Some(frames) = &self.backtrace {
            out.push_str("\n  wasm backtrace:");
            for frame in frames {
                let _ = write!(out, "\n    {}", escape_line(frame.trim_end()));
            }
        }
        if !matches!(self.code, USAGE | SYSTEM) {
            let _ = write!(out, "\n  [{}, fault: {}, instance: {}]", self.code, self.fault, self.fate);
        }
        out
    }

    /// Returns whether a cause adds nothing: the message contains it, or it lists the frames that
    /// are shown already (engines put them into an error's text).
    fn repeats(&self, cause: &str) -> bool {
        let frames =
            self.backtrace.is_some() && cause.starts_with("error while executing at wasm backtrace:");
        frames || self.display.contains(cause)
    }
}

/// Returns the program's exit code for a kind of error.
fn status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::GuestFailed => 1,
        ErrorKind::Unsupported => 2,
        ErrorKind::InvalidModule | ErrorKind::InitFailed => 4,
        _ => 3,
    }
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Kept => "kept",
        Fate::Discarded => "discarded",
        Fate::NeverBorn => "never_born",
        _ => "unknown",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_exit_code_of_the_contract() {
        for kind in ErrorKind::ALL {
            let expected = match kind.code() {
                "guest_failed" => 1,
                "unsupported" => 2,
                "invalid_module" | "init_failed" => 4,
                _ => 3,
            };
            assert_eq!(status(*kind), expected, "{kind}");
        }
    }

    #[test]
    fn a_text_names_everything_once_and_is_harmless() {
        let trap = io::Error::other("out of bounds");
        let error = Error::new(ErrorKind::Trapped, "wasm trap")
            .with_source(trap)
            .with_guest_error(Some("I\u{1b}[0m\nerror: am fine".into()))
            .with_exit_code(7)
            .with_backtrace("0: inner\n1: outer");
        assert_eq!(
            Report::new(&error.into()).text(),
            "Guest call failure: wasm trap\
             \n  caused by: out of bounds\
             \n  the guest said: I\\u{1b}[0m\n    error: am fine\
             \n  the guest exited with: 7\
             \n  wasm backtrace:\
             \n    0: inner\
             \n    1: outer\
             \n  [trapped, fault: guest, instance: discarded]"
        );
    }

    #[test]
    fn what_repeats_the_message_is_left_out() {
        let error = Error::from_engine("wires crossed".into());
        assert_eq!(
            Report::new(&error.into()).text(),
            "wires crossed\n  [engine, fault: engine, instance: discarded]"
        );
    }

    #[test]
    fn json_has_every_field_in_one_line() {
        let error = Error::new(ErrorKind::GuestFailed, "no\nway").with_guest_error(Some("no\nway".into()));
        let json = Report::new(&error.into()).json();
        assert!(!json.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "code": "guest_failed", "kind": "GuestFailed", "fault": "guest", "fate": "kept", "phase": null,
                "limit": null,
                "message": "no\nway", "guest_error": "no\nway", "exit_code": null, "chain": [], "backtrace": null,
            })
        );
    }

    #[test]
    fn an_answer_in_another_format_is_the_guests_fault() {
        let report = Report::new(&Failure::Answer("msgpack", "at byte 0".into()));
        assert_eq!((report.code, report.status), ("answer_unreadable", 3));
        assert_eq!((report.fault, report.fate), ("guest", "kept"));
        assert_eq!(report.chain, ["at byte 0"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let failure = Failure::Usage("cannot read x".into(), io::ErrorKind::NotFound.into());
        let report = Report::new(&failure);
        assert_eq!((report.code, report.status, report.fault), ("usage", 2, "caller"));
        assert_eq!(report.chain, ["entity not found"]);
    }
}
