//! A provider written against `wapc` 2.2 alone, in both modes. Antiphon's own tests use this file
//! too.

use wapc::{WapcHost, WapcHostAsync};

use crate::hosts::{parrot, runtime};

#[expect(dead_code, reason = "not every step of it is needed here")]
#[path = "../../crates/antiphon/tests/foreign/provider.rs"]
mod foreign;

use foreign::{ScriptProvider, ScriptProviderAsync, Step};

/// Calls an operation of a script in both modes, which must agree.
fn run(script: &[Step], operation: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    let sync = WapcHost::new(Box::new(ScriptProvider::new(script)), Some(Box::new(parrot))).unwrap();
    let sync = sync.call(operation, payload).map_err(|error| error.to_string());
    let asynchronous = runtime().block_on(async {
        let callback: Box<wapc::HostCallbackAsync> =
            Box::new(|id, bd, ns, op, payload| Box::pin(async move { parrot(id, &bd, &ns, &op, &payload) }));
        let provider = Box::new(ScriptProviderAsync::new(script));
        let host = WapcHostAsync::new(provider, Some(callback)).await.unwrap();
        host.call(operation, payload).await.map_err(|error| error.to_string())
    });
    assert_eq!(sync, asynchronous);
    sync
}

#[test]
fn it_serves_calls_host_calls_and_errors() {
    assert_eq!(run(&[Step::Log("hello"), Step::Echo], "op", b"payload").unwrap(), b"payload");
    assert_eq!(run(&[Step::Operation], "operation", b"").unwrap(), b"operation");
    assert_eq!(run(&[Step::HostCall], "ask", b"?").unwrap(), b"binding/sample/ask:?");
    assert_eq!(run(&[Step::HostCall], "ask", b"no").unwrap_err(), "Guest call failure: not today");
    assert_eq!(run(&[Step::Fail("text")], "op", b"").unwrap_err(), "Guest call failure: text");
    assert!(run(&[Step::Trap], "op", b"").unwrap_err().ends_with("wasm trap: unreachable"));
}

#[test]
fn it_replaces_its_module() {
    let host = WapcHost::new(Box::new(ScriptProvider::new(&[Step::Echo])), None).unwrap();
    host.replace_module(b"count").unwrap();
    assert_eq!((host.call("op", b"").unwrap(), host.call("op", b"").unwrap()), (vec![1], vec![2]));
    let refused = host.replace_module(b"garbage").unwrap_err();
    assert_eq!(refused.to_string(), "Module replacement failed: unknown module");
    assert_eq!(host.call("op", b"").unwrap(), [3]);
}
