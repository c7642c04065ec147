//! `poll_oneoff`, in two halves around a wait that the engine does.

use std::time::Duration;

use super::clocks::{Clock, Now};
use crate::abi::memory::{self, OutOfBounds, wide};
use crate::abi::{Abi, Errno, Failure, Stop, settle};
use crate::call::Call;
use crate::session::Session;
use crate::stdio::Descriptor;

/// The largest number of subscriptions of one `poll_oneoff`. More are refused with `EINVAL`.
pub const MAX_SUBSCRIPTIONS: u32 = 1024;

/// The size of an event, in bytes.
const EVENT: u64 = 32;

/// The result of the first half of `poll_oneoff`.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    /// The call is over. The import returns this error number.
    Done(i32),
    /// Nothing is ready yet. The engine suspends the guest for this wait, and then runs the second
    /// half.
    Wait(Wait),
}

/// A wait that a guest asked for, with what the second half of `poll_oneoff` needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    subscriptions: Subscriptions,
    now: Now,
    nanoseconds: u64,
}

impl Wait {
    /// Returns how long the guest asked to wait, up to 584 years. The engine's deadline comes
    /// first.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }
}

/// Where subscriptions are read from and events are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subscriptions {
    abi: Abi,
    subscriptions: u64,
    events: u64,
    count: u64,
    stored: u64,
}

/// What a subscription waits for, and its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subscription {
    userdata: u64,
    kind: Kind,
    /// The nanoseconds until it is ready, or why it never will be. The guest learns of the latter
    /// at once.
    due: Result<u64, Errno>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Clock,
    Read,
    Write,
}

impl Call<'_> {
    /// Runs the first half of `poll_oneoff`: reads the subscriptions, and writes events if
    /// something is ready.
    ///
    /// Standard input is ready to be read, because it is at its end; standard output and error are
    /// ready to be written, and a file is ready for both. Any other descriptor gives an event with
    /// `EBADF`, and a clock other than real time and monotonic gives an event with `EINVAL`. The
    /// whole call fails with `EINVAL` without a subscription, with more than [`MAX_SUBSCRIPTIONS`],
    /// or with one of an unknown kind. A deterministic world never waits: its clocks move to the
    /// end of the wait.
    pub fn begin_poll_oneoff(
        &mut self,
        subscriptions: i32,
        events: i32,
        count: i32,
        stored: i32,
    ) -> Result<Poll, Stop> {
        let list = Subscriptions {
            abi: self.abi,
            subscriptions: wide(subscriptions),
            events: wide(events),
            count: wide(count),
            stored: wide(stored),
        };
        match self.begin(list) {
            Ok(Some(wait)) => Ok(Poll::Wait(wait)),
            Ok(None) => Ok(Poll::Done(0)),
            Err(failure) => settle("poll_oneoff", Err(failure)).map(Poll::Done),
        }
    }

    /// Runs the second half of `poll_oneoff`: writes the events of a wait that is over, as if it
    /// took exactly as long as the guest asked for. It needs the session and the memory of the same
    /// instance, wherever that memory is by now.
    pub fn finish_poll_oneoff(&mut self, wait: Wait) -> Result<i32, Stop> {
        settle("poll_oneoff", self.finish(&wait))
    }

    fn begin(&mut self, list: Subscriptions) -> Result<Option<Wait>, Failure> {
        list.check(self.memory)?;
        let now = self.session.clocks.now();
        let mut nanoseconds = u64::MAX;
        for index in 0..list.count {
            let subscription = list.read(index, self.memory, self.session, now)?;
            nanoseconds = nanoseconds.min(subscription.due.unwrap_or(0));
        }
        let wait = Wait { subscriptions: list, now, nanoseconds };
        if nanoseconds == 0 || self.session.clocks.advance(nanoseconds) {
            self.finish(&wait)?;
            return Ok(None);
        }
        Ok(Some(wait))
    }

    fn finish(&mut self, wait: &Wait) -> Result<(), Failure> {
        let list = wait.subscriptions;
        // Checked again, because an engine that mixes up two instances passes another memory.
        list.check(self.memory)?;
        let mut stored = 0_u32;
        let mut event = list.events;
        for index in 0..list.count {
            let subscription = list.read(index, self.memory, self.session, wait.now)?;
            if subscription.due.is_ok_and(|due| due > wait.nanoseconds) {
                continue;
            }
            subscription.store_event(self.memory, event)?;
            event = event.saturating_add(EVENT);
            stored = stored.saturating_add(1);
        }
        Ok(memory::store_u32(self.memory, list.stored, stored)?)
    }
}

