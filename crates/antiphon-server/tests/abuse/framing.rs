//! Requests that are malformed, smuggled, too large, or name what is not there.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::harness::{Ask, Server, answer, ends, send};

const CALL: &str = "POST /v1/modules/m/operations/o HTTP/1.1\r\nHost: localhost\r\n";

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_connection_ends() {
    let server = Server::empty(|_| {}).await;
    let long = "x".repeat(20 << 10);
    let many = "X-Many: 1\r\n".repeat(100);
    for (request, status) in [
        // Two lengths that differ.
        (format!("{CALL}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Some(400)),
        (format!("{CALL}Content-Length: 1, 2\r\n\r\nab"), Some(400)),
        (format!("{CALL}Content-Length: -1\r\n\r\n"), Some(400)),
        (format!("{CALL}Content-Length: +1\r\n\r\na"), Some(400)),
        (format!("{CALL}Content-Length: 0x1\r\n\r\na"), Some(400)),
        (format!("{CALL}Content-Length: 99999999999999999999\r\n\r\n"), Some(400)),
        // Codings that are not chunked at the end.
        (format!("{CALL}Transfer-Encoding: gzip\r\n\r\n"), Some(400)),
        (format!("{CALL}Transfer-Encoding: chunked, identity\r\n\r\n"), Some(400)),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), Some(400)),
        // Headers.
        (format!("{CALL}Content-Length : 1\r\n\r\na"), Some(400)),
        (format!("{CALL}X-Folded: a\r\n b\r\n\r\n"), Some(400)),
        (format!("{CALL}X-Nul: a\0b\r\n\r\n"), Some(400)),
        (format!("{CALL}X-Long: {long}\r\n\r\n"), Some(431)),
        (format!("{CALL}{many}\r\n"), Some(431)),
        // The first line.
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), Some(431)),
        ("GET /\0 HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("G@T / HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), Some(400)),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03 a greeting of TLS\r\n\r\n".to_owned(), Some(400)),
        // HTTP/2 needs TLS.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), None),
    ] {
        let mut socket = TcpStream::connect(server.calls).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let got = answer(&mut socket).await.map(|answer| answer.status);
        let shown: String = request.chars().take(200).collect();
        match status {
            Some(_) => assert_eq!(got, status, "{shown:?}"),
            None => assert!(got.is_none_or(|status| status >= 400), "{shown:?}: {got:?}"),
        }
        assert_eq!(ends(&mut socket).await.1, b"", "{shown:?}");
    }
    assert_eq!(Ask::new("GET", "/healthz").to(server.calls).await.status, 200);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::empty(|_| {}).await;
    for address in [server.calls, server.admin] {
        for host in
            ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n"]
        {
            let answered = send(address, format!("GET /healthz HTTP/1.1\r\n{host}\r\n")).await;
            answered.is_problem(400, "bad_header");
        }
        assert_eq!(send(address, "GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
    }
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_count_and_nothing_after_it_is_read() {
    let server = Server::empty(|_| {}).await;
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let mut socket = TcpStream::connect(server.calls).await.unwrap();
        socket.write_all(format!("{CALL}{headers}\r\n0\r\n\r\n{smuggled}").as_bytes()).await.unwrap();
        answer(&mut socket).await.unwrap().is_problem(404, "unknown_module");
        assert_eq!(ends(&mut socket).await.1, b"", "the smuggled request was answered");
    }
    // Equal lengths are one length, as RFC 9110 has it.
    let twice = format!("{CALL}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab");
    send(server.calls, twice).await.is_problem(404, "unknown_module");
}

#[tokio::test]
async fn chunks_that_break_their_framing_are_refused() {
    let server = Server::empty(|_| {}).await;
    for chunks in ["zz\r\nab\r\n0\r\n\r\n", "2\r\nabX0\r\n\r\n", "fffffffffffffffff\r\n", "-1\r\n"] {
        let mut socket = TcpStream::connect(server.calls).await.unwrap();
        let request = format!("{CALL}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        socket.write_all(request.as_bytes()).await.unwrap();
        answer(&mut socket).await.unwrap().is_problem(400, "body_cut");
        assert_eq!(ends(&mut socket).await.1, b"", "{chunks:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_or_while_it_comes() {
    let server = Server::empty(|config| config.http.body = 1000).await;
    // Announced: refused before a byte of it is there.
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    socket.write_all(format!("{CALL}Content-Length: 1001\r\n\r\n").as_bytes()).await.unwrap();
    let answered = answer(&mut socket).await.unwrap();
    answered.is_problem(413, "too_large");
    assert_eq!(answered.headers["connection"], "close");
    let limit = serde_json::json!({"name": "body", "allowed": 1000, "used": 1001});
    assert_eq!(answered.json()["limit"], limit);
    // In chunks: refused as soon as it is over.
    let mut socket = TcpStream::connect(server.calls).await.unwrap();
    let chunk = format!("{CALL}Transfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n", "x".repeat(1001));
    socket.write_all(chunk.as_bytes()).await.unwrap();
    answer(&mut socket).await.unwrap().is_problem(413, "too_large");
    // A client that sends everything before it reads still gets the answer.
    let much = Ask::call("m", "o", vec![b'x'; 2 << 20]);
    much.to(server.calls).await.is_problem(413, "too_large");
    // Exactly the limit goes on.
    Ask::call("m", "o", vec![b'x'; 1000]).to(server.calls).await.is_problem(404, "unknown_module");
}

#[tokio::test]
async fn paths_that_are_no_call_are_not_found_and_none_is_normalised() {
    let server = Server::start(&["pricing"], |_| {}).await;
    for path in [
        "/",
        "/v1/modules",
        "/v1/modules/pricing",
        "//v1/modules/pricing/operations/echo",
        "/v1//modules/pricing/operations/echo",
        "/v1/modules//operations/echo",
        "/v1/modules/pricing//operations/echo",
        "/v1/modules/pricing/operations/",
        "/v1/modules/pricing/operations/a/b",
        "/v1/modules/x/../pricing/operations/echo",
        "/v1/modules/x/%2e%2e/pricing/operations/echo",
        "/v1/./modules/pricing/operations/echo",
        "/v1/modules/pricing/operations/echo/..",
        "/v1/modules/pricing%2Foperations%2Fecho",
        "/V1/MODULES/pricing/operations/echo",
        "/v1/modules;a=b/pricing/operations/echo",
        "/metrics",
        "/v1/stats",
    ] {
        Ask::new("POST", path).to(server.calls).await.is_problem(404, "not_found");
    }
    for path in [
        "/v1/modules/../operations/echo",
        "/v1/modules/%2e%2e/operations/echo",
        "/v1/modules/PRICING/operations/echo",
        "/v1/modules/pricing%20/operations/echo",
        "/v1/modules/%2Fetc%2Fpasswd/operations/echo",
    ] {
        Ask::new("POST", path).to(server.calls).await.is_problem(404, "unknown_module");
    }
    for name in ["%", "%4", "%zz", "%00", "%0d%0a", "%ff", "%C3%28"] {
        let path = format!("/v1/modules/pricing/operations/{name}");
        Ask::new("POST", &path).to(server.calls).await.is_problem(400, "bad_path");
    }
    // The forms of a target: absolute is like the others, the rest names nothing.
    let absolute = format!("http://{}/v1/modules/pricing/operations/echo", server.calls);
    let answered = Ask::new("POST", &absolute).body("hi").to(server.calls).await;
    assert_eq!((answered.status, answered.text().as_str()), (200, "hi"));
    let answered = Ask::call("%70ricing", "%65cho?query=1", "hi").to(server.calls).await;
    assert_eq!((answered.status, answered.text().as_str()), (200, "hi"));
    Ask::new("OPTIONS", "*").to(server.calls).await.is_problem(404, "not_found");
    Ask::new("CONNECT", "example.org:443").to(server.calls).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn other_methods_are_told_which_one_to_use() {
    let server = Server::start(&["pricing"], |_| {}).await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answered = Ask::new(method, "/v1/modules/pricing/operations/echo").to(server.calls).await;
        answered.is_problem(405, "method_not_allowed");
        assert_eq!(answered.headers["allow"], "POST");
    }
    let answered = Ask::new("POST", "/healthz").to(server.calls).await;
    answered.is_problem(405, "method_not_allowed");
    assert_eq!(answered.headers["allow"], "GET, HEAD");
}

#[tokio::test]
async fn headers_of_a_call_are_read_strictly() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let call = || Ask::call("pricing", "echo", "hi");
    for (name, value) in [
        ("Antiphon-Timeout", "soon"),
        ("Antiphon-Timeout", "250"),
        ("Antiphon-Context", "a=(1 2)"),
        ("Antiphon-Context", "\"a\""),
    ] {
        let answered = call().header(name, value).to(server.calls).await;
        answered.is_problem(400, "bad_header");
        assert!(answered.json()["detail"].as_str().unwrap().contains(name), "{answered:?}");
    }
    let twice = call().header("Antiphon-Timeout", "1s").header("Antiphon-Timeout", "2s");
    twice.to(server.calls).await.is_problem(400, "bad_header");
    // No time left: the call never begins.
    let answered = call().header("Antiphon-Timeout", "0s").to(server.calls).await;
    answered.is_problem(503, "deadline_exceeded");
    assert_eq!((answered.json()["phase"].as_str(), &*answered.headers["retry-after"]), (Some("queue"), "1"));
    // A trace that is malformed begins again; a good one goes on.
    let unknown = |trace: &str| Ask::call("nothing", "echo", "").header("traceparent", trace);
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace =
        async |text| unknown(text).to(server.calls).await.json()["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(trace(good).await, "0af7651916cd43dd8448eb211c80319c");
    let begun = trace("00-00000000000000000000000000000000-b7ad6b7169203331-01").await;
    assert!(begun.len() == 32 && begun != "0".repeat(32), "{begun}");
    let answered = call().header("Antiphon-Context", "tenant=\"blue\"").to(server.calls).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.headers["content-type"], "application/octet-stream");
    assert!(answered.headers["antiphon-module"].starts_with("pricing@sha256:"), "{answered:?}");
    assert!(answered.headers["server-timing"].starts_with("queue;dur="), "{answered:?}");
}
