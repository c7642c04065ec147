//! The WASI preview-1 world as functions over guest memory, for any WebAssembly engine.
//!
//! A guest compiled for `wasm32-wasip1` imports up to 46 functions from `wasi_snapshot_preview1`
//! (older guests from `wasi_unstable`). This crate answers all of them and grants next to nothing:
//! the given arguments and environment, two clocks, random bytes, an empty standard input, and
//! standard output and error as log lines. No directory is preopened unless one is granted, and no
//! socket exists, so every other function answers as it does in a program without any.
//!
//! # How an engine uses it
//!
//! A [`World`] is built once for a module, and a [`Session`] once for each instance. An import
//! takes the guest's memory and the session, makes a [`Call`], and runs the method of the import's
//! name. [`for_each_function!`] lists them, so that the imports are written once. With an engine
//! reduced to a map of closures:
//!
//! ```
//! use std::collections::HashMap;
//! use antiphon_wasi::{Abi, Call, MODULES, Poll, Session, Stop, Stream, World};
//!
//! struct State { memory: Vec<u8>, wasi: Session }
//! type Import = Box<dyn Fn(&mut State, &[i64]) -> Result<i32, Stop>>;
//! # trait FromWasm { fn from_wasm(value: i64) -> Self; }
//! # impl FromWasm for i32 { fn from_wasm(value: i64) -> i32 { value as i32 } }
//! # impl FromWasm for i64 { fn from_wasm(value: i64) -> i64 { value } }
//!
//! fn with<R>(state: &mut State, abi: Abi, run: impl FnOnce(&mut Call<'_>) -> R) -> R {
//!     let mut log = |stream: Stream, line: &str| println!("{}: {line}", stream.name());
//!     run(&mut Call { session: &mut state.wasi, memory: &mut state.memory, abi, log: &mut log })
//! }
//!
//! let mut linker: HashMap<(&str, &str), Import> = HashMap::new();
//! for (module, abi) in MODULES {
//!     macro_rules! link {
//!         (
//!             plain { $(fn $name:ident($($arg:ident: $ty:ty),*) -> i32;)* }
//!             suspending { fn poll_oneoff($($_p:ident: $_pt:ty),*) -> i32; }
//!             ending { fn proc_exit($_e:ident: $_et:ty); }
//!         ) => {
//!             $(linker.insert((module, stringify!($name)), Box::new(move |state: &mut State, args: &[i64]| {
//!                 let mut args = args.iter().copied();
//!                 $(let $arg = <$ty>::from_wasm(args.next().unwrap());)*
//!                 with(state, abi, |call| call.$name($($arg),*))
//!             }));)*
//!         };
//!     }
//!     antiphon_wasi::for_each_function!(link);
//!
//!     // Suspends: the engine waits, under the call's deadline, and holds no borrow until then.
//!     linker.insert((module, "poll_oneoff"), Box::new(move |state, a| {
//!         match with(state, abi, |call| {
//!             call.begin_poll_oneoff(a[0] as i32, a[1] as i32, a[2] as i32, a[3] as i32)
//!         })? {
//!             Poll::Done(errno) => Ok(errno),
//!             Poll::Wait(wait) => {
//!                 std::thread::sleep(wait.duration()); // an engine parks or awaits here
//!                 with(state, abi, |call| call.finish_poll_oneoff(wait))
//!             }
//!         }
//!     }));
//!     // Ends the call: always an error.
//!     linker.insert((module, "proc_exit"), Box::new(move |state, a| {
//!         with(state, abi, |call| call.proc_exit(a[0] as i32)).map(|()| 0)
//!     }));
//! }
//!
//! let mut state = State { memory: vec![0; 65536], wasi: World::default().session() };
//! let call = |state: &mut State, name, args: &[i64]| linker[&(MODULES[0].0, name)](state, args);
//! assert_eq!(call(&mut state, "random_get", &[0, 32]), Ok(0));
//! assert_eq!(call(&mut state, "fd_prestat_get", &[3, 0]), Ok(8)); // EBADF: nothing is preopened
//! assert_eq!(call(&mut state, "proc_exit", &[7]).unwrap_err().exit_code(), Some(7));
//! # assert_eq!(linker.len(), 92);
//! ```
//!
//! `Err(`[`Stop`]`)` ends the guest's call. It is a [`std::error::Error`]: box it as the engine's
//! trap, and find it again by downcast. After each call of the guest the host runs
//! [`Session::flush`], which logs a last line without a newline.
//!
//! With the feature `antiphon`, the module `host` does all of this for the engines of
//! [`antiphon`](https://docs.rs/antiphon): the output goes to the conversation's log, and a `Stop`
//! becomes its typed error.
//!
//! # Directories
//!
//! With the feature `dirs`, `Session::grant` opens a directory of the host for an instance, to be
//! read or to be written in as well. `cap-std` keeps every path below it, whatever links and
//! directories become meanwhile. Only regular files and directories are opened: a pipe, a socket or
//! a device is `ENXIO`, at once.
//!
//! All work is done on the calling thread, which waits as long as the system takes. One call moves
//! at most `MAX_TRANSFER` bytes, fills at most `MAX_LISTED` bytes with a listing, and skips at most
//! `MAX_SKIPPED` entries before it. An instance has at most `MAX_DESCRIPTORS` descriptors beside
//! the streams and the grants, and paths have at most `MAX_PATH` bytes. What the machine lacks
//! (files, space) is the error number that a program on the system sees.
//!
//! # Contract
//!
//! - Every number from the guest is hostile. Pointers are unsigned 32-bit values, added in 64 bits
//!   and checked in one place. A pointer that leads outside of memory ends the call with
//!   [`Stop::Fault`], as the preview-1 specification demands. Misaligned pointers are served.
//! - A function checks its descriptor before anything else.
//! - An instance without directories allocates nothing but the two line buffers (at most 4 KiB
//!   each, on first use) and the text of one line while it is logged. One with directories has a
//!   table of its descriptors, lists of buffers, and 32 KiB for each directory that is being
//!   listed.
//! - The guest's memory bounds the time of a call that asks nothing of the system. At most
//!   [`MAX_VECTORS`] buffers and [`MAX_SUBSCRIPTIONS`] subscriptions are looked at.
//!
//! # Differences from `wasmtime-wasi`
//!
//! Measured against version 48. Everything that is not listed is equal, in error numbers and bytes
//! in memory.
//!
//! | where | `wasmtime-wasi` | here |
//! |---|---|---|
//! | standard streams' file type | unknown, unless a terminal | character device: a C library then sends every line |
//! | CPU-time clocks | `EBADF` | `EINVAL`, as specified for an unsupported clock |
//! | `poll_oneoff` with a descriptor or clock that cannot be polled | fails as a whole | an event with the error |
//! | `poll_oneoff` with a clock that is due next to a ready stream | may leave the clock out | an event for both |
//! | `fd_write` of many buffers | writes the first that is not empty | writes all of them |
//! | a value that its type lacks, a misaligned pointer | trap | looked at only where it matters, then `EINVAL`; served |
//! | a bad pointer next to a bad descriptor | trap | `EBADF` |
//! | very long lists | `ENOMEM` | `EINVAL` |
//! | a call that traps | may have written some of its results | wrote none |
//! | `proc_exit` over 125 | another kind of trap | an exit like any other |
//! | `random_get` over 64 MiB | trap | served, if the memory has room |
//! | pipes, sockets, devices in a directory | opened, and waited for | `ENXIO` |
//! | `fdflags` that ask for `sync`, `dsync`, `rsync` | `ENOTSUP` | passed on to the system |
//! | a file that is created or truncated without the right to write | can be written | `EBADF` |
//! | a directory that was opened | lacks the right to write, so a C library opens nothing in it for writing | has the rights of a preopened one |
//! | the next descriptor | one that was closed last | the lowest that is free |
//! | `fd_advise` | passed on to the system | checked only, because reading ahead takes long |
//! | `fd_sync` of a directory | `EBADF` | done |
//! | `fd_readdir` | lists the whole directory each time | goes on where the last list ended |
//! | a name on the disk that is not UTF-8 | the listing fails | left out |
//! | device and inode | 1, and a hash | those of the system |
//! | `poll_oneoff` of a file at its end | ready, hung up | ready |
//! | sockets in `wasi_unstable` | trap | `ENOTSOCK` or `EBADF`, as in preview 1 |

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod abi;
mod call;
#[cfg_attr(not(feature = "dirs"), path = "no_dirs.rs")]
mod dirs;
#[cfg(test)]
mod fixture;
mod functions;
#[cfg(feature = "antiphon")]
pub mod host;
mod process;
mod random;
mod session;
mod sockets;
mod stdio;
mod time;
mod world;

pub use abi::{Abi, Fault, MAX_VECTORS, MODULES, Stop};
pub use call::{Call, LogFn};
#[cfg(feature = "dirs")]
pub use dirs::{Access, MAX_DESCRIPTORS, MAX_LISTED, MAX_PATH, MAX_SKIPPED, MAX_TRANSFER};
pub use process::{MAX_STRINGS, WorldError};
pub use session::Session;
pub use stdio::{MAX_LINE, MAX_LOGGED, Stream};
pub use time::{MAX_SUBSCRIPTIONS, Poll, Wait};
pub use world::World;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