impl Subscriptions {
    /// Returns the offset of a clock's fields within its subscription, and the size of a
    /// subscription. Preview 0 has an identifier in front of these fields, which is not used.
    fn layout(self) -> (u64, u64) {
        match self.abi {
            Abi::Preview1 => (16, 48),
            Abi::Preview0 => (24, 56),
        }
    }

    /// Checks everything but the contents of the subscriptions.
    fn check(self, guest: &mut [u8]) -> Result<(), Failure> {
        if self.count == 0 || self.count > u64::from(MAX_SUBSCRIPTIONS) {
            return Err(Errno::Inval.into());
        }
        let (_, size) = self.layout();
        memory::view(guest, self.subscriptions, self.count.saturating_mul(size))?;
        memory::span(guest, self.events, self.count.saturating_mul(EVENT))?;
        memory::span(guest, self.stored, 4)?;
        Ok(())
    }

    /// Reads a subscription, and computes when it is due from `now`.
    fn read(self, index: u64, guest: &[u8], session: &Session, now: Now) -> Result<Subscription, Failure> {
        let (fields, size) = self.layout();
        let at = self.subscriptions.saturating_add(index.saturating_mul(size));
        let userdata = memory::load_u64(guest, at)?;
        let kind = match memory::load_u8(guest, at.saturating_add(8))? {
            0 => Kind::Clock,
            1 => Kind::Read,
            2 => Kind::Write,
            _ => return Err(Errno::Inval.into()),
        };
        let due = match kind {
            Kind::Clock => clock_due(guest, at.saturating_add(fields), now)?,
            Kind::Read | Kind::Write => {
                // An `i32`, as a function's argument would be.
                let fd = memory::load_u32(guest, at.saturating_add(16))?.cast_signed();
                match (kind, session.stream(fd)) {
                    (Kind::Read, Ok(Descriptor::Stdin)) | (Kind::Write, Ok(Descriptor::Output(_))) => Ok(0),
                    (_, Err(_)) if session.is_file(fd) => Ok(0),
                    _ => Err(Errno::Badf),
                }
            }
        };
        Ok(Subscription { userdata, kind, due })
    }
}

/// Reads a clock's subscription, and returns in how many nanoseconds it is due.
fn clock_due(guest: &[u8], at: u64, now: Now) -> Result<Result<u64, Errno>, Failure> {
    const ABSOLUTE: u16 = 1;
    let clock = Clock::of_id(memory::load_u32(guest, at)?);
    let timeout = memory::load_u64(guest, at.saturating_add(8))?;
    let flags = memory::load_u16(guest, at.saturating_add(24))?;
    Ok(match (clock, flags) {
        (Ok(_), 0) => Ok(timeout),
        (Ok(Clock::Realtime), ABSOLUTE) => Ok(timeout.saturating_sub(now.realtime)),
        (Ok(Clock::Monotonic), ABSOLUTE) => Ok(timeout.saturating_sub(now.monotonic)),
        (Err(_), _) | (Ok(_), _) => Err(Errno::Inval),
    })
}

