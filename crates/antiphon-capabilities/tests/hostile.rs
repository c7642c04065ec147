//! Payloads that no guest in its right mind sends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use antiphon::{Bytes, async_trait};
use antiphon_capabilities::{Backends, CallModule, Fault, MemoryStore, ModuleCall, Secret, SecretReference};
use common::{ask, host};

struct Echo;

#[async_trait]
impl CallModule for Echo {
    async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
        Ok(call.payload)
    }
}

/// Valid payloads, which mutations begin with.
const SEEDS: [(&str, &str, &[u8]); 13] = [
    ("keyvalue", "get", b"\x81\xa3key\xa1k"),
    ("keyvalue", "put", b"\x83\xa3key\xa1k\xa5value\xc4\x02ab\xadexpires_in_ms\xcd\x03\xe8"),
    ("keyvalue", "compare_and_set", b"\x83\xa3key\xa1k\xa5value\xa2ab\xa8revision\x01"),
    ("keyvalue", "list", b"\x83\xa6prefix\xa0\xa5limit\x0a\xa5after\xa1k"),
    ("keyvalue", "delete", br#"{"key": "k"}"#),
    ("keyvalue", "put", br#"{"key": "k", "value": {"base64": "AAAA"}, "expires_in_ms": 1000}"#),
    ("config", "get", b"\x81\xa3key\xa1a"),
    ("secrets", "get", br#"{"key": "s"}"#),
    (
        "logging",
        "log",
        b"\x83\xa5level\xa4info\xa7message\xa1m\xa6fields\x82\xa1a\x01\xa1b\xcb\x3f\xf0\0\0\0\0\0\0",
    ),
    ("logging", "log", br#"{"level": "info", "message": "m", "fields": {"a": 1.5, "b": null}}"#),
    ("module", "call", b"\x83\xa6module\xa3tax\xa9operation\xa4rate\xa7payload\xc4\x01x"),
    ("module", "call", br#"{"module": "tax", "operation": "rate", "payload": "x"}"#),
    ("http", "request", br#"{"url": "http://a.b/", "headers": [["a", "b"]], "body": "x"}"#),
];

const CODES: [&str; 7] =
    ["not_granted", "budget", "invalid_request", "not_found", "conflict", "too_large", "unavailable"];

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % end
    }
}

#[test]
fn whatever_a_guest_sends_is_answered_or_refused_with_a_code() {
    let backends = Backends::new()
        .store("default", MemoryStore::new())
        .modules(Echo)
        .log(|line| assert!(!line.message.contains('\n') && line.message.len() < 9000))
        .secrets(|_: &SecretReference| Ok(Secret::new("s3cret")));
    let toml = "[[grant]]\nkeyvalue = {}\n[[grant]]\nconfig = { a = 'b', s = { env = 'S' } }\n
                [[grant]]\nlogging = {}\n[[grant]]\nmodule = { names = ['*'] }";
    let host = host(toml, &backends);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut answered, mut refused) = (0, 0);
    for round in 0..20_000 {
        let (namespace, operation, seed) = SEEDS[round % SEEDS.len()];
        let mut payload = seed.to_vec();
        for _ in 0..random.below(4) {
            let at = random.below(payload.len().max(1));
            let byte = u8::try_from(random.below(255)).unwrap();
            match random.below(5) {
                0 if !payload.is_empty() => payload[at] = byte,
                1 if !payload.is_empty() => payload[at] ^= 1 << random.below(8),
                2 => payload.truncate(at),
                3 => payload.insert(at, byte),
                _ => payload.extend_from_within(at..),
            }
        }
        // What the test guest splits its own payload at.
        payload.retain(|byte| *byte != 0xff);
        match ask(namespace, operation).of(&host, &payload) {
            Ok(answer) => {
                assert_eq!(answer[0] == b'{', payload[0] == b'{', "{payload:?}");
                answered += 1;
            }
            Err(text) => {
                let code = text.split(": ").next().unwrap();
                assert!(CODES.contains(&code), "{payload:?}: {text}");
                assert!(text.len() < 1500 && !text.contains("s3cret"), "{payload:?}: {text}");
                refused += 1;
            }
        }
    }
    assert!(answered > 2000 && refused > 5000, "{answered} answered, {refused} refused");
}

#[test]
fn nesting_and_claimed_lengths_cost_nothing() {
    let host = host(
        "[[grant]]\nkeyvalue = {}\n[[grant]]\nlogging = {}",
        &Backends::new().store("default", MemoryStore::new()),
    );
    let deep = [&b"\x82\xa5level\xa4info\xa6fields"[..], &[0x91; 100_000]].concat();
    let json = format!(r#"{{"level": "info", "fields": {}"#, "[".repeat(100_000));
    for payload in [
        b"\xdf\x7f\x7f\x7f\x7f".to_vec(),
        b"\x81\xdb\x7f\x7f\x7f\x7f".to_vec(),
        b"\x81\xa3key\xdb\x7f\x7f\x7f\x7f".to_vec(),
        b"\x81\xa3key\xdd\x7f\x7f\x7f\x7f".to_vec(),
        deep,
        json.into_bytes(),
    ] {
        for (namespace, operation) in [("keyvalue", "get"), ("logging", "log")] {
            let text = ask(namespace, operation).of(&host, &payload).unwrap_err();
            assert!(text.starts_with("invalid_request: "), "{text}");
            assert!(text.len() < 1500, "{}", text.len());
        }
    }
}
