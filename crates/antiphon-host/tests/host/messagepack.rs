//! MessagePack in the guests of every language: one table of cases, which all of them answer alike,
//! on every engine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, Request, Usage, WapcHost};
use antiphon_host::{EngineKind, EngineOptions};
use serde::Deserialize;

/// Guests with an operation `types`, which takes a record and answers it.
const GUESTS: [&str; 5] =
    ["rust-types.wasm", "c-types.wasm", "zig-types.wasm", "assemblyscript-types.wasm", "go.wasm"];

/// Returns the memory that refusing a message may take, in bytes.
fn memory_of_refusal(message: &[u8]) -> u64 {
    (1 << 20) + 64 * message.len() as u64
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    field: Vec<Field>,
    case: Vec<Case>,
    message: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    value: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    field: String,
    value: Bytes,
    answer: Option<Bytes>,
    error: Option<Reasons>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    name: String,
    bytes: Bytes,
    answer: Option<Bytes>,
    error: Option<Reasons>,
}

/// Bytes as the table writes them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    One(String),
    All(Vec<String>),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Reasons {
    One(Reason),
    Any(Vec<Reason>),
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    Truncated,
    Malformed,
    Mismatch,
    TooDeep,
    Trailing,
}

impl Reason {
    const ALL: [Self; 5] = [Self::Truncated, Self::Malformed, Self::Mismatch, Self::TooDeep, Self::Trailing];

    /// Returns the text of the SDKs.
    fn text(self) -> &'static str {
        match self {
            Self::Truncated => "msgpack not decoded: the message ends before its value does",
            Self::Malformed => "msgpack not decoded: a byte begins no value, or text is not UTF-8",
            Self::Mismatch => "msgpack not decoded: a value is of another type, out of range, or missing",
            Self::TooDeep => "msgpack not decoded: arrays and maps nest too deep",
            Self::Trailing => "msgpack not decoded: bytes follow the value",
        }
    }
}

/// How a call ended: with an answer, or with one of these reasons.
type Outcome = Result<Vec<u8>, Vec<Reason>>;

/// A message, and what comes of it.
struct Call {
    name: String,
    message: Vec<u8>,
    expected: Outcome,
}

impl Bytes {
    /// Returns the bytes. `record` is what this word stands for.
    fn read(&self, record: &[u8]) -> Vec<u8> {
        let parts = match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::All(parts) => parts,
        };
        parts.iter().flat_map(|part| read_part(part, record)).collect()
    }
}

fn read_part(part: &str, record: &[u8]) -> Vec<u8> {
    if part == "record" {
        return record.to_owned();
    }
    let (words, times) = match part.rsplit_once(" * ") {
        Some((words, times)) => (words, times.parse().unwrap()),
        None => (part, 1),
    };
    let byte = |word: &str| u8::from_str_radix(word, 16).unwrap();
    let bytes = words.split_whitespace().flat_map(|word| match word.strip_prefix('\'') {
        Some(text) => text.strip_suffix('\'').unwrap().as_bytes().to_owned(),
        None => vec![byte(word)],
    });
    bytes.collect::<Vec<_>>().repeat(times)
}

impl Reasons {
    fn all(&self) -> Vec<Reason> {
        match self {
            Self::One(reason) => vec![*reason],
            Self::Any(reasons) => reasons.clone(),
        }
    }
}

impl Table {
    fn load() -> Self {
        toml::from_str(&std::fs::read_to_string(guests().join("msgpack/cases.toml")).unwrap()).unwrap()
    }

    /// Returns a record with these values in place of those of the table. An answer has nil where
    /// the record has no value, and no field that the table does not have.
    fn record(&self, set: &[(&str, Vec<u8>)], is_answer: bool) -> Vec<u8> {
        let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
        let mut fields = Vec::new();
        for field in &self.field {
            let default = || field.value.as_ref().map(|value| value.read(&[]));
            let nil = is_answer.then(|| vec![0xc0]);
            fields.extend(value(&field.name).or_else(default).or(nil).map(|value| (&*field.name, value)));
        }
        let unknown = |(name, _): &&(&str, Vec<u8>)| self.field.iter().all(|field| field.name != *name);
        fields.extend(set.iter().filter(unknown).filter(|_| !is_answer).cloned());

        let mut message = vec![0xde, 0, u8::try_from(fields.len()).unwrap()];
        for (name, value) in fields {
            message.push(0xa0 | u8::try_from(name.len()).unwrap());
            message.extend_from_slice(name.as_bytes());
            message.extend(value);
        }
        message
    }

    /// Returns all calls of the table, and a call with each beginning of the record.
    fn calls(&self) -> Vec<Call> {
        let (record, answer) = (self.record(&[], false), self.record(&[], true));
        let mut calls = Vec::new();
        for case in &self.case {
            let set = |value: &Bytes| [(&*case.field, value.read(&[]))];
            let expected = match &case.error {
                Some(reasons) => Err(reasons.all()),
                None => Ok(self.record(&set(case.answer.as_ref().unwrap_or(&case.value)), true)),
            };
            let message = self.record(&set(&case.value), false);
            calls.push(Call { name: format!("{}: {}", case.field, case.name), message, expected });
        }
        for message in &self.message {
            let expected = match &message.answer {
                Some(expected) => Ok(expected.read(&answer)),
                None => Err(message.error.as_ref().unwrap().all()),
            };
            let (name, message) = (message.name.clone(), message.bytes.read(&record));
            calls.push(Call { name, message, expected });
        }
        for (end, _) in record.iter().enumerate() {
            let name = format!("the first {end} bytes of the record");
            calls.push(Call {
                name,
                message: record.get(..end).unwrap().to_owned(),
                expected: Err(vec![Reason::Truncated]),
            });
        }
        calls
    }
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests")
}

