//! What every engine of Antiphon does between this world and the host's conversation: the guest's
//! output goes to its log, and a [`Stop`] becomes the host's typed error.

use std::fmt;

use antiphon::errors::{Error, ErrorKind, Result};
use antiphon::module_info::{ExternKind, Import};
use antiphon::wapc_functions::{ABORT_NAMESPACE, SEED_FN};
use antiphon::{Conversation, EngineOptions, LogStream, ModuleInfo, WasiParams};

use crate::dirs::lacked;
use crate::{Abi, Call, MODULES, Session, Stop, Stream, Wait, World, for_each_function};

/// Returns whether a module imports AssemblyScript's `env.seed`, which draws from the world's
/// random bytes.
#[must_use]
pub fn imports_seed(info: &ModuleInfo) -> bool {
    info.import(ABORT_NAMESPACE, SEED_FN).is_some()
}

/// Creates the world of a module's guests, as the options of its engine say. Returns `None` for a
/// module that imports nothing of WASI and no `env.seed`. The directories come with a [`session`].
///
/// # Errors
/// [`ErrorKind::Unsupported`]: arguments or environment that no guest could be given, or
/// directories for a guest that is to be deterministic.
pub fn world(info: &ModuleInfo, options: &EngineOptions) -> Result<Option<World>> {
    if options.deterministic.is_some() && options.grants_directories() {
        let what = "what is in a directory makes a guest with directories not deterministic";
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    if !info.imports_from(&MODULES.map(|(module, _)| module)) && !imports_seed(info) {
        return Ok(None);
    }
    let WasiParams { argv, env_vars, .. } = &options.wasi_params;
    let world = World::new(argv, env_vars.iter().map(|(name, value)| (name, value))).map_err(|error| {
        Error::new(ErrorKind::Unsupported, format!("WASI parameters refused: {error}")).with_source(error)
    })?;
    Ok(Some(match options.deterministic {
        Some((seed, clock)) => world.deterministic(seed, clock),
        None => world,
    }))
}

/// Creates the state of a new instance with the directories that its options grant. The first
/// instance of a world opens them.
///
/// # Errors
/// [`ErrorKind::Unsupported`]: a directory cannot be opened. [`ErrorKind::OutOfResources`]: the
/// process has too many open files, or no memory.
pub fn session(world: &World, options: &EngineOptions) -> Result<Box<Session>> {
    let mut session = Box::new(world.session());
    if options.grants_directories() {
        let granted = world.grants().grant(&mut session, options.granted_dirs().collect());
        granted.map_err(|(host, error)| match lacked(&error) {
            Some(resource) => {
                Error::out_of_resources(resource, format_args!("the directory {host:?}")).with_source(error)
            }
            // Its caller, the program, granted what is not there, or is not there any more: nothing
            // was too scarce, and the guest had no part in it.
            None => {
                let what = format!("the directory {host:?} cannot be opened: {error}");
                Error::new(ErrorKind::Unsupported, what).with_source(error)
            }
        })?;
    }
    Ok(session)
}

/// Returns the type of a function of WASI under any of its module names, or of `env.seed`, for
/// checking a module's imports.
#[must_use]
pub fn import_type(import: &Import) -> Option<ExternKind> {
    if (import.module.as_str(), import.name.as_str()) == (ABORT_NAMESPACE, SEED_FN) {
        return Some(ExternKind::func(&[], &["f64"]));
    }
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
    let (params, returns) = for_each_function!(find);
    Some(ExternKind::func(params, if returns { &["i32"] } else { &[] }))
}

/// Defines the functions of WASI under one of its module names, in a linker with Wasmtime's
/// `func_wrap`, which wasmi's linker also has. Use it in a function that returns the linker's
/// errors. It takes a linker, a name of [`MODULES`] with its [`Abi`], the type of the engine's
/// callers, and two functions of the engine:
///
/// ```ignore
/// antiphon_wasi::link_functions!(linker, module, abi, Caller<'_, Data>, with, poll);
/// ```
///
/// `with` checks the time, because some functions take long, and then runs a function for the
/// calling [`Guest`]. `poll` does the wait of a guest in `poll_oneoff`, and returns the result of
/// that import:
///
/// ```ignore
/// fn with<R>(
///     caller: &mut Caller<'_, Data>,
///     abi: Abi,
///     run: impl FnOnce(&mut Guest<'_>) -> Result<R, antiphon::errors::Error>,
/// ) -> Result<R, EngineError>;
/// fn poll(caller: &mut Caller<'_, Data>, abi: Abi, wait: Wait) -> Result<i32, EngineError>;
/// ```
///
/// `random_get` is one of the functions, without a check of the time in between; see
/// [`Guest::random_get`].
#[macro_export]
macro_rules! link_functions {
    (
        [$linker:expr, $module:expr, $abi:expr, $caller:ty, $with:path, $wait:path]
        plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
        suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
        ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
    ) => {
        let (module, abi) = ($module, $abi);
        $($linker.func_wrap(module, stringify!($name), move |mut caller: $caller, $($arg: $type),*| {
            $with(&mut caller, abi, |guest| guest.run(|call| call.$name($($arg),*)))
        })?;)*
        $linker.func_wrap(module, stringify!($exit), move |mut caller: $caller, $($exit_arg: $exit_type),*| {
            $with(&mut caller, abi, |guest| guest.run(|call| call.$exit($($exit_arg),*)))
        })?;
        $linker.func_wrap(module, stringify!($poll), move |mut caller: $caller, $($poll_arg: $poll_type),*| {
            match $with(&mut caller, abi, |guest| guest.run(|call| call.begin_poll_oneoff($($poll_arg),*)))? {
                $crate::Poll::Done(errno) => Ok(errno),
                $crate::Poll::Wait(wait) => $wait(&mut caller, abi, wait),
            }
        })?;
    };
    ($linker:expr, $module:expr, $abi:expr, $caller:ty, $with:path, $poll:path) => {
        $crate::for_each_function!($crate::link_functions, [$linker, $module, $abi, $caller, $with, $poll])
    };
}

/// The guest that calls an import. An engine's import makes one from its store, and runs the
/// function of its own name.
///
/// The import has to check first that the guest may still run, because some functions take long.
pub struct Guest<'a> {
    /// The state of the calling instance.
    pub session: &'a mut Session,
    /// The running conversation.
    pub conversation: &'a mut Conversation,
    /// The whole memory of the calling instance. Empty if it has none.
    pub memory: &'a mut [u8],
    /// The revision under whose name the function was imported.
    pub abi: Abi,
}

