//! A policy server that uses the two crates as Kubewarden does. Modules are compiled once and
//! shared. The server has its own engine and a thread that advances its epochs. Each request gets a
//! fresh instance, and a callback that knows the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wapc::WapcHost;
use wasmtime_provider::wasmtime::{Config, Engine, Module};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre};

/// What the host does for policies, given the context of the request.
pub type Capability =
    dyn Fn(&Context, &str, &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// What answers a policy's host calls.
#[derive(Clone)]
pub struct Context {
    /// The request that is evaluated.
    pub request: String,
    /// The function that policies may call.
    pub capability: Arc<Capability>,
}

/// Why a request was not answered.
#[derive(Debug, PartialEq, Eq)]
pub enum EvaluationError {
    /// The policy exceeded its deadline.
    Interrupted,
    /// The policy could not be set up.
    Setup(String),
    /// The policy failed.
    Policy(String),
}

/// An engine, and the thread that advances its epochs.
pub struct Server {
    engine: Engine,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the thread.
    pub fn new(tick: Duration) -> Result<Self, wasmtime_provider::errors::Error> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ticker = std::thread::spawn({
            let (engine, stop) = (engine.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(tick);
                    engine.increment_epoch();
                }
            }
        });
        Ok(Self { engine, stop, ticker: Some(ticker) })
    }

    /// Compiles a policy.
    pub fn policy(
        &self,
        module: &[u8],
        deadlines: EpochDeadlines,
    ) -> Result<Policy, wasmtime_provider::errors::Error> {
        let module = Module::new(&self.engine, module)?;
        let pre =
            WasmtimeEngineProviderBuilder::new().engine(self.engine.clone()).module(module).build_pre()?;
        Ok(Policy { pre, deadlines })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

/// A compiled policy, shared by all threads.
#[derive(Clone)]
pub struct Policy {
    pre: WasmtimeEngineProviderPre,
    deadlines: EpochDeadlines,
}

impl Policy {
    /// Starts a fresh instance for one request.
    pub fn instance(&self, context: Context) -> Result<WapcHost, wapc::errors::Error> {
        let provider = self.pre.rehydrate(Some(self.deadlines))?;
        let callback: Box<wapc::HostCallback> =
            Box::new(move |_id, binding, namespace, operation, payload| {
                if (binding, namespace) != ("binding", "sample") {
                    return Err(format!("unknown capability {binding}/{namespace}").into());
                }
                (context.capability)(&context, operation, payload)
            });
        WapcHost::new(Box::new(provider), Some(callback))
    }

    /// Evaluates one request.
    pub fn evaluate(
        &self,
        context: Context,
        operation: &str,
        request: &[u8],
    ) -> Result<Vec<u8>, EvaluationError> {
        let host =
            self.instance(context).map_err(|error| classified(&error.to_string(), EvaluationError::Setup))?;
        host.call(operation, request).map_err(|error| classified(&error.to_string(), EvaluationError::Policy))
    }
}

/// Tells a deadline from other failures by the text, which was the only way.
fn classified(text: &str, otherwise: fn(String) -> EvaluationError) -> EvaluationError {
    if text.contains("interrupted, execution deadline exceeded") {
        EvaluationError::Interrupted
    } else {
        otherwise(text.to_owned())
    }
}
