//! What clients see of a server that stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::harness::{Ask, LONG, Server, answer, ends};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_on_an_accepted_connection_is_lost_when_the_server_stops() {
    for _ in 0..10 {
        let mut server = Server::start(&["echo"], |_| {}).await;
        let (answered, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (address, answered, stopped) = (server.calls, Arc::clone(&answered), Arc::clone(&stopped));
            clients.spawn(async move {
                // A connection that is refused was never accepted.
                while let Ok(mut socket) = TcpStream::connect(address).await {
                    loop {
                        let sent = socket.write_all(&Ask::call("echo", "echo", "hi").bytes()).await;
                        let got = if sent.is_ok() { answer(&mut socket).await } else { None };
                        let Some(got) = got else {
                            // While the listener closes, the system lets connections in that
                            // nobody accepts.
                            assert!(stopped.load(Ordering::SeqCst), "lost before the server stopped");
                            return None;
                        };
                        assert_eq!((got.status, got.text().as_str()), (200, "hi"));
                        answered.fetch_add(1, Ordering::SeqCst);
                        if got.headers.get("connection").is_some_and(|value| value == "close") {
                            break;
                        }
                    }
                }
                Some(())
            });
        }
        while answered.load(Ordering::SeqCst) < 100 {
            sleep(Duration::from_millis(1)).await;
        }
        stopped.store(true, Ordering::SeqCst);
        let began = Instant::now();
        let cut = server.servers.take().unwrap().close(Instant::now() + LONG).await;
        assert_eq!(cut, 0);
        assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
        let ends = clients.join_all().await;
        let lost = ends.iter().filter(|end| end.is_none()).count();
        // Each client had a connection that was accepted. What is lost is a second one, at most.
        assert!(lost <= 2, "{lost} of 16 clients lost a request");
    }
}

#[tokio::test]
async fn a_silent_connection_gets_one_more_request_and_then_ends() {
    let mut server = Server::empty(|_| {}).await;
    let mut busy = TcpStream::connect(server.calls).await.unwrap();
    let mut silent = TcpStream::connect(server.calls).await.unwrap();
    for socket in [&mut busy, &mut silent] {
        assert_eq!(Ask::new("GET", "/healthz").on(socket).await.status, 200);
    }
    let servers = server.servers.take().unwrap();
    let closing = tokio::spawn(servers.close(Instant::now() + LONG));
    sleep(Duration::from_millis(100)).await;
    let last = Ask::new("GET", "/readyz").on(&mut busy).await;
    assert_eq!(
        (last.status, last.text().as_str()),
        (503, "not ready: stopping: the server finishes its last calls\n")
    );
    assert_eq!(last.headers["connection"], "close");
    assert_eq!(ends(&mut busy).await.1, b"");
    assert_eq!(ends(&mut silent).await.1, b"");
    assert_eq!(closing.await.unwrap(), 0);
    assert!(TcpStream::connect(server.calls).await.is_err());
}

#[tokio::test]
async fn a_client_that_never_ends_is_cut_off_at_the_deadline() {
    let mut server = Server::empty(|config| config.http.idle_timeout = LONG).await;
    let mut stuck = TcpStream::connect(server.calls).await.unwrap();
    let head =
        b"POST /v1/modules/m/operations/o HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    stuck.write_all(head).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    let cut = server.servers.take().unwrap().close(Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(cut, 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(ends(&mut stuck).await.1, b"");
}

#[tokio::test]
async fn streams_of_operators_end_when_the_server_stops() {
    let mut server = Server::empty(|_| {}).await;
    let mut events = TcpStream::connect(server.admin).await.unwrap();
    events.write_all(&Ask::new("GET", "/v1/events").bytes()).await.unwrap();
    assert_eq!(answer(&mut events).await.unwrap().status, 200);
    let began = Instant::now();
    assert_eq!(server.servers.take().unwrap().close(Instant::now() + LONG).await, 0);
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    ends(&mut events).await;
}
