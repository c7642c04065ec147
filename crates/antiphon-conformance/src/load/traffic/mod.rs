//! Calls of many kinds by many callers. Each call has bytes of its own and one right outcome.

mod call;
mod canary;
mod kind;
mod site;

pub(crate) use call::Caller;
pub(crate) use kind::{Kind, Mix};
pub(crate) use site::Site;
