//! A policy server, the way Kubewarden's uses the two crates: modules are compiled once and shared, an engine of its own
//! has its epochs advanced by a thread of its own, and each request gets a fresh instance with a callback that knows
//! whose request it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wapc::WapcHost;
use wasmtime_provider::wasmtime::{Config, Engine, Module};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre};

/// What the host does for the policies, given whose request it serves.
pub type Capability =
    dyn Fn(&Context, &str, &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// What a policy's calls of the host are answered from.
#[derive(Clone)]
pub struct Context {
    /// Whose request is evaluated.
    pub request: String,
    /// What policies may ask for.
    pub capability: Arc<Capability>,
}

/// Why a request got no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum EvaluationError {
    /// The policy took longer than it may.
    Interrupted,
    /// The policy could not be set up.
    Setup(String),
    /// The policy failed.
    Policy(String),
}

/// One engine with the thread that advances its epochs.
pub struct Server {
    engine: Engine,
    stop: Arc<AtomicBool>,
    ticker: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the ticker.
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

    /// Compiles a policy, once.
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
    /// A fresh instance for one request.
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

/// All that there was to tell a deadline from other failures is the text.
fn classified(text: &str, otherwise: fn(String) -> EvaluationError) -> EvaluationError {
    if text.contains("interrupted, execution deadline exceeded") {
        EvaluationError::Interrupted
    } else {
        otherwise(text.to_owned())
    }
}
