//! From a signal to the end of the process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::{ENDLESS, Folder, LONG, Server, eventually};

/// How often the server is ended under load.
fn rounds() -> usize {
    std::env::var("ANTIPHON_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(10)
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    /// Requests without an answer on a connection that had given one before, and kept it open.
    lost: AtomicUsize,
    /// First requests of connections, without an answer. The system lets connections in between the
    /// closing of the listener and its answer, which nobody accepts.
    never_accepted: AtomicUsize,
}

/// Calls until the server takes no more connections.
fn load(address: &str, seen: &Seen, stopping: &AtomicBool) {
    while let Ok(stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut is_first = true;
        loop {
            let request = format!(
                "POST /v1/modules/rust/operations/echo HTTP/1.1\r\nhost: {address}\r\ncontent-length: 2\r\n\r\nhi"
            );
            let sent = reader.get_mut().write_all(request.as_bytes());
            match sent.ok().and_then(|()| answer(&mut reader)) {
                Some((200, is_last)) => {
                    seen.answered.fetch_add(1, Ordering::SeqCst);
                    is_first = false;
                    if is_last {
                        break;
                    }
                }
                Some((status, _)) => panic!("status {status}"),
                None => {
                    assert!(stopping.load(Ordering::SeqCst), "lost before the signal");
                    let count = if is_first { &seen.never_accepted } else { &seen.lost };
                    count.fetch_add(1, Ordering::SeqCst);
                    break;
                }
            }
        }
    }
}

/// Reads an answer: its status, and whether it is the connection's last one.
fn answer(reader: &mut BufReader<TcpStream>) -> Option<(u16, bool)> {
    let (mut head, mut length, mut is_last) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        is_last |= lower.starts_with("connection: close");
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head.split(' ').nth(1)?.parse().ok()?, is_last))
}

#[test]
fn a_signal_under_load_loses_no_accepted_request_and_ends_in_time() {
    const CLIENTS: usize = 8;
    let folder = Folder::new(&["rust"]);
    for round in 0..rounds() {
        let mut server = folder.serve(&[]);
        let (seen, stopping) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, seen, stopping) =
                    (server.calls.clone(), Arc::clone(&seen), Arc::clone(&stopping));
                thread::spawn(move || load(&address, &seen, &stopping))
            })
            .collect();
        eventually(|| (seen.answered.load(Ordering::SeqCst) > 100).then_some(()), || server.log());
        stopping.store(true, Ordering::SeqCst);
        let began = Instant::now();
        server.signal(if round % 2 == 0 { "TERM" } else { "INT" });
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(seen.lost.load(Ordering::SeqCst), 0, "round {round}");
        let never_accepted = seen.never_accepted.load(Ordering::SeqCst);
        assert!(
            never_accepted <= 2,
            "round {round}: {never_accepted} connections were let in and not accepted"
        );
        assert!(!server.log().contains("were cut off"), "{}", server.log());
    }
}

/// Starts a server with a call that runs until it is ended.
fn busy(folder: &Folder, drain: &str) -> Server {
    folder.write("modules/endless.wasm", ENDLESS);
    folder.write("antiphon.toml", &format!("server.drain = '{drain}'\nlimits.deadline = '50s'\n"));
    let server = folder.serve(&[]);
    let address = server.calls.clone();
    thread::spawn(move || {
        // The answer is an error, or none.
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!("POST /v1/modules/endless/operations/x HTTP/1.1\r\nhost: {address}\r\n");
        let request = format!("{head}content-length: 0\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 1]);
    });
    let is_busy = || server.get("/v1/modules/endless").1.contains("\"busy\":1").then_some(());
    eventually(is_busy, || server.log());
    server
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let folder = Folder::new(&[]);
        let mut server = busy(&folder, "40s");
        server.signal(name);
        server.logs("ends: what was accepted is answered, for 40s at most");
        let began = Instant::now();
        server.signal(name);
        assert_eq!(server.wait().code(), Some(code), "{}", server.log());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn a_call_that_does_not_end_is_cut_off_when_the_time_is_over() {
    let folder = Folder::new(&[]);
    let mut server = busy(&folder, "2s");
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1400) && took < Duration::from_secs(10), "{took:?}");
    assert!(server.log().contains("were cut off at the end of server.drain"), "{}", server.log());
}

#[test]
fn a_server_that_ends_says_that_it_is_not_ready() {
    let folder = Folder::new(&[]);
    let mut server = busy(&folder, "40s");
    server.signal("TERM");
    let (status, text) =
        eventually(|| Some(server.get("/readyz")).filter(|(status, _)| *status == 503), || server.log());
    assert!(text.contains("stopping"), "{status} {text}");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(143));
}
