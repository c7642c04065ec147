//! A typed map that travels with a call.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// Values of the caller's, one a type, that the host's handlers of this call can read.
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
    /// An empty context, which allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; one of the same type is replaced.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.insert(value);
        self
    }

    /// Adds a value and gives back the one of the same type that it replaces.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }

    /// The value of a type.
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
