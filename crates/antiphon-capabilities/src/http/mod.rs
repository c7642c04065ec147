//! Outgoing HTTP requests of guests.

#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod connect;
#[cfg(feature = "http")]
mod exchange;
#[cfg(feature = "http")]
mod guard;
#[cfg(feature = "http")]
mod headers;
mod origin;
#[cfg(feature = "http")]
mod request;

#[cfg(feature = "http")]
pub use client::HttpClient;
#[cfg(feature = "http")]
pub use connect::{Resolve, SystemResolver};
pub use origin::Origin;
#[cfg(feature = "http")]
pub(crate) use request::Http;
