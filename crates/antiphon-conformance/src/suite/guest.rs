//! The guest of a case, with everything that it is started with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::{
    CancelHandle, Capabilities, HostCall, HostRouter, Isolation, Limits, LogLine, LogStream, WasiParams,
};

use super::Module;
use crate::support::{Answer, Handler, Said, lock, panic_quietly, wat};

/// A guest, and what its provider and its host are built with.
#[derive(Clone)]
#[must_use]
pub(crate) struct Guest {
    pub(crate) module: Module,
    pub(crate) host_limits: Option<Limits>,
    pub(crate) host_isolation: Option<Isolation>,
    pub(crate) handler: Option<Handler>,
    pub(crate) router: Option<Arc<HostRouter>>,
    pub(crate) host_calls_in_init: bool,
    pub(crate) stop: Option<CancelHandle>,
    pub(crate) log: Option<Log>,
    pub(crate) patient: bool,
}

impl Guest {
    /// Returns a guest of the suite. `body` has `(func $run (param i32 i32) (result i32) ..)` and
    /// what that needs, imports first; `wat.rs` adds the rest.
    pub(crate) fn new(body: &str) -> Self {
        Self::binary(wat::guest(body, None))
    }

    /// Returns a guest like that of [`new`](Self::new), with a memory of its own.
    pub(crate) fn with_memory(memory: &str, body: &str) -> Self {
        Self::binary(wat::guest(body, Some(memory)))
    }

    /// Returns a guest of a whole module in the text format.
    pub(crate) fn module(text: &str) -> Self {
        Self::binary(wat::module(text))
    }

    /// Returns a guest of any bytes, which need not be a module.
    pub(crate) fn binary(bytes: Vec<u8>) -> Self {
        let (limits, wasi_params) = (Limits::new(), WasiParams::default());
        Self {
            module: Module {
                bytes,
                limits,
                wasi: true,
                wasi_params,
                cooperative: true,
                isolation: Isolation::Reuse,
                deterministic: None,
            },
            host_limits: None,
            host_isolation: None,
            handler: None,
            router: None,
            host_calls_in_init: false,
            stop: None,
            log: None,
            patient: false,
        }
    }

    /// Sets limits on both sides, provider and host.
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.module.limits = limits;
        self
    }

    /// Sets limits for the host that differ from the provider's.
    pub(crate) fn host_limits(mut self, limits: Limits) -> Self {
        self.host_limits = Some(limits);
        self
    }

    /// Gives each call a deadline that it never reaches, for cases whose calls wait for many others
    /// or whose machine is busy. On an engine without deadlines it sets none.
    pub(crate) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Returns the limits of the host, on an engine of these capabilities.
    pub(crate) fn limits_of_host(&self, capabilities: &Capabilities) -> Limits {
        let limits = self.host_limits.unwrap_or(self.module.limits);
        if self.patient && capabilities.deadline { limits.deadline(Duration::from_secs(100)) } else { limits }
    }

    /// Sets whether calls share an instance, for the provider and the host.
    pub(crate) fn isolation(mut self, isolation: Isolation) -> Self {
        self.module.isolation = isolation;
        self
    }

    /// Sets a host's isolation that differs from the provider's.
    pub(crate) fn host_isolation(mut self, isolation: Isolation) -> Self {
        self.host_isolation = Some(isolation);
        self
    }

    /// Returns the isolation that the host is built with.
    pub(crate) fn isolation_of_host(&self) -> Isolation {
        self.host_isolation.unwrap_or(self.module.isolation)
    }

    pub(crate) fn wasi(mut self, allowed: bool) -> Self {
        self.module.wasi = allowed;
        self
    }

    pub(crate) fn wasi_params(mut self, params: WasiParams) -> Self {
        self.module.wasi_params = params;
        self
    }

    /// Asks for the deterministic mode, with a seed and a time.
    pub(crate) fn deterministic(mut self, seed: u64, clock: Duration) -> Self {
        self.module.deterministic = Some((seed, clock));
        self
    }

    /// Sets a handler that may wait before it answers.
    pub(crate) fn handler(mut self, answer: impl Fn(HostCall<'_>) -> Answer + Send + Sync + 'static) -> Self {
        self.handler = Some(Handler::new(answer));
        self
    }

    /// Sets a handler that answers at once.
    pub(crate) fn answers(mut self, answer: impl Fn(HostCall<'_>) -> Said + Send + Sync + 'static) -> Self {
        self.handler = Some(Handler::at_once(answer));
        self
    }

    /// Sets a router as the handler.
    pub(crate) fn router(mut self, router: &Arc<HostRouter>) -> Self {
        self.router = Some(Arc::clone(router));
        self
    }

    pub(crate) fn host_calls_in_init(mut self) -> Self {
        self.host_calls_in_init = true;
        self
    }

    /// Sets the handle that stops all calls of the host.
    pub(crate) fn stop(mut self, handle: &CancelHandle) -> Self {
        self.stop = Some(handle.clone());
        self
    }

    pub(crate) fn log(mut self, log: &Log) -> Self {
        self.log = Some(log.clone());
        self
    }
}

/// The log of a case's guest.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    panics: bool,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) host_id: u64,
    pub(crate) operation: String,
    pub(crate) stream: LogStream,
    pub(crate) text: String,
}

impl Log {
    /// Returns a log that panics at each line.
    pub(crate) fn panicking() -> Self {
        Self { panics: true, ..Self::default() }
    }

    pub(crate) fn push(&self, line: LogLine<'_>) {
        if self.panics {
            panic_quietly("out of paper");
        }
        let LogLine { host_id, operation, stream, text, .. } = line;
        let line = Line { host_id, operation: operation.to_owned(), stream, text: text.to_owned() };
        lock(&self.lines).push(line);
    }

    /// Returns the lines so far and clears the log.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *lock(&self.lines))
    }

    /// Returns the texts of the lines so far and clears the log.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.take().into_iter().map(|line| line.text).collect()
    }
}
