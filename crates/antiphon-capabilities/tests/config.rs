//! The namespaces `config` and `secrets`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use antiphon::Bytes;
use antiphon_capabilities::{Backends, Secret, SecretReference};
use common::{ask, grants, host};
use serde_json::json;

const TOML: &str = "[[grant]]
config = { currency = 'EUR', retries = 3, ratio = 0.5, on = true, api_key = { file = '/run/key' }, token = { env = 'TOKEN' } }";

fn backends() -> Backends {
    Backends::new().secrets(|reference: &SecretReference| match reference {
        SecretReference::File(path) if path.ends_with("key") => Ok(Secret::new("hunter2")),
        SecretReference::Env(name) if name == "TOKEN" => Ok(Secret::new(Bytes::from_static(b"\xff\0"))),
        other => Err(format!("unknown: {other:?}")),
    })
}

#[test]
fn values_are_read_as_text() {
    let host = host(TOML, &backends());
    for (key, value) in [("currency", "EUR"), ("retries", "3"), ("ratio", "0.5"), ("on", "true")] {
        assert_eq!(ask("config", "get").json(&host, json!({"key": key})), Ok(json!({"value": value})));
    }
    assert_eq!(ask("config", "get").json(&host, json!({"key": "none"})), Ok(json!({})));
    assert_eq!(
        ask("config", "get").of(&host, b"\x81\xa3key\xa8currency"),
        Ok(b"\x81\xa5value\xa3EUR".to_vec())
    );
}

#[test]
fn secrets_are_read_by_their_own_namespace_alone() {
    let host = host(TOML, &backends());
    assert_eq!(ask("secrets", "get").json(&host, json!({"key": "api_key"})), Ok(json!({"value": "hunter2"})));
    assert_eq!(
        ask("secrets", "get").of(&host, b"\x81\xa3key\xa5token"),
        Ok(b"\x81\xa5value\xc4\x02\xff\0".to_vec())
    );
    let text = ask("config", "get").json(&host, json!({"key": "api_key"}));
    assert_eq!(text, Err("invalid_request: \"api_key\" is a secret; read it with secrets, get".into()));
    for key in ["currency", "none"] {
        let text = format!("not_found: the config grant of this module has no secret {key:?}");
        assert_eq!(ask("secrets", "get").json(&host, json!({"key": key})), Err(text));
    }
}

#[test]
fn a_grant_without_secrets_grants_none() {
    let host = host("[[grant]]\nconfig = { currency = 'EUR' }", &Backends::new());
    let text = ask("secrets", "get").json(&host, json!({"key": "currency"})).unwrap_err();
    assert!(text.starts_with("not_granted: this module has no grant for secrets; add "), "{text}");
}

#[test]
fn a_secret_shows_nowhere_by_accident() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
    let (grants, backends) = (grants(TOML), backends());
    let router = grants.router("shop", &backends).unwrap();
    let shown = format!("{grants:?} {backends:?} {router:?} {:?}", grants.routes("shop", &backends).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    let host = host(TOML, &backends);
    for payload in [json!({"key": "api_key", "x": 1}), json!({"key": 1}), json!({})] {
        let text = ask("secrets", "get").json(&host, payload).unwrap_err();
        assert!(text.starts_with("invalid_request: ") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_no_value_is_refused() {
    for (value, expected) in [
        ("[1]", "expected text, a number, a boolean, or a secret"),
        ("{ path = 'x' }", "unknown field `path`, expected `file` or `env`"),
        ("{ file = 'x', env = 'y' }", "a secret has exactly one of file and env"),
        ("{}", "a secret has exactly one of file and env"),
    ] {
        let toml = format!("[[grant]]\nconfig = {{ key = {value} }}");
        let error =
            toml::from_str::<std::collections::BTreeMap<String, antiphon_capabilities::Grants>>(&toml);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
    }
}
