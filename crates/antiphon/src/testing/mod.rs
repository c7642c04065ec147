//! An engine in memory, whose guests are Rust closures. It is for tests and examples without any
//! WebAssembly.

#[cfg(feature = "async")]
mod engine_async;
mod factory;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use crate::call::block_on;
use crate::conversation::Conversation;
use crate::engine::WebAssemblyEngineProvider;
use crate::engine::wapc2::ModuleState;
use crate::errors::{BoxError, Error, ErrorKind, Result};
use crate::survive::lock;

pub use factory::TestFactory;

type Start = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Operation = Arc<dyn Fn(TestGuest) -> GuestFuture + Send + Sync>;
type GuestFuture = std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// An engine whose guest is a table of closures.
///
/// It goes through the same conversation, limits and errors as an engine that runs WebAssembly. A
/// closure that panics is a guest that traps.
///
/// ```
/// use antiphon::{WapcHost, testing::TestEngine};
///
/// let engine = TestEngine::new()
///     .operation("shout", |payload| Ok(payload.to_ascii_uppercase()))
///     .operation_with_host("relay", |guest| async move {
///         guest.host_call("binding", "namespace", "operation", guest.payload()).await
///     });
/// let callback = |_id: u64, _: &str, _: &str, op: &str, payload: &[u8]| Ok([op.as_bytes(), payload].concat());
/// let host = WapcHost::new(Box::new(engine), Some(Box::new(callback)))?;
/// assert_eq!(host.call("shout", b"hey")?, b"HEY");
/// assert_eq!(host.call("relay", b"!")?, b"operation!");
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TestEngine {
    operations: BTreeMap<String, Operation>,
    starts: Arc<AtomicUsize>,
    start: Option<Start>,
}

impl TestEngine {
    /// Creates an engine whose guest has no operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation, which turns its payload into its answer or its error text.
    pub fn operation(
        self,
        name: impl Into<String>,
        run: impl Fn(&[u8]) -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Self {
        self.operation_with_host(name, move |guest| std::future::ready(run(guest.payload())))
    }

    /// Adds an operation that calls its host.
    pub fn operation_with_host<F>(
        mut self,
        name: impl Into<String>,
        run: impl Fn(TestGuest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    {
        self.operations.insert(name.into(), Arc::new(move |guest| Box::pin(run(guest))));
        self
    }

    /// Sets what runs at each start of an instance, as `wapc_init` does. An error fails the start.
    pub fn start(mut self, run: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.start = Some(Arc::new(run));
        self
    }

    /// Returns the number of instances that were started, which tests use to see what becomes of
    /// them.
    #[must_use]
    pub fn starts(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.starts)
    }

    /// Does the work of `init` in either mode.
    fn run_start(&self) -> Result<(), BoxError> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        let started = self.start.as_ref().map_or(Ok(()), |start| start());
        started.map_err(|text| Error::init("wapc_init", Error::new(ErrorKind::Trapped, text)).into())
    }

    /// Does what `__guest_call` does: reads the request, runs the closure, hands over its answer.
    fn guest_call(&self, conversation: &mut Conversation) -> Result<GuestCall> {
        let (op, msg) = conversation.lengths();
        let length = |value: i32| usize::try_from(value.cast_unsigned()).unwrap_or(usize::MAX);
        let mut memory = vec![0; length(op).saturating_add(length(msg))];
        conversation.guest_request(&mut memory, 0, op)?;
        let (operation, payload) = memory.split_at(length(op));
        let operation = String::from_utf8_lossy(operation);
        let guest = TestGuest { payload: payload.into(), port: Arc::default() };
        let port = Arc::clone(&guest.port);
        let future = match self.operations.get(&*operation) {
            Some(run) => catch_unwind(AssertUnwindSafe(|| run(guest))).map_err(|panic| trapped(&*panic))?,
            None => {
                let text = format!("no handler registered for operation {operation}");
                Box::pin(std::future::ready(Err(text)))
            }
        };
        Ok(GuestCall { future, port })
    }
}

/// A guest call that has begun.
struct GuestCall {
    future: GuestFuture,
    port: Arc<Port>,
}

impl GuestCall {
    /// Runs the closure until it is done (`Ok`) or calls its host (`Err`).
    async fn next(&mut self) -> Result<Result<Result<Vec<u8>, String>, Wanted>> {
        std::future::poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx))) {
                Err(panic) => return Poll::Ready(Err(trapped(&*panic))),
                Ok(Poll::Ready(answer)) => return Poll::Ready(Ok(Ok(answer))),
                Ok(Poll::Pending) => {}
            }
            match self.port.wanted().take() {
                Some(wanted) => Poll::Ready(Ok(Err(wanted))),
                None => Poll::Pending,
            }
        })
        .await
    }
}

