//! What a host reports to `tracing` without being asked.

use std::fmt;
use std::sync::{Arc, Mutex};

use antiphon::errors::BoxError;
use antiphon::{Limits, ModuleState, WapcHost, WebAssemblyEngineProvider};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Collects the number of dropped lines from each warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u64>>>);

impl Subscriber for Warnings {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::WARN {
            event.record(&mut Dropped(&self.0));
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Dropped<'a>(&'a Mutex<Vec<u64>>);

impl Visit for Dropped<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "dropped" {
            self.0.lock().unwrap().push(value);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// An engine whose guest logs this many lines at its start, and one fewer in each call.
struct Chatty(usize, Option<Arc<ModuleState>>);

impl WebAssemblyEngineProvider for Chatty {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), BoxError> {
        (0..self.0).for_each(|_| host.do_console_log("chat"));
        self.1 = Some(host);
        Ok(())
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let host = self.1.clone().unwrap();
        (1..self.0).for_each(|_| host.do_console_log("chat"));
        host.set_guest_response(Vec::new());
        Ok(1)
    }

    fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err("not here".into())
    }
}

#[test]
fn lines_over_the_budget_are_counted_in_a_warning_for_each_start_and_each_call() {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        // Two lines of at least 16 bytes fit.
        let limits = Limits::new().log(32);
        for lines in [2, 10] {
            let host = WapcHost::builder(Box::new(Chatty(lines, None))).limits(limits).build().unwrap();
            assert_eq!(host.call("op", b"").unwrap(), b"");
        }
    });
    assert_eq!(*warnings.0.lock().unwrap(), [8, 7]);
}
