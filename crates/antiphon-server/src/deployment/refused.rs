//! Why an operator's wish was refused.

use std::{fmt, io};

/// Why an operator's wish was refused. Nothing has changed, unless the variant says otherwise.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refused {
    /// No module has this name.
    UnknownModule,
    /// The module was changed since the operator looked.
    Conflict {
        /// The revision that holds; 0 if there is no such module.
        revision: u64,
    },
    /// No module can have this name. The error says what a name has to be.
    Name(antiphon::Error),
    /// The bytes are no module that can be served.
    Invalid(antiphon::Error),
    /// The version does not start. Its source says why. The old one serves on.
    ReplaceFailed(antiphon::Error),
    /// The share is not from 1 to 99 percent.
    Share(u8),
    /// The module has no version of this digest, or none that serves.
    NoVersion,
    /// There is no canary that could be promoted.
    NothingToPromote,
    /// There is no canary, and no version before this one.
    NothingToRollBack,
    /// A newer change came before this one was done.
    Overtaken,
    /// The server is ending.
    Ending,
    /// The state cannot be written. The change holds until the server ends.
    Storage(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModule => f.write_str("no module has this name"),
            Self::Conflict { revision } => write!(f, "the module was changed: its revision is {revision}"),
            Self::Name(error) | Self::Invalid(error) | Self::ReplaceFailed(error) => error.fmt(f),
            Self::Share(share) => write!(f, "a canary's share is from 1 to 99 percent, and not {share}"),
            Self::NoVersion => f.write_str("the module has no version with this digest, or none that serves"),
            Self::NothingToPromote => f.write_str("no canary is there to be promoted"),
            Self::NothingToRollBack => {
                f.write_str("there is nothing to go back to: no canary, and no version before this one")
            }
            Self::Overtaken => f.write_str("a newer change of the module came in between"),
            Self::Ending => f.write_str("the server is ending"),
            Self::Storage(error) => write!(f, "the state cannot be written: {error}"),
        }
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) | Self::Invalid(error) | Self::ReplaceFailed(error) => Some(error),
            Self::Storage(error) => Some(error),
            _ => None,
        }
    }
}
