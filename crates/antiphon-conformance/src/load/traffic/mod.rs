//! Calls of many kinds by many callers, each with bytes that nobody else sends, and what is right for each.

mod call;
mod canary;
mod kind;
mod site;

pub(crate) use call::Caller;
pub(crate) use kind::{Kind, Mix};
pub(crate) use site::Site;
