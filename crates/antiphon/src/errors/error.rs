//! The one error type: its kind, the party at fault, the fate of the instance, and its sources.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::OnceLock;
use std::time::Duration;

use antiphon_protocol::Violation;

use super::{ErrorKind, Exceeded, Fate, Fault, Phase, Resource};
use crate::usage::Usage;

/// A boxed error of any type.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of most functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in a call, a start or a replacement.
///
/// `Display` keeps the texts that users of `wapc` 2.x match on. Everything more is in the accessors
/// and in [`source`](StdError::source). The error is one pointer, so that results stay small.
///
/// ```
/// use antiphon::{WapcHost, errors::{ErrorKind, Fate}, testing::TestEngine};
///
/// let engine = TestEngine::new().operation("fail", |_| Err("out of tea".into()));
/// let host = WapcHost::new(Box::new(engine), None)?;
///
/// let error = host.call("fail", b"").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::GuestFailed);
/// assert_eq!(error.fate(), Fate::Kept);
/// assert_eq!(error.guest_error(), Some("out of tea"));
/// assert_eq!(error.to_string(), "Guest call failure: out of tea");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    fault: Fault,
    fate: Fate,
    /// What happened, without the prefix that `Display` adds for the kind.
    message: String,
    phase: Option<Phase>,
    exceeded: Option<Exceeded>,
    guest_error: Option<String>,
    exit_code: Option<i32>,
    backtrace: Option<Backtrace>,
    usage: Option<Usage>,
    source: Option<BoxError>,
}

