//! HTTP: the accept loop, the calls, the operators' API.
//!
//! [`Servers`] opens two ports. `accept.rs` and `connection.rs` bound what a client can take;
//! `calls.rs` is the path of a call; `admin/` is what operators use.

mod accept;
mod access;
mod admin;
mod auth;
mod body;
mod calls;
mod connection;
mod health;
mod path;
mod servers;
mod terms;
mod tls;

pub use servers::{Servers, Sockets, StartError};
