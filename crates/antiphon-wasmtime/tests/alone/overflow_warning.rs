//! The warning about a full pool of instances. Listens to the whole process.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use antiphon::{Bytes, HostCall, HostCallError, HostHandler, Isolation, WapcHost};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use antiphon_wasmtime::wasmtime::{Config, PoolingAllocationConfig};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static WARNINGS: AtomicU32 = AtomicU32::new(0);

/// Counts Antiphon's warnings.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("antiphon")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        WARNINGS.fetch_add(u32::from(*event.metadata().level() <= Level::WARN), Ordering::SeqCst);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

const GUEST: &[u8] = br#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $response (i32.const 0) (i32.const 0))
        (i32.const 1)))"#;

fn one_slot(config: &mut Config) {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(1).total_memories(1).total_tables(1).total_stacks(1);
    config.allocation_strategy(pool);
}

struct Meet(Barrier);

impl HostHandler for &'static Meet {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.0.wait();
        Ok(Bytes::new())
    }
}

#[test]
fn a_pool_that_is_full_is_warned_about_once_and_only_then() {
    let _alone = crate::alone();
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let factory = WasmtimeEngineProviderBuilder::new()
        .module_bytes(GUEST)
        .isolation(Isolation::PerCall)
        .configure(one_slot)
        .factory()
        .unwrap();
    let host = |handler| WapcHost::builder(factory.provider().unwrap()).handler(handler).build().unwrap();

    // One call after the other: each instance is gone after its call, so one slot is enough.
    let alone: &'static Meet = Box::leak(Box::new(Meet(Barrier::new(1))));
    let hosts = [(); 3].map(|()| host(alone));
    for host in hosts.iter().cycle().take(30) {
        assert_eq!(host.call("", b"").unwrap(), b"");
    }
    assert_eq!(WARNINGS.load(Ordering::SeqCst), 0);

    let meet: &'static Meet = Box::leak(Box::new(Meet(Barrier::new(4))));
    let hosts = [(); 4].map(|()| host(meet));
    for _ in 0..5 {
        thread::scope(|scope| {
            for host in &hosts {
                scope.spawn(|| assert_eq!(host.call("", b"").unwrap(), b""));
            }
        });
    }
    assert_eq!(WARNINGS.load(Ordering::SeqCst), 1);
}
