//! The configuration: the file `antiphon.toml`, the files beside modules, the environment, and the
//! command line.
//!
//! `keys.rs` declares all keys; what reads them, the reference page and the example follow from
//! there. [`load`] reads everything, and returns all problems that it finds.

mod check;
mod grants;
mod keys;
mod kinds;
mod layers;
mod problem;
mod reference;
mod section;
mod show;
mod sources;

use std::collections::BTreeMap;

pub use keys::{
    Auth, Backend, Http, Keyvalue, LogFormat, Module, ModuleLimits, Role, Server, Telemetry, Tls, Token,
};
pub use problem::{Place, Problem, Problems};
pub use reference::{example, page};
pub use show::Setting;
pub use sources::{Loaded, Overrides, Sources, load};

/// The whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The server itself.
    pub server: Server,
    /// Its sockets.
    pub http: Http,
    /// Callers and operators that may enter.
    pub auth: Option<Auth>,
    /// The limits of every module that sets none of its own.
    pub limits: ModuleLimits,
    /// The modules, by name. A module of the folder needs no entry.
    pub modules: BTreeMap<String, Module>,
    /// The stores of values, by name.
    pub keyvalue: BTreeMap<String, Keyvalue>,
    /// What the server says about itself.
    pub telemetry: Telemetry,
}
