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
        let none = || Error::new(ErrorKind::Engine, "the system has no random bytes for `env.seed`");
        self.session.seed().ok_or_else(none)
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
mod tests {
    use std::error::Error as _;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use antiphon::errors::BoxError;
    use antiphon::{ModuleState, WapcHost, WebAssemblyEngineProvider};

    use super::*;
    use crate::Poll;

    type Lines = Vec<(LogStream, String)>;

    /// An engine whose guest is one closure over its session and its conversation.
    struct Engine<F>(Session, F);

    impl<F: FnMut(&mut Session, &mut Conversation) -> Result<i32>> WebAssemblyEngineProvider for Engine<F> {
        fn init(&mut self, _host: Arc<ModuleState>) -> Result<(), BoxError> {
            Ok(())
        }

        fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
            Err("it converses".into())
        }

        fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
            Err("not here".into())
        }

        fn converse(&mut self, conversation: &mut Box<Conversation>) -> Option<Result<i32, BoxError>> {
            Some((self.1)(&mut self.0, conversation).map_err(Into::into))
        }
    }

    /// Runs a closure as a guest's call in a deterministic world. Returns its answer and the lines
    /// of its log. The answer is an error unless the closure returned 1.
    fn call(
        mut run: impl FnMut(&mut Session, &mut Conversation) -> Result<i32> + Send + 'static,
    ) -> (Result<Vec<u8>>, Lines) {
        let lines = Arc::new(Mutex::new(Lines::new()));
        let sink = Arc::clone(&lines);
        let session = World::default().deterministic(7, Duration::ZERO).session();
        let engine = Engine(session, move |session: &mut Session, conversation: &mut Conversation| {
            conversation.guest_response(&[], 0, 0)?;
            run(session, conversation)
        });
        let host = WapcHost::builder(Box::new(engine))
            .log(move |line| sink.lock().unwrap().push((line.stream, line.text.to_owned())))
            .build()
            .unwrap();
        let answer = host.call("op", b"");
        let lines = std::mem::take(&mut *lines.lock().unwrap());
        (answer, lines)
    }

    /// Returns a memory with a list of one buffer at 0.
    fn memory(size: usize, buffer: u32, bytes: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; size];
        let length = u32::try_from(bytes.len()).unwrap();
        memory[0..4].copy_from_slice(&buffer.to_le_bytes());
        memory[4..8].copy_from_slice(&length.to_le_bytes());
        let buffer = usize::try_from(buffer).unwrap();
        memory[buffer..buffer + bytes.len()].copy_from_slice(bytes);
        memory
    }

    #[test]
    fn what_a_guest_writes_is_logged_line_by_line_and_its_last_line_by_the_flush() {
        let (answer, lines) = call(|session, conversation| {
            let memory = &mut memory(64, 16, b"one\ntwo\nthr");
            let mut guest = Guest { session, conversation, memory, abi: Abi::Preview1 };
            assert_eq!(guest.run(|call| call.fd_write(2, 0, 1, 8))?, 0);
            assert_eq!(guest.memory[8], 11);
            flush(Some(&mut *session), conversation)?;
            flush(Some(session), conversation)?;
            flush(None, conversation)?;
            Ok(1)
        });
        assert_eq!(answer.unwrap(), b"");
        let line = |text: &str| (LogStream::Stderr, text.to_owned());
        assert_eq!(lines, [line("one"), line("two"), line("thr")]);
        let (_, lines) = call(|session, conversation| {
            let memory = &mut memory(64, 16, b"out\n");
            let mut guest = Guest { session, conversation, memory, abi: Abi::Preview0 };
            guest.run(|call| call.fd_write(1, 0, 1, 8))
        });
        assert_eq!(lines, [(LogStream::Stdout, "out".to_owned())]);
    }

    #[test]
    fn a_log_that_panics_ends_the_call_whatever_the_function_returned() {
        for ends in [false, true] {
            let engine = Engine(
                World::default().session(),
                move |session: &mut Session, conversation: &mut Conversation| {
                    let memory = &mut memory(64, 16, b"one\n");
                    if ends {
                        let mut guest = Guest { session, conversation, memory, abi: Abi::Preview1 };
                        guest.run(|call| call.fd_write(1, 0, 1, 8))?;
                        return Ok(1);
                    }
                    memory[4] = 3; // without its newline
                    let mut guest = Guest { session, conversation, memory, abi: Abi::Preview1 };
                    guest.run(|call| call.fd_write(1, 0, 1, 8))?;
                    flush_session(session, conversation)?;
                    Ok(1)
                },
            );
            let host = WapcHost::builder(Box::new(engine)).log(|_| panic!("no paper")).build().unwrap();
            assert_eq!(host.call("op", b"").unwrap_err().kind(), ErrorKind::HostPanicked);
        }
    }

    #[test]
    fn a_stop_is_a_trap_that_keeps_its_code_and_its_source() {
        for code in [0, 3, -1] {
            let (answer, _) = call(move |session, conversation| {
                let mut guest = Guest { session, conversation, memory: &mut [], abi: Abi::Preview1 };
                guest.run(|call| call.proc_exit(code)).map(|()| 1)
            });
            let error = answer.unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Trapped, Some(code)));
            let stop = error.source().unwrap().downcast_ref::<Stop>();
            assert_eq!(stop, Some(&Stop::Exit(code.cast_unsigned())));
        }
        let (answer, _) = call(|session, conversation| {
            let mut guest = Guest { session, conversation, memory: &mut [0; 16], abi: Abi::Preview1 };
            guest.run(|call| call.clock_time_get(0, 0, 9))
        });
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::Trapped, None));
        assert_eq!(
            error.message(),
            "clock_time_get: pointer 0x9, length 8 is outside of the memory of 16 bytes"
        );
    }

    #[test]
    fn many_random_bytes_are_made_in_pieces_with_a_look_at_the_time_between_them() {
        const PIECE: i32 = 256 * 1024;

        let (answer, _) = call(|session, conversation| {
            let mut other = session.world().session();
            for (length, checks) in [(0, 0), (PIECE, 0), (PIECE + 1, 1), (3 * PIECE, 2)] {
                let size = usize::try_from(length).unwrap() + 16;
                let (mut pieces, mut whole) = (vec![0; size], vec![0; size]);
                let mut seen = 0;
                let mut guest = Guest { session, conversation, memory: &mut pieces, abi: Abi::Preview1 };
                let errno = guest.random_get(8, length, |_| {
                    seen += 1;
                    Ok(())
                })?;
                assert_eq!((errno, seen), (0, checks), "{length}");
                let mut guest =
                    Guest { session: &mut other, conversation, memory: &mut whole, abi: Abi::Preview1 };
                assert_eq!(guest.run(|call| call.random_get(8, length))?, 0);
                assert!(pieces == whole && pieces[..8] == [0; 8] && pieces[size - 8..] == [0; 8], "{length}");
            }
            Ok(1)
        });
        assert_eq!(answer.unwrap(), b"");
        let (answer, _) = call(|session, conversation| {
            let mut memory = vec![0; 1 << 20];
            let mut guest = Guest { session, conversation, memory: &mut memory, abi: Abi::Preview1 };
            let mut left = 2;
            let late = guest.random_get(0, 1 << 20, |_| {
                left -= 1;
                if left == 0 { Err(Error::new(ErrorKind::DeadlineExceeded, "late")) } else { Ok(()) }
            });
            assert!(
                memory[(1 << 19) - 64..1 << 19] != [0; 64] && memory[1 << 19..].iter().all(|byte| *byte == 0)
            );
            late
        });
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    }

    #[test]
    fn a_wait_takes_its_time_and_then_writes_its_event() {
        const WAIT: Duration = Duration::from_millis(20);

        let (answer, _) = call(|_, conversation| {
            // The monotonic clock, from now on, with 7 as user data.
            let mut memory = [0; 128];
            memory[0] = 7;
            memory[16] = 1;
            memory[24..32].copy_from_slice(&20_000_000_u64.to_le_bytes());
            let mut session = World::default().session();
            let memory = &mut memory;
            let mut guest = Guest { session: &mut session, conversation, memory, abi: Abi::Preview1 };
            let Poll::Wait(wait) = guest.run(|call| call.begin_poll_oneoff(0, 64, 1, 120))? else {
                panic!("a wait")
            };
            assert_eq!((wait.duration(), guest.memory[64], guest.memory[120]), (WAIT, 0, 0));
            let begun = Instant::now();
            let errno = guest.wait_blocking(wait)?;
            assert!(begun.elapsed() >= WAIT);
            assert_eq!((errno, guest.memory[64], guest.memory[120]), (0, 7, 1));
            Ok(1)
        });
        assert_eq!(answer.unwrap(), b"");
    }

    #[test]
    fn a_guest_shows_the_size_of_its_memory_and_not_the_bytes() {
        let (answer, _) = call(|session, conversation| {
            let guest = Guest { session, conversation, memory: &mut [7; 16], abi: Abi::Preview0 };
            let shown = format!("{guest:?}");
            assert!(shown.starts_with("Guest { session: Session { world: World("), "{shown}");
            assert!(shown.contains(", conversation: Conversation"), "{shown}");
            assert!(shown.ends_with(", memory: 16, abi: Preview0 }"), "{shown}");
            Ok(1)
        });
        assert_eq!(answer.unwrap(), b"");
    }

    #[test]
    fn random_bytes_that_leave_memory_are_one_fault_and_none_is_made() {
        let (answer, _) = call(|session, conversation| {
            let mut memory = vec![0; 1 << 20];
            let mut guest = Guest { session, conversation, memory: &mut memory, abi: Abi::Preview1 };
            let fault = guest.random_get(1, 1 << 20, |_| Ok(()));
            assert!(memory.iter().all(|byte| *byte == 0));
            let mut guest = Guest { session, conversation, memory: &mut memory, abi: Abi::Preview1 };
            assert_eq!(guest.random_get(-1, -1, |_| Ok(())).unwrap_err().kind(), ErrorKind::Trapped);
            fault
        });
        assert_eq!(
            answer.unwrap_err().message(),
            "random_get: pointer 0x1, length 1048576 is outside of the memory of 1048576 bytes"
        );
    }

    #[test]
    fn the_world_is_that_of_the_parameters_and_refuses_what_no_guest_could_be_given() {
        let options = |name: &str| {
            let env = vec![(name.to_owned(), "C".to_owned())];
            EngineOptions::new().wasi_params(WasiParams::new(
                vec!["guest".to_owned()],
                Vec::new(),
                env,
                Vec::new(),
            ))
        };
        let mut info = ModuleInfo::default();
        assert!(world(&info, &options("LANG=")).unwrap().is_none());
        info.imports.push(Import::new("wasi_unstable", "environ_get", ExternKind::Global));
        let mut session = world(&info, &options("LANG")).unwrap().unwrap().session();
        let mut memory = [0; 32];
        let mut call =
            Call { session: &mut session, memory: &mut memory, abi: Abi::Preview1, log: &mut |_, _| {} };
        assert_eq!((call.args_get(0, 4), call.environ_get(0, 10)), (Ok(0), Ok(0)));
        assert_eq!(&memory[4..17], b"guest\0LANG=C\0");

        let error = world(&info, &options("LANG=")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().starts_with("WASI parameters refused: "), "{error}");
        assert!(error.source().unwrap().is::<crate::WorldError>());
    }

    #[test]
    fn the_world_of_a_deterministic_guest_draws_from_its_seed() {
        let mut info = ModuleInfo::default();
        info.imports.push(Import::new("wasi_snapshot_preview1", "random_get", ExternKind::Global));
        let draw = |options: EngineOptions| {
            let mut session = world(&info, &options).unwrap().unwrap().session();
            let mut memory = [0; 16];
            let mut call =
                Call { session: &mut session, memory: &mut memory, abi: Abi::Preview1, log: &mut |_, _| {} };
            assert_eq!(call.random_get(0, 16), Ok(0));
            memory
        };
        let fixed = |seed| draw(EngineOptions::new().deterministic(seed, Duration::ZERO));
        assert_eq!(fixed(1), fixed(1));
        assert_ne!(fixed(1), fixed(2));
        assert_ne!(draw(EngineOptions::new()), draw(EngineOptions::new()));
    }

    #[test]
    fn the_functions_of_wasi_are_known_with_their_types_under_both_names() {
        let import = |module, name| {
            import_type(&Import::new(module, name, ExternKind::Global)).map(|kind| kind.to_string())
        };
        assert_eq!(import("wasi_unstable", "fd_seek").unwrap(), "func(i32, i64, i32, i32) -> i32");
        assert_eq!(
            import("wasi_snapshot_preview1", "poll_oneoff").unwrap(),
            "func(i32, i32, i32, i32) -> i32"
        );
        assert_eq!(import("wasi_snapshot_preview1", "proc_exit").unwrap(), "func(i32)");
        assert_eq!(import("wasi_snapshot_preview1", "fd_fly"), None);
        assert_eq!(import("env", "fd_seek"), None);
        assert_eq!(import("env", "seed").unwrap(), "func() -> f64");
        assert_eq!(import("wasi_snapshot_preview1", "seed"), None);
    }
}
