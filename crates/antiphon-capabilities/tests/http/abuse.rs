//! Servers that want to keep a guest's host busy, or to fill its memory.

use std::time::{Duration, Instant};

use antiphon::{ErrorKind, Request};
use serde_json::json;

use crate::server::{Answer, Names, Server, answer, code, get, host, request};

const LOOPBACK: &str = "allow_addresses = ['127.0.0.1/32']";

/// Asks a server with a limit of time and one of 1 KiB.
async fn against(timeout: &str, rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (String, Duration) {
    let server = Server::start(rule).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let grant = format!("allow = ['{url}'], timeout = '{timeout}', response = '1KiB', {LOOPBACK}");
    let host = host(&grant, &Names::default()).await;
    let begun = Instant::now();
    let said = get(&host, url).await;
    (said.map_or_else(|text| text, |said| said.to_string()), begun.elapsed())
}

fn drip(first: &str, again: &str, pause: u64) -> Answer {
    Answer::Drip(first.into(), again.into(), Duration::from_millis(pause))
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_given_up_in_time() {
    for first in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nX: ",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let again = if first.ends_with("chunked\r\n\r\n") { "1\r\nx\r\n" } else { "x" };
        let again = if first.is_empty() || first.ends_with("Continue\r\n\r\n") { "" } else { again };
        let (text, took) = against("300ms", move |_| drip(first, again, 40)).await;
        assert_eq!(text, "timeout: the request took longer than 300ms", "{first:?}");
        assert!(took < Duration::from_secs(5), "{first:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let expected = "too_large: the response's body has more than 1024 bytes";
    let chunk = || format!("400\r\n{}\r\n", "x".repeat(1024));
    let (text, _) =
        against("20s", move |_| drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk(), 1))
            .await;
    assert_eq!(text, expected);
    let (text, _) = against("20s", |_| drip("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx", 0)).await;
    assert_eq!(text, expected);
    // A length that is too much is enough: the body is not waited for.
    let (text, _) =
        against("20s", |_| drip("HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n", "", 1000)).await;
    assert_eq!(text, expected);
    let (text, _) = against("20s", |_| answer("200 OK", "", "x".repeat(1024))).await;
    assert!(text.contains("\"status\":200"), "{text}");
}

#[tokio::test]
async fn compressed_bodies_stay_as_they_are() {
    let server = Server::start(|_| answer("200 OK", "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08")).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let host = host(&format!("allow = ['{url}'], {LOOPBACK}"), &Names::default()).await;
    let said = get(&host, &url).await.unwrap();
    assert_eq!(said["body"], json!({"base64": "H4sI"}));
    assert!(!server.requests()[0].to_lowercase().contains("accept-encoding"));
}

#[tokio::test]
async fn huge_headers_are_cut_off() {
    let endless = |_: &str| drip("HTTP/1.1 200 OK\r\nX: ", &"x".repeat(4096), 0);
    let many = |_: &str| answer("200 OK", &"X: y\r\n".repeat(1000), "");
    let lines = |_: &str| drip("HTTP/1.1 200 OK\r\n", &"X: y\r\n".repeat(100), 0);
    for text in [against("20s", endless).await.0, against("20s", many).await.0, against("20s", lines).await.0]
    {
        assert!(text.starts_with("too_large: the headers of the response of http://127.0.0.1:"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_unavailable() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"",
    ] {
        let (text, _) = against("20s", |_| Answer::Last(bytes.to_vec())).await;
        assert!(text.starts_with("unavailable: "), "{:?}: {text}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn the_guests_own_time_and_the_calls_deadline_hold() {
    let server = Server::start(|_| drip("", "", 1000)).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let host = host(&format!("allow = ['{url}'], timeout = '20s', {LOOPBACK}"), &Names::default()).await;
    let said = request(&host, json!({"url": url, "timeout_ms": 100})).await;
    assert_eq!(said, Err("timeout: the request took longer than 100ms".into()));
    assert_eq!(code(&said), "timeout");

    let payload = format!("1\u{0}\u{0}http\u{0}request\u{0}{}", json!({"url": url}));
    let payload =
        payload.into_bytes().iter().map(|byte| if *byte == 0 { 0xff } else { *byte }).collect::<Vec<_>>();
    let begun = Instant::now();
    let call = host.call_with(Request::new("ask", payload).deadline(Duration::from_millis(100)));
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!(begun.elapsed() < Duration::from_secs(5));
}
