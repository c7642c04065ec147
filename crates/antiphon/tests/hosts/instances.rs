//! Checks that instances do not disturb each other: an old one that is not quite gone, a new one on
//! its way.

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};

use antiphon::errors::{BoxError, ErrorKind, Fate};
use antiphon::module_info::ModuleInfo;
use antiphon::testing::TestEngine;
use antiphon::{
    BoxFuture, Capabilities, Conversation, EngineProviderFactory, ModuleState, ModuleStateAsync, Request,
    WapcHost, WapcHostAsync, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync, async_trait,
    block_on,
};

/// An engine of `wapc` 2.x's shape, whose abandoned calls go on writing to the state of their
/// instance.
struct Leftover {
    states: Arc<Mutex<Vec<Arc<ModuleStateAsync>>>>,
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Leftover {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.states.lock().unwrap().push(host);
        Ok(())
    }

    async fn call(&mut self, op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        if op_length == 4 {
            std::future::pending::<()>().await;
        }
        // The call before answers now, through the state that it kept. This call answers nothing.
        let first = Arc::clone(&self.states.lock().unwrap()[0]);
        first.set_guest_response(b"of the call before".to_vec()).await;
        Ok(1)
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
        if bytes == b"hang" {
            std::future::pending::<()>().await;
        }
        Err("not here".into())
    }
}

#[test]
fn what_a_dropped_call_or_replacement_still_writes_never_reaches_the_next_call() {
    leaves_nothing(|host| Box::pin(async { drop(host.call("hang", b"").await) }));
    leaves_nothing(|host| Box::pin(async { drop(host.replace_module(b"hang").await) }));
}

/// Begins a call or a replacement that hangs, drops it, and calls.
fn leaves_nothing(begin: for<'a> fn(&'a WapcHostAsync) -> BoxFuture<'a, ()>) {
    let states = Arc::default();
    let engine = Leftover { states: Arc::clone(&states) };
    let host = block_on(WapcHostAsync::new(Box::new(engine), None)).unwrap();
    {
        let mut hanging = pin!(begin(&host));
        assert!(hanging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let error = block_on(host.call("answer", b"")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GuestMisbehaved, "this call has set nothing: {error:?}");
    assert_eq!(states.lock().unwrap().len(), 2);
}

/// Runs twice during a replacement: while the module is compiled, and while it is started.
type OnTheWay = Arc<dyn Fn() + Send + Sync>;

/// An engine in memory, with a factory that takes its time.
#[derive(Clone)]
struct Slow {
    engine: TestEngine,
    /// Runs at the start of an instance of a replaced module.
    start: Option<OnTheWay>,
    compile: OnTheWay,
    info: ModuleInfo,
}

impl Slow {
    fn new(compile: impl Fn() + Send + Sync + 'static) -> Self {
        let engine = TestEngine::new().operation("echo", |payload| Ok(payload.to_vec()));
        Self { engine, start: None, compile: Arc::new(compile), info: ModuleInfo::default() }
    }

    fn starts(&self) {
        if let Some(start) = &self.start {
            start();
        }
    }
}

impl WebAssemblyEngineProvider for Slow {
    fn init(&mut self, _host: Arc<ModuleState>) -> Result<(), BoxError> {
        self.starts();
        Ok(())
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("the host calls `converse`".into())
    }

    fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err("the host asks the factory".into())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        WebAssemblyEngineProvider::converse(&mut self.engine, conversation)
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Slow {
    async fn init(&mut self, _host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.starts();
        Ok(())
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("the host calls `converse_async`".into())
    }

    async fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err("the host asks the factory".into())
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        self.engine.converse_async(conversation)
    }

    fn factory(&self) -> Option<Arc<dyn EngineProviderFactory>> {
        Some(Arc::new(self.clone()))
    }
}

impl EngineProviderFactory for Slow {
    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
    }

    fn module_info(&self) -> &ModuleInfo {
        &self.info
    }

    fn provider(&self) -> Result<Box<dyn WebAssemblyEngineProvider + Send>, BoxError> {
        Ok(Box::new(self.clone()))
    }

    fn provider_async(&self) -> Result<Box<dyn WebAssemblyEngineProviderAsync + Send>, BoxError> {
        Ok(Box::new(self.clone()))
    }

    fn with_module(&self, _bytes: &[u8]) -> Result<Arc<dyn EngineProviderFactory>, BoxError> {
        (self.compile)();
        Ok(Arc::new(Self { start: Some(Arc::clone(&self.compile)), ..self.clone() }))
    }
}

