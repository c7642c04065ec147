//! The threads that do the chores of all pools of the process.
//!
//! A member is due when it is called, or when the time has come that it named itself. Members that
//! are due stand in one line, and a thread that is free takes the first. One round of a member is
//! short work for the thread: one start. A member that has more to do goes to the end of the line,
//! so a pool with many starts does not keep the others waiting.
//!
//! No two threads ever run rounds of one member at once. A member that is called during its round
//! is due again after it.
//!
//! There is a thread for each member that is due, up to a limit, because a round may take as long
//! as the start of a guest may. One more thread waits for the next time that a member named, if
//! there is such a time. All others end after a short rest, so pools that have nothing to do cost
//! no thread. If the system refuses a thread, or all threads that may be are at work, a member that
//! is due knows that it is unattended.

use std::collections::{BTreeMap, VecDeque};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::{Mutex, MutexGuard, lock};

/// How long a thread without work rests before it ends. Starting another one takes some tens of
/// microseconds.
const REST: Duration = Duration::from_secs(1);

/// The fewest threads that may work at once, on a machine of any size: a guest whose start waits or
/// loops takes one of them until its start runs out of time.
const FEWEST: usize = 4;

/// What the crew does for a member.
pub(super) trait Work: Send + Sync + 'static {
    /// Does what is due, and says when more may be. Must not panic, because the thread serves
    /// others too.
    fn round(&self) -> Then;
}

/// When a member is due again, unless it is called before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// At once, after the others that are due.
    Again,
    At(Instant),
    /// When it is called.
    Called,
}

/// The threads, and what they have to do.
pub(super) struct Crew<W: Work> {
    state: Mutex<State<W>>,
    /// Notified when a member is due, and when what the idle threads wait for has changed.
    changed: Condvar,
    /// The largest number of threads.
    limit: OnceLock<usize>,
}

struct State<W: Work> {
    /// The process that the threads run in. A fork has a copy of all of this, but no thread.
    process: u32,
    /// The members that are due, longest first.
    due: VecDeque<Arc<Member<W>>>,
    /// The members that are due at a time, by that time and their numbers.
    later: BTreeMap<(Instant, u64), Arc<Member<W>>>,
    threads: usize,
    /// How many of the threads have no member at hand. A thread counts from its start on.
    idle: usize,
}

/// One that the crew works for.
pub(super) struct Member<W> {
    work: W,
    number: u64,
    /// Locked only by a holder of the crew's lock, so it is never waited for.
    standing: Mutex<Standing>,
    unattended: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Waits to be called.
    Called,
    Later(Instant),
    Due,
    /// Has its round, in this process.
    Round {
        again: bool,
        process: u32,
    },
    /// Is never due again.
    Gone,
}

impl<W> Member<W> {
    pub(super) fn new(work: W) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            work,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            standing: Mutex::new(Standing::Called),
            unattended: AtomicBool::new(false),
        })
    }

    pub(super) fn work(&self) -> &W {
        &self.work
    }

    /// Returns whether no thread could take the member when it was last called.
    pub(super) fn is_unattended(&self) -> bool {
        self.unattended.load(Ordering::SeqCst)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }
}

