//! What guests are granted, through the server.

use antiphon::{Bytes, ErrorKind};
use antiphon_server::call::{Failure, Incoming, call};
use antiphon_server::config::{Backend, Config, Module};
use antiphon_server::deployment::Seams;
use antiphon_server::feed::Read;
use antiphon_server::grants;
use serde_json::{Value, json};

use crate::guests::{answers, asks};
use crate::support::{Served, answer, incoming};

/// Serves guests that ask for a namespace, each with its grants.
async fn granted(modules: &[(&str, &str, Value)]) -> Served {
    let files: Vec<_> = modules.iter().map(|(name, namespace, _)| (*name, asks(namespace))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let configure = |config: &mut Config| {
        for (name, _, grants) in modules {
            let module = Module { grants: grants.as_array().unwrap().clone(), ..Module::default() };
            config.modules.insert((*name).to_owned(), module);
        }
        config.keyvalue.entry("default".into()).or_default().backend = Backend::Memory;
    };
    let mut config = Config::default();
    configure(&mut config);
    let seams = Seams { handler: Some(grants::handlers(&config)) };
    Served::configured(&files, configure, seams).await
}

/// Calls a module, whose guest makes a host call with the same operation and payload.
async fn ask(served: &Served, (module, operation): (&str, &str), payload: Value) -> Result<Value, String> {
    let payload = Bytes::from(payload.to_string());
    let incoming = Incoming { operation, payload, ..incoming(module) };
    match answer(call(&served.modules, incoming).await) {
        Ok(answer) => Ok(serde_json::from_str(&answer).unwrap()),
        Err(Failure::Call(error)) => {
            assert_eq!(error.kind(), ErrorKind::GuestFailed);
            Err(error.guest_error().unwrap().to_owned())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_below_the_prefix_of_the_grant_and_shared_by_what_shares_it() {
    let grant = |prefix: &str| json!([{ "keyvalue": { "prefix": prefix, "max_calls": 2 } }]);
    let served = granted(&[
        ("one", "keyvalue", grant("shop/")),
        ("two", "keyvalue", grant("shop/")),
        ("other", "keyvalue", grant("tax/")),
        ("none", "keyvalue", json!([])),
    ])
    .await;
    let put = ask(&served, ("one", "put"), json!({ "key": "n", "value": "1" })).await.unwrap();
    assert_eq!(put, json!({ "revision": 1 }));
    let get = json!({ "key": "n" });
    let found = ask(&served, ("two", "get"), get.clone()).await.unwrap();
    assert_eq!(found, json!({ "value": "1", "revision": 1 }));
    let absent = ask(&served, ("other", "get"), get.clone()).await.unwrap();
    assert_eq!(absent.get("value"), None);
    assert_eq!(
        ask(&served, ("none", "get"), get).await.unwrap_err(),
        "not_granted: this module has no grant for keyvalue; add a [[modules.none.grant]] table with keyvalue = { ... }"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_calls_the_modules_that_its_grant_names_and_these_may_call_back() {
    let names = |names: Value| json!([{ "module": { "names": names } }]);
    let served = granted(&[
        ("front", "module", names(json!(["leaf", "circle", "gone"]))),
        ("circle", "module", names(json!(["front"]))),
    ])
    .await;
    served.write("leaf", &answers("a leaf"));
    served.until_it_answers("leaf", "a leaf").await;
    let to = |module: &str| json!({ "module": module, "operation": "any", "payload": "x" });
    let came = ask(&served, ("front", "call"), to("leaf")).await.unwrap();
    assert_eq!(came, json!({ "payload": "a leaf" }));
    let refused = ask(&served, ("front", "call"), to("tax")).await.unwrap_err();
    assert_eq!(
        refused,
        "not_granted: the module grant of this module does not allow \"tax\"; add it to its key names"
    );
    let unknown = ask(&served, ("front", "call"), to("gone")).await.unwrap_err();
    assert_eq!(unknown, "not_found: no module is named \"gone\"");
    // front, circle, front, leaf: each guest asks with the payload of its own call.
    let through = |module: &str, payload: Value| json!({ "module": module, "operation": "call", "payload": payload.to_string() });
    let came =
        ask(&served, ("front", "call"), through("circle", through("front", to("leaf")))).await.unwrap();
    assert!(came.to_string().contains("a leaf"), "{came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_with_a_level_and_fields_is_in_the_log_of_its_module() {
    let served = granted(&[("talks", "logging", json!([{ "logging": {} }]))]).await;
    let line = json!({ "level": "error", "message": "no paper", "fields": { "tray": 2 } });
    let mut with_trace = incoming("talks");
    with_trace.info.trace.trace_id = 0xabc;
    with_trace.operation = "log";
    with_trace.payload = Bytes::from(line.to_string());
    let version = call(&served.modules, with_trace).await.version.unwrap().digest;
    let mut reader = served.modules.logs("talks").unwrap().after(0);
    let Some(Read::Entry(line)) = reader.try_next() else { panic!("a line") };
    assert_eq!(
        (line.level, line.stream, &*line.text, &*line.fields),
        ("error", "logging", "no paper", r#"{"tray":2}"#)
    );
    assert_eq!(
        (&*line.operation, line.trace_id.as_deref()),
        ("log", Some("00000000000000000000000000000abc"))
    );
    assert_eq!(line.version, version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_cannot_be_given_keeps_its_module_from_being_served_and_no_other() {
    let served = granted(&[
        ("bad", "keyvalue", json!([{ "keyvalue": { "store": "nowhere" } }])),
        ("good", "keyvalue", json!([{ "keyvalue": {} }])),
    ])
    .await;
    let Err(Failure::NoVersion(reason)) = served.call("bad").await else { panic!("it serves") };
    assert!(reason.contains("nowhere"), "{reason}");
    assert_eq!(ask(&served, ("good", "get"), json!({ "key": "n" })).await.unwrap().get("value"), None);
}
