//! The server of Antiphon: a folder of modules becomes a service.
//!
//! Read `call.rs` first: a transport turns a request into an [`Incoming`](call::Incoming), the
//! module's [`Deployment`](deployment::Deployment) picks a version, and the version's pool runs the
//! call. `outcome.rs` turns what came of it into a status, a problem document, and a label.

#![forbid(unsafe_code)]

pub mod call;
pub mod config;
pub mod deployment;
pub mod desired;
pub mod drain;
pub mod feed;
pub mod grants;
pub mod http;
pub mod lock;
pub mod meters;
pub mod outcome;
pub mod plan;
mod reconcile;
pub mod reload;
pub mod settings;
pub mod start;