/// Returns a host of each guest on each engine.
fn hosts() -> Vec<(EngineKind, [(&'static str, WapcHost); GUESTS.len()])> {
    type Compiled = (EngineKind, [Arc<dyn EngineProviderFactory>; GUESTS.len()]);
    // Compiled once: Go's runtime takes seconds.
    static COMPILED: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
        // Time enough for a busy machine.
        let options = EngineOptions::new().limits(Limits::new().deadline(Duration::from_secs(30)));
        let module = |guest| std::fs::read(guests().join("built").join(guest)).unwrap();
        let compile =
            |engine: EngineKind| GUESTS.map(|guest| engine.factory(&module(guest), &options).unwrap());
        EngineKind::available().map(|engine| (engine, compile(engine))).collect()
    });
    let start = |factory: &Arc<dyn EngineProviderFactory>| {
        WapcHost::builder(factory.provider().unwrap()).build().unwrap()
    };
    let started = |(engine, factories): &Compiled| {
        let mut hosts = factories.iter().map(start);
        (*engine, GUESTS.map(|guest| (guest, hosts.next().unwrap())))
    };
    COMPILED.iter().map(started).collect()
}

/// Calls the guest. It answers, or refuses the message for one of the reasons; all else is an
/// error.
fn call(host: &WapcHost, message: &[u8]) -> Result<(Result<Vec<u8>, Reason>, Usage), Error> {
    match host.call_with(Request::new("types", message).usage(true)) {
        Ok(response) => Ok((Ok(response.payload), response.usage.unwrap())),
        Err(error) => {
            let text = error.guest_error();
            match Reason::ALL.into_iter().find(|reason| text == Some(reason.text())) {
                Some(reason) if error.kind() == ErrorKind::GuestFailed => {
                    Ok((Err(reason), error.usage().unwrap().clone()))
                }
                _ => Err(error),
            }
        }
    }
}

fn is_expected(came: &Result<Vec<u8>, Reason>, expected: &Outcome) -> bool {
    match (came, expected) {
        (Ok(came), Ok(expected)) => came == expected,
        (Err(came), Err(expected)) => expected.contains(came),
        _ => false,
    }
}

/// Shortens what a failure shows.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(200).map(|byte| format!("{byte:02x} ")).collect()
}

#[test]
fn guests_in_every_language_pass_the_table_of_messagepack() {
    let calls = Table::load().calls();
    assert!(calls.len() > 300, "{}", calls.len());
    let mut failures = Vec::new();
    for (engine, hosts) in hosts() {
        for (guest, host) in &hosts {
            let mut memory = call(host, &calls[0].message).unwrap().1.memory_peak;
            for Call { name, message, expected } in &calls {
                let at = format!("{guest} on {engine}: {name}");
                match call(host, message) {
                    Ok((came, usage)) => {
                        if !is_expected(&came, expected) {
                            let came = came.map(|came| shown(&came));
                            let expected = expected.as_ref().map(|expected| shown(expected));
                            failures.push(format!("{at}\n  came     {came:?}\n  expected {expected:?}"));
                        }
                        let most = memory + memory_of_refusal(message);
                        if expected.is_err() && usage.memory_peak > most {
                            let peak = usage.memory_peak;
                            failures.push(format!("{at}\n  memory grew from {memory} to {peak} bytes"));
                        }
                        memory = usage.memory_peak;
                    }
                    Err(error) => failures.push(format!("{at}\n  {error:#}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Bytes that begin a value of each type.
const TAGS: [u8; 14] = [0x00, 0x7f, 0x81, 0x91, 0xa1, 0xc0, 0xc1, 0xc3, 0xc6, 0xca, 0xcf, 0xd3, 0xdd, 0xff];

#[test]
fn guests_in_every_language_say_alike_what_comes_of_a_record_with_one_byte_changed() {
    let table = Table::load();
    let set = |name, value: &str| (name, read_part(value, &[]));
    let record = table.record(
        &[
            set("u64", "cf ff ff ff ff ff ff ff ff"),
            set("tree", "81 a8 'children' 91 81 a8 'children' 90"),
            set("maybe", "07"),
            set("maybe_text", "a1 'x'"),
            set("maybe_point", "82 a1 'x' 01 a1 'y' 02"),
        ],
        false,
    );
    for (engine, hosts) in hosts() {
        let (mut answered, mut refused) = (0, 0);
        for (at, tag) in (0..record.len()).flat_map(|at| TAGS.map(|tag| (at, tag))) {
            let mut message = record.clone();
            message[at] = tag;
            let outcome = |(guest, host): &(&str, WapcHost)| match call(host, &message) {
                Ok((came, _)) => came,
                Err(error) => panic!("{guest} on {engine}, {tag:02x} at {at}: {error:#}"),
            };
            let outcomes = hosts.each_ref().map(outcome);
            let [rust, c, ..] = &outcomes;
            // The guest in Rust has the rules of serde, which takes some more types for others, and
            // looks at values in another order.
            for (came, (guest, _)) in outcomes.iter().zip(&hosts).skip(1) {
                assert_eq!(came, c, "{guest} on {engine}, {tag:02x} at {at}");
            }
            match c {
                Ok(_) => {
                    assert_eq!(rust, c, "rust on {engine}, {tag:02x} at {at}");
                    answered += 1;
                }
                Err(_) => refused += 1,
            }
        }
        println!("{engine}: {answered} answered, {refused} refused");
        assert!(answered > 100 && refused > 1_000, "{engine}: {answered} answered, {refused} refused");
    }
}
