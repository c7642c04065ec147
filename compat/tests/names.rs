//! Every public name of `wapc` 2.2, with its signature and traits. Most cases pass by compiling.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use wapc::{
    HostCallback, HostCallbackAsync, Invocation, ModuleHost, ModuleHostAsync, ModuleState, ModuleStateAsync,
    WapcHost, WapcHostAsync, WasiParams, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync,
};
use wasmtime_provider::{
    EpochDeadlines, ResourceLimits, WasmtimeEngineProvider, WasmtimeEngineProviderAsync,
    WasmtimeEngineProviderAsyncPre, WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre,
};

use crate::hosts::BoxError;

type Result<T> = std::result::Result<T, wapc::errors::Error>;

fn send<T: Send>() {}
fn send_sync<T: Send + Sync>() {}
fn debug<T: Debug>() {}
fn cloned<T: Clone>() {}
fn copied<T: Copy + Debug>() {}

#[test]
fn constants() {
    use wapc::wapc_functions as f;

    assert_eq!(wapc::HOST_NAMESPACE, "wapc");
    let names: [&str; 12] = [
        f::HOST_CONSOLE_LOG,
        f::HOST_CALL,
        f::GUEST_REQUEST_FN,
        f::HOST_RESPONSE_FN,
        f::HOST_RESPONSE_LEN_FN,
        f::GUEST_RESPONSE_FN,
        f::GUEST_ERROR_FN,
        f::HOST_ERROR_FN,
        f::HOST_ERROR_LEN_FN,
        f::GUEST_CALL,
        f::WAPC_INIT,
        f::TINYGO_START,
    ];
    assert_eq!(
        names,
        [
            "__console_log",
            "__host_call",
            "__guest_request",
            "__host_response",
            "__host_response_len",
            "__guest_response",
            "__guest_error",
            "__host_error",
            "__host_error_len",
            "__guest_call",
            "wapc_init",
            "_start",
        ]
    );
    let starts: [&str; 2] = f::REQUIRED_STARTS;
    assert_eq!(starts, ["_start", "wapc_init"]);
}

#[test]
fn methods_of_the_hosts() {
    let _: fn(&WapcHost) -> u64 = WapcHost::id;
    let _: fn(&WapcHost, &str, &[u8]) -> Result<Vec<u8>> = WapcHost::call;
    let _: fn(&WapcHost, &[u8]) -> Result<()> = WapcHost::replace_module;
    fn _new(
        engine: Box<dyn WebAssemblyEngineProvider + Send>,
        callback: Option<Box<HostCallback>>,
    ) -> Result<WapcHost> {
        WapcHost::new(engine, callback)
    }

    let _: fn(&WapcHostAsync) -> u64 = WapcHostAsync::id;
    fn _spawned(
        engine: Box<dyn WebAssemblyEngineProviderAsync + Send>,
        callback: Option<Box<HostCallbackAsync>>,
        runtime: &tokio::runtime::Runtime,
    ) {
        // The futures must be `Send`.
        runtime.spawn(async move {
            let host = WapcHostAsync::new(engine, callback).await?;
            host.replace_module(b"module").await?;
            host.call("operation", b"payload").await
        });
    }
    debug::<WapcHost>();
    debug::<WapcHostAsync>();
    send_sync::<WapcHostAsync>();
}

#[test]
fn methods_of_the_states() {
    let _: fn(&ModuleState) -> Option<Invocation> = ModuleState::get_guest_request;
    #[expect(deprecated, reason = "programs use it all the same")]
    let _: fn(&ModuleState) -> Option<Vec<u8>> = ModuleState::get_host_response;
    let _: fn(&ModuleState) -> usize = ModuleState::host_response_len;
    let _: fn(&ModuleState, String) = ModuleState::set_guest_error;
    let _: fn(&ModuleState, Vec<u8>) = ModuleState::set_guest_response;
    let _: fn(&ModuleState) -> Option<Vec<u8>> = ModuleState::get_guest_response;
    let _: fn(&ModuleState) -> Option<String> = ModuleState::get_host_error;
    type DoHostCall = fn(&ModuleState, &str, &str, &str, &[u8]) -> std::result::Result<i32, Box<dyn Error>>;
    let _: DoHostCall = ModuleState::do_host_call;
    let _: fn(&ModuleState, &str) = ModuleState::do_console_log;
    let _: fn(&ModuleStateAsync, &str) = ModuleStateAsync::do_console_log;

    send_sync::<ModuleState>();
    send_sync::<ModuleStateAsync>();
    debug::<ModuleState>();
    debug::<ModuleStateAsync>();
    let (state, asynchronous) = (ModuleState::default(), ModuleStateAsync::default());
    assert_eq!(state.with_host_response(<[u8]>::len), None);
    assert!(format!("{state:?}{asynchronous:?}").contains("ModuleState"));
}

#[test]
fn plain_values() {
    let invocation = Invocation { operation: "op".to_owned(), msg: vec![1] };
    let Invocation { operation, msg } = invocation.clone();
    assert_eq!((operation.as_str(), msg.as_slice()), ("op", &[1_u8][..]));
    assert!(format!("{invocation:?}").contains("op"));

    let list = |text: &str| vec![text.to_owned()];
    let pairs = |text: &str| vec![(text.to_owned(), text.to_owned())];
    let params = WasiParams::new(list("argument"), pairs("mapped"), pairs("variable"), list("directory"));
    let literal = WasiParams {
        argv: list("argument"),
        map_dirs: pairs("mapped"),
        env_vars: pairs("variable"),
        preopened_dirs: list("directory"),
    };
    assert_eq!(params.clone(), literal);
    assert_ne!(params, WasiParams::default());
    fn equal<T: Eq + Clone + Debug + Default + Send + Sync>() {}
    equal::<WasiParams>();
}

