//! What happens at awkward moments: a wake in the middle of another wait, a call while its thread
//! ends, a handle that is used while an inner call runs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::errors::{Error, ErrorKind};
use antiphon::testing::TestEngine;
use antiphon::{
    Bytes, CancelHandle, HostCall, HostCallError, HostHandlerAsync, Limits, Request, WapcHost, WapcHostAsync,
    async_trait, block_on, handler_fn,
};

/// Longer than anything here takes, and much shorter than forever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a guest whose `relay` answers what its host answers, and whose `echo` needs no host.
fn engine() -> TestEngine {
    TestEngine::new()
        .operation("echo", |payload| Ok(payload.to_vec()))
        .operation_with_host("relay", |guest| async move { guest.host_call("", "", "", b"").await })
}

#[test]
fn a_wake_that_comes_while_the_same_thread_waits_for_something_else_is_not_lost() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut polled = false;
        block_on(poll_fn(|outer| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            // A handler that blocks within the poll. While it does, the outer task is woken.
            let answered = Arc::new(AtomicBool::new(false));
            let mut asked = false;
            block_on(poll_fn(|inner| {
                if !std::mem::replace(&mut asked, true) {
                    let (outer, inner) = (outer.waker().clone(), inner.waker().clone());
                    let answered = Arc::clone(&answered);
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(50));
                        outer.wake();
                        thread::sleep(Duration::from_millis(50));
                        answered.store(true, Ordering::SeqCst);
                        inner.wake();
                    });
                }
                if answered.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }));
            Poll::Pending
        }));
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_host_answers_a_thread_that_ends() {
    /// Calls its host once more when its thread ends.
    struct Last(WapcHost, mpsc::Sender<Result<Vec<u8>, Error>>);

    impl Drop for Last {
        fn drop(&mut self) {
            self.1.send(self.0.call("relay", b"")).unwrap();
        }
    }

    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    let (said, heard) = mpsc::channel();
    let handler = handler_fn(|_| Ok("still here".into()));
    let host = WapcHost::builder(Box::new(engine())).handler(handler).build().unwrap();
    let thread = thread::spawn(move || {
        // Set before the first call, so that it is dropped after the thread-locals that the call
        // needs.
        LAST.set(Some(Last(host, said)));
        LAST.with_borrow(|last| last.as_ref().unwrap().0.call("relay", b"")).unwrap()
    });
    assert_eq!(thread.join().unwrap(), b"still here");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().unwrap(), b"still here");
}

#[test]
fn an_inner_call_ends_with_the_outer_one_although_it_has_a_handle_of_its_own() {
    // The inner guest waits for its host, which waits for the end of the test.
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (entered, inside) = mpsc::channel();
    let hold = handler_fn(move |_| {
        entered.send(()).unwrap();
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        Ok(Bytes::new())
    });
    let patient = || Limits::new().deadline(PATIENCE * 2);
    let inner = WapcHost::builder(Box::new(engine())).limits(patient()).handler(hold).build().unwrap();
    let inner = Arc::new(inner);
    // The only instance of the inner guest is taken, so that another caller waits in its queue.
    let taken = thread::spawn({
        let inner = Arc::clone(&inner);
        move || inner.call("relay", b"").unwrap()
    });
    inside.recv_timeout(PATIENCE).unwrap();

    let (said, heard) = mpsc::channel();
    let outer = WapcHost::builder(Box::new(engine()))
        .limits(patient())
        .handler(handler_fn(move |call| {
            let request = Request::new("echo", b"").caller(call.caller()).cancel(CancelHandle::new());
            let error = inner.call_with(request).unwrap_err();
            said.send((error.kind(), Instant::now())).unwrap();
            Err(error.into())
        }))
        .build()
        .unwrap();
    let cancel = CancelHandle::new();
    let cancelled = thread::spawn({
        let cancel = cancel.clone();
        move || {
            thread::sleep(Duration::from_millis(100));
            cancel.cancel();
            Instant::now()
        }
    });
    let error = outer.call_with(Request::new("relay", b"").cancel(cancel)).unwrap_err();
    let cancelled = cancelled.join().unwrap();
    let (kind, ended) = heard.recv_timeout(PATIENCE).unwrap();
    release.send(()).unwrap();
    taken.join().unwrap();
    assert_eq!((kind, error.kind()), (ErrorKind::Cancelled, ErrorKind::Cancelled));
    assert!(ended.saturating_duration_since(cancelled) < PATIENCE / 2, "it was waited for");
}

#[test]
fn a_handler_that_panics_with_what_panics_when_it_is_dropped_is_an_error_as_well() {
    struct Shrapnel;

    impl Drop for Shrapnel {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("shrapnel"));
        }
    }

    let handler = handler_fn(|_| std::panic::resume_unwind(Box::new(Shrapnel)));
    let host = WapcHost::builder(Box::new(engine())).handler(handler).build().unwrap();
    for _ in 0..2 {
        assert_eq!(host.call("relay", b"").unwrap_err().kind(), ErrorKind::HostPanicked);
    }
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
}

/// A handler whose future calls its own host once more when it is dropped.
struct Clingy(std::sync::OnceLock<std::sync::Weak<WapcHostAsync>>, mpsc::SyncSender<ErrorKind>);

struct OnDrop(Arc<WapcHostAsync>, mpsc::SyncSender<ErrorKind>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let error = block_on(self.0.call("echo", b"")).unwrap_err();
        self.1.send(error.kind()).unwrap();
    }
}

#[async_trait]
impl HostHandlerAsync for Clingy {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        let _last = OnDrop(self.0.get().unwrap().upgrade().unwrap(), self.1.clone());
        std::future::pending().await
    }
}

#[test]
fn a_handler_that_calls_its_host_when_it_is_dropped_is_refused_at_once() {
    let (said, heard) = mpsc::sync_channel(1);
    let handler = Arc::new(Clingy(std::sync::OnceLock::new(), said));
    let host = block_on(WapcHostAsync::builder(Box::new(engine())).handler(Arc::clone(&handler)).build());
    let host = Arc::new(host.unwrap());
    handler.0.set(Arc::downgrade(&host)).unwrap();
    let request = Request::new("relay", b"").deadline(Duration::from_millis(50));
    let error = block_on(host.call_with(request)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), ErrorKind::Reentrancy);
}
