//! Whether calls share an instance.

/// Whether the calls of a host share an instance.
///
/// Set on the provider's builder, which also prepares the engine for it, or on the host's; where either asks for more, it
/// gets it.
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
    /// Calls run in one instance for as long as they end well: what the guest keeps in its memory is there in the next
    /// call. One that ends otherwise costs the instance.
    #[default]
    Reuse,
    /// Each call runs in an instance that is built for it, by the call's deadline, and gone when the call is over. Nothing
    /// of a call is visible to another, and an idle host holds no instance.
    ///
    /// A provider of the three methods of `wapc` 2.x cannot be told to drop its instance: it does so when it builds the
    /// next one.
    PerCall,
}

impl Isolation {
    /// What isolates more.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }
}
