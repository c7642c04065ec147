//! Parsers for the values of options: times, sizes, variables, directories.

use std::time::{Duration, SystemTime};
use std::{error, fmt};

use antiphon::errors::Error;
use antiphon_host::EngineKind;
use bytesize::ByteSize;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::payload::{WideNumber, wide_number};

/// Why an option's value is invalid. The text must be complete by itself, because clap shows no
/// source.
#[derive(Debug)]
pub(crate) enum Invalid {
    Time(humantime::DurationError),
    NoTime,
    Clock(humantime::TimestampError),
    EarlyClock,
    Size,
    HugeSize,
    Variable,
    Nul,
    Dir,
    Rule,
    Pattern,
    Escape,
    InputOfRule,
    Changes,
    Number,
    Count,
    Json(serde_json::Error),
    WideNumber(WideNumber),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(error) => write!(f, "expected a time such as 500ms or 2s: {error}"),
            Self::NoTime => f.write_str("a time of zero lets nothing run"),
            Self::Clock(error) => write!(f, "expected a time such as 2026-01-01T00:00:00Z: {error}"),
            Self::EarlyClock => f.write_str("expected a time from 1970 on"),
            Self::Size => f.write_str("expected a size such as 512KiB, 64MiB or 1GiB"),
            Self::HugeSize => f.write_str("expected a size below 16EiB, such as 1GiB"),
            Self::Variable => f.write_str("expected a variable as KEY=VALUE"),
            Self::Nul => f.write_str("it contains a NUL byte, which is not allowed"),
            Self::Dir => f.write_str("expected a directory as HOST::GUEST or HOST::GUEST:ro"),
            Self::Changes => f.write_str(
                "expected a module, or settings such as engine=wasmi,mode=sync; they are module, engine, mode, isolation, \
                 concurrency and instances",
            ),
            Self::Number => f.write_str("expected a number from 1 to 10000"),
            Self::Count => f.write_str("expected a whole number such as 1000000 or 1_000_000"),
            Self::Rule => f.write_str("expected a rule as BINDING/NAMESPACE/OPERATION=ANSWER"),
            Self::Escape => f.write_str("a backslash stands before /, =, * or another backslash only"),
            Self::InputOfRule => f.write_str("a host call is answered with JSON or with json:@FILE, not with standard input"),
            Self::Json(error) => write!(f, "not valid JSON: {error}"),
            Self::WideNumber(number) => write!(f, "{number}; append .0 for a float, or use quotes for a text"),
            Self::Pattern => {
                f.write_str("expected BINDING/NAMESPACE/OPERATION or * before the =")
            }
        }
    }
}

impl error::Error for Invalid {}

/// Which host runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Async,
    Sync,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
        }
    }
}

/// Whether calls share an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Calls share an instance as long as they end well
    Reuse,
    /// Each call gets its own instance
    PerCall,
}

impl Isolation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::PerCall => "per-call",
        }
    }
}

impl From<Isolation> for antiphon::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Reuse => Self::Reuse,
            Isolation::PerCall => Self::PerCall,
        }
    }
}

/// Parses an engine's name. The help lists the engines of this build. The other names are accepted
/// here, so that using one reports how to get that engine.
pub(crate) fn engine() -> impl TypedValueParser<Value = EngineKind> {
    let all = EngineKind::ALL.iter();
    let names = all.map(|engine| PossibleValue::new(engine.name()).hide(!engine.is_available()));
    PossibleValuesParser::new(names).try_map(|name| -> Result<EngineKind, Error> { name.parse() })
}

/// The most callers or instances.
const MOST: usize = 10_000;

/// Parses a whole number; underscores may separate its digits.
pub(crate) fn count(text: &str) -> Result<u64, Invalid> {
    joined(text).and_then(|text| text.parse().ok()).ok_or(Invalid::Count)
}

/// Removes the underscores of a number; `None` if one does not stand between two digits.
fn joined(text: &str) -> Option<String> {
    let parts: Vec<_> = text.split('_').collect();
    let separates = |pair: &[&str]| {
        matches!(pair, [before, after] if before.ends_with(|c: char| c.is_ascii_digit())
            && after.starts_with(|c: char| c.is_ascii_digit()))
    };
    parts.windows(2).all(separates).then(|| parts.concat())
}

/// Parses a number of callers or instances.
pub(crate) fn number(value: &str) -> Result<usize, Invalid> {
    count(value)
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (1..=MOST).contains(number))
        .ok_or(Invalid::Number)
}

/// A programming language for guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, with antiphon-guest
    Rust,
    /// Go, with its standard toolchain
    Go,
    /// AssemblyScript, with @wapc/as-guest
    #[value(name = "assemblyscript")]
    AssemblyScript,
    /// Zig
    Zig,
    /// C, with clang and lld
    C,
}

/// Parses a duration above zero.
pub(crate) fn deadline(text: &str) -> Result<Duration, Invalid> {
    match humantime::parse_duration(text).map_err(Invalid::Time)? {
        Duration::ZERO => Err(Invalid::NoTime),
        time => Ok(time),
    }
}

/// Parses a clock's time in UTC, as a duration since the Unix epoch.
pub(crate) fn clock(text: &str) -> Result<Duration, Invalid> {
    let time = humantime::parse_rfc3339_weak(text).map_err(Invalid::Clock)?;
    time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Invalid::EarlyClock)
}

