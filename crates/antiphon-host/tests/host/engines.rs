//! Runs guests on every engine of the build, and checks that each option reaches the engine.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{BoxError, Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, WapcHost, WasiParams};
use antiphon_host::{EngineKind, EngineOptions};

/// Returns a guest: one page of memory, the import of responses, more fields, and the body of
/// `__guest_call`.
fn guest(fields: &str, body: &str) -> Vec<u8> {
    format!(
        r#"(module
            (import "wapc" "__guest_response" (func $respond (param i32 i32)))
            {fields}
            (memory (export "memory") 1)
            (func (export "__guest_call") (param $op_len i32) (param $msg_len i32) (result i32)
                {body} (i32.const 1)))"#
    )
    .into_bytes()
}

fn greeter() -> Vec<u8> {
    guest(r#"(data (i32.const 0) "hello")"#, "(call $respond (i32.const 0) (i32.const 5))")
}

/// Returns a guest that answers the arguments that WASI hands out.
fn lister() -> Vec<u8> {
    guest(
        r#"(import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))"#,
        "(drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $get (i32.const 100) (i32.const 1000)))
        (call $respond (i32.const 1000) (i32.load (i32.const 4)))",
    )
}

fn call(factory: &Arc<dyn EngineProviderFactory>) -> Result<Vec<u8>, BoxError> {
    Ok(WapcHost::builder(factory.provider()?).build()?.call("any", b"")?)
}

fn refusal(engine: EngineKind, module: &[u8], options: &EngineOptions) -> Error {
    engine.factory(module, options).err().unwrap()
}

#[test]
fn each_engine_answers_and_says_what_it_can_do() {
    for engine in EngineKind::available() {
        let factory = engine.factory(&greeter(), &EngineOptions::new()).unwrap();
        assert_eq!(call(&factory).unwrap(), b"hello", "{engine}");

        // What it can do, whether this factory was asked to or not.
        let can = engine.capabilities().unwrap();
        let (fuel, deterministic) = (can.fuel, can.deterministic);
        assert!(fuel && deterministic, "{engine}: {can:?}");
        let mut expected = factory.capabilities();
        (expected.fuel, expected.deterministic) = (fuel, deterministic);
        assert_eq!(can, expected, "{engine}");
    }
}

#[cfg(feature = "async")]
#[test]
fn each_engine_answers_an_asynchronous_host_as_well() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    for engine in EngineKind::available() {
        let factory = engine.factory(&greeter(), &EngineOptions::new().cooperative(false)).unwrap();
        let mut calls = pin!(async {
            let host = antiphon::WapcHostAsync::builder(factory.provider_async()?).build().await?;
            Ok::<_, BoxError>(host.call("any", b"").await?)
        });
        // A guest that waits for nothing is over soon, under any executor that comes back to it.
        let answer = loop {
            match calls.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => break answer,
                Poll::Pending => std::thread::yield_now(),
            }
        };
        assert_eq!(answer.unwrap(), b"hello", "{engine}");
    }
}

#[test]
fn what_an_engine_has_against_a_module_keeps_its_kind() {
    for engine in EngineKind::available() {
        let error = refusal(engine, b"(module)", &EngineOptions::new());
        assert_eq!(error.kind(), ErrorKind::InvalidModule, "{engine}");
        assert!(error.message().contains("memory not exported"), "{engine}: {error}");
    }
}

#[test]
fn limits_reach_the_engine() {
    let limits = Limits::new().memory(1 << 10);
    for engine in EngineKind::available() {
        let error = refusal(engine, &greeter(), &EngineOptions::new().limits(limits));
        assert_eq!(error.kind(), ErrorKind::InvalidModule, "{engine}: {error}");
    }
}

#[test]
fn fuel_reaches_the_engine() {
    let spinner = guest("", "(loop $forever (br $forever))");
    let limits = Limits::new().fuel(10_000);
    for engine in EngineKind::available() {
        let factory = engine.factory(&spinner, &EngineOptions::new().limits(limits)).unwrap();
        let error = Error::from_engine(call(&factory).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::OutOfFuel, "{engine}: {error}");
    }
}

#[test]
fn arguments_reach_the_guest_unless_it_may_have_no_wasi() {
    let world = WasiParams { argv: vec!["one".into(), "two".into()], ..WasiParams::default() };
    for engine in EngineKind::available() {
        let options = EngineOptions::new().wasi_params(world.clone());
        let factory = engine.factory(&lister(), &options).unwrap();
        assert_eq!(call(&factory).unwrap(), b"one\0two\0", "{engine}");

        let error = refusal(engine, &lister(), &EngineOptions::new().wasi(false));
        assert_eq!(error.kind(), ErrorKind::InvalidModule, "{engine}");
    }
}

#[test]
fn a_deterministic_guest_draws_the_same_bytes_on_every_engine() {
    let dice = guest(
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))"#,
        "(drop (call $random (i32.const 0) (i32.const 8)))
        (drop (call $time (i32.const 0) (i64.const 1) (i32.const 8)))
        (call $respond (i32.const 0) (i32.const 16))",
    );
    let throw = |engine: EngineKind, seed, clock| {
        let options = EngineOptions::new().deterministic(seed, Duration::from_nanos(clock));
        call(&engine.factory(&dice, &options).unwrap()).unwrap()
    };
    for engine in EngineKind::available() {
        let thrown = throw(engine, 7, 0x0102_0304);
        assert_eq!(thrown, throw(EngineKind::default(), 7, 0x0102_0304), "{engine}");
        assert_eq!(thrown[8..], [4, 3, 2, 1, 0, 0, 0, 0], "{engine}");
        assert_ne!(thrown[..8], throw(engine, 8, 0)[..8], "{engine}");
    }
}

/// The guest opens `file` in the first directory, and answers the error number as a character from
/// `!` on.
#[test]
fn a_read_only_directory_may_be_read_and_not_written() {
    let opener = |flags: u32, rights: u64| {
        guest(
            r#"(import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (data (i32.const 0) "file")"#,
            &format!(
                "(i32.store8 (i32.const 100) (i32.add (i32.const 33) (call $open (i32.const 3) (i32.const 0)
                    (i32.const 0) (i32.const 4) (i32.const {flags}) (i64.const {rights}) (i64.const 0)
                    (i32.const 0) (i32.const 200))))
                (call $respond (i32.const 100) (i32.const 1))"
            ),
        )
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "text").unwrap();
    let options = EngineOptions::new().read_only_dir(dir.path(), "/data");
    for engine in EngineKind::available() {
        let open = |module: &[u8]| call(&engine.factory(module, &options).unwrap()).unwrap();
        assert_eq!(open(&opener(0, 2)), b"!", "reading is granted");
        assert_eq!(open(&opener(0, 0x40)), b"`", "writing is not: 63, EPERM");
    }
}

#[test]
fn directories_do_not_go_with_runs_that_are_equal() {
    let dirs =
        [EngineOptions::new().dir("/tmp", "/data"), EngineOptions::new().read_only_dir("/tmp", "/data")];
    for engine in EngineKind::available() {
        for options in dirs.clone() {
            let error = refusal(engine, &greeter(), &options.deterministic(1, Duration::ZERO));
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{engine}: {error}");
            assert!(error.message().contains("director"), "{engine}: {error}");
        }
    }
}
