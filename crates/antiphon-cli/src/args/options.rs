//! The values of options: times, sizes, variables, directories.

use std::time::{Duration, SystemTime};
use std::{error, fmt};

use antiphon::errors::Error;
use antiphon_engines::AnyEngine;
use bytesize::ByteSize;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::payload::{WideNumber, wide_number};

/// Why the value of an option was not understood. Its text stands alone: clap shows no source.
#[derive(Debug)]
pub(crate) enum Invalid {
    Time(humantime::DurationError),
    NoTime,
    Clock(humantime::TimestampError),
    EarlyClock,
    Size,
    Variable,
    Nul,
    Dir,
    Rule,
    Pattern,
    Changes,
    Number,
    Json(serde_json::Error),
    WideNumber(WideNumber),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(error) => write!(f, "no time such as 500ms or 2s: {error}"),
            Self::NoTime => f.write_str("no time at all lets nothing run"),
            Self::Clock(error) => write!(f, "no time such as 2026-01-01T00:00:00Z: {error}"),
            Self::EarlyClock => f.write_str("a clock begins in 1970"),
            Self::Size => f.write_str("no size such as 512KiB, 64MiB or 1GiB"),
            Self::Variable => f.write_str("no variable of the form KEY=VALUE"),
            Self::Nul => f.write_str("a NUL byte has no place in it"),
            Self::Dir => f.write_str("no directory of the form HOST::GUEST or HOST::GUEST:ro"),
            Self::Changes => f.write_str(
                "neither a module nor settings such as engine=wasmi,mode=sync: there are module, engine, mode, isolation, \
                 concurrency and instances",
            ),
            Self::Number => f.write_str("no number from 1 to 10000"),
            Self::Rule => f.write_str("no rule of the form BINDING/NAMESPACE/OPERATION=ANSWER"),
            Self::Json(error) => write!(f, "no JSON: {error}"),
            Self::WideNumber(number) => write!(f, "{number}: with .0 behind it, it is a float, and in quotes a text"),
            Self::Pattern => {
                f.write_str("what stands before the = is neither BINDING/NAMESPACE/OPERATION nor a bare *")
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
    /// Calls share an instance for as long as they end well
    Reuse,
    /// Each call has an instance of its own
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

/// Reads the name of an engine. The help lists those of this build; the others are understood, and refused with what to
/// do about it when they are asked for.
pub(crate) fn engine() -> impl TypedValueParser<Value = AnyEngine> {
    let all = AnyEngine::ALL.iter();
    let names = all.map(|engine| PossibleValue::new(engine.name()).hide(!engine.is_available()));
    PossibleValuesParser::new(names).try_map(|name| -> Result<AnyEngine, Error> { name.parse() })
}

/// How many callers or instances there may be.
const MOST: usize = 10_000;

/// A number of callers or instances.
pub(crate) fn number(value: &str) -> Result<usize, Invalid> {
    value.parse().ok().filter(|number| (1..=MOST).contains(number)).ok_or(Invalid::Number)
}

/// A language that guests are written in.
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

/// The time of a call, or of many.
pub(crate) fn deadline(text: &str) -> Result<Duration, Invalid> {
    match humantime::parse_duration(text).map_err(Invalid::Time)? {
        Duration::ZERO => Err(Invalid::NoTime),
        time => Ok(time),
    }
}

/// What a clock shows, as a time since the Unix epoch; in UTC.
pub(crate) fn clock(text: &str) -> Result<Duration, Invalid> {
    let time = humantime::parse_rfc3339_weak(text).map_err(Invalid::Clock)?;
    time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Invalid::EarlyClock)
}

/// A size in bytes; a bare number is one, too.
pub(crate) fn size(text: &str) -> Result<u64, Invalid> {
    match text.parse::<ByteSize>() {
        Ok(size) if !text.starts_with('-') => Ok(size.as_u64()),
        _ => Err(Invalid::Size),
    }
}

/// A value in JSON, none of whose numbers becomes another one.
pub(crate) fn json(text: &str) -> Result<serde_json::Value, Invalid> {
    let value = serde_json::from_str(text).map_err(Invalid::Json)?;
    wide_number(text).map_or(Ok(value), |number| Err(Invalid::WideNumber(number)))
}

/// An argument for the guest.
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

/// A directory of the host, and what the guest calls it.
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
            assert!(text.starts_with("no time such as 500ms or 2s: "), "{wrong}: {text}");
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
        for wrong in ["", "big", "-1", "-1MiB", "1XiB", "NaN", "inf"] {
            assert!(matches!(size(wrong), Err(Invalid::Size)), "{wrong}: {:?}", size(wrong));
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
