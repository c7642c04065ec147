//! Random calls on random memories: nothing panics, allocations stay within a bound, and a call
//! that fails leaves the guest's memory unchanged.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use antiphon_wasi::{Abi, Call, Poll, Session, Stop, Stream, World};
use proptest::prelude::*;

/// The system's allocator, which also counts the bytes that each thread requests.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get().saturating_add(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same here.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs the function of this number, with as many of these arguments as it takes.
fn run(call: &mut Call<'_>, function: usize, args: &[i64; 9]) -> Result<i32, Stop> {
    let mut args = args.iter().copied();
    let mut number = 0..;
    macro_rules! dispatch {
        (
            plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
            suspending { fn $poll:ident($($p:ident: $pt:ty),*) -> i32; }
            ending { fn $exit:ident($($e:ident: $et:ty),*); }
        ) => {
            $(
                if number.next() == Some(function) {
                    $(#[expect(clippy::allow_attributes, reason = "only half of the types truncate")]
                    #[allow(clippy::cast_possible_truncation, reason = "as wasm does")]
                    let $arg = args.next().expect("nine are enough") as $type;)*
                    return call.$name($($arg),*);
                }
            )*
        };
    }
    antiphon_wasi::for_each_function!(dispatch);
    let mut next = || {
        i32::from_le_bytes(args.next().expect("nine are enough").to_le_bytes()[..4].try_into().expect("4"))
    };
    if number.next() == Some(function) {
        return match call.begin_poll_oneoff(next(), next(), next(), next())? {
            Poll::Done(errno) => Ok(errno),
            Poll::Wait(wait) => call.finish_poll_oneoff(wait),
        };
    }
    call.proc_exit(next()).map(|()| unreachable!("an exit does not return"))
}

/// Numbers that a hostile guest would try, most of them near an edge of its memory.
fn argument() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0_i64..64,
        2 => 64_i64..1100,
        1 => (-70_i64..70).prop_map(|offset| 0xffff_ffff + offset),
        1 => any::<i64>(),
        1 => any::<i32>().prop_map(i64::from),
    ]
}

/// The bytes of a memory. They come from a seed, because a strategy for each byte would take most
/// of the time of these tests.
fn memory() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Small numbers make plausible pointers, lengths, and kinds.
        bytes(0..1024, |kind, byte| match kind % 6 {
            0..3 => 0,
            3 | 4 => byte % 4,
            _ => byte,
        }),
        bytes(0..256, |_, byte| byte),
    ]
}

/// Makes each byte of two random ones.
fn bytes(lengths: std::ops::Range<usize>, make: fn(u8, u8) -> u8) -> impl Strategy<Value = Vec<u8>> {
    (lengths, any::<u64>()).prop_map(move |(length, seed)| {
        let mut state = seed | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [.., kind, byte] = state.to_be_bytes();
            make(kind, byte)
        };
        std::iter::repeat_with(next).take(length).collect()
    })
}

fn world() -> World {
    World::new(["guest", "-x"], [("A", "b")]).expect("a small world")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn no_call_panics_nor_asks_for_much_nor_writes_when_it_fails(
        mut bytes in memory(),
        calls in prop::collection::vec((0_usize..46, prop::array::uniform9(argument())), 1..12),
        preview0 in any::<bool>(),
        fixed in any::<bool>(),
    ) {
        let world = if fixed { world().deterministic(1, Duration::MAX) } else { world() };
        let mut session = world.session();
        let abi = if preview0 { Abi::Preview0 } else { Abi::Preview1 };
        for (function, args) in calls {
            let before = bytes.clone();
            let mut bytes_logged = 0;
            let mut log = |_: Stream, line: &str| {
                assert!(line.len() < antiphon_wasi::MAX_LINE + 48, "a line of {} bytes", line.len());
                bytes_logged += line.len();
            };
            let asked = ASKED.get();
            let outcome = run(&mut Call { session: &mut session, memory: &mut bytes, abi, log: &mut log }, function, &args);
            let asked = ASKED.get() - asked;
            // The buffer of a line, and the texts of lines that had to be escaped (at most three
            // bytes for one).
            prop_assert!(asked <= 4096 + 16 * (bytes_logged + 64), "{asked} bytes asked for, {bytes_logged} logged");
            let failed = !matches!(outcome, Ok(0) | Err(Stop::Exit(_)));
            // If the list of events overlaps the subscriptions, writing it may change them.
            if failed && function != 44 {
                prop_assert_eq!(&before, &bytes);
            }
        }
        session.flush(&mut |_: Stream, _: &str| {});
    }

    #[cfg(all(feature = "dirs", unix))]
    #[test]
    fn with_a_directory_no_call_panics_nor_asks_for_much_nor_writes_when_it_fails(
        mut bytes in memory(),
        calls in prop::collection::vec((0_usize..44, prop::array::uniform9(argument())), 1..24),
        read_only in any::<bool>(),
    ) {
        use antiphon_wasi::Access;

        // Names that the bytes of the memory spell, because most of those are small.
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("\u{1}"), "text").expect("a file");
        std::fs::write(directory.path().join("\u{2}"), "text").expect("a file");
        std::fs::create_dir(directory.path().join("\u{3}")).expect("a directory");
        std::os::unix::fs::symlink("\u{1}", directory.path().join("\u{1}\u{1}")).expect("a link");
        let mut session = world().session();
        let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        session.grant(directory.path(), "/", access).expect("it is there");
        let mut log = |_: Stream, _: &str| {};
        for (function, args) in calls {
            let before = bytes.clone();
            let asked = ASKED.get();
            let mut call = Call { session: &mut session, memory: &mut bytes, abi: Abi::Preview1, log: &mut log };
            let outcome = run(&mut call, function, &args);
            let asked = ASKED.get() - asked;
            // A listing with the system's entries, and lists of at most a thousand buffers.
            prop_assert!(asked <= 256 * 1024, "{asked} bytes asked for");
            if !matches!(outcome, Ok(0)) {
                prop_assert_eq!(&before, &bytes);
            }
        }
        // Everything is still in its place, or where the guest moved it.
        prop_assert!(std::fs::read_dir(directory.path()).is_ok());
    }

    #[test]
    fn a_deterministic_world_repeats_itself(
        bytes in memory(),
        calls in prop::collection::vec((0_usize..46, prop::array::uniform9(argument())), 1..12),
        seed in any::<u64>(),
    ) {
        let world = world().deterministic(seed, Duration::from_secs(1));
        let play = |mut session: Session| {
            let mut memory = bytes.clone();
            let mut lines = Vec::new();
            let mut outcomes = Vec::new();
            for (function, args) in &calls {
                let mut log = |stream: Stream, line: &str| lines.push((stream, line.to_owned()));
                let mut call =
                    Call { session: &mut session, memory: &mut memory, abi: Abi::Preview1, log: &mut log };
                outcomes.push(run(&mut call, *function, args));
            }
            (memory, lines, outcomes)
        };
        prop_assert_eq!(play(world.session()), play(world.session()));
    }
}
