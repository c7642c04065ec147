//! The sealed WASI world as imports of a guest.

use antiphon::errors::{Error, ErrorKind};
use antiphon::module_info::{ExternKind, Import, ModuleInfo};
use antiphon::{LogStream, WasiParams};
use antiphon_wasi::{Abi, Call, MODULES, Poll, Stop, Stream, World};
use wasmtime::{Caller, Linker, Result};

use crate::compiled::Settings;
use crate::data::{Data, split};

/// Defines WASI's functions where the module imports any, and makes the world that they show.
pub(crate) fn link(
    linker: &mut Linker<Data>,
    info: &ModuleInfo,
    settings: &Settings,
) -> Result<Option<World>> {
    if !info.imports_from(&MODULES.map(|(module, _)| module)) {
        return Ok(None);
    }
    #[cfg(feature = "wasi-fs")]
    if crate::wasi_fs::wanted(settings) {
        crate::wasi_fs::link(linker)?;
        return Ok(None);
    }
    for (module, abi) in MODULES {
        macro_rules! define {
            (
                plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
                suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
                ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
            ) => {
                $(linker.func_wrap(module, stringify!($name), move |mut guest: Caller<'_, Data>, $($arg: $type),*| -> Result<i32> {
                    with(&mut guest, abi, |call| call.$name($($arg),*))
                })?;)*
                linker.func_wrap(module, stringify!($exit), move |mut guest: Caller<'_, Data>, $($exit_arg: $exit_type),*| -> Result<()> {
                    with(&mut guest, abi, |call| call.$exit($($exit_arg),*))
                })?;
                linker.func_wrap(module, stringify!($poll), move |mut guest: Caller<'_, Data>, $($poll_arg: $poll_type),*| -> Result<i32> {
                    match with(&mut guest, abi, |call| call.begin_poll_oneoff($($poll_arg),*))? {
                        Poll::Done(errno) => Ok(errno),
                        Poll::Wait(wait) => {
                            guest.data().conversation.sleep_blocking(wait.duration())?;
                            with(&mut guest, abi, |call| call.finish_poll_oneoff(wait))
                        }
                    }
                })?;
            };
        }
        antiphon_wasi::for_each_function!(define);
        link_random_get(linker, module, abi)?;
    }
    let WasiParams { argv, env_vars, .. } = &settings.wasi_params;
    let world = World::new(argv, env_vars.iter().map(|(name, value)| (name, value))).map_err(|error| {
        Error::new(ErrorKind::Unsupported, format!("WASI parameters refused: {error}")).with_source(error)
    })?;
    Ok(Some(match settings.deterministic {
        Some((seed, clock)) => world.deterministic(seed, clock),
        None => world,
    }))
}

/// Redefines the one function of WASI that can take long: a whole memory of random bytes is made piece by piece, with a
/// look at the deadline between them.
fn link_random_get(linker: &mut Linker<Data>, module: &str, abi: Abi) -> Result<()> {
    /// Bytes a piece: some hundred microseconds.
    const PIECE: u32 = 256 * 1024;

    linker.allow_shadowing(true);
    linker.func_wrap(
        module,
        "random_get",
        move |mut guest: Caller<'_, Data>, buffer: i32, length: i32| -> Result<i32> {
            let (from, length_u32) = (buffer.cast_unsigned(), length.cast_unsigned());
            let memory = u64::try_from(split(&mut guest).0.len()).unwrap_or(u64::MAX);
            if length_u32 <= PIECE || u64::from(from).saturating_add(u64::from(length_u32)) > memory {
                return with(&mut guest, abi, |call| call.random_get(buffer, length));
            }
            for start in (0..length_u32).step_by(usize::try_from(PIECE).unwrap_or(1)) {
                let piece = PIECE.min(length_u32.saturating_sub(start)).cast_signed();
                let errno = with(&mut guest, abi, |call| {
                    call.random_get(from.wrapping_add(start).cast_signed(), piece)
                })?;
                if errno != 0 {
                    return Ok(errno);
                }
            }
            Ok(0)
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Redefines the one function of WASI that waits, for guests that may suspend.
#[cfg(feature = "async")]
pub(crate) fn link_suspending(linker: &mut Linker<Data>, settings: &Settings) -> Result<()> {
    #[cfg(feature = "wasi-fs")]
    if crate::wasi_fs::wanted(settings) {
        return Ok(());
    }
    let _ = settings;
    for (module, abi) in MODULES {
        linker.func_wrap_async(
            module,
            "poll_oneoff",
            move |mut guest: Caller<'_, Data>,
                  (subscriptions, events, count, written): (i32, i32, i32, i32)| {
                Box::new(async move {
                    let begun = with(&mut guest, abi, |call| {
                        call.begin_poll_oneoff(subscriptions, events, count, written)
                    })?;
                    match begun {
                        Poll::Done(errno) => Ok::<i32, wasmtime::Error>(errno),
                        Poll::Wait(wait) => {
                            guest.data().conversation.sleep(wait.duration()).await?;
                            with(&mut guest, abi, |call| call.finish_poll_oneoff(wait))
                        }
                    }
                })
            },
        )?;
    }
    Ok(())
}

/// The type of a function of WASI, to check a module's imports against.
pub(crate) fn import_type(import: &Import) -> Option<ExternKind> {
    Abi::of_module(&import.module)?;
    macro_rules! find {
        (
            plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
            suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
            ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
        ) => {
            match import.name.as_str() {
                $(stringify!($name) => (&[$(stringify!($type)),*] as &[&str], true),)*
                stringify!($poll) => (&[$(stringify!($poll_type)),*] as &[&str], true),
                stringify!($exit) => (&[$(stringify!($exit_type)),*] as &[&str], false),
                _ => return None,
            }
        };
    }
    let (params, returns) = antiphon_wasi::for_each_function!(find);
    Some(ExternKind::func(params, if returns { &["i32"] } else { &[] }))
}

/// Sends what the guest wrote without ending its line to the log.
pub(crate) fn flush(data: &mut Data) -> Result<(), Error> {
    let Data { wasi, conversation, .. } = data;
    let mut logged = Ok(());
    if let Some(session) = wasi {
        session.flush(&mut |stream, line| {
            if logged.is_ok() {
                logged = conversation.log(log_stream(stream), line.as_bytes());
            }
        });
    }
    logged
}

/// Runs a function of the world over the guest's memory. Some take long enough to look at the time first.
fn with<R>(
    guest: &mut Caller<'_, Data>,
    abi: Abi,
    run: impl FnOnce(&mut Call<'_>) -> Result<R, Stop>,
) -> Result<R> {
    let (memory, data) = split(guest);
    data.check()?;
    let Data { wasi, conversation, .. } = data;
    let Some(session) = wasi else { unreachable!("a store whose linker has WASI has its session") };
    let mut logged = Ok(());
    let returned = run(&mut Call {
        session,
        memory,
        abi,
        log: &mut |stream, line| {
            if logged.is_ok() {
                logged = conversation.log(log_stream(stream), line.as_bytes());
            }
        },
    });
    logged?;
    returned.map_err(|stop| stopped(stop).into())
}

fn stopped(stop: Stop) -> Error {
    let error = Error::new(ErrorKind::Trapped, stop.to_string());
    match stop.exit_code() {
        Some(code) => error.with_exit_code(code.cast_signed()),
        None => error,
    }
    .with_source(stop)
}

fn log_stream(stream: Stream) -> LogStream {
    match stream {
        Stream::Stdout => LogStream::Stdout,
        Stream::Stderr => LogStream::Stderr,
    }
}
