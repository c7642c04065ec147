//! A guest that never ends, stuck in a given place.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind, Phase};
use antiphon::ticker::TICK;
use antiphon::{EngineProviderFactory, Limits, Request};

use super::lateness::Gaps;
use crate::suite::{Guest, Host, Mode, Subject};
use crate::support::{Answer, Failure, cause, deadline_in, lock};

/// Where the guest is when its time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    StartSection,
    Init,
    Call,
    /// In a host call: the handler blocks past the deadline, or is pending forever.
    Handler,
}

impl Place {
    pub(super) const ALL: [Self; 4] = [Self::Call, Self::Init, Self::StartSection, Self::Handler];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StartSection => "start section",
            Self::Init => "init",
            Self::Call => "call",
            Self::Handler => "handler",
        }
    }

    /// Returns the module that gets stuck here. It calls its host nowhere else: without a
    /// processor, time may run out even in a host call that is answered at once.
    pub(super) fn module(self) -> Guest {
        let run = "(func $run (param i32 i32) (result i32) (call $spin) (i32.const 1))";
        match self {
            Self::StartSection => Guest::new(&format!("(start $spin) {run}")),
            Self::Init => Guest::new(&format!(r#"(func (export "wapc_init") (call $spin)) {run}"#)),
            Self::Call => Guest::new(run),
            Self::Handler => Guest::new(
                "(func $run (param i32 i32) (result i32)
                   (drop (call $ask (i32.const 0) (i32.const 0))) (call $spin) (i32.const 1))",
            ),
        }
    }

    /// Checks that an error is the right one for this place.
    #[track_caller]
    fn check(self, error: &Error) {
        match self {
            Self::StartSection | Self::Init => {
                Failure::INIT_FAILED.check(error);
                let cause = cause(error);
                assert_eq!((cause.kind(), cause.phase()), (ErrorKind::DeadlineExceeded, Some(Phase::Guest)));
                assert!(error.is_deadline(), "{error:#?}");
                // An asynchronous host that gets no processor for some ticks ends the start itself,
                // and does not know which function ran.
                let text = error.to_string();
                let function = if self == Self::Init { "wapc_init" } else { "start section" };
                let known = [function, "instance"].map(|name| {
                    format!("Initialization failed: {name} init interrupted, execution deadline exceeded")
                });
                assert!(known.contains(&text), "{text:?} is none of {known:?}");
            }
            Self::Call => {
                Failure::DEADLINE_IN_GUEST.check(error);
                deadline_in(error, Phase::Guest);
            }
            Self::Handler => {
                Failure::DEADLINE_IN_HOST.check(error);
                deadline_in(error, Phase::HostCall);
            }
        }
    }
}

/// A deadline that nothing reaches, for calls that are not measured.
const PATIENT: Duration = Duration::from_secs(60);

/// A caller whose guest gets stuck again and again.
pub(super) struct Victim {
    subject: Subject,
    factory: Arc<dyn EngineProviderFactory>,
    place: Place,
    deadline: Duration,
    guest: Guest,
    host: Option<Host>,
    /// When the blocking handler gave its thread back; nothing can end the call before that.
    returned: Arc<Mutex<Option<Instant>>>,
}

impl Victim {
    /// Returns a victim in a place. `factory` must be of the place's [module](Place::module).
    pub(super) fn new(
        subject: &Subject,
        factory: &Arc<dyn EngineProviderFactory>,
        place: Place,
        deadline: Duration,
    ) -> Self {
        // The handler is what is measured, so the guest must have time to reach it.
        let deadline = if place == Place::Handler { deadline * 2 } else { deadline };
        let limits = Limits::new().deadline(deadline).init_deadline(match place {
            Place::Init | Place::StartSection => deadline,
            Place::Call | Place::Handler => PATIENT,
        });
        let returned = Arc::new(Mutex::new(None));
        let (sync, note) = (subject.mode() == Mode::Sync, Arc::clone(&returned));
        // Limits are set on the host only, because the factories are shared.
        let mut guest = Guest::binary(Vec::new()).host_limits(limits);
        guest = guest.handler(move |_| {
            if !sync {
                return Answer::Never;
            }
            // Surely past the deadline: one tick for the tick in which the call began, two for the
            // lateness of the last one. `HostCall::deadline` may lie before the call's end, which
            // is moved by as much as the ticker was late.
            let due = Instant::now() + deadline + TICK * 3;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // Deadlines are checked at ticks: until the next tick the guest may still run.
            Gaps::get().block_past(due);
            *lock(&note) = Some(Instant::now());
            Answer::ok("")
        });
        let (subject, factory) = (subject.clone(), Arc::clone(factory));
        Self { subject, factory, place, deadline, guest, host: None, returned }
    }

    /// Gets stuck once and checks the error. Returns when the end was due and when it came.
    pub(super) async fn stick(&mut self) -> (Instant, Instant) {
        if matches!(self.place, Place::Init | Place::StartSection) {
            let started = Instant::now();
            let result = self.subject.start_later(&*self.factory, self.guest.clone()).await;
            let ended = Instant::now();
            self.place.check(&result.err().expect("the guest does not start"));
            return (started + self.deadline, ended);
        }
        let host = match &self.host {
            Some(host) => host,
            None => {
                let host = self.subject.start_later(&*self.factory, self.guest.clone()).await;
                self.host.insert(host.expect("the guest starts"))
            }
        };
        // Rebuilds the instance first: time in a rebuild is another phase than the one that is
        // measured.
        let count = host.call_later(Request::new("#", b"").deadline(PATIENT)).await;
        assert_eq!(count.expect("a rebuilt instance").payload, 1i32.to_le_bytes());
        let started = Instant::now();
        let result = host.call_later(Request::new("run", b"")).await;
        let ended = Instant::now();
        self.place.check(&result.expect_err("the guest never answers"));
        let returned = lock(&self.returned).take();
        (returned.unwrap_or(started + self.deadline), ended)
    }
}
