//! What many callers call: a host or another callee, with a guest that serves every kind of call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon::errors::Error;
use antiphon::{Bytes, CancelHandle, HostCall, Limits};

use super::canary::{Canary, Text};
use crate::load::{Callee, Parts};
use crate::suite::{Guest, Log, Mode, Subject};
use crate::support::Answer;

/// The first letter of the operation selects what the guest does; see [`Kind`](super::Kind). The
/// operation is at 256, the request at 4096, the host's answer at 1024.
const GUEST: &str = r#"
  (func $run (param $op i32) (param $msg i32) (result i32)
    (local $kind i32) (local $ok i32)
    (call $guest_request (i32.const 256) (i32.const 4096))
    (local.set $kind (i32.load8_u (i32.const 256)))
    (if (i32.eq (local.get $kind) (i32.const 101)) ;; e
      (then (return (call $answer (i32.const 4096) (local.get $msg)))))
    (if (i32.eq (local.get $kind) (i32.const 108)) ;; l
      (then
        (call $console_log (i32.const 4096) (local.get $msg))
        (return (call $answer (i32.const 4096) (local.get $msg)))))
    (if (i32.eq (local.get $kind) (i32.const 102)) ;; f
      (then (return (call $fail (i32.const 4096) (local.get $msg)))))
    (if (i32.eq (local.get $kind) (i32.const 116)) ;; t
      (then (call $guest_error (i32.const 4096) (local.get $msg)) unreachable))
    (if (i32.eq (local.get $kind) (i32.const 98)) ;; b
      (then
        (loop $again
          (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable))
    (if (i32.eq (local.get $kind) (i32.const 115)) ;; s
      (then (call $spin)))
    (local.set $ok (call $host_call
      (i32.const 65472) (i32.const 7) (i32.const 65479) (i32.const 9)
      (i32.const 256) (local.get $op) (i32.const 4096) (local.get $msg)))
    (if (i32.eq (local.get $kind) (i32.const 99)) ;; c
      (then (call $spin)))
    (call $relay (local.get $ok)))
"#;

pub(crate) struct Site {
    pub(super) callee: Arc<dyn Callee>,
    /// Whether the site's handlers may wait.
    pub(super) mode: Mode,
    pub(super) log: Log,
    /// How many lines came out of the log, and how many should have.
    pub(super) lines: AtomicU64,
    pub(super) logged: AtomicU64,
    pub(super) module: Vec<u8>,
    pub(super) trapping: Vec<u8>,
}

impl Site {
    /// Starts a site with one host.
    pub(crate) async fn start(subject: &Subject) -> Result<Self, Error> {
        let (guest, log) = guest(subject.mode());
        let factory = subject.factory(&guest)?;
        let module = guest.module.bytes.clone();
        let host = subject.start_later(&*factory, guest).await?;
        Ok(Self::new(Arc::new(host), subject.mode(), log, module))
    }

    /// Starts a site with a callee that `build` makes.
    pub(crate) async fn build<F, E>(subject: &Subject, build: &F) -> Result<Self, Error>
    where
        F: AsyncFn(Parts) -> Result<E, Error>,
        E: Callee + 'static,
    {
        let (guest, log) = guest(subject.mode());
        let Some(handler) = guest.handler.clone() else { unreachable!("the guest has a handler") };
        let factory = subject.factory(&guest)?;
        let limits = guest.limits_of_host(&factory.capabilities());
        let parts = Parts { factory, limits, isolation: subject.isolation(), handler, log: log.clone() };
        let callee = build(parts).await?;
        Ok(Self::new(Arc::new(callee), subject.mode(), log, guest.module.bytes))
    }

    fn new(callee: Arc<dyn Callee>, mode: Mode, log: Log, module: Vec<u8>) -> Self {
        let trapping = Guest::new(&format!("(start $trap) (func $trap unreachable) {GUEST}")).module.bytes;
        let (lines, logged) = Default::default();
        Self { callee, mode, log, lines, logged, module, trapping }
    }

    /// Checks the lines that any call has logged since the last check.
    pub(super) fn check_log(&self) -> Result<(), String> {
        for line in self.log.take() {
            self.lines.fetch_add(1, Ordering::Relaxed);
            let right = Canary::of_operation(&line.operation)
                .is_some_and(|call| call.text(Text::Request) == line.text.as_bytes());
            if !right || self.callee.host_id().is_some_and(|id| line.host_id != id) {
                return Err(format!("a line of the log is not of its call: {line:?}"));
            }
        }
        Ok(())
    }

    /// Asks the callee whether everything was given back, once no call runs.
    pub(crate) async fn end(&self) -> Result<(), String> {
        self.callee.end().await
    }

    /// Returns how many lines came out of the log, and how many should have. Once no call runs the
    /// two are equal.
    pub(crate) fn log_lines(&self) -> Result<(u64, u64), String> {
        self.check_log()?;
        Ok((self.lines.load(Ordering::Relaxed), self.logged.load(Ordering::Relaxed)))
    }
}

/// Returns the guest of a site, with the log that it writes to.
fn guest(mode: Mode) -> (Guest, Log) {
    let log = Log::default();
    let limits = Limits::new()
        .memory(4 << 20)
        // Every caller may have to wait for all the others.
        .deadline(Duration::from_secs(100))
        .init_deadline(Duration::from_secs(100));
    let guest = Guest::new(GUEST).limits(limits).log(&log).handler(move |call| answer(mode, call));
    (guest, log)
}

/// Answers a host call if all of its parts belong to one call.
fn answer(mode: Mode, call: HostCall<'_>) -> Answer {
    let Some(canary) = Canary::of_operation(call.operation) else {
        return Answer::Now(Err(format!("not an operation of the traffic: {:?}", call.operation).into()));
    };
    let foreign = call.payload != canary.text(Text::Request)
        || call.context().get::<Canary>().is_some_and(|of_context| *of_context != canary);
    if foreign {
        let (context, payload) = (call.context().get::<Canary>(), String::from_utf8_lossy(call.payload));
        let text = format!("foreign bytes: {:?}, {context:x?}, {payload:?}", call.operation);
        return Answer::Now(Err(text.into()));
    }
    let said = Ok(Bytes::from(canary.text(Text::Answer)));
    match call.operation.as_bytes().first() {
        Some(b'w' | b'c') => {
            if let Some(cancel) = call.context().get::<CancelHandle>() {
                cancel.cancel();
            }
            match mode {
                Mode::Async if call.operation.starts_with('w') => Answer::Never,
                _ => Answer::Now(said),
            }
        }
        Some(b'd') if mode == Mode::Async => Answer::Later(Box::pin(async move {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            said
        })),
        _ => Answer::Now(said),
    }
}
