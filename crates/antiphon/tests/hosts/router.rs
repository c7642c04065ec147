//! Compares a router with a single handler: what it costs, how its guest runs, what it leaves
//! behind.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use antiphon::testing::TestEngine;
use antiphon::{Bytes, HostHandler, HostRouter, Route, WapcHost, handler_fn};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

#[expect(unsafe_code, reason = "a global allocator cannot be counted otherwise; it only forwards")]
// SAFETY: every method forwards its arguments unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: `ptr` came from `alloc` above, which forwarded to the system.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns a guest that makes the same host call twice.
fn caller() -> TestEngine {
    TestEngine::new().operation_with_host("call", |guest| async move {
        guest.host_call("b77", "n77", "o77", guest.payload()).await?;
        guest.host_call("b77", "n77", "o77", guest.payload()).await
    })
}

fn fine() -> impl HostHandler {
    handler_fn(|_| Ok(Bytes::from_static(b"fine")))
}

/// Returns the allocations of one call, when everything that is kept from call to call is there.
fn allocations(handler: impl HostHandler + 'static) -> usize {
    let host = WapcHost::builder(Box::new(caller())).handler(handler).build().unwrap();
    let call = || assert_eq!(host.call("call", b"payload").unwrap(), b"fine");
    call();
    let before = ALLOCATIONS.get();
    call();
    ALLOCATIONS.get() - before
}

#[test]
fn a_look_up_among_a_thousand_routes_allocates_nothing() {
    let mut router = HostRouter::new();
    for number in 0..1000 {
        let route = Route::any().binding(&format!("b{number}"));
        let route = if number % 2 == 0 { route } else { route.namespace(&format!("n{number}")) };
        router = router.route(route.handler(fine()));
    }
    assert_eq!(allocations(router), allocations(fine()));
}

#[cfg(feature = "async")]
mod asynchronous {
    use std::future::pending;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};

    use antiphon::errors::BoxError;
    use antiphon::{
        BoxFuture, Conversation, ModuleStateAsync, WapcHostAsync, WebAssemblyEngineProviderAsync,
        async_trait, block_on, handler_fn_async,
    };

    use super::*;

    /// The engine in memory. It notes whether its guest is told that it may have to wait.
    struct Asking {
        engine: TestEngine,
        suspends: Arc<Mutex<Option<bool>>>,
    }

    #[async_trait]
    impl WebAssemblyEngineProviderAsync for Asking {
        async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
            WebAssemblyEngineProviderAsync::init(&mut self.engine, host).await
        }

        async fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, BoxError> {
            WebAssemblyEngineProviderAsync::call(&mut self.engine, op_length, msg_length).await
        }

        async fn replace(&mut self, bytes: &[u8]) -> Result<(), BoxError> {
            WebAssemblyEngineProviderAsync::replace(&mut self.engine, bytes).await
        }

        fn converse_async<'a>(
            &'a mut self,
            conversation: &'a mut Box<Conversation>,
        ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
            *self.suspends.lock().unwrap() = Some(conversation.can_suspend());
            self.engine.converse_async(conversation)
        }
    }

    /// Returns whether the guest of a host with that router may have to wait.
    fn suspends(router: HostRouter) -> bool {
        let suspends = Arc::default();
        let engine = Asking { engine: caller(), suspends: Arc::clone(&suspends) };
        let host = block_on(WapcHostAsync::builder(Box::new(engine)).handler(router).build()).unwrap();
        assert_eq!(block_on(host.call("call", b"")).unwrap(), b"fine");
        suspends.lock().unwrap().take().unwrap()
    }

    #[test]
    fn a_guest_may_have_to_wait_only_where_some_route_waits() {
        let plain = || HostRouter::new().route(Route::any().handler(fine()));
        let waiting =
            || Route::any().handler_async(handler_fn_async(|_| Box::pin(async { Ok("fine".into()) })));
        assert!(!suspends(plain()));
        // A route that is never taken counts too: the guest might call it at any time.
        assert!(suspends(plain().route(waiting().binding("other"))));
        // A router within a router is asked as well, and so is a shared one.
        assert!(!suspends(HostRouter::new().route(Route::any().handler_async(plain()))));
        assert!(!suspends(HostRouter::new().route(Route::any().handler_async(Arc::new(plain())))));
        assert!(suspends(HostRouter::new().route(Route::any().handler_async(plain().route(waiting())))));
    }

    #[test]
    fn a_call_that_is_dropped_in_its_handler_leaves_no_budget_spent() {
        // The engine in memory goes on with the same conversation after a drop.
        let calls = AtomicUsize::new(0);
        let handler = handler_fn_async(move |_| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(async move { if first { pending().await } else { Ok("fine".into()) } })
        });
        let router = HostRouter::new().route(Route::any().max_calls(2).handler_async(handler));
        let host = block_on(WapcHostAsync::builder(Box::new(caller())).handler(router).build()).unwrap();
        {
            let mut hanging = pin!(host.call("call", b""));
            assert!(hanging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(block_on(host.call("call", b"")).unwrap(), b"fine");
    }
}