/// Parses a size; a number without a unit is in bytes, and underscores may separate its digits.
pub(crate) fn size(text: &str) -> Result<u64, Invalid> {
    match joined(text).and_then(|text| text.parse::<ByteSize>().ok()) {
        // A size that 64 bits cannot hold becomes the largest one they can.
        Some(size) if size.as_u64() == u64::MAX => Err(Invalid::HugeSize),
        Some(size) if !text.starts_with('-') => Ok(size.as_u64()),
        _ => Err(Invalid::Size),
    }
}

/// Parses a JSON value, and refuses a number that it cannot hold exactly.
pub(crate) fn json(text: &str) -> Result<serde_json::Value, Invalid> {
    let value = serde_json::from_str(text).map_err(Invalid::Json)?;
    wide_number(text).map_or(Ok(value), |number| Err(Invalid::WideNumber(number)))
}

/// Parses an argument for the guest.
pub(crate) fn argument(text: &str) -> Result<String, Invalid> {
    without_nul(text).map(str::to_owned)
}

/// An environment variable for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Variable {
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        match without_nul(text)?.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_owned(), value: value.to_owned() })
            }
            _ => Err(Invalid::Variable),
        }
    }
}

/// A directory of the host, and its path for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    pub(crate) host: String,
    pub(crate) guest: String,
    pub(crate) read_only: bool,
}

impl Dir {
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let (host, guest) = text.split_once("::").ok_or(Invalid::Dir)?;
        let (guest, read_only) = match guest.strip_suffix(":ro") {
            Some(guest) => (guest, true),
            None => (guest, false),
        };
        if host.is_empty() || guest.is_empty() {
            return Err(Invalid::Dir);
        }
        Ok(Self { host: without_nul(host)?.to_owned(), guest: without_nul(guest)?.to_owned(), read_only })
    }
}

fn without_nul(text: &str) -> Result<&str, Invalid> {
    if text.contains('\0') { Err(Invalid::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_are_not_zero() {
        assert_eq!(deadline("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(deadline("1m 2s").unwrap(), Duration::from_secs(62));
        for wrong in ["", "2", "-1s", "fast", "99999999999999999999s"] {
            let text = deadline(wrong).unwrap_err().to_string();
            assert!(text.starts_with("expected a time such as 500ms or 2s: "), "{wrong}: {text}");
        }
        assert!(matches!(deadline("0s"), Err(Invalid::NoTime)));
    }

    #[test]
    fn clocks_are_in_utc_and_count_from_1970() {
        assert_eq!(clock("1970-01-01T00:00:00Z").unwrap(), Duration::ZERO);
        assert_eq!(clock("2001-09-09 01:46:40").unwrap(), Duration::from_secs(1_000_000_000));
        for wrong in ["", "now", "1000000000", "2001-13-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert!(matches!(clock(wrong), Err(Invalid::Clock(_) | Invalid::EarlyClock)), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_in_bytes_unless_they_have_a_unit() {
        assert_eq!(size("65536").unwrap(), 65_536);
        assert_eq!(size("64MiB").unwrap(), 64 << 20);
        assert_eq!(size("64 KiB").unwrap(), 64 << 10);
        assert_eq!(size("1MB").unwrap(), 1_000_000);
        assert_eq!(size("1_000_000").unwrap(), 1_000_000);
        assert_eq!(size("15EiB").unwrap(), 15 << 60);
        for wrong in ["99999999TiB", "16EiB", "18446744073709551615"] {
            assert!(matches!(size(wrong), Err(Invalid::HugeSize)), "{wrong}: {:?}", size(wrong));
        }
        for wrong in ["", "big", "-1", "-1MiB", "1XiB", "NaN", "1_MiB", "_1", "1__0"] {
            assert!(matches!(size(wrong), Err(Invalid::Size)), "{wrong}: {:?}", size(wrong));
        }
    }

    #[test]
    fn underscores_stand_between_digits_only() {
        assert_eq!(count("1_000_000").unwrap(), 1_000_000);
        assert_eq!(number("1_0").unwrap(), 10);
        for wrong in ["", "_1", "1_", "1__0", "-1", "1e6", "18446744073709551616"] {
            assert!(matches!(count(wrong), Err(Invalid::Count)), "{wrong}: {:?}", count(wrong));
        }
    }

    #[test]
    fn a_variable_ends_at_the_first_equals_sign() {
        let variable = Variable::parse("A=b=c").unwrap();
        assert_eq!((variable.key.as_str(), variable.value.as_str()), ("A", "b=c"));
        assert_eq!(Variable::parse("A=").unwrap().value, "");
        assert!(matches!(Variable::parse("A"), Err(Invalid::Variable)));
        assert!(matches!(Variable::parse("=b"), Err(Invalid::Variable)));
        assert!(matches!(Variable::parse("A=\0"), Err(Invalid::Nul)));
    }

    #[test]
    fn a_directory_is_writable_unless_it_says_ro() {
        let dir = |host: &str, guest: &str, read_only| Dir {
            host: host.to_owned(),
            guest: guest.to_owned(),
            read_only,
        };
        assert_eq!(Dir::parse("/srv::/data").unwrap(), dir("/srv", "/data", false));
        assert_eq!(Dir::parse("a:b::/data:ro").unwrap(), dir("a:b", "/data", true));
        for wrong in ["/srv", "/srv:/data", "::/data", "/srv::", "/srv:::ro"] {
            assert!(matches!(Dir::parse(wrong), Err(Invalid::Dir)), "{wrong}");
        }
    }
}
