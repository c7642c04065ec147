//! What a caller says beside the payload: headers, each parsed strictly.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::call::{CallInfo, Trace};
use crate::outcome::Refusal;

const TIMEOUT: HeaderName = HeaderName::from_static("antiphon-timeout");
const CONTEXT: HeaderName = HeaderName::from_static("antiphon-context");
const STICKY: HeaderName = HeaderName::from_static("antiphon-sticky");
const VERSION: HeaderName = HeaderName::from_static("antiphon-version");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The most values of a context, and the most bytes of its header.
const VALUES: usize = 32;
const CONTEXT_BYTES: usize = 4 << 10;
/// The most bytes of a `tracestate` that go on, as W3C Trace Context asks for.
const STATE_BYTES: usize = 512;

/// What a caller says beside the payload.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) timeout: Option<Duration>,
    pub(super) info: CallInfo,
    pub(super) sticky: Option<u64>,
    pub(super) version: Option<&'a str>,
}

impl<'a> Terms<'a> {
    /// Reads the headers of a call in a trace.
    ///
    /// # Errors
    /// A header stands there twice, or is malformed.
    pub(super) fn read(headers: &'a HeaderMap, trace: Trace) -> Result<Self, Refusal> {
        let timeout = one(headers, &TIMEOUT)?.map(timeout).transpose()?;
        let values = one(headers, &CONTEXT)?.map(values).transpose()?;
        let sticky = one(headers, &STICKY)?.map(stable_hash);
        let version = one(headers, &VERSION)?;
        Ok(Self { timeout, info: CallInfo { trace, depth: 0, values }, sticky, version })
    }
}

/// Returns the value of a header that may stand there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |text: &'static str| Refusal::BadHeader(shown(name), text.into());
    if values.next().is_some() {
        return Err(wrong("stands there twice"));
    }
    value.to_str().map(Some).map_err(|_| wrong("has bytes that are not visible ASCII"))
}

/// Returns the name of a header as the pages write it.
fn shown(name: &HeaderName) -> &'static str {
    match name.as_str() {
        "antiphon-timeout" => "Antiphon-Timeout",
        "antiphon-context" => "Antiphon-Context",
        "antiphon-sticky" => "Antiphon-Sticky",
        _ => "Antiphon-Version",
    }
}

/// Reads a number of at most 15 digits and its unit, as in `250ms`.
fn timeout(text: &str) -> Result<Duration, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let number = number.parse().ok().filter(|_| digits <= 15);
    let time = number.and_then(|number: u64| match unit {
        "ns" => Some(Duration::from_nanos(number)),
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    });
    let text = "is no duration: write a number and its unit, as in `250ms` or `2s`";
    time.ok_or(Refusal::BadHeader("Antiphon-Timeout", text.into()))
}

/// Reads a context: an RFC 9651 dictionary of strings, tokens, numbers and booleans. Guests get the
/// text of each. Parameters say nothing here.
fn values(text: &str) -> Result<Arc<BTreeMap<String, String>>, Refusal> {
    let wrong = |text: String| Refusal::BadHeader("Antiphon-Context", text.into());
    if text.len() > CONTEXT_BYTES {
        return Err(wrong(format!("is over {CONTEXT_BYTES} bytes")));
    }
    let dictionary: Dictionary = Parser::new(text).parse().map_err(|error| {
        wrong(format!("is no dictionary of RFC 9651, as in `tenant=\"blue\", tries=3`: {error}"))
    })?;
    if dictionary.len() > VALUES {
        return Err(wrong(format!("has more than {VALUES} values")));
    }
    let value = |(key, entry): (sfv::Key, ListEntry)| {
        let text = match entry {
            ListEntry::Item(item) => match item.bare_item {
                BareItem::String(text) => Some(text.as_str().to_owned()),
                BareItem::Token(text) => Some(text.as_str().to_owned()),
                BareItem::DisplayString(text) => Some(text),
                BareItem::Integer(number) => Some(number.to_string()),
                BareItem::Decimal(number) => Some(number.to_string()),
                BareItem::Boolean(flag) => Some(flag.to_string()),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        };
        match text {
            Some(text) => Ok((key.as_str().to_owned(), text)),
            None => Err(wrong(format!("has a list, a date or bytes as {}", key.as_str()))),
        }
    };
    Ok(Arc::new(dictionary.into_iter().map(value).collect::<Result<_, _>>()?))
}

/// Returns a hash that is the same on every machine: FNV-1a, whose bits are mixed once more because
/// a share looks at all of them.
fn stable_hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// Makes the traces of calls that come without one.
#[derive(Debug)]
pub(super) struct Traces {
    keys: [RandomState; 2],
    next: AtomicU64,
}

impl Traces {
    pub(super) fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], next: AtomicU64::new(0) }
    }

    /// Returns the trace that a request belongs to, by the rules of W3C Trace Context: one that is
    /// malformed counts as none, and a new one begins.
    pub(super) fn of(&self, headers: &HeaderMap) -> Trace {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => parent(value.as_bytes()),
            _ => None,
        };
        match parent {
            Some(trace) => Trace { state: state(headers), ..trace },
            None => Trace { trace_id: self.begin(), ..Trace::default() },
        }
    }

    /// Returns a number that no other trace has, and that says nothing about others.
    fn begin(&self) -> u128 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let [high, low] = &self.keys;
        let id = u128::from(high.hash_one(number)) << 64 | u128::from(low.hash_one(number));
        id.max(1)
    }
}

