//! Guests that call other modules.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use antiphon::errors::{ErrorKind, Fate};
use antiphon::{Bytes, Context, Request, async_trait};
use antiphon_capabilities::{Backends, CallModule, Code, Depth, Fault, ModuleCall};
use antiphon_codec::{Codec, MessagePack};

use crate::guest::{Host, hosts};

/// The module `tax` answers its payload backwards; `shop` is the host of the calling guest.
#[derive(Clone, Default)]
struct Modules(Arc<OnceLock<Host>>);

#[async_trait]
impl CallModule for Modules {
    async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
        match call.module {
            "tax" => Ok(call.payload.iter().rev().copied().collect()),
            "shop" => {
                let context = Context::new().with(call.depth);
                let request = Request::new(call.operation, call.payload).caller(call.caller).context(context);
                Ok(self.0.get().unwrap().call_inside(request).await?.into())
            }
            other => Err(Fault::new(Code::NotFound, format!("there is no module {other:?}"))),
        }
    }
}

/// Makes hosts that may call the modules `tax`, `none` and themselves.
fn modules() -> Vec<Modules> {
    let all = std::cell::RefCell::new(Vec::new());
    let hosts = hosts("[[grant]]\nmodule = { names = ['tax', 'none', 'shop'] }", || {
        let modules = Modules::default();
        all.borrow_mut().push(modules.clone());
        Backends::new().modules(modules)
    });
    let all = all.into_inner();
    for (modules, host) in all.iter().zip(hosts) {
        assert!(modules.0.set(host).is_ok());
    }
    all
}

fn payload(module: &str, operation: &str, payload: &[u8]) -> Vec<u8> {
    MessagePack.encode(&(module, operation, serde_bytes::Bytes::new(payload))).unwrap()
}

#[test]
fn a_guest_calls_the_modules_that_its_grant_names() {
    for modules in modules() {
        let host = modules.0.get().unwrap();
        let call = |module, operation| host.bytes("call", payload(module, operation, b"\x01\xff"));
        assert_eq!(call("tax", "compute"), Ok(b"\xff\x01".to_vec()), "{}", host.name);
        let expected = "not_found: there is no module \"none\"";
        assert_eq!(call("none", "compute"), Err(expected.into()), "{}", host.name);
        let expected = "not_granted: the module grant of this module does not allow \"vat\"; \
                        add it to its key names";
        assert_eq!(call("vat", "compute"), Err(expected.into()), "{}", host.name);
    }
}

/// A module of one instance that waited for itself would wait until its deadline.
#[test]
fn a_circle_ends_at_once_and_the_guest_serves_on() {
    for modules in modules() {
        let host = modules.0.get().unwrap();
        let begun = Instant::now();
        let refused =
            host.bytes("call", payload("shop", "call", &payload("tax", "compute", b""))).unwrap_err();
        assert!(refused.starts_with("reentrancy: "), "{}: {refused}", host.name);
        assert!(begun.elapsed() < Duration::from_secs(10), "{}: {:?}", host.name, begun.elapsed());
        assert_eq!(host.bytes("call", payload("tax", "compute", b"1")), Ok(b"1".to_vec()), "{}", host.name);
    }
}

#[test]
fn a_call_from_too_deep_is_refused() {
    for modules in modules() {
        let host = modules.0.get().unwrap();
        let message = payload("tax", "compute", b"1");
        let from = |depth| {
            host.call_with(Request::new("call", &*message).context(Context::new().with(Depth(depth))))
        };
        assert_eq!(from(15).unwrap(), b"1", "{}", host.name);
        let error = from(16).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::GuestFailed, Fate::Kept), "{}", host.name);
        let expected = "reentrancy: 17 modules would call each other: at most 16 may";
        assert_eq!(error.guest_error(), Some(expected), "{}", host.name);
    }
}
