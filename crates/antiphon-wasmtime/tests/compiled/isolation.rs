//! Instances of one call: with a full pool, and without a pool.

use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

use antiphon::{
    Bytes, EngineProviderFactory, HostCall, HostCallError, HostHandlerAsync, Isolation, Limits, WapcHost,
    WapcHostAsync, async_trait,
};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use antiphon_wasmtime::wasmtime::{Config, PoolingAllocationConfig};

/// Answers how often this instance was called, after it has called its host. With an operation of
/// four letters it grows its table by 25,000 elements and answers the previous size, or -1.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 70000) "initial data")
    (table $table 100 funcref)
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 4))
            (then (i32.store (i32.const 4) (table.grow $table (ref.null func) (i32.const 25000))))
            (else
                (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                                       (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))))
        (call $response (i32.const 4) (i32.const 4))
        (i32.const 1)))"#;

const ONE: [u8; 4] = [1, 0, 0, 0];

fn builder() -> WasmtimeEngineProviderBuilder<'static> {
    WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).isolation(Isolation::PerCall)
}

fn pool_of(slots: u32, table_elements: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots).total_memories(slots).total_tables(slots).total_stacks(slots);
    pool.table_elements(table_elements);
    pool
}

fn two_slots(config: &mut Config) {
    config.allocation_strategy(pool_of(2, 20_000));
}

/// Waits until all calls are in their handlers at once.
struct Meet(Barrier);

impl antiphon::HostHandler for &'static Meet {
    fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.0.wait();
        Ok(Bytes::new())
    }
}

#[test]
fn ten_busy_hosts_share_a_pool_of_two() {
    let factory = builder().configure(two_slots).factory().unwrap();
    let meet: &'static Meet = Box::leak(Box::new(Meet(Barrier::new(10))));
    let hosts: Vec<_> = (0..10)
        .map(|_| WapcHost::builder(factory.provider().unwrap()).handler(meet).build().unwrap())
        .collect();
    for _ in 0..5 {
        thread::scope(|scope| {
            for host in &hosts {
                scope.spawn(|| assert_eq!(host.call("", b"").unwrap(), ONE));
            }
        });
    }
}

/// Does what [`Meet`] does, without a thread for each call.
struct MeetAsync(tokio::sync::Barrier);

#[async_trait]
impl HostHandlerAsync for &'static MeetAsync {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        self.0.wait().await;
        Ok(Bytes::new())
    }
}

#[test]
fn ten_busy_asynchronous_hosts_share_a_pool_of_two() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let factory = builder().configure(two_slots).factory().unwrap();
        let meet: &'static MeetAsync = Box::leak(Box::new(MeetAsync(tokio::sync::Barrier::new(10))));
        let mut hosts = Vec::new();
        for _ in 0..10 {
            let host = WapcHostAsync::builder(factory.provider_async().unwrap()).handler(meet).build();
            hosts.push(Arc::new(host.await.unwrap()));
        }
        for _ in 0..5 {
            let calls: Vec<_> = hosts
                .iter()
                .map(|host| {
                    let host = Arc::clone(host);
                    tokio::spawn(async move { host.call("", b"").await })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap().unwrap(), ONE);
            }
        }
    });
}

#[test]
fn a_module_that_the_pool_has_no_place_for_is_served_all_the_same() {
    fn small_tables(config: &mut Config) {
        config.allocation_strategy(pool_of(2, 99));
    }
    let host = WapcHost::new(Box::new(builder().configure(small_tables).build().unwrap()), None).unwrap();
    for _ in 0..3 {
        assert_eq!(host.call("", b"").unwrap(), ONE);
    }
}

#[test]
fn a_host_may_allow_larger_tables_than_the_pool_was_made_for() {
    let grow = |limits| {
        let provider = builder().build().unwrap();
        let host = WapcHost::builder(Box::new(provider)).limits(limits).build().unwrap();
        let before = host.call("grow", b"").unwrap();
        assert_eq!(host.call("grow", b"").unwrap(), before, "a growth stays with its instance");
        i32::from_le_bytes(before.try_into().unwrap())
    };
    assert_eq!(grow(Limits::new()), -1);
    assert_eq!(grow(Limits::new().table_elements(30_000)), 100);
}

#[test]
fn tables_without_a_limit_leave_no_room_for_a_pool_and_are_served() {
    let builder = builder().limits(Limits::new().table_elements(u64::MAX));
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    assert_eq!(host.call("grow", b"").unwrap(), 100i32.to_le_bytes());
    assert_eq!(host.call("", b"").unwrap(), ONE);
}

#[test]
fn a_hundred_engines_find_room_for_their_pools_or_do_without() {
    // Each has settings of its own; otherwise they would share one engine.
    let limits = |number: u64| Limits::new().table_elements(1_000 + number);
    let factories: Vec<Arc<dyn EngineProviderFactory>> =
        (0..100).map(|number| builder().limits(limits(number)).factory().unwrap()).collect();
    for factory in &factories {
        let host = WapcHost::new(factory.provider().unwrap(), None).unwrap();
        assert_eq!(host.call("", b"").unwrap(), ONE);
    }
}

/// Run by the test below in a process of its own.
#[test]
#[ignore = "needs a process whose address space is limited"]
fn calls_with_little_address_space() {
    let host = WapcHost::new(Box::new(builder().build().unwrap()), None).unwrap();
    for _ in 0..20 {
        assert_eq!(host.call("", b"").unwrap(), ONE);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_address_space_is_scarce_there_is_no_pool_and_no_error() {
    for gibibytes in [16_u64, 64, 512] {
        let script = format!(
            "ulimit -v {} && exec \"$0\" --ignored --exact isolation::calls_with_little_address_space",
            gibibytes << 20
        );
        let output =
            Command::new("sh").args(["-c", &script]).arg(std::env::current_exe().unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{gibibytes} GiB: {said}");
    }
}