impl Error {
    /// Creates an error of a kind. `message` says what happened, in lower case and without a full
    /// stop.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            fault: kind.fault(),
            fate: kind.fate(),
            message: message.into(),
            phase: None,
            exceeded: None,
            guest_error: None,
            exit_code: None,
            backtrace: None,
            usage: None,
            source: None,
        }))
    }

    /// Creates the error of a call whose wall-clock time ran out. `limit` is the time that it had,
    /// with its unit, and `used` the time that it took.
    ///
    /// A call that got no instance says so. The text of the others is one that users of `wapc` 2.x
    /// match on.
    #[cold]
    pub fn deadline(phase: Phase, limit: impl fmt::Display, used: impl fmt::Display) -> Self {
        let what = match phase {
            Phase::Queue => "no instance was free in time, execution deadline exceeded",
            Phase::Rebuild => "no instance was started in time, execution deadline exceeded",
            Phase::Guest | Phase::HostCall => "guest code interrupted, execution deadline exceeded",
        };
        let mut error = Self::new(ErrorKind::DeadlineExceeded, what)
            .with_source(Detail(format!("the deadline of {limit} passed in phase {phase}, after {used}")));
        error.0.phase = Some(phase);
        if phase != Phase::Guest {
            error.0.fault = Fault::Host;
        }
        error
    }

    /// Creates the error of a call that had no time left when the host got it. `limit` is the time
    /// that it had, and `used` what has passed since that began to count.
    #[cold]
    pub(crate) fn too_late(limit: Duration, used: Duration) -> Self {
        let mut error =
            Self::new(ErrorKind::DeadlineExceeded, "the call's deadline was over before the call began");
        error.0.phase = Some(Phase::Queue);
        error.with_exceeded(Exceeded::time("deadline", limit, used)).with_fate(Fault::Host, Fate::Kept)
    }

    /// Creates the error of a guest that burnt all of its fuel, `limit` units.
    #[cold]
    pub fn out_of_fuel(limit: u64) -> Self {
        let message = format!("the fuel ran out: the limit is {limit} units (raise it with Limits::fuel)");
        Self::new(ErrorKind::OutOfFuel, message).with_exceeded(Exceeded::new("fuel", limit, limit, "units"))
    }

    /// Creates the error of a guest that recursed deeper than its stack of `limit` bytes allows.
    #[cold]
    pub fn stack_overflow(limit: u64) -> Self {
        Self::new(
            ErrorKind::StackOverflow,
            format!("the stack overflowed: the limit is {limit} bytes (raise it with Limits::stack)"),
        )
        .with_exceeded(Exceeded::new("stack", limit, limit, "bytes"))
    }

    /// Creates the error of a module that the engine refused. The reason may quote a hostile
    /// module, so it is cut at 4,000 characters.
    #[cold]
    pub fn invalid_module(reason: impl ToString) -> Self {
        let message = format!("not a valid WebAssembly module: {:.4000}", reason.to_string());
        Self::new(ErrorKind::InvalidModule, message)
    }

    /// Creates the error of something that the machine or the process refused. `purpose` says what
    /// it was for, as in `memory for an instance`.
    ///
    /// ```
    /// use antiphon::errors::{Error, Resource};
    ///
    /// let error = Error::out_of_resources(Resource::Files, "the memory image of a module");
    /// assert_eq!(
    ///     error.message(),
    ///     "the system refused a file for the memory image of a module: raise the limit on open files (`ulimit -n`)"
    /// );
    /// ```
    #[cold]
    pub fn out_of_resources(resource: Resource, purpose: impl fmt::Display) -> Self {
        let message = format!("the system refused {resource} for {purpose}: {}", resource.advice());
        Self::new(ErrorKind::OutOfResources, message)
    }

    /// Creates the error of a start that failed in a function (`start section`, `_initialize`,
    /// `_start`, `wapc_init`).
    ///
    /// It is [`ErrorKind::InitFailed`], unless the machine lacks what the start takes. That is no
    /// fault of the guest, and stays [`ErrorKind::OutOfResources`].
    #[cold]
    pub fn init(function: &str, cause: Self) -> Self {
        if cause.kind() == ErrorKind::OutOfResources {
            return cause.never_born();
        }
        let message = match cause.kind() {
            ErrorKind::DeadlineExceeded => {
                format!("{function} init interrupted, execution deadline exceeded")
            }
            _ => format!("{function}: {}", cause.message()),
        };
        let exceeded = match cause.exceeded() {
            Some(exceeded) if cause.is_deadline() => Some(Exceeded { limit: "init_deadline", ..exceeded }),
            exceeded => exceeded,
        };
        let mut error = Self::new(ErrorKind::InitFailed, message).with_source(cause);
        error.0.exceeded = exceeded;
        error
    }

    /// Creates the error of a refused replacement; the old module serves on.
    #[cold]
    pub fn replace_failed(reason: BoxError) -> Self {
        let reason = Self::from_engine(reason);
        let message = format!("Module replacement failed: {reason}");
        Self::new(ErrorKind::ReplaceFailed, message).with_source(reason)
    }

    /// Creates the error of a provider that was asked for a call or a replacement before its
    /// `init`, which is a mistake of the code that drives it.
    #[cold]
    pub fn not_started() -> Self {
        Self::new(ErrorKind::Engine, "the provider was used before `init`")
    }

    /// Converts an error that an engine reports.
    ///
    /// A boxed error of our own type keeps its kind. Any other error becomes [`ErrorKind::Engine`],
    /// with that error as its source.
    #[cold]
    pub fn from_engine(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(error) => Self::new(ErrorKind::Engine, error.to_string()).with_source_box(error),
        }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.with_source_box(source.into())
    }

    fn with_source_box(mut self, source: BoxError) -> Self {
        self.0.source = Some(source);
        self
    }

    /// Adds the text that the guest set before it failed, unless there is one already.
    #[must_use]
    pub fn with_guest_error(mut self, text: Option<String>) -> Self {
        if self.0.guest_error.is_none() {
            self.0.guest_error = text;
        }
        self
    }

    /// Adds the code of a WASI exit.
    #[must_use]
    pub fn with_exit_code(mut self, code: i32) -> Self {
        self.0.exit_code = Some(code);
        self
    }

    /// Adds the frames of the guest, which display one per line, innermost first. They are
    /// formatted only when they are read: a guest that traps in a loop must not cost more than its
    /// traps.
    #[must_use]
    pub fn with_backtrace(mut self, frames: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.0.backtrace = Some(Backtrace { frames: Box::new(frames), text: OnceLock::new() });
        self
    }

    /// Adds the limit that was exceeded.
    #[must_use]
    pub fn with_exceeded(mut self, exceeded: Exceeded) -> Self {
        self.0.exceeded = Some(exceeded);
        self
    }

    pub(crate) fn with_usage(mut self, usage: Option<Usage>) -> Self {
        self.0.usage = usage;
        self
    }

    /// Sets the party at fault and the fate of the instance, where the place decides them and not
    /// the kind.
    pub(crate) fn with_fate(mut self, fault: Fault, fate: Fate) -> Self {
        self.0.fault = fault;
        self.0.fate = fate;
        self
    }

    /// Notes that the call did not begin, so that the instance is kept.
    #[must_use]
    pub fn keeping_instance(mut self) -> Self {
        self.0.fate = Fate::Kept;
        self
    }

    /// Notes that the instance never came to be.
    #[must_use]
    pub fn never_born(mut self) -> Self {
        self.0.fate = Fate::NeverBorn;
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the kind's stable name in snake case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// Returns the party at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// Returns what became of the instance.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.0.fate
    }

    /// Returns where the call was when its deadline passed; `None` for other kinds.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Returns the limit that ended the call or (for [`ErrorKind::InitFailed`]) the start, or that
    /// the module is over (for [`ErrorKind::InvalidModule`]), in numbers. `None` where no limit
    /// ended it.
    #[must_use]
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.0.exceeded
    }

    /// Returns what happened, without the prefix that `Display` adds for users of `wapc` 2.x.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the text that the guest set before it failed, if any. It is hostile: escape it
    /// before it reaches a terminal.
    #[must_use]
    pub fn guest_error(&self) -> Option<&str> {
        self.0.guest_error.as_deref()
    }

    /// Returns the code of a WASI exit, if the guest ended that way.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// Returns the frames of the guest at the failure, innermost first, where the engine has them.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.0.backtrace.as_ref().map(Backtrace::text)
    }

    /// Returns what the call had used, if its [`Request`](crate::Request) asked for it.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.0.usage.as_ref()
    }

    /// Returns whether the wall-clock time ran out, in the call itself or (for
    /// [`ErrorKind::InitFailed`]) in the start.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        self.kind() == ErrorKind::DeadlineExceeded
            || (self.kind() == ErrorKind::InitFailed && self.cause().is_some_and(Self::is_deadline))
    }

    /// Returns whether the guest itself reported the failure and lives on.
    #[must_use]
    pub fn is_guest_failure(&self) -> bool {
        self.kind() == ErrorKind::GuestFailed
    }

    /// Returns whether the call was cancelled through its handle.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.kind() == ErrorKind::Cancelled
    }

    /// Returns whether a limit ended the call.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        use ErrorKind::{DeadlineExceeded, HostCallLimit, MemoryLimit, OutOfFuel, StackOverflow, TooLarge};
        matches!(
            self.kind(),
            DeadlineExceeded | HostCallLimit | MemoryLimit | OutOfFuel | StackOverflow | TooLarge
        )
    }

    /// Returns the source, if it is an error of this type.
    fn cause(&self) -> Option<&Self> {
        self.source().and_then(|source| source.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.0.message;
        match self.0.kind {
            ErrorKind::InvalidModule
            | ErrorKind::ReplaceFailed
            | ErrorKind::Unsupported
            | ErrorKind::Overloaded
            | ErrorKind::OutOfResources
            | ErrorKind::Engine => f.write_str(message),
            ErrorKind::InitFailed => write!(f, "Initialization failed: {message}"),
            // The guest was not called.
            _ if matches!(self.0.phase, Some(Phase::Queue | Phase::Rebuild)) => f.write_str(message),
            _ => write!(f, "Guest call failure: {message}"),
        }
    }
}