impl Guest<'_> {
    /// Runs a function of the world over the guest's memory.
    ///
    /// # Errors
    /// [`ErrorKind::Trapped`], with the code if the guest exited; or the error of the log.
    #[inline]
    pub fn run<R>(&mut self, run: impl FnOnce(&mut Call<'_>) -> Result<R, Stop>) -> Result<R> {
        let Self { session, conversation, memory, abi } = self;
        let mut logged = Ok(());
        let returned = run(&mut Call {
            session,
            memory,
            abi: *abi,
            log: &mut |stream, line| {
                if logged.is_ok() {
                    logged = conversation.log(log_stream(stream), line.as_bytes());
                }
            },
        });
        logged?;
        returned.map_err(stopped)
    }

    /// Serves AssemblyScript's `env.seed` from the world's random bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Engine`]: the system has none.
    pub fn seed(&mut self) -> Result<f64> {
        let none = "the system has no random bytes for `env.seed`";
        self.session.seed().ok_or_else(|| Error::new(ErrorKind::Engine, none))
    }

    /// Fills a buffer with random bytes. This is the one function of the world that can take long,
    /// so it works piece by piece, and between the pieces `check` decides whether the guest may run
    /// on.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and those of `check`.
    pub fn random_get(
        &mut self,
        buffer: i32,
        length: i32,
        mut check: impl FnMut(&Conversation) -> Result<()>,
    ) -> Result<i32> {
        /// The size of a piece in bytes; it takes some hundred microseconds.
        const PIECE: u32 = 256 * 1024;

        let (from, length_u32) = (buffer.cast_unsigned(), length.cast_unsigned());
        let memory = u64::try_from(self.memory.len()).unwrap_or(u64::MAX);
        // A buffer that leaves memory is one fault, before any of it is filled.
        if length_u32 <= PIECE || u64::from(from).saturating_add(u64::from(length_u32)) > memory {
            return self.run(|call| call.random_get(buffer, length));
        }
        for start in (0..length_u32).step_by(usize::try_from(PIECE).unwrap_or(1)) {
            if start > 0 {
                check(self.conversation)?;
            }
            let piece = PIECE.min(length_u32.saturating_sub(start)).cast_signed();
            let errno = self.run(|call| call.random_get(from.wrapping_add(start).cast_signed(), piece))?;
            if errno != 0 {
                return Ok(errno);
            }
        }
        Ok(0)
    }

    /// Waits on this thread, and then writes the result of the [`Wait`] to the guest.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and that the deadline passed or the call was cancelled.
    pub fn wait_blocking(&mut self, wait: Wait) -> Result<i32> {
        antiphon::block_on(self.wait(wait))
    }

    /// Waits as [`wait_blocking`](Self::wait_blocking) does, for a guest that can be suspended.
    ///
    /// # Errors
    /// Those of [`wait_blocking`](Self::wait_blocking).
    pub async fn wait(&mut self, wait: Wait) -> Result<i32> {
        self.conversation.sleep(wait.duration()).await?;
        self.run(|call| call.finish_poll_oneoff(wait))
    }
}

impl fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Guest");
        debug.field("session", &self.session).field("conversation", &self.conversation);
        debug.field("memory", &self.memory.len()).field("abi", &self.abi).finish()
    }
}

/// Sends a line that the guest has not ended to the log, if the guest uses WASI. An engine calls
/// this after each call of the guest and after its start, whatever the result.
///
/// # Errors
/// Those of the log.
#[inline]
pub fn flush(session: Option<&mut Session>, conversation: &mut Conversation) -> Result<()> {
    match session {
        Some(session) => flush_session(session, conversation),
        None => Ok(()),
    }
}

fn flush_session(session: &mut Session, conversation: &mut Conversation) -> Result<()> {
    let mut logged = Ok(());
    session.flush(&mut |stream, line| {
        if logged.is_ok() {
            logged = conversation.log(log_stream(stream), line.as_bytes());
        }
    });
    logged
}

#[cold]
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

#[cfg(test)]
mod tests;
