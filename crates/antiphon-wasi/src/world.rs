//! What all instances of a module see.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "antiphon")]
use crate::dirs::Grants;
use crate::process::{MAX_STRINGS, Strings, WorldError};
use crate::session::Session;

/// What the guest sees of the world: arguments, environment, and the source of time and random
/// bytes.
///
/// A world is immutable and cheap to clone. Each instance has a [`Session`] of its own.
///
/// ```
/// use std::time::Duration;
/// use antiphon_wasi::World;
///
/// let world = World::new(["guest", "--quiet"], [("TZ", "UTC")])?;
/// let replayable = world.deterministic(42, Duration::from_secs(1_700_000_000));
/// let session = replayable.session();
/// # Ok::<(), antiphon_wasi::WorldError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct World(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    arguments: Strings,
    environment: Strings,
    mode: Mode,
    #[cfg(feature = "antiphon")]
    grants: Grants,
}

/// The source of time and random bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The system.
    #[default]
    System,
    /// A seed, and a clock that only waiting moves.
    Deterministic { seed: u64, clock: Duration },
}

impl World {
    /// Creates a world with these arguments and this environment, in the given order. The first
    /// argument is the program's name, for guests that use it. The default world has neither
    /// arguments nor environment.
    ///
    /// # Errors
    ///
    /// Fails if a string contains a NUL, if a variable's name is empty or contains `=`, or if all
    /// strings take more than [`MAX_STRINGS`] bytes in total.
    pub fn new<A, E, K, V>(arguments: A, environment: E) -> Result<World, WorldError>
    where
        A: IntoIterator<Item: AsRef<str>>,
        E: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut inner = Inner::default();
        let mut room = MAX_STRINGS;
        for argument in arguments {
            inner.arguments.push(&[argument.as_ref()], &mut room)?;
        }
        for (name, value) in environment {
            let name = name.as_ref();
            if name.is_empty() || name.contains('=') {
                return Err(WorldError::InvalidName { name: name.to_owned() });
            }
            inner.environment.push(&[name, "=", value.as_ref()], &mut room)?;
        }
        Ok(World(Arc::new(inner)))
    }

    /// Fixes time and random bytes of this world, so that all runs of a guest are equal.
    ///
    /// `random_get` yields the ChaCha20 key stream (nonce and counter zero) of the key that is
    /// `seed` in little-endian bytes, followed by zeros; each session begins at its start. The
    /// real-time clock stands at `clock`, a time since the Unix epoch, and the monotonic one at one
    /// second. A wait of `poll_oneoff` moves both by the length of the wait, and is over at once.
    /// Do not use this for secrets. A guest that polls a clock in a loop never ends.
    #[must_use]
    pub fn deterministic(mut self, seed: u64, clock: Duration) -> World {
        Arc::make_mut(&mut self.0).mode = Mode::Deterministic { seed, clock };
        self
    }

    /// Creates the state of a new instance.
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    pub(crate) fn arguments(&self) -> &Strings {
        &self.0.arguments
    }

    pub(crate) fn environment(&self) -> &Strings {
        &self.0.environment
    }

    #[cfg(feature = "antiphon")]
    pub(crate) fn grants(&self) -> &Grants {
        &self.0.grants
    }

    pub(crate) fn mode(&self) -> Mode {
        self.0.mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_VARIABLES: [(&str, &str); 0] = [];

    #[test]
    fn a_nul_inside_is_refused_with_its_string() {
        let refused = World::new(["a\0b"], NO_VARIABLES).expect_err("a NUL");
        assert_eq!(refused, WorldError::InteriorNul { text: "a\0b".to_owned() });
        assert_eq!(refused.to_string(), r#"argument or variable "a\0b" contains a NUL"#);
        let refused = World::new([""; 0], [("K", "v\0")]).expect_err("a NUL");
        assert_eq!(refused, WorldError::InteriorNul { text: "K=v\0".to_owned() });
    }

    #[test]
    fn a_name_that_would_be_read_differently_is_refused() {
        for name in ["", "A=B"] {
            let refused = World::new([""; 0], [(name, "v")]).expect_err("an invalid name");
            assert_eq!(refused, WorldError::InvalidName { name: name.to_owned() });
        }
        assert!(World::new([""; 0], [("A", "x=y")]).is_ok());
    }

    #[test]
    fn arguments_and_environment_share_one_limit() {
        let half = "x".repeat(MAX_STRINGS / 2);
        assert!(World::new([&half], NO_VARIABLES).is_ok());
        assert_eq!(World::new([&half], [("K", &half)]).err(), Some(WorldError::TooLarge));
        assert_eq!(World::new(vec![""; MAX_STRINGS], NO_VARIABLES).err(), Some(WorldError::TooLarge));
    }

    #[test]
    fn a_clone_keeps_its_own_mode() {
        let world = World::default();
        let fixed = world.clone().deterministic(1, Duration::ZERO);
        assert_eq!(world.mode(), Mode::System);
        assert_ne!(fixed.mode(), Mode::System);
    }

    #[test]
    fn worlds_and_sessions_cross_threads() {
        fn crosses<T: Send + Sync + 'static>() {}
        crosses::<World>();
        crosses::<Session>();
        crosses::<crate::Stop>();
    }
}
