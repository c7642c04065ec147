//! `antiphon call`.

use std::sync::Arc;
use std::time::Instant;

use antiphon::{EngineProviderFactory, Limits, WapcHost, WapcHostAsync};

use crate::cli::{CallArgs, Mode};
use crate::failure::Failure;
use crate::host_call::Rules;
use crate::latency::Latency;
use crate::{engine, input, messages, output, spinner};

/// Everything that a call needs, in either mode.
struct Prepared<'a> {
    operation: &'a str,
    payload: Vec<u8>,
    repeat: u64,
    rules: Rules,
    limits: Limits,
    factory: Arc<dyn EngineProviderFactory>,
}

pub(crate) fn run(args: &CallArgs) -> Result<(), Failure> {
    let call = prepare(args)?;
    let mut latency = Latency::new()?;
    let answer = match args.mode {
        Mode::Sync => call.run(&mut latency),
        Mode::Async => call.run_async(&mut latency),
    };
    if args.repeat.is_some() {
        messages::plain(&latency.summary());
    }
    output::write(&answer?)
}

fn prepare(args: &CallArgs) -> Result<Prepared<'_>, Failure> {
    let limits = args.limits();
    // The module before the payload: a wrong path is known before somebody types a payload.
    let module = input::module(&args.module, &limits)?;
    let rules = Rules::load(&args.host_call, limits.host_payload())?;
    let payload = input::payload(args, &limits)?;
    let factory = spinner::during("compiling the module", || engine::factory(args, limits, &module))?;
    if !args.wasi.grants_nothing() && !engine::imports_wasi(factory.module_info()) {
        messages::warning("the module imports no WASI: --env, --arg and --dir do not reach it");
    }
    let (operation, repeat) = (args.operation.as_str(), args.repeat.unwrap_or(1));
    Ok(Prepared { operation, payload, repeat, rules, limits, factory })
}

impl Prepared<'_> {
    fn run(self, latency: &mut Latency) -> Result<Vec<u8>, Failure> {
        let host = WapcHost::builder(self.factory.provider()?)
            .limits(self.limits)
            .handler(self.rules)
            .log(messages::guest)
            .build()?;
        let mut answer = Vec::new();
        for _ in 0..self.repeat {
            let started = Instant::now();
            host.call_into(self.operation, &self.payload, &mut answer)?;
            latency.record(started.elapsed());
        }
        Ok(answer)
    }

    fn run_async(self, latency: &mut Latency) -> Result<Vec<u8>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::System("cannot start the asynchronous runtime", error))?;
        let answer = runtime.block_on(async {
            let host = WapcHostAsync::builder(self.factory.provider_async()?)
                .limits(self.limits)
                .handler_sync(self.rules)
                .log(messages::guest)
                .build()
                .await?;
            let mut answer = Vec::new();
            for _ in 0..self.repeat {
                let started = Instant::now();
                host.call_into(self.operation, &self.payload, &mut answer).await?;
                latency.record(started.elapsed());
            }
            Ok(answer)
        });
        // A thread that is stuck in a file of a granted directory (a pipe, say) must not hold up the end.
        runtime.shutdown_background();
        answer
    }
}