impl<W: Work> Crew<W> {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                process: 0,
                due: VecDeque::new(),
                later: BTreeMap::new(),
                threads: 0,
                idle: 0,
            }),
            changed: Condvar::new(),
            limit: OnceLock::new(),
        }
    }

    /// Makes a member due, and starts a thread for it if there is none.
    pub(super) fn call(&'static self, member: &Arc<Member<W>>) {
        let mut state = lock(&self.state);
        state.notice_fork();
        let mut standing = member.standing();
        let was = *standing;
        match was {
            Standing::Gone => return,
            Standing::Round { process, .. } if process == state.process => {
                *standing = Standing::Round { again: true, process };
                return;
            }
            Standing::Due => {}
            Standing::Called | Standing::Later(_) | Standing::Round { .. } => {
                *standing = Standing::Due;
                state.due.push_back(Arc::clone(member));
            }
        }
        drop(standing);
        self.unset(&mut state, was, member);
        self.staff(&mut state);
        member.unattended.store(state.idle < state.due.len(), Ordering::SeqCst);
    }

    /// Lets a member go. A round that it has now is its last one.
    pub(super) fn dismiss(&self, member: &Arc<Member<W>>) {
        let mut state = lock(&self.state);
        let was = std::mem::replace(&mut *member.standing(), Standing::Gone);
        if was == Standing::Due {
            state.due.retain(|due| !Arc::ptr_eq(due, member));
        }
        self.unset(&mut state, was, member);
    }

    /// Forgets the time at which a member would have been due.
    fn unset(&self, state: &mut State<W>, was: Standing, member: &Member<W>) {
        let Standing::Later(at) = was else { return };
        state.later.remove(&(at, member.number));
        if state.later.is_empty() {
            // The thread that waits for this time may end.
            self.changed.notify_all();
        }
    }

    /// Wakes an idle thread for the members that are due. Starts one, if the idle ones are too few
    /// for these members and for the next time.
    fn staff(&'static self, state: &mut State<W>) {
        if !state.due.is_empty() {
            self.changed.notify_one();
        }
        let needed = state.due.len().saturating_add(usize::from(!state.later.is_empty()));
        if state.idle >= needed || state.threads >= self.limit() {
            return;
        }
        // If no thread can be started, the next call tries again.
        let started = thread::Builder::new().name("antiphon-pool".into()).spawn(|| self.serve());
        if started.is_ok() {
            state.threads = state.threads.saturating_add(1);
            state.idle = state.idle.saturating_add(1);
        }
    }

    fn limit(&self) -> usize {
        let parallel = || thread::available_parallelism().map_or(1, usize::from);
        *self.limit.get_or_init(|| parallel().max(FEWEST))
    }

    fn serve(&'static self) {
        let mut state = lock(&self.state);
        let mut since = Instant::now();
        loop {
            let now = Instant::now();
            state.fall_due(now);
            if let Some(member) = state.due.pop_front() {
                state = self.work(state, &member);
                since = Instant::now();
                continue;
            }
            let rest = (since + REST).saturating_duration_since(now);
            if rest.is_zero() && (state.idle > 1 || state.later.is_empty()) {
                state.idle = state.idle.saturating_sub(1);
                state.threads = state.threads.saturating_sub(1);
                return;
            }
            let next = state.later.keys().next().map(|(at, _)| at.saturating_duration_since(now));
            let time = [Some(rest).filter(|rest| !rest.is_zero()), next].into_iter().flatten().min();
            let waited = self.changed.wait_timeout(state, time.unwrap_or(REST));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives a member its round, without the lock.
    fn work<'a>(
        &'static self,
        mut state: MutexGuard<'a, State<W>>,
        member: &Arc<Member<W>>,
    ) -> MutexGuard<'a, State<W>>
    where
        W: 'a,
    {
        *member.standing() = Standing::Round { again: false, process: state.process };
        member.unattended.store(false, Ordering::SeqCst);
        state.idle = state.idle.saturating_sub(1);
        // This thread may be long away.
        self.staff(&mut state);
        drop(state);
        let then = member.work.round();
        let mut state = lock(&self.state);
        state.idle = state.idle.saturating_add(1);
        let mut standing = member.standing();
        *standing = match (*standing, then) {
            (Standing::Round { again: true, .. }, _) | (Standing::Round { .. }, Then::Again) => {
                state.due.push_back(Arc::clone(member));
                Standing::Due
            }
            (Standing::Round { .. }, Then::At(at)) => {
                let key = (at, member.number);
                state.later.insert(key, Arc::clone(member));
                if state.later.keys().next() == Some(&key) {
                    // An idle thread waits for a later time, and this one may find other work.
                    self.changed.notify_one();
                }
                Standing::Later(at)
            }
            (Standing::Round { .. }, Then::Called) => Standing::Called,
            (gone, _) => gone,
        };
        drop(standing);
        state
    }
}

