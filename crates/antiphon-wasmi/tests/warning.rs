//! What is said once in the life of a process; alone in its file, since it counts for all of the process.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test says what it expects")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use antiphon::{Limits, WapcHost};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmi::wasmi::Engine;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts Antiphon's warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU32>);

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
        self.0.fetch_add(u32::from(*event.metadata().level() == Level::WARN), Ordering::Relaxed);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[test]
fn an_engine_without_fuel_has_no_default_deadline_and_is_warned_about_once() {
    /// Answers its payload after as many turns of a loop.
    const GUEST: &[u8] = br#"(module
        (import "wapc" "__guest_request" (func $request (param i32 i32)))
        (import "wapc" "__guest_response" (func $response (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
            (local $turns i32)
            (call $request (i32.const 0) (i32.const 16))
            (local.set $turns (i32.load (i32.const 16)))
            (loop $again
                (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
            (call $response (i32.const 16) (local.get $msg))
            (i32.const 1)))"#;

    let warnings = Warnings::default();
    let builder = || WasmiEngineProviderBuilder::new().module_bytes(GUEST);
    tracing::subscriber::with_default(warnings.clone(), || {
        builder().build().unwrap();
        assert_eq!(warnings.0.load(Ordering::Relaxed), 0);
        for _ in 0..3 {
            let provider = builder().engine(Engine::default()).build().unwrap();
            let host = WapcHost::new(Box::new(provider), None).unwrap();
            assert_eq!(host.call("turn", &10_u32.to_le_bytes()).unwrap(), 10_u32.to_le_bytes());
        }
    });
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);

    // More than the default deadline has time for. Neither a call nor a start has one.
    let provider = builder().engine(Engine::default()).build().unwrap();
    let host = WapcHost::builder(Box::new(provider)).limits(Limits::new()).build().unwrap();
    let timed = |turns: u32| {
        let started = Instant::now();
        assert_eq!(host.call("turn", &turns.to_le_bytes()).unwrap(), turns.to_le_bytes());
        started.elapsed()
    };
    let mut turns = 10_000_000;
    let enough = Duration::from_millis(2_200);
    loop {
        let took = timed(turns);
        if took > enough {
            break;
        }
        turns = (f64::from(turns) * 1.2 * enough.as_secs_f64() / took.as_secs_f64()) as u32;
    }
}
