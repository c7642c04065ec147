//! Whether calls share an instance.
//!
//! The host, not the engine, gives each call an instance of its own. It starts the instance on the
//! way to the call, as after a trap, and tells the engine to discard it before it leaves the gate.
//! So isolation works with any provider, counts against the call's deadline, and holds whatever the
//! call's result. Conversations go from one instance to the next. The first start, when a host is
//! built, only shows that the guest starts.

/// Whether the calls of a host share an instance.
///
/// It can be set on the provider's builder, which also prepares the engine for it, and on the
/// host's. The stricter of the two holds.
///
/// ```
/// use antiphon::{Isolation, WapcHost, testing::TestEngine};
///
/// let engine = TestEngine::new().operation("greet", |name| Ok([b"hello ", name].concat()));
/// let starts = engine.starts();
/// let host = WapcHost::builder(Box::new(engine)).isolation(Isolation::PerCall).build()?;
/// for _ in 0..3 {
///     host.call("greet", b"world")?;
/// }
/// // One to see that the guest starts at all, and one for each call.
/// assert_eq!(starts.load(std::sync::atomic::Ordering::SeqCst), 4);
/// # Ok::<(), antiphon::errors::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isolation {
    /// Calls run in one instance for as long as they end well. What the guest keeps in its memory
    /// is there in the next call. A call that does not end well costs the instance.
    #[default]
    Reuse,
    /// Each call runs in an instance that is built for it within the call's deadline, and gone when
    /// the call is over. Nothing of a call is visible to another, and an idle host holds no
    /// instance.
    ///
    /// A provider with only the three methods of `wapc` 2.x cannot be told to drop its instance: it
    /// drops it when it builds the next one.
    PerCall,
}

impl Isolation {
    /// Returns the setting that isolates more.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }
}
