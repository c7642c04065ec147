//! What a host reports to `tracing` without being asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use antiphon::errors::{BoxError, ErrorKind};
use antiphon::testing::TestEngine;
use antiphon::{Limits, ModuleState, WapcHost, WapcHostAsync, WebAssemblyEngineProvider, handler_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Collects the fields of each warning, by their names.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<Fields>>>);

type Fields = BTreeMap<&'static str, String>;

impl Warnings {
    /// Returns the warnings of this thread while `work` runs.
    fn of(work: impl FnOnce()) -> Vec<Fields> {
        let warnings = Self::default();
        tracing::subscriber::with_default(warnings.clone(), work);
        warnings.0.lock().unwrap().clone()
    }
}

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
            let mut fields = Recorded::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Recorded(Fields);

impl Visit for Recorded {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
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
    let warnings = Warnings::of(|| {
        // Two lines of at least 16 bytes fit.
        let limits = Limits::new().log(32);
        for lines in [2, 10] {
            let host = WapcHost::builder(Box::new(Chatty(lines, None))).limits(limits).build().unwrap();
            assert_eq!(host.call("op", b"").unwrap(), b"");
        }
    });
    let dropped: Vec<_> = warnings.iter().map(|warning| warning["dropped"].as_str()).collect();
    assert_eq!(dropped, ["8", "7"]);
}

#[test]
fn an_instance_that_is_lost_or_does_not_start_is_a_warning_that_names_the_cause() {
    let asks = || {
        TestEngine::new()
            .operation("fail", |_| Err("no".into()))
            .operation_with_host("ask", |guest| async move { guest.host_call("b", "n", "o", b"").await })
    };
    let panics = || handler_fn(|_| std::panic::resume_unwind(Box::new("the handler's fault")));
    let warnings = Warnings::of(|| {
        let host = WapcHost::builder(Box::new(asks())).handler(panics()).build().unwrap();
        assert_eq!(host.call("fail", b"").unwrap_err().kind(), ErrorKind::GuestFailed);
        assert_eq!(host.call("ask", b"").unwrap_err().kind(), ErrorKind::HostPanicked);
        antiphon::block_on(async {
            let host = WapcHostAsync::builder(Box::new(asks())).handler_sync(panics()).build().await.unwrap();
            assert_eq!(host.call("fail", b"").await.unwrap_err().kind(), ErrorKind::GuestFailed);
            assert_eq!(host.call("ask", b"").await.unwrap_err().kind(), ErrorKind::HostPanicked);
        });
        let never = TestEngine::new().start(|| Err("not\ntoday".into()));
        let error = WapcHost::builder(Box::new(never)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InitFailed);
    });
    let seen: Vec<_> = warnings
        .iter()
        .map(|warning| {
            let operation = warning.get("operation").map_or("", String::as_str);
            (warning["message"].as_str(), operation, warning["code"].as_str())
        })
        .collect();
    let lost = ("an instance was discarded", "ask", "host_panicked");
    assert_eq!(seen, [lost, lost, ("an instance did not start", "", "init_failed")]);
    assert!(warnings[2]["error"].contains("not\ntoday"), "{warnings:?}");
}