/// The threads on which the steps of a replacement ran. Each step has made a call of the host.
type Steps = Arc<Mutex<Vec<ThreadId>>>;

#[test]
fn the_old_module_answers_while_the_new_one_is_compiled_and_started() {
    static HOST: OnceLock<WapcHost> = OnceLock::new();
    let steps = Steps::default();
    let seen = Arc::clone(&steps);
    let engine = Slow::new(move || {
        assert_eq!(HOST.get().unwrap().call("echo", b"meanwhile").unwrap(), b"meanwhile");
        seen.lock().unwrap().push(thread::current().id());
    });
    let host = HOST.get_or_init(|| WapcHost::new(Box::new(engine), None).unwrap());
    host.replace_module(b"next").unwrap();
    assert_eq!(steps.lock().unwrap().len(), 2);
    assert_eq!(host.call("echo", b"after").unwrap(), b"after");
}

#[test]
fn an_asynchronous_host_compiles_off_the_thread_of_its_caller_and_answers_meanwhile() {
    static HOST: OnceLock<WapcHostAsync> = OnceLock::new();
    let steps = Steps::default();
    let seen = Arc::clone(&steps);
    let engine = Slow::new(move || {
        assert_eq!(block_on(HOST.get().unwrap().call("echo", b"meanwhile")).unwrap(), b"meanwhile");
        seen.lock().unwrap().push(thread::current().id());
    });
    let host = HOST.get_or_init(|| block_on(WapcHostAsync::new(Box::new(engine), None)).unwrap());
    block_on(host.replace_module(b"next")).unwrap();
    let steps = steps.lock().unwrap();
    assert_eq!(steps.len(), 2);
    assert_ne!(steps[0], thread::current().id(), "compiled on the thread of an executor");
    assert_eq!(block_on(host.call("echo", b"after")).unwrap(), b"after");
}

/// Runs its guest, an echo, on another thread than its caller's.
struct Elsewhere;

impl Elsewhere {
    fn run(conversation: &mut Conversation) -> Result<i32, BoxError> {
        let mut memory = vec![0; 1 << 16];
        let run = || {
            conversation.guest_request(&mut memory, 0, 1024)?;
            conversation.guest_response(&memory, 1024, conversation.lengths().1)?;
            Ok(1)
        };
        thread::scope(|scope| scope.spawn(run).join().unwrap())
    }
}

impl WebAssemblyEngineProvider for Elsewhere {
    fn init(&mut self, _host: Arc<ModuleState>) -> Result<(), BoxError> {
        Ok(())
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("not here".into())
    }

    fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err("not here".into())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        Some(Self::run(conversation))
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for Elsewhere {
    async fn init(&mut self, _host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        Ok(())
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("not here".into())
    }

    async fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err("not here".into())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        Some(Self::run(conversation))
    }
}

#[test]
fn a_guest_on_another_thread_than_its_callers_is_refused_what_was_only_lent() {
    let (lent, copied) = (vec![7; 4096], vec![7; 16]);
    let check = |call: &dyn Fn(Request<'_>) -> antiphon::errors::Result<Vec<u8>>| {
        let error = call(Request::new("echo", &lent)).unwrap_err();
        assert_eq!((error.kind(), error.fate()), (ErrorKind::Engine, Fate::Discarded));
        assert!(error.to_string().contains("on another thread"), "{error}");
        assert_eq!(call(Request::new("echo", &copied)).unwrap(), copied);
        assert_eq!(call(Request::new("echo", lent.clone())).unwrap(), lent, "owned, and so moved");
    };
    let host = WapcHost::new(Box::new(Elsewhere), None).unwrap();
    check(&|request| Ok(host.call_with(request)?.payload));
    let host = block_on(WapcHostAsync::new(Box::new(Elsewhere), None)).unwrap();
    check(&|request| Ok(block_on(host.call_with(request))?.payload));
}
