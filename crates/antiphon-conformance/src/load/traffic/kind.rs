//! The kinds of calls, and how often each is made.

use fastrand::Rng;

/// What a caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The guest answers with the request.
    Echo,
    /// The guest calls the host and passes on the answer.
    Relay,
    /// The guest logs the request, then answers with it.
    Log,
    /// The guest fails, with the request as its error's text.
    Fail,
    /// The guest sets an error's text and traps.
    Trap,
    /// The guest loops until its deadline.
    Loop,
    /// The guest grows its memory until a growth is refused, then traps.
    Bomb,
    /// The call is cancelled while the guest waits for its host.
    CancelWaiting,
    /// The call is cancelled while the guest loops.
    CancelLooping,
    /// The call's handle was used before the call.
    CancelBefore,
    /// The call's future is dropped after one poll or several. On a synchronous host the call is
    /// like `Relay`.
    Drop,
    /// The module is replaced with a copy of itself.
    Replace,
    /// A replacement with a malformed module, or with one whose start traps.
    ReplaceBadly,
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Echo,
        Self::Relay,
        Self::Log,
        Self::Fail,
        Self::Trap,
        Self::Loop,
        Self::Bomb,
        Self::CancelWaiting,
        Self::CancelLooping,
        Self::CancelBefore,
        Self::Drop,
        Self::Replace,
        Self::ReplaceBadly,
    ];

    /// Returns the first byte of the operation, which the guest reads.
    pub(super) fn letter(self) -> char {
        match self {
            Self::Echo => 'e',
            Self::Log => 'l',
            Self::Fail => 'f',
            Self::Trap => 't',
            Self::Loop => 's',
            Self::Bomb => 'b',
            Self::CancelLooping => 'c',
            Self::CancelWaiting => 'w',
            Self::Drop => 'd',
            Self::Relay | Self::CancelBefore | Self::Replace | Self::ReplaceBadly => 'r',
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Relay => "relay",
            Self::Log => "log",
            Self::Fail => "fail",
            Self::Trap => "trap",
            Self::Loop => "loop",
            Self::Bomb => "memory bomb",
            Self::CancelWaiting => "cancel in host call",
            Self::CancelLooping => "cancel in loop",
            Self::CancelBefore => "cancel before",
            Self::Drop => "drop",
            Self::Replace => "replace",
            Self::ReplaceBadly => "bad replace",
        }
    }

    /// Returns whether the call only asks for an answer.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Echo | Self::Relay | Self::Log)
    }
}

/// Kinds with their shares of 10,000 calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix(pub(crate) &'static [(Kind, u32)]);

impl Mix {
    pub(super) fn draw(self, random: &mut Rng) -> Kind {
        let mut left = random.u32(..10_000);
        for (kind, share) in self.0 {
            match left.checked_sub(*share) {
                Some(rest) => left = rest,
                None => return *kind,
            }
        }
        unreachable!("the shares of a mix are 10,000 together")
    }

    #[cfg(test)]
    pub(crate) fn share(self, of: impl Fn(Kind) -> bool) -> u32 {
        self.0.iter().filter(|(kind, _)| of(*kind)).map(|(_, share)| share).sum()
    }
}