/// One line by default: the kind, the text, and what the sources add to it, because programs show
/// it to their users. The alternate form `{:#?}` has everything, with the backtrace.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if !f.alternate() {
            write!(f, "{:?}({:?}", inner.kind, self.to_string())?;
            let mut last = self.to_string();
            let mut source = self.source();
            while let Some(error) = source {
                let text = error.to_string();
                if !last.contains(&text) {
                    write!(f, ", {text:?}")?;
                }
                (last, source) = (text, error.source());
            }
            return f.write_str(")");
        }
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &inner.kind).field("fault", &inner.fault).field("fate", &inner.fate);
        debug.field("message", &inner.message);
        let mut optional = |name, value: Option<&dyn fmt::Debug>| {
            if let Some(value) = value {
                debug.field(name, value);
            }
        };
        optional("phase", inner.phase.as_ref().map(|v| v as _));
        optional("exceeded", inner.exceeded.as_ref().map(|v| v as _));
        optional("guest_error", inner.guest_error.as_ref().map(|v| v as _));
        optional("exit_code", inner.exit_code.as_ref().map(|v| v as _));
        optional("backtrace", inner.backtrace.as_ref().map(|v| v as _));
        optional("usage", inner.usage.as_ref().map(|v| v as _));
        optional("source", inner.source.as_ref().map(|v| v as _));
        debug.finish()
    }
}

