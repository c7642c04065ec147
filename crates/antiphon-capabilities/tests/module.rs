//! The namespace `module`: calls between the modules of a program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use antiphon::{Bytes, Context, ErrorKind, Request, WapcHostAsync, async_trait};
use antiphon_capabilities::{Backends, CallInfo, CallModule, Code, Depth, Fault, ModuleCall};
use common::{ask, grants, guest};
use serde_json::{Value, json};

/// The modules of a test: each is one host, or answers its own call as text.
#[derive(Clone, Default)]
struct Modules(Arc<OnceLock<BTreeMap<&'static str, WapcHostAsync>>>, Arc<Mutex<Vec<String>>>);

#[async_trait]
impl CallModule for Modules {
    async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
        let Depth(depth) = call.depth;
        let from = &call.from;
        assert_eq!(call.context.get::<Depth>().map_or(0, |Depth(depth)| *depth) + 1, depth);
        self.1.lock().unwrap().push(format!("{depth} {}/{} -> {}", from.module, from.trace, call.module));
        if call.module == "echo" {
            return Ok(call.payload);
        }
        let Some(host) = self.0.get().unwrap().get(call.module) else {
            return Err(Fault::new(Code::NotFound, format!("there is no module {:?}", call.module)));
        };
        let info = CallInfo::new(call.module, call.operation).trace(from.trace.clone());
        let request = Request::new(call.operation, call.payload).caller(call.caller);
        Ok(host.call_with(request.context(Context::new().with(call.depth).with(info))).await?.payload.into())
    }
}

/// Makes modules `a`, `b` and so on, each of which may call those of its list.
async fn modules(granted: &[(&'static str, &str)]) -> Modules {
    let modules = Modules::default();
    let backends = Backends::new().modules(modules.clone());
    let mut hosts = BTreeMap::new();
    for (name, names) in granted {
        let router =
            grants(&format!("[[grant]]\nmodule = {{ names = {names} }}")).router(name, &backends).unwrap();
        let engine = guest().operation_with_host("wait", |guest| async move {
            guest.host_call("", "module", "call", guest.payload()).await
        });
        let host = WapcHostAsync::builder(Box::new(engine)).handler(router).build().await.unwrap();
        hosts.insert(*name, host);
    }
    assert!(modules.0.set(hosts).is_ok());
    modules
}

impl Modules {
    fn host(&self, name: &str) -> &WapcHostAsync {
        &self.0.get().unwrap()[name]
    }
}

/// The payload that makes a module call another one.
fn call(module: &str, operation: &str, payload: &Value) -> Value {
    json!({"module": module, "operation": operation, "payload": payload.to_string()})
}

#[tokio::test]
async fn a_guest_calls_modules_that_its_grant_names() {
    let modules = modules(&[("a", "['echo', 'b*']"), ("b", "[]")]).await;
    let host = modules.host("a");
    let calls = ask("module", "call");
    let said = calls
        .json_async(host, json!({"module": "echo", "operation": "x", "payload": {"base64": "/wA="}}))
        .await;
    assert_eq!(said, Ok(json!({"payload": {"base64": "/wA="}})));
    let said = calls.json_async(host, json!({"module": "echo", "operation": "x"})).await;
    assert_eq!(said, Ok(json!({"payload": ""})));
    for (module, expected) in [
        (
            "ech",
            "not_granted: the module grant of this module does not allow \"ech\"; add it to its key names",
        ),
        (
            "echo2",
            "not_granted: the module grant of this module does not allow \"echo2\"; add it to its key names",
        ),
        ("", "not_granted: the module grant of this module does not allow \"\"; add it to its key names"),
        ("b2", "not_found: there is no module \"b2\""),
    ] {
        assert_eq!(calls.json_async(host, call(module, "x", &json!({}))).await, Err(expected.into()));
    }
    // What the other guest fails with has the code of its kind.
    let said = calls.json_async(host, call("b", "none", &json!({}))).await;
    assert_eq!(
        said,
        Err("guest_failed: Guest call failure: no handler registered for operation none".into())
    );
    let said = calls.json_async(host, call("b", &"x".repeat(1025), &json!({}))).await;
    assert_eq!(said, Err("too_large: the name of an operation has at most 1024 bytes".into()));
    let said = calls.json_async(host, json!({"module": "b", "operation": "x", "deadline": 1})).await;
    assert!(said.unwrap_err().contains("unknown field `deadline`"));
}

#[tokio::test]
async fn trace_and_depth_go_with_a_call() {
    let modules = modules(&[("a", "['b']"), ("b", "['echo']")]).await;
    let inner = call("echo", "x", &json!("deep"));
    let payload = call("b", "wait", &inner).to_string();
    let context = Context::new().with(CallInfo::new("a", "ask").trace("4bf9")).with(Depth(3));
    let said = ask("module", "call").of_async(modules.host("a"), context, payload).await.unwrap();
    let outer: Value = serde_json::from_slice(&said).unwrap();
    let inner: Value = serde_json::from_str(outer["payload"].as_str().unwrap()).unwrap();
    assert_eq!(inner["payload"], "\"deep\"");
    assert_eq!(*modules.1.lock().unwrap(), ["4 a/4bf9 -> b", "5 b/4bf9 -> echo"]);
}

#[tokio::test]
async fn a_call_that_is_too_deep_is_refused() {
    let modules = modules(&[("a", "['echo']")]).await;
    let payload = call("echo", "x", &json!(1)).to_string();
    let at = async |depth| {
        let context = Context::new().with(Depth(depth));
        ask("module", "call").of_async(modules.host("a"), context, &payload).await
    };
    assert!(at(15).await.is_ok());
    let expected = "reentrancy: 17 modules would call each other: at most 16 may";
    assert_eq!(at(16).await, Err(expected.into()));
    assert!(at(u32::MAX).await.unwrap_err().starts_with("reentrancy: "));
}

/// A module of one instance that waits for itself would wait until its deadline.
#[tokio::test]
async fn a_circle_ends_at_once() {
    let modules = modules(&[("a", "['a', 'b']"), ("b", "['a']")]).await;
    let itself = call("a", "wait", &json!({}));
    let around = call("b", "wait", &call("a", "wait", &json!({})));
    for payload in [itself, around] {
        let begun = Instant::now();
        let request =
            Request::new("wait", payload.to_string().into_bytes()).deadline(Duration::from_secs(30));
        let error = modules.host("a").call_with(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GuestFailed);
        assert!(error.guest_error().unwrap().contains("reentrancy: "), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn the_callers_deadline_holds_for_the_called_module() {
    let modules = modules(&[("a", "['b']"), ("b", "['slow']")]).await;
    // `b` is busy for longer than the call may wait.
    struct Busy;
    #[async_trait]
    impl CallModule for Busy {
        async fn call(&self, _: ModuleCall<'_>) -> Result<Bytes, Fault> {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(Bytes::new())
        }
    }
    let router =
        grants("[[grant]]\nmodule = { names = ['*'] }").router("c", &Backends::new().modules(Busy)).unwrap();
    let host = WapcHostAsync::builder(Box::new(guest())).handler(router).build().await.unwrap();
    let begun = Instant::now();
    let payload = format!("1\u{0}\u{0}module\u{0}call\u{0}{}", call("slow", "x", &json!({}))).into_bytes();
    let payload: Vec<u8> = payload.iter().map(|byte| if *byte == 0 { 0xff } else { *byte }).collect();
    let request = Request::new("ask", payload).deadline(Duration::from_millis(100));
    assert_eq!(host.call_with(request).await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!(begun.elapsed() < Duration::from_secs(10));
    drop(modules);
}
