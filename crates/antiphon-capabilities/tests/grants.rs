//! What a guest reaches by which name, what it is refused, and its budgets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use antiphon::{Context, WapcHostAsync};
use antiphon_capabilities::{Backends, MemoryStore};
use common::{ask, grants, guest, host, host_async};
use serde_json::json;

fn backends() -> Backends {
    Backends::new().store("default", MemoryStore::new()).store("cache", MemoryStore::new())
}

#[test]
fn what_is_not_granted_is_refused_with_what_to_add() {
    let host = host("grant = []", &backends());
    for (namespace, example) in [
        ("keyvalue", "keyvalue = { ... }"),
        ("http", "http = { ... }"),
        ("config", "config = { ... }"),
        ("secrets", "config = { NAME = { file = \"...\" } }"),
        ("logging", "logging = {}"),
        ("module", "module = { names = [...] }"),
    ] {
        let expected = format!(
            "not_granted: this module has no grant for {namespace}; \
             add a [[modules.shop.grant]] table with {example}"
        );
        assert_eq!(ask(namespace, "get").json(&host, json!({"key": "k"})), Err(expected));
    }
    // What is no capability is the core's matter.
    let text = ask("files", "get").json(&host, json!({})).unwrap_err();
    assert_eq!(text, r#"host call ""/"files"/"get" refused: no route serves it"#);
}

#[test]
fn the_name_of_a_module_is_written_as_toml_has_it() {
    let router = grants("grant = []").router("a.b \"c\"", &backends()).unwrap();
    let host = antiphon::WapcHost::builder(Box::new(guest())).handler(router).build().unwrap();
    let text = ask("logging", "log").json(&host, json!({})).unwrap_err();
    assert!(text.contains(r#"add a [[modules."a.b \"c\"".grant]] table"#), "{text}");
}

#[test]
fn a_grant_is_reached_by_its_name_and_an_only_one_by_default() {
    let put = |host: &antiphon::WapcHost, binding: &str, value: &str| {
        ask("keyvalue", "put").binding(binding).json(host, json!({"key": "k", "value": value}))
    };
    let get = |host: &antiphon::WapcHost, binding: &str| {
        ask("keyvalue", "get")
            .binding(binding)
            .json(host, json!({"key": "k"}))
            .map(|said| said["value"].clone())
    };
    let unnamed = host("[[grant]]\nkeyvalue = {}", &backends());
    put(&unnamed, "", "1").unwrap();
    assert_eq!((get(&unnamed, ""), get(&unnamed, "default")), (Ok(json!("1")), Ok(json!("1"))));
    let expected = "not_granted: this module has no grant for keyvalue with the name that the host call has; \
                    it has \"default\"";
    assert_eq!(get(&unnamed, "users"), Err(expected.into()));

    let named = host("[[grant]]\nname = 'users'\nkeyvalue = {}", &backends());
    put(&named, "users", "2").unwrap();
    assert_eq!((get(&named, ""), get(&named, "default")), (Ok(json!("2")), Ok(json!("2"))));

    let both = "[[grant]]\nname = 'users'\nkeyvalue = {}\n[[grant]]\nkeyvalue = { store = 'cache' }";
    let both = host(both, &backends());
    put(&both, "users", "3").unwrap();
    put(&both, "", "4").unwrap();
    assert_eq!((get(&both, "users"), get(&both, "default")), (Ok(json!("3")), Ok(json!("4"))));

    let neither =
        "[[grant]]\nname = 'a'\nkeyvalue = {}\n[[grant]]\nname = 'b'\nkeyvalue = { store = 'cache' }";
    let neither = host(neither, &backends());
    put(&neither, "a", "5").unwrap();
    assert!(get(&neither, "").unwrap_err().ends_with("it has \"a\", \"b\""));
}

#[test]
fn an_operation_that_does_not_exist_is_named() {
    let host = host("[[grant]]\nkeyvalue = {}\n[[grant]]\nconfig = {}\n[[grant]]\nlogging = {}", &backends());
    for (namespace, known) in
        [("keyvalue", "get, put, delete, list and compare_and_set"), ("config", "get"), ("logging", "log")]
    {
        let expected =
            format!("invalid_request: {namespace} has no operation \"drop\\u{{1b}}\"; it has {known}");
        assert_eq!(ask(namespace, "drop\u{1b}").json(&host, json!({})), Err(expected));
    }
}

#[tokio::test]
async fn a_guest_call_has_budgets_and_all_its_names_of_a_grant_share_them() {
    let toml = "[[grant]]\nname = 'users'\nkeyvalue = { max_calls = 3 }\n
                [[grant]]\nlogging = { max_calls = 1 }\n
                [[grant]]\nname = 'small'\nkeyvalue = { max_bytes = '40B' }";
    let (sync, waiting) = (host(toml, &backends()), host_async(toml, &backends()).await);
    let key = json!({"key": "k"});
    let spent = "budget: host call \"users\"/\"keyvalue\"/\"get\" refused: \
                 the budget of 3 calls that its route has for one guest call is spent";
    let get = ask("keyvalue", "get").binding("users");
    // Each guest call begins again.
    for _ in 0..2 {
        assert_eq!(get.times(3).json(&sync, key.clone()), Ok(json!({"revision": 0})));
        assert_eq!(get.times(4).json(&sync, key.clone()), Err(spent.into()));
        assert_eq!(get.times(3).json_async(&waiting, key.clone()).await, Ok(json!({"revision": 0})));
        assert_eq!(get.times(4).json_async(&waiting, key.clone()).await, Err(spent.into()));
    }
    let get = ask("keyvalue", "get").binding("small");
    assert_eq!(get.json(&sync, key.clone()), Ok(json!({"revision": 0})));
    let text = get.times(2).json(&sync, key).unwrap_err();
    assert!(text.starts_with("budget: host call ") && text.contains("the budget of 40 bytes"), "{text}");
    let line = json!({"level": "info", "message": "m"});
    let text = ask("logging", "log").times(2).json(&sync, line).unwrap_err();
    assert!(text.starts_with("budget: ") && text.contains("the budget of 1 calls"), "{text}");
}

#[tokio::test]
async fn a_module_has_budgets_that_its_instances_share() {
    let toml = "[[grant]]\nkeyvalue = { max_calls_per_second = 5 }";
    let router = std::sync::Arc::new(grants(toml).router("shop", &backends()).unwrap());
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let builder = WapcHostAsync::builder(Box::new(guest())).handler(std::sync::Arc::clone(&router));
        hosts.push(builder.build().await.unwrap());
    }
    let expected =
        "budget: the keyvalue grant of this module allows 5 host calls a second (max_calls_per_second)";
    let mut refused = 0;
    for round in 0..9 {
        match ask("keyvalue", "get").json_async(&hosts[round % 3], json!({"key": "k"})).await {
            Ok(said) => assert_eq!(said, json!({"revision": 0})),
            Err(text) => {
                assert_eq!(text, expected);
                refused += 1;
            }
        }
    }
    // A slow machine may be given another one meanwhile.
    assert!((1..=4).contains(&refused), "{refused} refused");
}

#[test]
fn what_is_not_behind_a_grant_is_said_when_routes_are_made() {
    for (toml, expected) in [
        (
            "[[grant]]\nkeyvalue = { store = 'x' }",
            "grant 1, keyvalue.store: there is no store \"x\"; there is \"cache\", \"default\"",
        ),
        (
            "[[grant]]\nlogging = {}\n[[grant]]\nmodule = {}",
            "grant 2, module: this program has no other modules",
        ),
        (
            "[[grant]]\nconfig = { k = { env = 'ANTIPHON_NO_SUCH' } }",
            "grant 1, config: the secret \"k\" cannot be read: the environment variable ANTIPHON_NO_SUCH is not set",
        ),
        ("[[grant]]\nhttp = {}", "grant 1, http: this program "),
        ("[[grant]]\nname = ''\nhttp = {}", "grant 1, name: a name has 1 to 64 bytes"),
    ] {
        let error = grants(toml).routes("shop", &backends()).err().unwrap();
        assert!(error.to_string().starts_with(expected), "{error}\nis not {expected}");
    }
}

/// Routes that never wait keep the host a synchronous one, which is cheaper.
#[tokio::test]
async fn routes_that_never_wait_say_so() {
    use antiphon::HostHandlerAsync;
    let router = |toml| grants(toml).router("shop", &backends()).unwrap();
    assert!(router("[[grant]]\nlogging = {}\n[[grant]]\nconfig = { a = 'b' }").at_once().is_some());
    assert!(router("[[grant]]\nkeyvalue = {}").at_once().is_none());
    let host = host_async("[[grant]]\nconfig = { a = 'b' }", &backends()).await;
    let said = ask("config", "get").of_async(&host, Context::new(), "\u{7b}\"key\":\"a\"}").await;
    assert_eq!(said.unwrap(), br#"{"value":"b"}"#);
}

/// What is counted has no name that a guest chose.
#[tokio::test]
async fn each_host_call_is_observed_once_with_its_outcome() {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use antiphon::{Bytes, CancelHandle, Request, async_trait};
    use antiphon_capabilities::{CallInfo, CallModule, Fault, ModuleCall};

    struct Never;
    #[async_trait]
    impl CallModule for Never {
        async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
            match call.module {
                "fails" => Err(antiphon::Error::new(antiphon::ErrorKind::Overloaded, "full: really").into()),
                _ => std::future::pending().await,
            }
        }
    }

    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&seen);
    let backends = backends().modules(Never).observe(move |end| {
        assert!(end.took < Duration::from_secs(60));
        theirs.lock().unwrap().push(format!("{} {} {}", end.call.module, end.capability, end.outcome));
    });
    let toml = "[[grant]]\nkeyvalue = { max_calls = 1 }\n[[grant]]\nconfig = { a = 'b' }\n
                [[grant]]\nmodule = { names = ['*'] }";
    let host = host_async(toml, &backends).await;
    let info = || Context::new().with(CallInfo::new("shop", "op"));
    for (namespace, operation, payload) in [
        ("keyvalue", "get", r#"{"key": "k"}"#),
        ("keyvalue", "x: y", "{}"),
        ("config", "get", r#"{"key": "a"}"#),
        ("http", "request", "{}"),
        ("secrets", "get", "{}"),
        ("module", "call", r#"{"module": "fails", "operation": "o"}"#),
    ] {
        let _ = ask(namespace, operation).of_async(&host, info(), payload).await;
    }
    let _ = ask("keyvalue", "get").times(2).of_async(&host, Context::new(), r#"{"key": "k"}"#).await;
    let cancel = CancelHandle::new();
    let payload = b"1\xff\xffmodule\xffcall\xff{\"module\": \"m\", \"operation\": \"o\"}".to_vec();
    let request = Request::new("ask", payload).context(info()).cancel(cancel.clone());
    let (said, ()) = tokio::join!(host.call_with(request), async {
        tokio::task::yield_now().await;
        cancel.cancel();
    });
    assert_eq!(said.unwrap_err().kind(), antiphon::ErrorKind::Cancelled);
    let expected = [
        "shop keyvalue ok",
        "shop keyvalue invalid_request",
        "shop config ok",
        "shop http not_granted",
        "shop secrets not_granted",
        "shop module overloaded",
        " keyvalue ok",
        " keyvalue budget",
        "shop module ended",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
