//! The default limits of a process, in a process of their own: they are set once.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::sync::Arc;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Bytes, EngineProviderFactory, HostCall, HostCallError, HostHandler, Limits, WapcHost};
use antiphon_host::{EngineKind, EngineOptions};

/// Makes as many host calls as its payload has bytes. It starts with 1,100 pages of memory (69 MiB)
/// and a table of 30,000 elements: both are over the built-in limits.
const CALLER: &[u8] = br#"(module
    (import "wapc" "__host_call" (func $ask (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wapc" "__guest_response" (func $respond (param i32 i32)))
    (memory (export "memory") 1100)
    (table 30000 funcref)
    (func (export "__guest_call") (param i32) (param $left i32) (result i32)
        (block $done
            (loop $next
                (br_if $done (i32.eqz (local.get $left)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (drop (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                                 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (br $next)))
        (call $respond (i32.const 0) (i32.const 0))
        (i32.const 1)))"#;

struct Answers;

impl HostHandler for Answers {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(Bytes::new())
    }
}

/// Makes a number of host calls on a host with these limits.
fn calls(factory: &Arc<dyn EngineProviderFactory>, limits: Limits, count: usize) -> Result<(), Error> {
    let host = WapcHost::builder(factory.provider().unwrap()).limits(limits).handler(Answers).build()?;
    host.call("op", &vec![0; count]).map(drop)
}

#[cfg(feature = "pool")]
fn calls_async(factory: &Arc<dyn EngineProviderFactory>, limits: Limits, count: usize) -> Result<(), Error> {
    let payload = vec![0; count];
    let host = antiphon::WapcHostAsync::builder(factory.provider_async().unwrap());
    let host = antiphon::block_on(host.limits(limits).handler_sync(Answers).build())?;
    let alone = antiphon::block_on(host.call("op", &payload)).map(drop);
    let pool = antiphon_host::HostPool::builder(Arc::clone(factory)).limits(limits).handler_sync(Answers);
    let pooled = pool.max(1).build_blocking()?.call_blocking("op", &payload).map(drop);
    assert_eq!(alone.is_ok(), pooled.is_ok(), "{alone:?}, {pooled:?}");
    alone
}

#[test]
fn the_defaults_of_a_process_replace_the_built_in_ones_and_only_where_nothing_is_set() {
    let defaults = Limits::new().host_calls(3_000).memory(80 << 20).table_elements(40_000).stack(1 << 20);
    antiphon_host::set_default_limits(defaults).unwrap();

    for engine in EngineKind::available() {
        let options = EngineOptions::new();
        let factory = engine.factory(CALLER, &options).unwrap();
        let check = |what: &str, calls: &dyn Fn(Limits, usize) -> Result<(), Error>| {
            calls(Limits::new(), 3_000).unwrap();
            let over = calls(Limits::new(), 3_001).unwrap_err();
            assert_eq!(over.kind(), ErrorKind::HostCallLimit, "{engine} {what}");
            assert_eq!(over.exceeded().unwrap().allowed, 3_000);
            // What a host sets holds, below the default and above it.
            let over = calls(Limits::new().host_calls(10), 11).unwrap_err();
            assert_eq!(over.exceeded().unwrap().allowed, 10, "{engine} {what}");
            calls(Limits::new().host_calls(4_000), 4_000).unwrap();
            let small = calls(Limits::new().memory(1 << 20), 0).unwrap_err();
            assert!(small.to_string().contains("over the limit of 1048576"), "{engine} {what}: {small}");
        };
        check("sync", &|limits, count| calls(&factory, limits, count));
        #[cfg(feature = "pool")]
        check("async", &|limits, count| calls_async(&factory, limits, count));

        // What the builder of a provider sets holds as well.
        let options = EngineOptions::new().limits(Limits::new().memory(64 << 20));
        let refused = engine.factory(CALLER, &options).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidModule, "{engine}");
    }

    let late = antiphon_host::set_default_limits(Limits::new()).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unsupported);
    assert_eq!(antiphon_host::default_limits(), defaults);
}