impl<W: Work> State<W> {
    /// Notices that this process is a fork, in which none of the threads exist.
    fn notice_fork(&mut self) {
        let this = process::id();
        if self.process != this {
            (self.process, self.threads, self.idle) = (this, 0, 0);
        }
    }

    /// Moves members whose time has come into the line.
    fn fall_due(&mut self, now: Instant) {
        while let Some(next) = self.later.first_entry().filter(|next| next.key().0 <= now) {
            let member = next.remove();
            *member.standing() = Standing::Due;
            self.due.push_back(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;

    struct Job(Box<dyn Fn() -> Then + Send + Sync>);

    impl Work for Job {
        fn round(&self) -> Then {
            (self.0)()
        }
    }

    fn crew(limit: usize) -> &'static Crew<Job> {
        Box::leak(Box::new(Crew { limit: OnceLock::from(limit), ..Crew::new() }))
    }

    fn job(round: impl Fn() -> Then + Send + Sync + 'static) -> Arc<Member<Job>> {
        Member::new(Job(Box::new(round)))
    }

    /// Returns a member whose round hangs until something is sent or the sender is dropped, and
    /// where its rounds announce themselves.
    fn hangs() -> (Arc<Member<Job>>, mpsc::Sender<()>, mpsc::Receiver<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let ended = Mutex::new(ended);
        let member = job(move || {
            begin.send(()).unwrap();
            let _ = lock(&ended).recv();
            Then::Called
        });
        (member, end, begun)
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[track_caller]
    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let since = Instant::now();
        while !holds() {
            assert!(since.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_member_has_one_round_at_a_time_and_none_of_its_calls_is_lost() {
        let crew = crew(4);
        let inside = AtomicUsize::new(0);
        let (calls, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let member = job({
            let (calls, seen) = (Arc::clone(&calls), Arc::clone(&seen));
            move || {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two rounds at once");
                seen.store(calls.load(Ordering::SeqCst), Ordering::SeqCst);
                thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                Then::Called
            }
        });
        for _ in 0..200 {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        calls.fetch_add(1, Ordering::SeqCst);
                        crew.call(&member);
                    });
                }
            });
            let all = calls.load(Ordering::SeqCst);
            eventually("a round that saw all calls", || seen.load(Ordering::SeqCst) == all);
        }
    }

    #[test]
    fn a_member_with_much_to_do_lets_the_others_have_their_turns() {
        let crew = crew(1);
        let (tell, told) = mpsc::channel();
        let left = AtomicUsize::new(100);
        let short = job({
            let tell = tell.clone();
            move || {
                tell.send("short").unwrap();
                Then::Called
            }
        });
        let long = job({
            let short = Arc::clone(&short);
            move || {
                tell.send("long").unwrap();
                match left.fetch_sub(1, Ordering::SeqCst) {
                    100 => crew.call(&short),
                    1 => return Then::Called,
                    _ => {}
                }
                Then::Again
            }
        });
        crew.call(&long);
        let order: Vec<_> = (0..101).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
        assert_eq!(order[..3], ["long", "short", "long"]);
        assert_eq!(lock(&crew.state).threads, 1);
    }

    #[test]
    fn a_round_that_hangs_takes_one_thread_and_a_member_without_any_is_unattended() {
        let crew = crew(3);
        let hanging: Vec<_> = (0..3).map(|_| hangs()).collect();
        let (tell, told) = mpsc::channel();
        let quick = job(move || {
            tell.send(()).unwrap();
            Then::Called
        });
        for (number, (member, _, begun)) in hanging.iter().enumerate() {
            crew.call(&quick);
            told.recv_timeout(PATIENCE).unwrap();
            assert!(!quick.is_unattended(), "{number} hang");
            crew.call(member);
            begun.recv_timeout(PATIENCE).unwrap();
        }
        crew.call(&quick);
        assert!(quick.is_unattended());
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "a fourth thread");
        let (_, end, _) = &hanging[1];
        end.send(()).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        eventually("a thread has it", || !quick.is_unattended());
        assert_eq!(lock(&crew.state).threads, 3);
    }