fn finish(conversation: &mut Conversation, answer: Result<Vec<u8>, String>) -> Result<i32> {
    let wasm = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).cast_signed();
    match answer {
        Ok(bytes) => conversation.guest_response(&bytes, 0, wasm(&bytes)).map(|()| 1),
        Err(text) => conversation.guest_error(text.as_bytes(), 0, wasm(text.as_bytes())).map(|()| 0),
    }
}

fn trapped(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::new(ErrorKind::Trapped, text.unwrap_or_else(|| "the test guest panicked".into()))
}

/// The guest's side of a call in a [`TestEngine`].
#[derive(Debug)]
pub struct TestGuest {
    payload: Box<[u8]>,
    port: Arc<Port>,
}

impl TestGuest {
    /// Returns the payload of the call.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Calls the host.
    ///
    /// # Errors
    /// The error text of the host.
    pub async fn host_call(
        &self,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, String> {
        let parts = [binding.as_bytes(), namespace.as_bytes(), operation.as_bytes(), payload.as_ref()];
        *self.port.wanted() = Some(Wanted::new(parts));
        std::future::poll_fn(|_| match self.port.answer().take() {
            Some(answer) => Poll::Ready(answer),
            // Never woken: the engine polls again when it has put the answer here.
            None => Poll::Pending,
        })
        .await
    }
}

/// The place where a test guest and its engine exchange host calls and answers.
#[derive(Debug, Default)]
struct Port {
    wanted: Mutex<Option<Wanted>>,
    answer: Mutex<Option<Result<Vec<u8>, String>>>,
}

impl Port {
    fn wanted(&self) -> std::sync::MutexGuard<'_, Option<Wanted>> {
        lock(&self.wanted)
    }

    fn answer(&self) -> std::sync::MutexGuard<'_, Option<Result<Vec<u8>, String>>> {
        lock(&self.answer)
    }

    /// Reads what the host call left, as a guest would.
    fn put_answer(&self, conversation: &Conversation, returned: i32) -> Result<()> {
        let length = |value: i32| usize::try_from(value.cast_unsigned()).unwrap_or(usize::MAX);
        let answer = if returned == 0 {
            let mut text = vec![0; length(conversation.host_error_len())];
            conversation.host_error(&mut text, 0)?;
            Err(String::from_utf8_lossy(&text).into_owned())
        } else {
            let mut bytes = vec![0; length(conversation.host_response_len())];
            conversation.host_response(&mut bytes, 0)?;
            Ok(bytes)
        };
        *self.answer() = Some(answer);
        Ok(())
    }
}

/// A host call as a guest would lay it out in its memory.
#[derive(Debug)]
struct Wanted {
    memory: Vec<u8>,
    args: [i32; 8],
}

impl Wanted {
    fn new(parts: [&[u8]; 4]) -> Self {
        let wasm = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).cast_signed();
        let mut memory = Vec::new();
        let mut args = [0; 8];
        for (pair, part) in args.chunks_exact_mut(2).zip(parts) {
            if let [ptr, len] = pair {
                (*ptr, *len) = (wasm(memory.len()), wasm(part.len()));
            }
            memory.extend_from_slice(part);
        }
        Self { memory, args }
    }
}

impl WebAssemblyEngineProvider for TestEngine {
    fn init(&mut self, _host: Arc<ModuleState>) -> Result<(), BoxError> {
        self.run_start()
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("the host calls `converse`".into())
    }

    fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err(Error::new(ErrorKind::Unsupported, "the in-memory engine has no modules to replace").into())
    }

    fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
        let mut run = || {
            let mut call = self.guest_call(conversation)?;
            loop {
                match block_on(call.next())? {
                    Ok(answer) => return finish(conversation, answer),
                    Err(wanted) => {
                        let returned = conversation.host_call(&wanted.memory, wanted.args)?;
                        call.port.put_answer(conversation, returned)?;
                    }
                }
            }
        };
        Some(run().map_err(Into::into))
    }
}

impl fmt::Debug for TestEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEngine").field("operations", &self.operations.keys()).finish_non_exhaustive()
    }
}
