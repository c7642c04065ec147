//! What engines call, with closures as guests in the conversations of a real host.

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
    assert_eq!(error.message(), "clock_time_get: pointer 0x9, length 8 is outside of the memory of 16 bytes");
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
            let (session, memory) = (&mut other, &mut whole);
            let mut guest = Guest { session, conversation, memory, abi: Abi::Preview1 };
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
    info.imports.push(Import::new("env", "seed", ExternKind::Global));
    assert!(world(&info, &options("LANG")).unwrap().is_some());
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
fn a_seed_is_drawn_from_the_random_bytes_of_the_world() {
    let (answer, _) = call(|session, conversation| {
        let mut guest = Guest { session, conversation, memory: &mut [], abi: Abi::Preview1 };
        let (seed, next) = (guest.seed()?, guest.seed()?);
        assert_eq!((session.world().session().seed(), seed > 0.0, seed == next), (Some(seed), true, false));
        Ok(1)
    });
    assert_eq!(answer.unwrap(), b"");
}

#[test]
fn the_functions_of_wasi_are_known_with_their_types_under_both_names() {
    let import = |module, name| {
        import_type(&Import::new(module, name, ExternKind::Global)).map(|kind| kind.to_string())
    };
    assert_eq!(import("wasi_unstable", "fd_seek").unwrap(), "func(i32, i64, i32, i32) -> i32");
    assert_eq!(import("wasi_snapshot_preview1", "poll_oneoff").unwrap(), "func(i32, i32, i32, i32) -> i32");
    assert_eq!(import("wasi_snapshot_preview1", "proc_exit").unwrap(), "func(i32)");
    assert_eq!(import("wasi_snapshot_preview1", "fd_fly"), None);
    assert_eq!(import("env", "fd_seek"), None);
    assert_eq!(import("env", "seed").unwrap(), "func() -> f64");
    assert_eq!(import("wasi_snapshot_preview1", "seed"), None);
}

#[test]
fn the_instances_of_a_world_share_the_directories_that_were_opened_for_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let granted = directory.path().join("granted");
    std::fs::create_dir(&granted).unwrap();
    let options = EngineOptions::new().dir(&granted, "/data");
    let mut info = ModuleInfo::default();
    info.imports.push(Import::new("wasi_snapshot_preview1", "path_open", ExternKind::Global));
    let new_world = || world(&info, &options).unwrap().unwrap();

    let opened = new_world();
    session(&opened, &options).unwrap();
    std::fs::rename(&granted, directory.path().join("moved")).unwrap();
    session(&opened, &options).unwrap();
    assert_eq!(session(&new_world(), &options).unwrap_err().kind(), ErrorKind::Unsupported);
}
