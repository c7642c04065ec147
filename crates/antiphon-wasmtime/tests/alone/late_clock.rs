//! Deadlines in ticks while the ticker waits for a processor. Delays every clock of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::WapcHost;
use antiphon::errors::ErrorKind;
use antiphon::ticker::{self, OnTick, TICK};
use antiphon_wasmtime::{EpochDeadlines, WasmtimeEngineProviderBuilder};

/// Counts to some millions, which takes some milliseconds. An operation of one letter counts
/// forever.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op i32) (param i32) (result i32) (local $left i32)
        (local.set $left (i32.const 20000000))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (i32.or (local.get $left) (i32.eq (local.get $op) (i32.const 1)))))
        (call $response (i32.const 0) (i32.const 1))
        (i32.const 1)))"#;

const TICKS: u32 = 60;

/// Delays the ticker once, for more ticks than a call has. Reports shortly before it lets the
/// ticker go on.
#[derive(Default)]
struct Stall {
    begun: AtomicBool,
    almost_over: AtomicBool,
}

impl OnTick for Stall {
    fn on_tick(&self) {
        if !self.begun.swap(true, Ordering::SeqCst) {
            thread::sleep(TICK * (TICKS + 10));
            self.almost_over.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn a_call_that_begins_while_the_clock_is_late_has_all_of_its_ticks() {
    let _alone = crate::alone();
    let deadlines = EpochDeadlines { wapc_init: TICKS.into(), wapc_func: TICKS.into() };
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    let host = WapcHost::new(Box::new(builder.enable_epoch_interruptions(deadlines).build().unwrap()), None);
    let host = host.unwrap();
    let stall = Arc::new(Stall::default());
    ticker::on_each_tick(Arc::downgrade(&stall) as _).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !stall.almost_over.load(Ordering::SeqCst) {
        assert!(Instant::now() < patience, "the hook was never called");
        ticker::now();
    }
    assert_eq!(host.call("count", b"").unwrap(), [0]);

    let began = Instant::now();
    assert_eq!(host.call("e", b"").unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!(began.elapsed() >= TICK * (TICKS - 1), "{:?}", began.elapsed());
}
