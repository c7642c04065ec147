//! Soaks the pool: `cargo xtask soak --pool --minutes N`.
//!
//! The soak knows hosts, and the pool knows the soak, so the conformance crate does not depend on
//! the pool.

use std::process::ExitCode;
use std::time::Duration;

use antiphon::errors::Error;
use antiphon::{Request, Response};
use antiphon_conformance::{Callee, Parts, Setup, SoakLength, soak_callees};
use antiphon_host::{EngineKind, EngineOptions};
use antiphon_pool::HostPool;
use clap::Parser;

/// Fewer instances than callers, so that calls wait.
const INSTANCES: usize = 3;
/// More than all callers together. A refusal would be correct, but the soak does not look for it.
const QUEUE: usize = 64;
/// Calls per instance, so that instances are also rebuilt because of their age.
const RECYCLE: u64 = 10_000;

/// Calls pools of an engine for some time, and prints the results.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    length: SoakLength,
    /// On which engine
    #[arg(long, default_value_t = EngineKind::Wasmtime)]
    engine: EngineKind,
}

struct Pool(HostPool);

#[antiphon::async_trait]
impl Callee for Pool {
    async fn call(&self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.call(operation, payload).await
    }

    async fn call_with(&self, request: Request<'_>) -> Result<Response, Error> {
        self.0.call_with(request).await
    }

    async fn replace(&self, module: &[u8]) -> Result<(), Error> {
        self.0.replace(module).await.map(|_version| ())
    }

    async fn end(&self) -> Result<(), String> {
        let stats = self.0.stats();
        let drained = self.0.drain(Duration::from_secs(10)).await;
        let after = self.0.stats();
        let is_back = (stats.busy, stats.queued, drained.running, drained.queued) == (0, 0, 0, 0)
            && (after.idle, after.starting) == (0, 0);
        println!(
            "a pool: {} calls, {} dropped, {} rebuilds, {} versions, waited {:?} at p99",
            stats.calls,
            stats.dropped,
            stats.rebuilds,
            stats.replaced + 1,
            stats.wait.quantile(0.99)
        );
        if is_back { Ok(()) } else { Err(format!("{stats:#?}, {drained:?}, then {after:#?}")) }
    }
}

async fn build(parts: Parts) -> Result<Pool, Error> {
    let builder = HostPool::builder(parts.factory()).min(1).max(INSTANCES).queue(QUEUE);
    let builder = builder.recycle_after(RECYCLE).limits(parts.limits()).isolation(parts.isolation());
    builder.handler(parts.handler()).log(parts.log()).build().await.map(Pool)
}

fn main() -> ExitCode {
    let Arguments { length, engine } = Arguments::parse();
    let setup = Setup::new(format!("a pool of {engine}"));
    soak_callees(
        setup,
        length,
        move |module| {
            let mut options = EngineOptions::new()
                .limits(module.limits())
                .wasi(module.wasi())
                .wasi_params(module.wasi_params())
                .cooperative(module.cooperative())
                .isolation(module.isolation());
            if let Some((seed, clock)) = module.deterministic() {
                options = options.deterministic(seed, clock);
            }
            engine.factory(module.bytes(), &options)
        },
        build,
    )
}