    #[test]
    fn a_time_that_a_member_named_comes_while_other_rounds_hang() {
        let crew = crew(4);
        let (tell, told) = mpsc::channel();
        let rounds = AtomicUsize::new(0);
        // The second of these times is earlier than what a thread already waits for.
        let late = job(|| Then::At(Instant::now() + Duration::from_secs(3600)));
        let soon = job(move || {
            tell.send(Instant::now()).unwrap();
            match rounds.fetch_add(1, Ordering::SeqCst) {
                0 => Then::At(Instant::now() + Duration::from_millis(100)),
                _ => Then::Called,
            }
        });
        crew.call(&late);
        eventually("a thread waits", || !lock(&crew.state).later.is_empty());
        crew.call(&soon);
        let first = told.recv_timeout(PATIENCE).unwrap();
        let (hanging, _end, begun) = hangs();
        crew.call(&hanging);
        begun.recv_timeout(PATIENCE).unwrap();
        let second = told.recv_timeout(PATIENCE).unwrap();
        assert!(second - first >= Duration::from_millis(100), "{:?}", second - first);
        crew.dismiss(&late);
    }

    #[test]
    fn a_member_that_named_a_time_is_due_at_once_when_it_is_called_and_never_when_it_is_gone() {
        let crew = crew(2);
        let (tell, told) = mpsc::channel();
        let member = job(move || {
            tell.send(()).unwrap();
            Then::At(Instant::now() + Duration::from_secs(3600))
        });
        for _ in 0..3 {
            crew.call(&member);
            told.recv_timeout(PATIENCE).unwrap();
            eventually("it named a time", || matches!(*member.standing(), Standing::Later(_)));
        }
        assert_eq!(lock(&crew.state).later.len(), 1);
        crew.dismiss(&member);
        assert_eq!(lock(&crew.state).later.len(), 0);
        crew.call(&member);
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
        assert_eq!(Arc::strong_count(&member), 1);
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do_and_one_stays_while_there_is_a_time_to_wait_for() {
        let crew = crew(4);
        let waits = job(|| Then::At(Instant::now() + Duration::from_secs(3600)));
        crew.call(&waits);
        let hanging: Vec<_> = (0..3).map(|_| hangs()).collect();
        for (member, _, begun) in &hanging {
            crew.call(member);
            begun.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(lock(&crew.state).threads, 4);
        drop(hanging);
        let threads = || {
            let state = lock(&crew.state);
            (state.threads, state.idle)
        };
        eventually("one is left", || threads() == (1, 1));
        thread::sleep(REST);
        assert_eq!(threads(), (1, 1));
        crew.dismiss(&waits);
        eventually("none is left", || threads() == (0, 0));
    }

    #[test]
    fn a_fork_has_threads_of_its_own() {
        let crew = crew(2);
        let (tell, told) = mpsc::channel();
        let member = job(move || {
            tell.send(()).unwrap();
            Then::Called
        });
        // This is what a fork finds: the threads, and the round that one of them was in, are of
        // another process. (No process has the number 0.)
        let (process, again) = (0, false);
        *member.standing() = Standing::Round { again, process };
        let mut state = lock(&crew.state);
        (state.process, state.threads, state.idle) = (process, 2, 1);
        drop(state);
        crew.call(&member);
        told.recv_timeout(PATIENCE).unwrap();
        assert!(!member.is_unattended());
        assert_eq!(lock(&crew.state).threads, 1);
    }
}
