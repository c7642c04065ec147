//! The arguments that the program understands, and the values of its options.

mod bench;
mod cache;
mod call;
mod clap_error;
mod cli;
mod compare;
mod compile;
mod guest;
mod inspect;
mod limits;
mod new;
mod test;
mod values;

pub(crate) use bench::BenchArgs;
pub(crate) use cache::CacheArgs;
pub(crate) use call::CallArgs;
pub(crate) use clap_error::{shorten, suggest_bench, suggest_format};
pub(crate) use cli::{Cli, Command, CompletionsArgs, EnginesArgs, ErrorFormat};
pub(crate) use compare::CompareArgs;
pub(crate) use compile::CompileArgs;
pub(crate) use guest::{GuestArgs, WasiArgs};
pub(crate) use inspect::InspectArgs;
pub(crate) use limits::option_of;
pub(crate) use new::{NewArgs, NewCommand, NewGuestArgs};
pub(crate) use test::{TestArgs, TestedArgs, WatchArgs};
pub(crate) use values::{
    Answer, Changes, Format, Isolation, JsonSource, Language, Mode, Pattern, Rule, json,
};