/// Reads a `traceparent`.
fn parent(value: &[u8]) -> Option<Trace> {
    let (version, rest) = (value.get(..2)?, value.get(2..)?);
    let (ids, after) = rest.split_at_checked(53)?;
    let version = hex(version)?;
    // Version 0 ends here; a later one may go on after a dash.
    let ends_well =
        if version == 0 { after.is_empty() } else { after.first().is_none_or(|byte| *byte == b'-') };
    let dashes = [0, 33, 50].iter().all(|at| ids.get(*at) == Some(&b'-'));
    if version == 0xff || !dashes || !ends_well {
        return None;
    }
    let trace_id = hex(ids.get(1..33)?)?;
    let parent_id = u64::try_from(hex(ids.get(34..50)?)?).ok()?;
    let flags = hex(ids.get(51..53)?)?;
    (trace_id != 0 && parent_id != 0).then_some(Trace {
        trace_id,
        parent_id,
        sampled: flags & 1 == 1,
        state: None,
    })
}

/// Reads a number of at most 32 hexadecimal digits in lower case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Returns what `tracestate` says, if it is not too long to go on.
fn state(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut joined = String::new();
    for value in headers.get_all(&TRACESTATE) {
        let value = value.to_str().ok()?;
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
    }
    (!joined.is_empty() && joined.len() <= STATE_BYTES).then(|| joined.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn read<T>(list: &[(&'static str, &str)], take: impl FnOnce(Terms<'_>) -> T) -> Result<T, Refusal> {
        Terms::read(&headers(list), Trace::default()).map(take)
    }

    #[test]
    fn a_timeout_has_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("2s", 2000), ("2m", 120_000), ("1h", 3_600_000), ("5000us", 5), ("0s", 0)]
        {
            let timeout = read(&[("antiphon-timeout", text)], |terms| terms.timeout);
            assert_eq!(timeout, Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        for text in
            ["", "s", "250", "-1s", "+1s", "1.5s", "1 s", "1s ", "1S", "1d", "1s1s", "9999999999999999s"]
        {
            let refusal = read(&[("antiphon-timeout", text)], |_| ()).unwrap_err();
            assert!(matches!(refusal, Refusal::BadHeader("Antiphon-Timeout", _)), "{text}: {refusal}");
        }
        assert!(read(&[("antiphon-timeout", "1s"), ("antiphon-timeout", "1s")], |_| ()).is_err());
    }

    #[test]
    fn a_context_is_a_dictionary_of_plain_values() {
        let text = r#"tenant="bl\"ue", tries=3, ratio=0.5, dry, plan=gold;since=2, off=?0, tries=4"#;
        let values = read(&[("antiphon-context", text)], |terms| terms.info.values.unwrap()).unwrap();
        let values: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            values,
            [
                ("dry", "true"),
                ("off", "false"),
                ("plan", "gold"),
                ("ratio", "0.5"),
                ("tenant", "bl\"ue"),
                ("tries", "4")
            ]
        );
        let many = (0..33).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        let long = format!("k=\"{}\"", "x".repeat(CONTEXT_BYTES));
        for text in ["Tenant=1", "a=", "a=1,", "a=(1 2)", "a=:aGk=:", "a=@1", "{}", &many, &long] {
            let refusal = read(&[("antiphon-context", text)], |_| ()).unwrap_err();
            assert!(matches!(refusal, Refusal::BadHeader("Antiphon-Context", _)), "{text}");
        }
    }

    #[test]
    fn equal_texts_stick_together_on_every_machine() {
        let sticky = |text| read(&[("antiphon-sticky", text)], |terms| terms.sticky).unwrap().unwrap();
        assert_eq!(sticky("customer-7"), stable_hash("customer-7"));
        // Pinned: nodes of different versions have to agree.
        assert_eq!(stable_hash("customer-7"), 0xd968_78bd_b102_240a);
        let low = (0..10_000).filter(|n| stable_hash(&n.to_string()) % 100 < 5).count();
        assert!((400..600).contains(&low), "{low} of 10,000 in a share of 5 %");
    }

    #[test]
    fn a_trace_goes_on_only_if_it_is_well_formed() {
        let traces = Traces::new();
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace =
            traces.of(&headers(&[("traceparent", good), ("tracestate", "a=1"), ("tracestate", "b=2")]));
        assert_eq!(trace.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((trace.parent_id, trace.sampled), (0xb7ad_6b71_6920_3331, true));
        assert_eq!(trace.state.as_deref(), Some("a=1,b=2"));
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what comes";
        assert_eq!(traces.of(&headers(&[("traceparent", later)])).trace_id, trace.trace_id);
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00.what",
        ] {
            let begun = traces.of(&headers(&[("traceparent", bad), ("tracestate", "a=1")]));
            assert_ne!(begun.trace_id, 0);
            assert_ne!(begun.trace_id, trace.trace_id, "{bad}");
            assert_eq!((begun.parent_id, begun.sampled, begun.state), (0, false, None), "{bad}");
        }
        let twice = headers(&[("traceparent", good), ("traceparent", good)]);
        assert_ne!(traces.of(&twice).trace_id, trace.trace_id);
        assert_ne!(traces.begin(), traces.begin());
    }
}
