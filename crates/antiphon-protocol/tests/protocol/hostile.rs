//! Random sequences of imports with random pointers and lengths: never a panic, never an allocation
//! above the limits, and the same outcome in a replay.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use antiphon_protocol::{Begin, Conversation, Limits, Payload, Violation};
use bytes::Bytes;
use proptest::prelude::*;

/// One import of the guest, or one answer of the host.
#[derive(Clone, Debug)]
enum Step {
    GuestRequest(i32, i32),
    GuestResponse(i32, i32),
    GuestError(i32, i32),
    ConsoleLog(i32, i32),
    /// The arguments, and the handler's answer: a number of bytes, or the length of an error text.
    HostCall([i32; 8], Result<usize, usize>),
    HostResponse(i32),
    HostError(i32),
    Abort([i32; 4]),
}

const MEMORY: i32 = 4096;
/// Well below what a wild length would request, and above what these limits allow with the growth
/// of a buffer.
const LARGEST_ALLOCATION: usize = 8 * 1024;

fn limits() -> Limits {
    Limits::new()
        .request(1024)
        .response(2048)
        .host_payload(1024)
        .name(64)
        .error_text(128)
        .host_calls(8)
        .host_call_bytes(4096)
        .log_line(64)
        .log(512)
}

/// Values that are likely to be wrong: the edges of memory and of the type, and anything between.
fn value() -> impl Strategy<Value = i32> {
    prop_oneof![
        4 => 0..MEMORY + 2,
        2 => 0..96i32,
        1 => prop::sample::select(vec![0, 1, -1, i32::MIN, i32::MAX, MEMORY, MEMORY - 1]),
        1 => any::<i32>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pair = || (value(), value());
    let answer = prop_oneof![(0..3000usize).prop_map(Ok), (0..300usize).prop_map(Err)];
    prop_oneof![
        pair().prop_map(|(op, msg)| Step::GuestRequest(op, msg)),
        pair().prop_map(|(ptr, len)| Step::GuestResponse(ptr, len)),
        pair().prop_map(|(ptr, len)| Step::GuestError(ptr, len)),
        pair().prop_map(|(ptr, len)| Step::ConsoleLog(ptr, len)),
        (prop::array::uniform8(value()), answer).prop_map(|(args, answer)| Step::HostCall(args, answer)),
        value().prop_map(Step::HostResponse),
        value().prop_map(Step::HostError),
        prop::array::uniform4(value()).prop_map(Step::Abort),
    ]
}

/// Runs one step. Describes its effects in a text, so that two runs can be compared.
fn apply(conversation: &mut Conversation, memory: &mut [u8], step: &Step) -> Result<String, Violation> {
    Ok(match *step {
        Step::GuestRequest(op, msg) => conversation.guest_request(memory, op, msg).map(|()| String::new())?,
        Step::GuestResponse(ptr, len) => {
            conversation.guest_response(memory, ptr, len).map(|()| String::new())?
        }
        Step::GuestError(ptr, len) => conversation.guest_error(memory, ptr, len).map(|()| String::new())?,
        Step::ConsoleLog(ptr, len) => {
            let line = conversation.console_log(memory, ptr, len)?;
            assert!(line.as_ref().is_none_or(|line| !line.contains(['\n', '\r', '\u{1b}'])));
            format!("{line:?}")
        }
        Step::HostCall(args, answer) => match conversation.begin_host_call(memory, args)? {
            Begin::Refused => format!("refused: {}", conversation.host_error_text().unwrap()),
            Begin::Run(request) => {
                assert!(request.binding.len() <= 64 && request.payload.len() <= 1024);
                let answer = match answer {
                    Ok(length) => Ok(Bytes::from_static(&[7; 3000]).slice(..length)),
                    Err(length) => Err("e".repeat(length)),
                };
                let returned = conversation.finish_host_call(answer)?;
                format!("{returned} {} {}", conversation.host_response_len(), conversation.host_error_len())
            }
        },
        Step::HostResponse(ptr) => conversation.host_response(memory, ptr).map(|()| String::new())?,
        Step::HostError(ptr) => conversation.host_error(memory, ptr).map(|()| String::new())?,
        Step::Abort(args) => conversation.abort(memory, args),
    })
}

/// What each step left, the outcome, the answer, and the memory.
type Run = (Vec<Result<String, Violation>>, String, Vec<u8>, Vec<u8>);

/// Runs one call from start to end, and stops where a violation would end it.
fn run(seed: &[u8], steps: &[Step], returned: i32) -> Run {
    let mut memory: Vec<u8> = seed.iter().copied().cycle().take(MEMORY.unsigned_abs() as usize).collect();
    let mut conversation = Conversation::new(limits());
    conversation.begin_call("operation", Payload::from(b"the payload")).unwrap();
    let mut log = Vec::new();
    for step in steps {
        log.push(apply(&mut conversation, &mut memory, step));
        if log.last().is_some_and(Result::is_err) {
            let said = conversation.abandon_call();
            return (log, format!("abandoned {said:?}"), Vec::new(), memory);
        }
    }
    let outcome = conversation.end_call(returned);
    let response = conversation.take_response();
    assert!(response.len() <= 2048);
    (log, format!("{outcome:?}"), response, memory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_sequence_panics_allocates_above_the_limits_or_differs_when_replayed(
        seed in prop::collection::vec(any::<u8>(), 1..64),
        steps in prop::collection::vec(step(), 0..24),
        returned in any::<i32>(),
    ) {
        // The effects of one step are bounded, so the test's own log is too.
        let first = LARGEST.with(|largest| {
            largest.set(0);
            let result = run(&seed, &steps, returned);
            prop_assert!(largest.get() <= LARGEST_ALLOCATION, "{} bytes at once", largest.get());
            Ok(result)
        })?;
        prop_assert_eq!(&first, &run(&seed, &steps, returned));
        let calls = first.0.iter().zip(&steps).filter(|(_, step)| matches!(step, Step::HostCall(..))).count();
        prop_assert!(calls <= 9, "a call beyond the limit ends the conversation");
    }

    #[test]
    fn outside_a_call_every_import_is_harmless(steps in prop::collection::vec(step(), 0..24)) {
        let mut memory = vec![0; MEMORY.unsigned_abs() as usize];
        let mut conversation = Conversation::new(limits());
        conversation.begin_init(false);
        for step in &steps {
            let outcome = apply(&mut conversation, &mut memory, step);
            if let (Step::HostCall(..), Ok(text)) = (step, &outcome) {
                prop_assert!(text.starts_with("refused: "), "{}", text);
            }
        }
        conversation.end_init();
        // Nothing of the start is left for the next call.
        conversation.begin_call("op", Payload::from(b"")).unwrap();
        prop_assert_eq!(conversation.end_call(1), antiphon_protocol::Outcome::Misbehaved);
    }
}

#[test]
fn a_refused_host_call_is_not_charged_for_bytes_it_never_carried() {
    let memory = vec![0; 2048];
    let mut conversation = Conversation::new(limits());
    conversation.begin_call("op", Payload::from(b"")).unwrap();
    // 8 x 1,025 bytes exceed the budget of 4,096, but each payload is refused for its own size
    // first.
    for _ in 0..8 {
        let begun = conversation.begin_host_call(&memory, [0, 0, 0, 0, 0, 0, 0, 1025]);
        assert_eq!(begun, Ok(Begin::Refused));
    }
    let ninth = conversation.begin_host_call(&memory, [0; 8]);
    assert!(matches!(ninth, Err(Violation::HostCallLimit { limit: 8, .. })), "{ninth:?}");
}

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Records the largest single allocation of this thread.
struct Watching;

#[expect(unsafe_code, reason = "a global allocator cannot be watched otherwise; it only forwards")]
// SAFETY: every method forwards its arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `alloc` above, which forwarded to the system.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;
