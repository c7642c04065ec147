//! Start sections run like any export: in slices, under the deadline of a start.

use std::error::Error as _;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{Limits, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// Returns a guest whose start section counts to a number. It answers the number that it reached.
fn counts_to(turns: i64) -> String {
    format!(
        r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (func $start (local $turn i64)
        (loop $again
            (local.set $turn (i64.add (local.get $turn) (i64.const 1)))
            (i64.store (i32.const 0) (local.get $turn))
            (br_if $again (i64.ne (local.get $turn) (i64.const {turns})))))
    (start $start)
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $response (i32.const 0) (i32.const 8))
        (i32.const 1)))"#
    )
}

/// Returns a guest whose start section never ends.
fn endless() -> String {
    counts_to(-1)
}

/// Returns the error of a host that cannot be built, in either mode, and how long that took.
fn fails(builder: &WasmiEngineProviderBuilder<'_>, limits: Limits) -> [(Error, Duration); 2] {
    let started = Instant::now();
    let sync = WapcHost::builder(Box::new(builder.build().unwrap())).limits(limits).build().unwrap_err();
    let middle = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let host = WapcHostAsync::builder(Box::new(builder.build_async().unwrap())).limits(limits);
    let r#async = runtime.block_on(host.build()).unwrap_err();
    [(sync, middle - started), (r#async, middle.elapsed())]
}

fn cause(error: &Error) -> ErrorKind {
    error.source().unwrap().downcast_ref::<Error>().unwrap().kind()
}

#[test]
fn it_ends_by_the_deadline_of_a_start() {
    let text = endless();
    let builder = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes());
    let limits = Limits::new().init_deadline(Duration::from_millis(100));
    for (error, took) in fails(&builder, limits) {
        assert_eq!((error.kind(), error.fate()), (ErrorKind::InitFailed, Fate::NeverBorn), "{error:#?}");
        assert_eq!(cause(&error), ErrorKind::DeadlineExceeded);
        assert!(error.to_string().contains("start section init interrupted"), "{error}");
        assert!(took >= Duration::from_millis(99) && took < Duration::from_secs(2), "{took:?}");
    }
    // The limit of fuel ends it too.
    for (error, _) in fails(&builder, Limits::new().fuel(100_000)) {
        assert_eq!((error.kind(), cause(&error)), (ErrorKind::InitFailed, ErrorKind::OutOfFuel));
    }
}

#[test]
fn it_may_take_many_slices() {
    let text = counts_to(200_000);
    let builder = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes());
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    assert_eq!(host.call("run", b"").unwrap(), 200_000_i64.to_le_bytes());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let host = WapcHostAsync::new(Box::new(builder.build_async().unwrap()), None).await.unwrap();
        assert_eq!(host.call("run", b"").await.unwrap(), 200_000_i64.to_le_bytes());
    });
}
