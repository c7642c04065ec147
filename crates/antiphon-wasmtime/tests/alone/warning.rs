//! A warning that appears once in the life of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use antiphon_wasmtime::wasmtime::{Config, Engine};
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
fn an_engine_without_epochs_is_warned_about_once_in_a_process() {
    let _alone = crate::alone();
    const GUEST: &[u8] = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;

    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        for _ in 0..3 {
            let engine = Engine::new(&Config::new()).unwrap();
            WasmtimeEngineProviderBuilder::new().engine(engine).module_bytes(GUEST).build().unwrap();
        }
    });
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}