#[test]
fn errors_convert_and_keep_their_source() {
    fn error<T: Error + Send + Sync + 'static>() {}
    error::<wapc::errors::Error>();
    error::<wasmtime_provider::errors::Error>();

    fn read() -> Result<Vec<u8>> {
        Ok(std::fs::read("/no/such/module.wasm")?)
    }
    let io = read().unwrap_err();
    assert!(io.to_string().starts_with("I/O Error: "), "{io}");
    let source = io.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);

    fn engine() -> std::result::Result<wasmtime_provider::wasmtime::Engine, wasmtime_provider::errors::Error>
    {
        Err(wasmtime_provider::wasmtime::Error::msg("no engine today"))?
    }
    let refused = engine().unwrap_err();
    assert_eq!(refused.to_string(), "no engine today");
    fn question_mark() -> Result<()> {
        Err(engine().map(drop).unwrap_err())?
    }
    assert!(question_mark().unwrap_err().to_string().ends_with("no engine today"));
    let boxed: BoxError = Box::new(question_mark().unwrap_err());
    assert!(boxed.to_string().ends_with("no engine today"));
}

/// A module state, as a program writes it to test its own provider.
#[derive(Default)]
struct Recorded(std::sync::Mutex<Vec<String>>);

impl Recorded {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

impl ModuleHost for Recorded {
    fn get_guest_request(&self) -> Option<Invocation> {
        Some(Invocation { operation: "op".to_owned(), msg: vec![1, 2] })
    }

    fn get_host_response(&self) -> Option<Vec<u8>> {
        Some(vec![3])
    }

    fn set_guest_error(&self, error: String) {
        self.note(&error);
    }

    fn set_guest_response(&self, response: Vec<u8>) {
        self.note(&format!("{response:?}"));
    }

    fn get_host_error(&self) -> Option<String> {
        None
    }

    fn do_host_call(
        &self,
        bd: &str,
        ns: &str,
        op: &str,
        payload: &[u8],
    ) -> std::result::Result<i32, Box<dyn Error>> {
        self.note(&format!("{bd}{ns}{op}{payload:?}"));
        Ok(1)
    }

    fn do_console_log(&self, msg: &str) {
        self.note(msg);
    }
}

#[async_trait::async_trait]
impl ModuleHostAsync for Recorded {
    async fn get_guest_request(&self) -> Option<Invocation> {
        ModuleHost::get_guest_request(self)
    }

    async fn get_host_response(&self) -> Option<Vec<u8>> {
        ModuleHost::get_host_response(self)
    }

    async fn set_guest_error(&self, error: String) {
        ModuleHost::set_guest_error(self, error);
    }

    async fn set_guest_response(&self, response: Vec<u8>) {
        ModuleHost::set_guest_response(self, response);
    }

    async fn get_host_error(&self) -> Option<String> {
        ModuleHost::get_host_error(self)
    }

    async fn do_host_call(
        &self,
        bd: &str,
        ns: &str,
        op: &str,
        payload: &[u8],
    ) -> std::result::Result<i32, Box<dyn Error>> {
        ModuleHost::do_host_call(self, bd, ns, op, payload)
    }

    async fn do_console_log(&self, msg: &str) {
        ModuleHost::do_console_log(self, msg);
    }
}

#[test]
fn the_host_traits_can_be_implemented_and_made_objects() {
    let recorded = Arc::new(Recorded::default());
    let host: Arc<dyn ModuleHost> = recorded.clone();
    host.do_console_log("logged");
    host.set_guest_response(host.get_guest_request().unwrap().msg);
    assert_eq!(host.do_host_call("b", "n", "o", &[]).unwrap(), 1);
    let host: Arc<dyn ModuleHostAsync + Send + Sync> = recorded.clone();
    crate::hosts::runtime().block_on(async { host.set_guest_error("failed".to_owned()).await });
    assert_eq!(*recorded.0.lock().unwrap(), ["logged", "[1, 2]", "bno[]", "failed"]);
}

#[test]
fn traits_of_the_provider_s_types() {
    send_sync::<WasmtimeEngineProviderBuilder<'_>>();
    send_sync::<WasmtimeEngineProviderPre>();
    send_sync::<WasmtimeEngineProviderAsyncPre>();
    send::<WasmtimeEngineProvider>();
    send::<WasmtimeEngineProviderAsync>();
    cloned::<WasmtimeEngineProvider>();
    cloned::<WasmtimeEngineProviderAsync>();
    cloned::<WasmtimeEngineProviderPre>();
    cloned::<WasmtimeEngineProviderAsyncPre>();
    copied::<EpochDeadlines>();
    copied::<ResourceLimits>();
    let unlimited = ResourceLimits::default();
    assert_eq!((unlimited.max_memory_size, unlimited.max_table_elements), (None, None));
    fn provider<T: WebAssemblyEngineProvider + 'static>() {}
    provider::<WasmtimeEngineProvider>();
    fn provider_async<T: WebAssemblyEngineProviderAsync + 'static>() {}
    provider_async::<WasmtimeEngineProviderAsync>();
}
