//! Grants for waPC guests: what a guest may ask of its host, as routes of a
//! [`HostRouter`](antiphon::HostRouter).
//!
//! A guest has nothing until it is granted. [`Grants`] are plain data, mostly read from a
//! configuration; [`Backends`] are what stands behind them. Together they make the routes of a
//! module, which refuse what was not granted and say what to add.
//!
//! | grant | the guest can | stands behind it |
//! |---|---|---|
//! | `keyvalue` | read, write, list and compare-and-set values under a prefix | a [`Store`] |
//! | `http` | send requests to listed origins, never to private addresses | `HttpClient`, feature `http` |
//! | `config` | read the values and the secrets that the grant lists | the grant, [`ReadSecret`] |
//! | `logging` | log lines with a level and fields | `tracing`, or a function |
//! | `module` | call other modules of the program | a [`CallModule`] |
//!
//! Guests in any language speak the same wire, one MessagePack map or one JSON object a host call.
//! The page `docs/capabilities.md` of the repository documents it.
//!
//! ```
//! use antiphon::{WapcHost, testing::TestEngine};
//! use antiphon_capabilities::{Backends, Grants, MemoryStore};
//!
//! let grants: Grants = serde_json::from_str(r#"[{"keyvalue": {"prefix": "shop/", "max_calls": 2}}]"#)?;
//! let backends = Backends::new().store("default", MemoryStore::new());
//!
//! let engine = TestEngine::new().operation_with_host("count", |guest| async move {
//!     guest.host_call("", "keyvalue", "put", r#"{"key": "n", "value": "1"}"#).await?;
//!     guest.host_call("", "keyvalue", "get", r#"{"key": "n"}"#).await?;
//!     guest.host_call("", "http", "request", r#"{"url": "https://example.com"}"#).await
//! });
//! let host = WapcHost::builder(Box::new(engine)).handler(grants.router("shop", &backends)?).build()?;
//! assert_eq!(
//!     host.call("count", b"").unwrap_err().guest_error(),
//!     Some("not_granted: this module has no grant for http; add a [[modules.shop.grant]] table with http = { ... }"),
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backends;
mod config;
mod fault;
mod gate;
mod grant;
mod http;
mod info;
mod keyvalue;
mod logging;
mod module;
mod observe;
mod routes;
mod text;
mod wire;

pub use backends::Backends;
pub use config::{ConfigValue, ReadSecret, Secret, SecretReference, read_reference};
pub use fault::{Code, Fault};
pub use grant::{
    ConfigGrant, Grant, GrantError, Grants, HttpGrant, KeyvalueGrant, LoggingGrant, ModuleGrant,
};
pub use http::Origin;
#[cfg(feature = "http")]
pub use http::{HttpClient, Resolve, SystemResolver};
pub use info::{CallInfo, Depth};
#[cfg(any(test, feature = "suite"))]
#[doc(hidden)]
pub use keyvalue::suite;
pub use keyvalue::{Durability, Entry, List, MemoryStore, Page, Put, Store, StoreError};
#[cfg(feature = "redb")]
pub use keyvalue::{RedbError, RedbStore};
pub use logging::{GuestLine, Level};
pub use module::{CallModule, ModuleCall};
pub use observe::HostCallEnd;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
