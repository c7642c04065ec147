//! The closed table of what can go wrong: the kind, the party at fault, and what became of the
//! instance.

use std::fmt;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident, $code:literal, $fault:ident, $fate:ident;)+) => {
        /// What went wrong. Stable: users match on it, logs carry its [`code`](ErrorKind::code).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the kind's name in snake case. It is stable.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)+ }
            }

            /// Returns the party at fault, as far as the kind alone decides it.
            pub(super) const fn fault(self) -> Fault {
                match self { $(Self::$kind => Fault::$fault,)+ }
            }

            /// Returns what became of the instance, as far as the kind alone decides it.
            pub(crate) const fn fate(self) -> Fate {
                match self { $(Self::$kind => Fate::$fate,)+ }
            }
        }
    };
}

kinds! {
    /// The guest reported a failure, with its text if it set one.
    GuestFailed, "guest_failed", Guest, Kept;
    /// The guest reported success and set neither a response nor an error.
    GuestMisbehaved, "guest_misbehaved", Guest, Kept;
    /// A wasm trap, a span outside memory, an abort, a panic, or a WASI exit inside a call.
    Trapped, "trapped", Guest, Discarded;
    /// The wall-clock time of the call ran out; [`Error::phase`](crate::errors::Error::phase) says
    /// where.
    DeadlineExceeded, "deadline_exceeded", Guest, Discarded;
    /// The call's [`CancelHandle`](crate::CancelHandle) was used.
    Cancelled, "cancelled", Caller, Discarded;
    /// The fuel given to the call ran out.
    OutOfFuel, "out_of_fuel", Guest, Discarded;
    /// The guest recursed deeper than its stack allows.
    StackOverflow, "stack_overflow", Guest, Discarded;
    /// The guest trapped after a growth of its memory or of a table was refused.
    MemoryLimit, "memory_limit", Guest, Discarded;
    /// The guest made one host call too many, or exchanged one byte too many in them.
    HostCallLimit, "host_call_limit", Guest, Discarded;
    /// A request or a response was over its limit.
    TooLarge, "too_large", Guest, Discarded;
    /// A handler of the host panicked; the panic was caught.
    HostPanicked, "host_panicked", Host, Discarded;
    /// A handler called the host that it answers for, or calls were nested too deep:
    /// [`Caller::MAX_DEPTH`](crate::Caller::MAX_DEPTH).
    Reentrancy, "reentrancy", Caller, Kept;
    /// The module is not one that this engine runs as a waPC guest. Every reason is listed.
    InvalidModule, "invalid_module", Caller, NeverBorn;
    /// The start section or an init export failed.
    InitFailed, "init_failed", Guest, NeverBorn;
    /// The new module was refused; the old one serves on.
    ReplaceFailed, "replace_failed", Caller, Kept;
    /// A bounded queue is full.
    Overloaded, "overloaded", Caller, Kept;
    /// The machine or the process lacks what it takes: memory, address space, mappings, files,
    /// threads, or executable memory. The text names what was asked for and what to do. Nothing is
    /// wrong with the guest or its module.
    OutOfResources, "out_of_resources", Host, Discarded;
    /// The engine lacks an option.
    Unsupported, "unsupported", Caller, NeverBorn;
    /// The engine itself failed, or a provider returned an untyped error.
    Engine, "engine", Engine, Discarded;
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The party at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The code inside the sandbox.
    Guest,
    /// The embedding program: its handlers, or its own slowness.
    Host,
    /// The caller: it made the call, or brought the module.
    Caller,
    /// The engine or its provider.
    Engine,
}

impl Fault {
    /// Returns the fault's name in lower case. It is stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Host => "host",
            Self::Caller => "caller",
            Self::Engine => "engine",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of the instance that served the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// The instance serves the next call.
    Kept,
    /// The instance was discarded with its memory; a fresh one is built before the next call.
    Discarded,
    /// The instance never existed.
    NeverBorn,
}

/// Where a call was when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for the host to be free.
    Queue,
    /// Building a fresh instance.
    Rebuild,
    /// In guest code.
    Guest,
    /// In a handler of the host.
    HostCall,
}

impl Phase {
    /// Returns the phase's name. It is stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Rebuild => "rebuild",
            Self::Guest => "guest",
            Self::HostCall => "host call",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_name_of_its_kind_in_snake_case() {
        for kind in ErrorKind::ALL {
            let mut snake = String::new();
            for c in format!("{kind:?}").chars() {
                if c.is_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.extend(c.to_lowercase());
            }
            assert_eq!(kind.code(), snake);
        }
    }
}
