//! What the log says of an engine without epochs, once in the life of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use antiphon::Limits;
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;
use antiphon_wasmtime::wasmtime::{Config, Engine};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts Antiphon's lines, by level.
#[derive(Clone, Default)]
struct Lines {
    warnings: Arc<AtomicU32>,
    infos: Arc<AtomicU32>,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("antiphon")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        match *event.metadata().level() {
            Level::WARN | Level::ERROR => self.warnings.fetch_add(1, Ordering::Relaxed),
            Level::INFO => self.infos.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[test]
fn an_engine_without_epochs_is_no_warning_and_is_mentioned_once_unless_no_deadline_is_wanted() {
    let _alone = crate::alone();
    const GUEST: &[u8] = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;

    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let said = |limits: Limits, infos: u32| {
            let engine = Engine::new(&Config::new()).unwrap();
            let builder = WasmtimeEngineProviderBuilder::new().engine(engine).module_bytes(GUEST);
            builder.limits(limits).build().unwrap();
            let seen = (lines.warnings.load(Ordering::Relaxed), lines.infos.load(Ordering::Relaxed));
            assert_eq!(seen, (0, infos));
        };
        let none = Limits::new().deadline(Duration::MAX).init_deadline(Duration::MAX);
        said(none, 0);
        let uninterrupted = WasmtimeEngineProviderBuilder::new().module_bytes(GUEST);
        uninterrupted.dangerously_without_interruption().limits(none).build().unwrap();
        for _ in 0..3 {
            said(Limits::new(), 1);
        }
    });
}
