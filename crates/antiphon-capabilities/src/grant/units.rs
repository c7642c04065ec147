//! Sizes and durations as people write them.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::Serializer;

/// A quantity that is written as a number with a unit.
pub(super) trait Quantity: Sized {
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;

    /// Makes a quantity of a plain number, where that has one meaning.
    fn plain(number: u64) -> Option<Self>;
}

/// A size in bytes: `"64KiB"`, `"1MiB"`, `"512B"`, or a plain number of bytes.
struct Size(u64);

impl Quantity for Size {
    const EXPECTED: &'static str = "a size such as \"64KiB\" or \"1MiB\", or a number of bytes";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }

    fn plain(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Quantity for Duration {
    const EXPECTED: &'static str = "a duration such as \"250ms\", \"5s\", \"10m\" or \"1h\"";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let seconds = match unit {
            "ms" => return Some(Self::from_millis(number)),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        number.checked_mul(seconds).map(Self::from_secs)
    }

    fn plain(_: u64) -> Option<Self> {
        None
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

struct Read<Q>(PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for Read<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Q::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Q, E> {
        Q::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Q, E> {
        Q::plain(number).ok_or_else(|| E::invalid_type(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Q, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Read::<Size>(PhantomData)).map(|Size(bytes)| bytes)
}

pub(super) fn size_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Sized(u64);

    impl<'de> Deserialize<'de> for Sized {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            size(deserializer).map(Self)
        }
    }

    let size = Option::<Sized>::deserialize(deserializer)?;
    Ok(size.map(|Sized(bytes)| bytes))
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Read::<Duration>(PhantomData))
}

/// Writes a duration so that it is read again as it was.
pub(super) fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    match duration.subsec_millis() {
        0 => serializer.collect_str(&format_args!("{}s", duration.as_secs())),
        _ => serializer.collect_str(&format_args!("{}ms", duration.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        let size = |text| Size::parse(text).map(|Size(bytes)| bytes);
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1 MiB"), Some(1 << 20));
        assert_eq!((size("7"), size("7B"), size("2GiB")), (Some(7), Some(7), Some(2 << 30)));
        for wrong in ["", "KiB", "1kb", "-1", "1.5MiB", "99999999999GiB", "1KiBs"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
        assert_eq!(Duration::parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(Duration::parse("2h"), Some(Duration::from_secs(7200)));
        for wrong in ["", "5", "5 seconds", "1m30s", "99999999999999999999h"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong:?}");
        }
    }
}
