//! The span of a call and its fields.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context as Cx, Waker};

use antiphon::errors::ErrorKind;
use antiphon::testing::TestEngine;
use antiphon::{HostCall, HostCallError, HostHandlerAsync, Isolation};
use antiphon_pool::HostPool;
use support::{engines, run, test_factory};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<String, String>;

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<What>>);

#[derive(Default)]
struct What {
    /// The spans of the pool that were closed.
    spans: Vec<Fields>,
    /// The guest's lines, each with the fields of its span.
    lines: Vec<(String, Fields)>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(&mut Into(span.extensions_mut().get_mut::<Fields>().unwrap()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "antiphon::guest" {
            return;
        }
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        let span = context.event_span(event).unwrap();
        let of_span = span.extensions().get::<Fields>().unwrap().clone();
        self.0.lock().unwrap().lines.push((fields["message"].clone(), of_span));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if span.metadata().target() == "antiphon::pool" {
            let fields = span.extensions().get::<Fields>().unwrap().clone();
            self.0.lock().unwrap().spans.push(fields);
        }
    }
}

struct Slow;

#[antiphon::async_trait]
impl HostHandlerAsync for Slow {
    async fn handle(&self, _call: HostCall<'_>) -> Result<antiphon::Bytes, HostCallError> {
        tokio::task::yield_now().await;
        Ok("ok".into())
    }
}

#[test]
fn a_call_has_a_span_with_its_outcome_and_never_its_payload() {
    let seen = Seen::default();
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    run(1, async {
        let engine = TestEngine::new()
            .operation("echo", |payload| Ok(payload.to_vec()))
            .operation("fail", |_| Err("no".into()))
            .operation_with_host("never", |_| std::future::pending());
        let pool = HostPool::builder(test_factory(engine)).max(1).queue(0).build().await.unwrap();
        pool.call("echo", b"secret").await.unwrap();
        pool.call("fail", b"secret").await.unwrap_err();
        let mut never = Box::pin(pool.call("never", b"secret"));
        assert!(never.as_mut().poll(&mut Cx::from_waker(Waker::noop())).is_pending());
        let refused = pool.call("echo", b"secret").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        drop(never);
    });
    let spans = std::mem::take(&mut seen.0.lock().unwrap().spans);
    let outcomes: Vec<_> = spans.iter().map(|span| (&*span["operation"], &*span["outcome"])).collect();
    assert_eq!(
        outcomes,
        [("echo", "ok"), ("fail", "guest_failed"), ("echo", "overloaded"), ("never", "dropped")]
    );
    assert_eq!(spans[0]["version"], "1");
    assert!(spans[0]["host"].parse::<u64>().unwrap() > 0);
    assert!(!spans[2].contains_key("version"), "it got no instance");
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn the_lines_of_a_guest_carry_the_span_of_its_call_on_every_engine() {
    // A guest that logs its operation, calls its host, and logs the operation again.
    let module = br#"(module
      (import "wapc" "__guest_request" (func $request (param i32 i32)))
      (import "wapc" "__guest_response" (func $response (param i32 i32)))
      (import "wapc" "__console_log" (func $log (param i32 i32)))
      (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
        (call $request (i32.const 0) (i32.const 100))
        (call $log (i32.const 0) (local.get $op))
        (drop (call $host_call (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
          (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
        (call $log (i32.const 0) (local.get $op))
        (call $response (i32.const 0) (local.get $op))
        (i32.const 1)))"#;
    for engine in engines() {
        let seen = Seen::default();
        let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
        run(1, async {
            let factory = engine.factory(module, &support::options(Isolation::Reuse)).unwrap();
            let pool = HostPool::builder(factory).min(2).max(2).handler(Slow).build().await.unwrap();
            let answers = support::together([pool.call("first", b""), pool.call("second", b"")]).await;
            assert_eq!(
                answers.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
                [&b"first"[..], b"second"]
            );
        });
        let lines = std::mem::take(&mut seen.0.lock().unwrap().lines);
        assert_eq!(lines.len(), 4, "on {engine}");
        for (line, span) in lines {
            assert_eq!((&line, &*span["version"]), (&span["operation"], "1"), "on {engine}");
        }
    }
}