impl Subscription {
    fn store_event(self, guest: &mut [u8], at: u64) -> Result<(), OutOfBounds> {
        let (kind, bytes) = match self.kind {
            Kind::Clock => (0, 0),
            // One byte, as in Wasmtime: the real number is unknown, and zero would mean 'not
            // ready'.
            Kind::Read => (1, 1),
            Kind::Write => (2, 1),
        };
        let errno = self.due.err();
        memory::span(guest, at, EVENT)?.fill(0);
        memory::store_u64(guest, at, self.userdata)?;
        memory::store(guest, at.saturating_add(8), &[errno.map_or(0, Errno::code), 0, kind])?;
        memory::store_u64(guest, at.saturating_add(16), if errno.is_none() { bytes } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::fixture::Guest;

    const SECOND: u64 = 1_000_000_000;
    const EVENTS: i32 = 4096;
    const STORED: i32 = 8192;

    /// Returns the fields of a clock's subscription: id, timeout, flags.
    fn clock(id: u32, timeout: u64, flags: u16) -> (u8, Vec<u8>) {
        let fields =
            [&u64::from(id).to_le_bytes()[..], &timeout.to_le_bytes(), &[0; 8], &flags.to_le_bytes()];
        (0, fields.concat())
    }

    fn descriptor(kind: u8, fd: u32) -> (u8, Vec<u8>) {
        (kind, fd.to_le_bytes().to_vec())
    }

    /// Writes subscriptions at 0, with 100, 101, and so on as user data.
    fn subscribe(guest: &mut Guest, subscriptions: &[(u8, Vec<u8>)]) {
        for (index, (kind, fields)) in subscriptions.iter().enumerate() {
            let (size, clock) = if guest.abi == Abi::Preview0 { (56, 24) } else { (48, 16) };
            let at = index * size;
            guest.put(at, &(100 + index as u64).to_le_bytes());
            guest.put(at + 8, &[*kind]);
            guest.put(at + if *kind == 0 { clock } else { 16 }, fields);
        }
    }

    fn begin(guest: &mut Guest, subscriptions: &[(u8, Vec<u8>)]) -> Poll {
        subscribe(guest, subscriptions);
        guest.memory[4096..].fill(0xff);
        let count = i32::try_from(subscriptions.len()).expect("few");
        guest.call(|call| call.begin_poll_oneoff(0, EVENTS, count, STORED)).expect("inside")
    }

    /// Returns user data, errno, kind, and bytes of every event.
    fn events(guest: &Guest) -> Vec<(u64, u8, u8, u64)> {
        let stored = guest.u32_at(STORED as usize) as usize;
        let event = |index: usize| {
            let at = EVENTS as usize + index * 32;
            assert_eq!([guest.memory[at + 9], guest.memory[at + 11], guest.memory[at + 24]], [0; 3]);
            (guest.u64_at(at), guest.memory[at + 8], guest.memory[at + 10], guest.u64_at(at + 16))
        };
        let after = EVENTS as usize + stored * 32;
        assert_eq!(guest.memory[after..after + 32], [0xff; 32]);
        (0..stored).map(event).collect()
    }

    #[test]
    fn standard_streams_are_ready_and_others_are_an_event_with_an_error() {
        for abi in [Abi::Preview1, Abi::Preview0] {
            let mut guest = Guest::new(&World::default());
            guest.abi = abi;
            let list = [
                descriptor(1, 0),
                descriptor(2, 1),
                descriptor(2, 2),
                descriptor(1, 1),
                descriptor(2, 0),
                descriptor(1, 3),
                descriptor(2, u32::MAX),
                clock(1, SECOND, 0),
                clock(2, 0, 0),
                clock(0, 0, 2),
            ];
            assert_eq!(begin(&mut guest, &list), Poll::Done(0));
            let expected = [
                (100, 0, 1, 1),
                (101, 0, 2, 1),
                (102, 0, 2, 1),
                (103, 8, 1, 0),
                (104, 8, 2, 0),
                (105, 8, 1, 0),
                (106, 8, 2, 0),
                (108, 28, 0, 0),
                (109, 28, 0, 0),
            ];
            assert_eq!(events(&guest), expected, "{abi:?}");
        }
    }

    #[test]
    fn a_wait_ends_with_the_clocks_that_are_due() {
        for abi in [Abi::Preview1, Abi::Preview0] {
            let mut guest = Guest::new(&World::default());
            guest.abi = abi;
            let list = [clock(1, 3 * SECOND, 0), clock(0, 2 * SECOND, 0), clock(1, 2 * SECOND, 0)];
            let Poll::Wait(wait) = begin(&mut guest, &list) else { panic!("a wait") };
            assert_eq!(wait.duration(), Duration::from_secs(2));
            // Nothing is written yet.
            assert_eq!(guest.u32_at(STORED as usize), u32::MAX);
            guest.memory.resize(131_072, 0);
            assert_eq!(guest.call(|call| call.finish_poll_oneoff(wait)), Ok(0));
            assert_eq!(events(&guest), [(101, 0, 0, 0), (102, 0, 0, 0)], "{abi:?}");
        }
    }

    #[test]
    fn absolute_times_are_seen_from_now_and_past_ones_are_due() {
        let mut guest = Guest::new(&World::default());
        assert_eq!(begin(&mut guest, &[clock(0, 1, 1), clock(1, u64::MAX, 1)]), Poll::Done(0));
        assert_eq!(events(&guest), [(100, 0, 0, 0)]);
        let later = guest.session.clocks.now().monotonic + 60 * SECOND;
        let Poll::Wait(wait) = begin(&mut guest, &[clock(1, later, 1)]) else { panic!("a wait") };
        assert!(wait.duration() <= Duration::from_secs(60));
        assert!(wait.duration() > Duration::from_secs(50));
    }

    #[test]
    fn a_deterministic_world_moves_its_clocks_instead_of_waiting() {
        let mut guest = Guest::deterministic();
        assert_eq!(begin(&mut guest, &[clock(1, 5 * SECOND, 0), clock(0, 1002 * SECOND, 1)]), Poll::Done(0));
        assert_eq!(events(&guest), [(101, 0, 0, 0)]);
        assert_eq!(guest.call(|call| call.clock_time_get(0, 0, 0)), Ok(0));
        assert_eq!(guest.call(|call| call.clock_time_get(1, 0, 8)), Ok(0));
        assert_eq!((guest.u64_at(0), guest.u64_at(8)), (1002 * SECOND, 3 * SECOND));
        assert_eq!(begin(&mut guest, &[clock(1, u64::MAX, 0)]), Poll::Done(0));
        assert_eq!(events(&guest), [(100, 0, 0, 0)]);
    }

    #[test]
    fn none_too_many_and_unknown_subscriptions_are_invalid() {
        let mut guest = Guest::new(&World::default());
        guest.memory = vec![0; 262_144];
        for count in [0, 1025, -1] {
            assert_eq!(guest.call(|call| call.begin_poll_oneoff(0, 65_536, count, 8)), Ok(Poll::Done(28)));
        }
        assert_eq!(guest.call(|call| call.begin_poll_oneoff(0, 65_536, 1024, 131_072)), Ok(Poll::Done(0)));
        assert_eq!(guest.u32_at(131_072), 1024);
        assert_eq!(begin(&mut guest, &[descriptor(3, 0)]), Poll::Done(28));
    }

    #[test]
    fn everything_is_checked_before_anything_is_waited_for() {
        let mut guest = Guest::new(&World::default());
        subscribe(&mut guest, &[clock(1, SECOND, 0)]);
        for (subscriptions, events, stored) in [(65_500, 0, 0), (0, 65_505, 0), (0, 4096, 65_533), (-1, 0, 0)]
        {
            let outcome = guest.call(|call| call.begin_poll_oneoff(subscriptions, events, 1, stored));
            assert!(matches!(outcome, Err(Stop::Fault(fault)) if fault.function == "poll_oneoff"));
        }
    }

    #[test]
    fn a_wait_finished_on_another_memory_is_a_fault_and_no_panic() {
        let mut guest = Guest::new(&World::default());
        let Poll::Wait(wait) = begin(&mut guest, &[clock(1, SECOND, 0)]) else { panic!("a wait") };
        guest.memory.truncate(100);
        assert!(guest.call(|call| call.finish_poll_oneoff(wait)).is_err());
    }
}
