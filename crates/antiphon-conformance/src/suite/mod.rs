//! What a case is made of: its modes and needs, the provider under test, guests, and hosts that are
//! driven alike.

mod case;
mod guest;
mod host;
mod job;
mod mode;
mod module;
mod subject;

pub(crate) use case::case;
pub use case::{Case, Need};
pub(crate) use guest::{Guest, Line, Log};
pub(crate) use host::Host;
pub(crate) use job::{Job, pause};
pub use mode::Mode;
pub use module::Module;
pub(crate) use subject::Provider;
pub use subject::{Subject, guests_dir};
