//! Configuration values, secrets, and log lines.

use std::sync::{Arc, Mutex};

use antiphon::{Context, Request};
use antiphon_capabilities::{Backends, CallInfo, Level, Secret, SecretReference};
use antiphon_codec::{Codec, MessagePack};

use crate::guest::{Host, hosts};

fn configured(host: &Host, key: &str) -> Result<Option<String>, String> {
    let answer = host.bytes("config", key)?;
    Ok(MessagePack.decode(&answer).unwrap())
}

#[test]
fn values_are_text_and_secrets_are_read_apart() {
    let toml = "[[grant]]\nconfig = { currency = 'EUR', places = 2, api_key = { env = 'RATES' } }";
    let backends = || {
        Backends::new().secrets(|reference: &SecretReference| match reference {
            SecretReference::Env(name) if name == "RATES" => Ok(Secret::new(&b"\xffs3"[..])),
            _ => Err("there is no other".to_owned()),
        })
    };
    for host in hosts(toml, backends) {
        let name = &host.name;
        assert_eq!(configured(&host, "currency"), Ok(Some("EUR".into())), "{name}");
        assert_eq!(configured(&host, "places"), Ok(Some("2".into())), "{name}");
        assert_eq!(configured(&host, "region"), Ok(None), "{name}");
        assert_eq!(host.bytes("secret", "api_key"), Ok(b"\xffs3".to_vec()), "{name}");
        let expected = "invalid_request: \"api_key\" is a secret; read it with secrets, get";
        assert_eq!(configured(&host, "api_key"), Err(expected.into()), "{name}");
        let expected = "not_found: the config grant of this module has no secret \"currency\"";
        assert_eq!(host.bytes("secret", "currency"), Err(expected.into()), "{name}");
    }
}

#[test]
fn a_line_has_its_call_and_its_fields_and_no_more_than_was_granted() {
    type Lines = Arc<Mutex<Vec<(Level, String, String, String)>>>;
    for (toml, granted) in
        [("[[grant]]\nlogging = { max_calls = 2 }", true), ("[[grant]]\nlogging = { max_calls = 1 }", false)]
    {
        let lines = Lines::default();
        let backends = || {
            let lines = Arc::clone(&lines);
            Backends::new().log(move |line| {
                let call = format!("{}/{}/{}", line.call.module, line.call.operation, line.call.trace);
                let line = (line.level, call, line.message.to_owned(), line.fields.to_owned());
                lines.lock().unwrap().push(line);
            })
        };
        for host in hosts(toml, backends) {
            let info = CallInfo::new("shop", "log").trace("4bf9");
            let request = Request::new("log", "so\nld!").context(Context::new().with(info));
            let logged = host.call_with(request).map_err(|error| host.refusal(&error));
            let lines = std::mem::take(&mut *lines.lock().unwrap());
            if granted {
                assert_eq!(logged, Ok(vec![]), "{}", host.name);
                let fields = r#"{"length":6,"loud":true}"#;
                let expected = (Level::Info, "shop/log/4bf9".into(), r"so\nld!".into(), fields.into());
                assert_eq!(lines, [expected], "{}", host.name);
            } else {
                let refused = logged.unwrap_err();
                assert!(refused.starts_with("budget: ") && refused.contains("1 calls"), "{refused}");
                assert_eq!(lines, [], "{}", host.name);
            }
        }
    }
}
