//! Connections that are slow, silent, or too many.

use std::time::Duration;

use antiphon_server::config::Config;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::harness::{Ask, LONG, Server, answer, ends, send};

const HEADER: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_millis(1500);
/// What a timer may be late by on a machine that does other things.
const LATE: Duration = Duration::from_secs(5);

fn quick(config: &mut Config) {
    config.http.header_timeout = HEADER;
    config.http.idle_timeout = IDLE;
}

#[track_caller]
fn about(took: Duration, limit: Duration) {
    assert!(took >= limit - Duration::from_millis(50), "ended after {took:?}, before {limit:?}");
    assert!(took < limit + LATE, "ended only after {took:?}, and not after {limit:?}");
}

#[tokio::test]
async fn a_connection_that_never_says_anything_ends_after_the_header_timeout() {
    let server = Server::empty(quick).await;
    for address in [server.calls, server.admin] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let (took, came) = ends(&mut socket).await;
        about(took, HEADER);
        assert_eq!(came, b"");
    }
}

#[tokio::test]
async fn headers_that_come_byte_by_byte_end_after_the_header_timeout() {
    let server = Server::empty(quick).await;
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let trickle = async {
        for byte in
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'))
        {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(40)).await;
        }
        std::future::pending::<()>().await;
    };
    let (took, came) = tokio::select! {
        ended = ends(&mut reader) => ended,
        () = trickle => unreachable!("the server went on reading"),
    };
    about(took, HEADER);
    assert_eq!(came, b"");
}

#[tokio::test]
async fn a_connection_may_be_silent_between_requests_until_the_idle_timeout() {
    let server = Server::empty(quick).await;
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    for _ in 0..3 {
        assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
        // Longer than headers may take.
        sleep(HEADER * 2).await;
    }
    assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
    let (took, came) = ends(&mut socket).await;
    about(took, IDLE);
    assert_eq!(came, b"");
}

#[tokio::test]
async fn later_headers_have_no_more_time_than_the_first_ones() {
    let server = Server::empty(|config| {
        config.http.header_timeout = HEADER;
        config.http.idle_timeout = LONG * 2;
    })
    .await;
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
    sleep(HEADER * 2).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost").await.unwrap();
    about(ends(&mut socket).await.0, HEADER);
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_and_the_connection_ends() {
    let server = Server::empty(quick).await;
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    let head =
        b"POST /v1/modules/m/operations/o HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    socket.write_all(head).await.unwrap();
    let began = Instant::now();
    answer(&mut socket).await.unwrap().is_problem(408, "body_timeout");
    about(began.elapsed(), IDLE);
    assert_eq!(ends(&mut socket).await.1, b"");
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let server = Server::start(&["echo"], |config| {
        quick(config);
        config.http.connections = 1;
        config.limits.deadline = Some(LONG);
    })
    .await;
    let mut greedy = TcpStream::connect(server.calls).await.unwrap();
    let call = Ask::call("echo", "echo", vec![b'x'; 1 << 20]).bytes();
    // The system's buffers take a few answers. Then the server cannot write, and reads no more.
    while let Ok(Ok(())) = timeout(IDLE * 4, greedy.write_all(&call)).await {}
    // Its place is free.
    assert_eq!(Ask::new("GET", "/healthz").to(server.calls).await.status, 200);
}

#[tokio::test]
async fn connections_over_the_limit_cost_those_inside_nothing_and_get_a_place_when_one_is_free() {
    let server = Server::empty(|config| {
        config.http.connections = 4;
        config.http.header_timeout = LONG;
        config.http.idle_timeout = LONG;
    })
    .await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        let mut socket = TcpStream::connect(server.calls).await.unwrap();
        assert_eq!(Ask::new("GET", "/healthz").on(&mut socket).await.status, 200);
        inside.push(socket);
    }
    // Beyond the system's queue of them, clients hang in their connects.
    let mut outside = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let address = server.calls;
        outside.spawn(async move {
            let socket = TcpSocket::new_v4()?;
            let mut socket = socket.connect(address).await?;
            socket.write_all(&Ask::new("GET", "/healthz").header("Connection", "close").bytes()).await?;
            std::io::Result::Ok(answer(&mut socket).await.map(|answer| answer.status))
        });
    }
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    for round in 0..100 {
        let socket = &mut inside[round % 4];
        assert_eq!(Ask::new("GET", "/healthz").on(socket).await.status, 200);
    }
    assert!(began.elapsed() < LATE, "100 requests took {:?}", began.elapsed());
    assert!(outside.try_join_next().is_none(), "a connection over the limit was answered");
    // Places become free.
    drop(inside);
    let first = timeout(LONG, outside.join_next()).await.expect("a place").unwrap().unwrap();
    assert_eq!(first.unwrap(), Some(200));
    outside.abort_all();
    // And the other port never noticed.
    assert_eq!(Ask::new("GET", "/healthz").to(server.admin).await.status, 200);
}

#[tokio::test]
async fn thousands_of_short_connections_leave_no_place_taken() {
    let server = Server::empty(|config| config.http.connections = 8).await;
    for _ in 0..500 {
        // Gone before it says anything.
        drop(TcpStream::connect(server.calls).await.unwrap());
    }
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let address = server.calls;
        clients.spawn(async move {
            for _ in 0..8 {
                let ask = Ask::new("GET", "/healthz").header("Connection", "close");
                assert_eq!(send(address, ask.bytes()).await.status, 200);
            }
        });
    }
    timeout(LONG, clients.join_all()).await.expect("a place was never freed");
}