/// An error does not change after it was made, so no panic leaves one half-changed. (The text of
/// its backtrace is made on first use, and by one thread.) Users of `wasmtime-provider` 2.x rely on
/// it.
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        let kind = match &violation {
            Violation::TooLarge { .. } => ErrorKind::TooLarge,
            Violation::HostCallLimit { .. } => ErrorKind::HostCallLimit,
            _ => ErrorKind::Trapped,
        };
        let exceeded = Exceeded::of_violation(&violation);
        let mut error = Self::new(kind, violation.to_string()).with_source(violation);
        error.0.exceeded = exceeded;
        error
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Engine, format!("I/O Error: {error}")).with_source(error)
    }
}

/// The frames of the guest, formatted when they are first read.
struct Backtrace {
    frames: Box<dyn fmt::Display + Send + Sync>,
    text: OnceLock<String>,
}

impl Backtrace {
    fn text(&self) -> &str {
        self.text.get_or_init(|| self.frames.to_string())
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A source that is only a sentence. `Display` cannot say it, because users match on its text.
#[derive(Debug)]
struct Detail(String);

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Detail {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide_so_that_a_result_stays_small() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_short_form_is_one_line_without_a_backtrace_and_the_long_one_has_all() {
        let trap = Error::new(ErrorKind::Trapped, "unreachable")
            .with_guest_error(Some("last\nword".into()))
            .with_source("wasm trap: wasm `unreachable` instruction executed")
            .with_backtrace("0: deep\n1: down");
        assert_eq!(
            format!("{trap:?}"),
            r#"Trapped("Guest call failure: unreachable", "wasm trap: wasm `unreachable` instruction executed")"#
        );
        let all = format!("{trap:#?}");
        assert!(
            all.contains("0: deep") && all.contains("fault: Guest") && all.contains("last\\nword"),
            "{all}"
        );

        // A source whose text is in the text before it says nothing new, and a line of a guest's
        // text is no line of the program's.
        let failed = Error::init("wapc_init", Error::new(ErrorKind::Trapped, "line\nbreak"));
        assert_eq!(
            format!("{failed:?}"),
            r#"InitFailed("Initialization failed: wapc_init: line\nbreak", "Guest call failure: line\nbreak")"#
        );
        let io = Error::from(std::io::Error::other("disk full"));
        assert_eq!(format!("{io:?}"), r#"Engine("I/O Error: disk full")"#);
    }

    #[test]
    fn an_error_is_send_and_sync_and_safe_to_hold_across_a_panic() {
        fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn our_own_error_in_a_box_keeps_its_kind_and_a_foreign_one_becomes_the_source() {
        let ours: BoxError = Box::new(Error::new(ErrorKind::Trapped, "unreachable"));
        assert_eq!(Error::from_engine(ours).kind(), ErrorKind::Trapped);

        let foreign = Error::from_engine("wires crossed".into());
        assert_eq!((foreign.kind(), foreign.fate()), (ErrorKind::Engine, Fate::Discarded));
        assert_eq!(foreign.source().unwrap().to_string(), "wires crossed");
    }

    #[test]
    fn a_deadline_keeps_the_text_that_users_match_on_and_names_the_limit_in_its_source() {
        let error = Error::deadline(Phase::HostCall, "2s", "2.005s");
        assert_eq!(
            error.to_string(),
            "Guest call failure: guest code interrupted, execution deadline exceeded"
        );
        assert_eq!((error.fault(), error.phase()), (Fault::Host, Some(Phase::HostCall)));
        assert_eq!(
            error.source().unwrap().to_string(),
            "the deadline of 2s passed in phase host call, after 2.005s"
        );
    }

    #[test]
    fn a_deadline_that_passes_before_the_guest_is_called_does_not_blame_the_guest() {
        for (phase, text) in [
            (Phase::Queue, "no instance was free in time, execution deadline exceeded"),
            (Phase::Rebuild, "no instance was started in time, execution deadline exceeded"),
        ] {
            let error = Error::deadline(phase, "2s", "2.005s");
            assert_eq!((error.to_string().as_str(), error.message()), (text, text));
            assert_eq!((error.fault(), error.phase()), (Fault::Host, Some(phase)));
        }
        let late = Error::too_late(Duration::ZERO, Duration::ZERO);
        assert_eq!(late.to_string(), "the call's deadline was over before the call began");
        assert_eq!((late.fault(), late.fate(), late.phase()), (Fault::Host, Fate::Kept, Some(Phase::Queue)));
    }

    #[test]
    fn a_provider_that_was_not_started_is_the_engines_fault_and_not_kept() {
        let error = Error::not_started();
        assert_eq!(
            (error.kind(), error.fault(), error.fate()),
            (ErrorKind::Engine, Fault::Engine, Fate::Discarded)
        );
        assert_eq!(error.to_string(), "the provider was used before `init`");
    }
}
