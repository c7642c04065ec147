//! Requests to a server of this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread;

use antiphon_capabilities::{Backends, HttpClient};
use serde_bytes::{ByteBuf, Bytes};
use tokio::runtime::Runtime;

use crate::guest::{Host, hosts};

/// Starts a server on the loopback address; returns its port. It answers with the body that it got,
/// and with the header `x-asked`: the first line, and what `x-from` said. `/missing` is not there,
/// and `/silent` never answers.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let (mut first, mut from, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    match line.trim().split_once(": ") {
                        None => break,
                        Some(("content-length", value)) => length = value.parse().unwrap(),
                        Some(("x-from", value)) => from = value.to_owned(),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                if first.contains("/silent") {
                    // Until the client has gone.
                    let _ = reader.read(&mut [0]);
                    return;
                }
                let status = if first.contains("/missing") { "404 Not Found" } else { "200 OK" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nx-asked: {} {from}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n",
                    first.trim()
                );
                (&stream).write_all(&[head.as_bytes(), &body].concat()).unwrap();
            });
        }
    });
    port
}

/// Makes hosts whose guest has one `http` grant with these keys.
fn granted(keys: &str) -> Vec<Host> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let authority = rcgen::generate_simple_self_signed(["unused.test".into()]).unwrap();
    let client = HttpClient::trusting(RUNTIME.handle().clone(), authority.cert.der()).unwrap();
    hosts(&format!("[[grant]]\nhttp = {{ {keys} }}"), || Backends::new().http(client.clone()))
}

type Answered = (u16, Vec<(String, String)>, ByteBuf);

fn fetch(
    host: &Host,
    (method, url): (&str, &str),
    body: Option<&[u8]>,
    timeout_ms: Option<u64>,
) -> Result<Answered, String> {
    let headers = [("x-from", "the guest")];
    host.ask("fetch", (method, url, &headers[..], body.map(Bytes::new), timeout_ms))
}

#[test]
fn a_request_reaches_its_server_and_the_answer_its_guest() {
    let port = server();
    let keys = format!(
        "allow = ['http://127.0.0.1:{port}'], methods = ['GET', 'POST'], allow_addresses = ['127.0.0.0/8']"
    );
    for host in granted(&keys) {
        let name = &host.name;
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let (status, headers, body) =
            fetch(&host, ("POST", &url("/a?b=c")), Some(b"\xff\0"), Some(10_000)).unwrap();
        assert_eq!((status, body.as_slice()), (200, &b"\xff\0"[..]), "{name}");
        let asked = ("x-asked".to_owned(), "POST /a?b=c HTTP/1.1 the guest".to_owned());
        assert!(headers.contains(&asked), "{name}: {headers:?}");
        let (status, _, body) = fetch(&host, ("GET", &url("/missing")), None, None).unwrap();
        assert_eq!((status, body.len()), (404, 0), "{name}");
    }
}

#[test]
fn what_the_grant_does_not_allow_is_refused_with_its_code() {
    let port = server();
    let origin = format!("http://127.0.0.1:{port}");
    let open = format!(
        "allow = ['{origin}'], allow_addresses = ['127.0.0.1/32'], timeout = '300ms', response = '4B'"
    );
    for host in granted(&open) {
        let refused = |method, url: &str| fetch(&host, (method, url), Some(b"12345"), None).unwrap_err();
        let expected = "not_granted: the http grant of this module does not allow http://127.0.0.1:1; \
                        add it to its key allow";
        assert_eq!(refused("GET", "http://127.0.0.1:1/"), expected, "{}", host.name);
        let expected = "not_granted: the http grant of this module does not allow the method POST; \
                        add it to its key methods";
        assert_eq!(refused("POST", &origin), expected, "{}", host.name);
        let expected = "too_large: the response's body has more than 4 bytes";
        assert_eq!(refused("GET", &origin), expected, "{}", host.name);
        let expected = "timeout: the request took longer than 300ms";
        assert_eq!(refused("GET", &format!("{origin}/silent")), expected, "{}", host.name);
        // The guest's own time is the shorter one.
        let silent = format!("{origin}/silent");
        let expected = Err("timeout: the request took longer than 20ms".to_owned());
        assert_eq!(fetch(&host, ("GET", &silent), None, Some(20)), expected, "{}", host.name);
    }
    for host in granted(&format!("allow = ['{origin}']")) {
        let refused = fetch(&host, ("GET", &origin), None, None).unwrap_err();
        let expected = "forbidden_address: 127.0.0.1 leads to a loopback address, which guests may not \
                        connect to; allow_addresses of the http grant can name its network";
        assert_eq!(refused, expected, "{}", host.name);
    }
}
