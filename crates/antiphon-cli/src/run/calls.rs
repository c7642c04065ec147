//! Starts a host in either mode and calls it repeatedly.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use antiphon::errors::Error;
use antiphon::{EngineProviderFactory, HostHandler, Limits, LogLine, WapcHost, WapcHostAsync};

use crate::args::Mode;
use crate::failure::Failure;

/// What to start a host with, and what to call it with.
#[derive(Debug)]
pub(crate) struct Calls<'a, Handler, Log> {
    pub(crate) operation: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) limits: Limits,
    pub(crate) handler: Handler,
    pub(crate) log: Log,
}

/// How a call ended: with its answer, which the receiver may take, or with an error.
pub(crate) type Ended<'a> = Result<&'a mut Vec<u8>, Error>;

impl<Handler, Log> Calls<'_, Handler, Log>
where
    Handler: HostHandler + 'static,
    Log: Fn(LogLine<'_>) + Send + Sync + 'static,
{
    /// Starts a host, then calls until `each` breaks. `each` receives the end and the duration of
    /// every call. Returns how long the start took.
    ///
    /// All calls happen within one entry into the runtime, so that entering it is not part of their
    /// durations.
    pub(crate) fn make(
        self,
        mode: Mode,
        factory: &dyn EngineProviderFactory,
        each: impl FnMut(Ended<'_>, Duration) -> ControlFlow<()>,
    ) -> Result<Duration, Failure> {
        match mode {
            Mode::Sync => self.make_sync(factory, each),
            Mode::Async => self.make_async(factory, each),
        }
    }

    fn make_sync(
        self,
        factory: &dyn EngineProviderFactory,
        mut each: impl FnMut(Ended<'_>, Duration) -> ControlFlow<()>,
    ) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let host = WapcHost::builder(factory.provider()?)
            .limits(self.limits)
            .handler(self.handler)
            .log(self.log)
            .build()?;
        let start = begun.elapsed();
        let mut answer = Vec::new();
        loop {
            let begun = Instant::now();
            let ended = host.call_into(self.operation, self.payload, &mut answer);
            let time = begun.elapsed();
            if each(ended.map(|_| &mut answer), time).is_break() {
                return Ok(start);
            }
        }
    }

    fn make_async(
        self,
        factory: &dyn EngineProviderFactory,
        mut each: impl FnMut(Ended<'_>, Duration) -> ControlFlow<()>,
    ) -> Result<Duration, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::System("cannot start the asynchronous runtime", error))?;
        runtime.block_on(async {
            let begun = Instant::now();
            let host = WapcHostAsync::builder(factory.provider_async()?)
                .limits(self.limits)
                .handler_sync(self.handler)
                .log(self.log)
                .build()
                .await?;
            let start = begun.elapsed();
            let mut answer = Vec::new();
            loop {
                let begun = Instant::now();
                let ended = host.call_into(self.operation, self.payload, &mut answer).await;
                let time = begun.elapsed();
                if each(ended.map(|_| &mut answer), time).is_break() {
                    return Ok(start);
                }
            }
        })
    }
}
