//! A map by type that travels with a call.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// Values from the caller, at most one of each type, that the host's handlers of the call can read.
///
/// ```
/// use antiphon::Context;
///
/// struct Tenant(&'static str);
/// let context = Context::new().with(Tenant("blue"));
/// assert_eq!(context.get::<Tenant>().unwrap().0, "blue");
/// assert!(context.get::<u8>().is_none());
/// ```
#[derive(Default)]
pub struct Context {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Context {
    /// Creates an empty context, which allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, in place of any earlier one of its type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.insert(value);
        self
    }

    /// Adds a value and returns the earlier one of its type, if there was one.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }

    /// Returns the value of a type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("values", &self.values.len()).finish()
    }
}
