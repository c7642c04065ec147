//! A case: its name, its modes, its needs, and its check.

use std::fmt;
use std::time::Duration;

use antiphon::Capabilities;

use super::Mode;
use super::Subject;
use crate::support::Bound;

/// One behaviour that every provider must show, written once and run in each of its
/// [modes](Case::modes).
#[derive(Clone, Copy)]
#[must_use]
pub struct Case {
    topic: &'static str,
    name: &'static str,
    modes: &'static [Mode],
    needs: &'static [Need],
    alone: bool,
    keeps_state: bool,
    hostile: Option<Bound>,
    check: fn(&Subject),
}

impl Case {
    pub(crate) const fn new(topic: &'static str, name: &'static str, check: fn(&Subject)) -> Self {
        Self {
            topic,
            name,
            modes: Mode::ALL,
            needs: &[],
            alone: false,
            keeps_state: false,
            hostile: None,
            check,
        }
    }

    /// Sets what the engine must be able to do.
    pub(crate) const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Restricts the case to these modes.
    pub(crate) const fn only(mut self, modes: &'static [Mode]) -> Self {
        self.modes = modes;
        self
    }

    /// Marks a case about what an instance keeps from one call to the next.
    pub(crate) const fn keeps_state(mut self) -> Self {
        self.keeps_state = true;
        self
    }

    /// Runs the case while no other case runs, because it measures the process, or a time that load
    /// would spoil.
    pub(crate) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Marks a case whose guest does harm on purpose. The case runs alone in a process, and fails
    /// if it takes more than five seconds, or more than 192 MiB beyond what was resident before.
    pub(crate) const fn hostile(mut self) -> Self {
        self.hostile = Some(Bound::DEFAULT);
        self
    }

    /// Marks a hostile case that needs another bound than [`hostile`](Self::hostile) gives;
    /// `memory` is in bytes.
    pub(crate) const fn within(mut self, time: Duration, memory: u64) -> Self {
        self.hostile = Some(Bound::new(time, memory));
        self
    }

    /// Returns the topic: the name of the file that holds the case. Those in the folder `hostile`
    /// have `hostile_` before it, those in its folder `wasi` `hostile_wasi_`.
    #[must_use]
    pub const fn topic(&self) -> &'static str {
        self.topic
    }

    /// Returns the case's name, a sentence in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the modes that the case runs in.
    #[must_use]
    pub const fn modes(&self) -> &'static [Mode] {
        self.modes
    }

    /// Returns whether the case is about what an instance keeps from one call to the next. Such a
    /// case is skipped where each call has an instance of its own.
    #[must_use]
    pub const fn is_about_state(&self) -> bool {
        self.keeps_state
    }

    /// Returns whether the case runs while no other case runs.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Returns whether the case belongs to the hostile corpus, and so runs alone in a process,
    /// under a bound of time and memory.
    #[must_use]
    pub const fn is_hostile(&self) -> bool {
        self.hostile.is_some()
    }

    pub(crate) const fn bound(&self) -> Option<Bound> {
        self.hostile
    }

    /// Returns what the case needs of an engine.
    #[must_use]
    pub const fn needed(&self) -> &'static [Need] {
        self.needs
    }

    /// Returns why an engine of these capabilities cannot run the case in `mode`; `None` if it can.
    #[must_use]
    pub fn missing(&self, mode: Mode, capabilities: &Capabilities) -> Option<&'static str> {
        self.needs.iter().find_map(|need| need.missing(mode, capabilities))
    }

    /// Returns whether the case runs the guests of Antiphon's repository.
    #[must_use]
    pub fn needs_guests(&self) -> bool {
        self.needs.contains(&Need::Guests)
    }

    /// Checks the behaviour.
    ///
    /// # Panics
    /// The provider does not show the behaviour.
    pub fn check(&self, subject: &Subject) {
        (self.check)(subject);
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.topic, self.name)
    }
}

/// Names a case after its function.
macro_rules! case {
    ($topic:ident :: $name:ident) => {
        $crate::suite::Case::new(stringify!($topic), stringify!($name), $name)
    };
}
pub(crate) use case;

/// What a case needs of an engine. Without it the case is shown as ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::deadline`].
    Deadline,
    /// [`Capabilities::fuel`].
    Fuel,
    /// [`Capabilities::deterministic`].
    Deterministic,
    /// [`Capabilities::memory_limit`].
    MemoryLimit,
    /// [`Capabilities::stack_limit`].
    StackLimit,
    /// [`Capabilities::backtrace`].
    Backtrace,
    /// [`Capabilities::suspend`].
    Suspend,
    /// [`Capabilities::wasi`].
    Wasi,
    /// The built guests of Antiphon's repository; see [`guests_dir`](crate::guests_dir).
    Guests,
}

impl Need {
    /// Returns why an engine of these capabilities does not meet the need in `mode`; `None` if it
    /// does.
    pub(crate) fn missing(self, mode: Mode, capabilities: &Capabilities) -> Option<&'static str> {
        (!self.is_met(mode, capabilities)).then(|| self.reason())
    }

    fn is_met(self, mode: Mode, capabilities: &Capabilities) -> bool {
        match self {
            Self::Deadline => capabilities.deadline,
            Self::Fuel => capabilities.fuel,
            Self::Deterministic => capabilities.deterministic,
            Self::MemoryLimit => capabilities.memory_limit,
            Self::StackLimit => capabilities.stack_limit,
            Self::Backtrace => capabilities.backtrace,
            // The guest of a synchronous host may always wait: it keeps its thread.
            Self::Suspend => capabilities.suspend || mode == Mode::Sync,
            Self::Wasi => capabilities.wasi,
            // The runner knows whether the guests are there, not the engine.
            Self::Guests => true,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Deadline => "the engine declares no `deadline`",
            Self::Fuel => "the engine declares no `fuel`",
            Self::Deterministic => "the engine declares no `deterministic`",
            Self::MemoryLimit => "the engine declares no `memory_limit`",
            Self::StackLimit => "the engine declares no `stack_limit`",
            Self::Backtrace => "the engine declares no `backtrace`",
            Self::Suspend => "the engine declares no `suspend`",
            Self::Wasi => "the engine declares no `wasi`",
            Self::Guests => "the built guests of Antiphon's repository are not there",
        }
    }
}
