//! The switches for time, memory, start, WASI and features.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use compat::guests::{TOOLBOX, echo_with, number};
use wapc::errors::{Error, ErrorKind, Fate};
use wapc::{Limits, LogStream, Request, WapcHost, WapcHostAsync, WasiParams};
use wasmtime_provider::wasmtime::{Config, Engine};
use wasmtime_provider::{ResourceLimits, WasmtimeEngineProviderBuilder};

use crate::{Echo, host_of, limited, on_record};

/// The deadline under test. The tests demand only half of it, because on a busy machine a deadline
/// counts from a tick that is late.
const SHORT: Duration = Duration::from_millis(100);

fn built(builder: &WasmtimeEngineProviderBuilder<'_>) -> Result<WapcHost, ErrorKind> {
    let engine = builder.build().map_err(|error| Error::from(error).kind())?;
    WapcHost::new(Box::new(engine), None).map_err(|error| error.kind())
}

/// Checks that an endless call ends by its deadline, and returns how long it took.
fn ends(call: impl FnOnce() -> Error) -> Duration {
    let started = Instant::now();
    let error = call();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::DeadlineExceeded, Fate::Discarded));
    started.elapsed()
}

#[test]
fn deadline_of_a_call() {
    on_record("a call ends after 2 s, host calls and queueing included");
    let by_default = limited(Limits::new());
    assert!(ends(|| by_default.call("loop", b"").unwrap_err()) >= Duration::from_millis(1_500));
    let set = limited(Limits::new().deadline(SHORT));
    let took = ends(|| set.call("loop", b"").unwrap_err());
    assert!((SHORT / 2..Duration::from_secs(2)).contains(&took), "{took:?}");
    let took = ends(|| by_default.call_with(Request::new("loop", b"").deadline(SHORT)).unwrap_err());
    assert!((SHORT / 2..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[test]
fn no_deadline_of_a_call() {
    on_record("`Duration::MAX` for none");
    let slow: Box<wapc::HostCallback> = Box::new(|_, _, _, _, payload| {
        std::thread::sleep(Duration::from_millis(2_100));
        Ok(payload.to_vec())
    });
    let limits = Limits::new().deadline(Duration::MAX);
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).limits(limits).build();
    let host = WapcHost::new(Box::new(engine.unwrap()), Some(slow)).unwrap();
    assert_eq!(host.call("host", b"slow").unwrap(), b"slow");
}

#[test]
fn deadline_of_a_start() {
    on_record("a start ends after 2 s");
    let looping = echo_with("", r#"(func (export "_start") (loop $again (br $again)))"#);
    for (limits, least) in
        [(Limits::new(), Duration::from_millis(1_500)), (Limits::new().init_deadline(SHORT), SHORT / 2)]
    {
        let started = Instant::now();
        let error = host_of(&looping).limits(limits).build().unwrap_err();
        assert_eq!((error.kind(), error.is_deadline()), (ErrorKind::InitFailed, true));
        assert!(started.elapsed() >= least, "{:?}", started.elapsed());
    }
}

#[test]
fn memory_and_tables() {
    on_record("memory ends at 64 MiB, a table at 20,000 elements");
    let large = TOOLBOX
        .replace("(memory (export \"memory\") 2 64)", "(memory (export \"memory\") 2)")
        .replace("(table $table 1 2000 funcref)", "(table $table 1 funcref)");
    let grown =
        |host: WapcHost| ["grow", "table"].map(|operation| number(&host.call(operation, b"").unwrap()));
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(large.as_bytes());
    assert_eq!(grown(built(&builder()).unwrap()), [1_024, 20_000]);
    let raised = Limits::new().memory(100 << 20).table_elements(30_000);
    assert_eq!(grown(built(&builder().limits(raised)).unwrap()), [1_600, 30_000]);
    let theirs = ResourceLimits { max_memory_size: Some(80 << 20), max_table_elements: Some(25_000) };
    assert_eq!(grown(built(&builder().enable_resource_limits(theirs)).unwrap()), [1_280, 25_000]);
    // `enable_resource_limits` replaces both limits, including one that it leaves unset.
    let open = ResourceLimits { max_memory_size: Some(1 << 20), max_table_elements: None };
    assert_eq!(
        number(&built(&builder().enable_resource_limits(open)).unwrap().call("grow", b"").unwrap()),
        16
    );
    let open_host = built(
        &builder()
            .enable_resource_limits(ResourceLimits { max_memory_size: None, max_table_elements: Some(10) }),
    );
    assert_eq!(grown(open_host.unwrap())[1], 10);

    on_record("an instance has one memory and at most 10 tables");
    let tables = |count: usize| echo_with("", &"(table 1 funcref)".repeat(count));
    let with =
        |module: &str| built(&WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes())).err();
    assert_eq!((with(&tables(10)), with(&tables(11))), (None, Some(ErrorKind::InvalidModule)));
    let memories = echo_with("", "(memory $another 1)");
    let engine = Engine::new(Config::new().wasm_multi_memory(true)).unwrap();
    let builder = WasmtimeEngineProviderBuilder::new().engine(engine).module_bytes(memories.as_bytes());
    assert!(built(&builder).is_err());
}

#[test]
fn host_calls_in_init() {
    on_record("`host_calls_in_init(true)` on the host's builder");
    let calls = echo_with(
        r#"(import "wapc" "__host_call" (func $ask (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "wapc_init")
            (if (i32.eqz (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
                (then (unreachable))))"#,
    );
    assert_eq!(host_of(&calls).handler(Echo).build().unwrap_err().kind(), ErrorKind::InitFailed);
    let host = host_of(&calls).handler(Echo).host_calls_in_init(true).build().unwrap();
    assert_eq!(host.call("op", b"started").unwrap(), b"started");
}

/// Returns a guest that prints its payload, which must end its line, and echoes it.
fn printing() -> String {
    echo_with(
        r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#,
        "",
    )
    .replace(
        "(call $respond ",
        r#"(i32.store (i32.const 16) (i32.const 4096))
        (i32.store (i32.const 20) (local.get $msg))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (call $respond "#,
    )
}

#[test]
fn output_of_the_guest() {
    on_record("or give the host's builder a sink with `log`");
    let lines: Arc<Mutex<Vec<(LogStream, String)>>> = Arc::default();
    let sink = Arc::clone(&lines);
    let host = host_of(printing())
        .log(move |line| sink.lock().unwrap().push((line.stream, line.text.to_owned())))
        .build()
        .unwrap();
    host.call("op", b"printed\n").unwrap();
    assert_eq!(*lines.lock().unwrap(), [(LogStream::Stdout, "printed".to_owned())]);
}

#[test]
fn wasi() {
    on_record("`wasi(false)` on the provider's builder refuses such modules");
    let module = printing();
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(module.as_bytes());
    assert_eq!(built(&builder().wasi(false)).unwrap_err(), ErrorKind::InvalidModule);
    assert_eq!(built(&builder()).unwrap().call("op", b"hi").unwrap(), b"hi");

    on_record("arguments and environment for WASI end at 1 MiB together");
    let long = |bytes: usize| WasiParams { argv: vec!["a".repeat(bytes)], ..Default::default() };
    assert_eq!(built(&builder().wasi_params(long(1 << 20))).unwrap_err(), ErrorKind::Unsupported);
    assert!(built(&builder().wasi_params(long(1 << 19))).is_ok());

    on_record("a pointer outside memory in a call of WASI is `Trapped`");
    let wild = module
        .replace("(i32.store (i32.const 16) (i32.const 4096))", "(i32.store (i32.const 16) (i32.const -9))");
    let wild = built(&WasmtimeEngineProviderBuilder::new().module_bytes(wild.as_bytes())).unwrap();
    assert_eq!(wild.call("op", b"hi").unwrap_err().kind(), ErrorKind::Trapped);
}

#[test]
fn features_of_webassembly() {
    on_record("`configure` on the provider's builder, or an `engine` of your own");
    let relaxed =
        echo_with("", "(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))");
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(relaxed.as_bytes());
    assert_eq!(built(&builder()).unwrap_err(), ErrorKind::InvalidModule);
    let configured = builder().configure(|config| {
        config.wasm_relaxed_simd(true);
    });
    let own = builder().engine(Engine::new(Config::new().wasm_relaxed_simd(true)).unwrap());
    for builder in [configured, own] {
        assert_eq!(built(&builder).unwrap().call("op", b"hi").unwrap(), b"hi");
    }
}

#[test]
fn giving_way_to_the_executor() {
    on_record("`cooperative(false)` on the provider's builder");
    for cooperative in [true, false] {
        let engine = WasmtimeEngineProviderBuilder::new()
            .module_bytes(TOOLBOX.as_bytes())
            .limits(Limits::new().deadline(Duration::from_millis(400)))
            .cooperative(cooperative)
            .build_async()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let others_ran = runtime.block_on(async {
            let host = WapcHostAsync::new(Box::new(engine), None).await.unwrap();
            let other = tokio::spawn(async { tokio::time::sleep(Duration::from_millis(20)).await });
            assert!(host.call("loop", b"").await.unwrap_err().is_deadline());
            other.is_finished()
        });
        assert_eq!(others_ran, cooperative);
    }
}
