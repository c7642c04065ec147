//! The clock in a process that has no host. The file has one test only, because any host would
//! start the clock.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{block_on, ticker};

#[test]
fn a_time_limit_holds_before_there_is_any_host() {
    let (done, ended) = mpsc::channel();
    let since = Instant::now();
    // On a thread of its own: without a clock it would wait forever.
    thread::spawn(move || done.send(block_on(ticker::within(Duration::from_millis(20), pending::<()>()))));
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(None));
    // A deadline is early by as much as the tick that it is counted from came late: up to 1 ms.
    assert!(since.elapsed() >= Duration::from_millis(19), "{:?}", since.elapsed());
}
