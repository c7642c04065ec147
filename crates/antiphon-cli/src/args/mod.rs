//! The arguments that the program understands, and the values of its options.

mod bench;
mod cache;
mod changes;
mod clap_error;
mod cli;
mod guest;
mod options;
mod rule;

pub(crate) use bench::BenchArgs;
pub(crate) use cache::CacheArgs;
pub(crate) use changes::Changes;
pub(crate) use clap_error::{shorten, suggest_bench};
pub(crate) use cli::{
    CallArgs, Cli, Command, CompareArgs, CompileArgs, CompletionsArgs, EnginesArgs, ErrorFormat, InspectArgs,
    NewArgs, NewCommand, NewGuestArgs, TestArgs, TestedArgs, WatchArgs,
};
pub(crate) use guest::{GuestArgs, WasiArgs};
pub(crate) use options::{Isolation, Language, Mode};
pub(crate) use rule::{Answer, Pattern, Rule};
