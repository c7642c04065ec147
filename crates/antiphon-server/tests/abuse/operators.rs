//! Operators that race, send rubbish, or go away in the middle.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{Answer, Ask, Server, answer, guest};

fn module(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).unwrap()
}

/// Returns a module that differs from the built one in a section that says nothing.
fn variant(name: &str, number: u8) -> Vec<u8> {
    let mut bytes = module(name);
    bytes.extend_from_slice(&[0, 3, 1, b'v', number]);
    bytes
}

/// Returns a module of a few thousand bytes that would be expensive to compile: 1,000 loops within
/// each other, each with 100 parameters and results.
fn bomb() -> Vec<u8> {
    fn sized(mut bytes: Vec<u8>) -> Vec<u8> {
        let length = bytes.len();
        let mut sized = vec![u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
        sized.append(&mut bytes);
        sized
    }
    let wide = [&[0x60, 100][..], &[0x7f; 100], &[100], &[0x7f; 100]].concat();
    let types = [&[2][..], &wide, &[0x60, 2, 0x7f, 0x7f, 1, 0x7f]].concat();
    let exports = [&[2, 6][..], b"memory", &[2, 0, 12], b"__guest_call", &[0, 0]].concat();
    let (zeros, opens) = ([0x41, 0].repeat(100), [0x03, 0].repeat(1000));
    let body = [&[0][..], &zeros, &opens, &[0x0b; 1000], &[0x1a; 100], &[0x41, 1, 0x0b]].concat();
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in
        [(1, types), (3, vec![1, 1]), (5, vec![1, 0, 1]), (7, exports), (10, [vec![1], sized(body)].concat())]
    {
        module.push(id);
        module.extend(sized(content));
    }
    module
}

fn deploy(name: &str, query: &str, bytes: impl Into<Vec<u8>>) -> Ask {
    Ask::new("POST", &format!("/v1/modules/{name}/versions{query}")).body(bytes)
}

async fn get(server: &Server, name: &str) -> Answer {
    Ask::new("GET", &format!("/v1/modules/{name}")).to(server.admin).await
}

#[tokio::test]
async fn a_module_is_created_changed_and_removed_by_its_revision() {
    let server = Server::empty(|_| {}).await;
    get(&server, "new").await.is_problem(404, "unknown_module");
    let created =
        deploy("new", "?note=first", module("rust")).header("If-None-Match", "*").to(server.admin).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let first = created.headers["etag"].clone();
    assert_eq!(created.json()["note"], "first");
    assert_eq!(Ask::call("new", "echo", "hi").to(server.calls).await.text(), "hi");
    // Writes without a revision, with an old one, and on what is there already.
    deploy("new", "", module("rust")).to(server.admin).await.is_problem(428, "revision_missing");
    let again = deploy("new", "", module("rust")).header("If-None-Match", "*").to(server.admin).await;
    again.is_problem(412, "revision_wrong");
    let changed = deploy("new", "", variant("rust", 1)).header("If-Match", &first).to(server.admin).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_ne!(changed.headers["etag"], first);
    assert_ne!(changed.json()["serving"], created.json()["serving"]);
    for (method, path) in
        [("POST", "promote"), ("POST", "rollback"), ("POST", "drain"), ("POST", "retry"), ("DELETE", "")]
    {
        let path = format!("/v1/modules/new/{path}");
        let path = path.trim_end_matches('/');
        Ask::new(method, path).to(server.admin).await.is_problem(428, "revision_missing");
        let stale = Ask::new(method, path).header("If-Match", &first).to(server.admin).await;
        stale.is_problem(412, "revision_wrong");
    }
    let back = Ask::new("POST", "/v1/modules/new/rollback").header("If-Match", &changed.headers["etag"]);
    let back = back.to(server.admin).await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(back.json()["serving"], created.json()["serving"]);
    let gone = Ask::new("DELETE", "/v1/modules/new").header("If-Match", &back.headers["etag"]);
    assert_eq!(gone.to(server.admin).await.status, 204);
    get(&server, "new").await.is_problem(404, "unknown_module");
    Ask::call("new", "echo", "hi").to(server.calls).await.is_problem(404, "unknown_module");
}

#[tokio::test]
async fn a_canary_is_promoted() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let tag = get(&server, "pricing").await.headers["etag"].clone();
    let nothing = Ask::new("POST", "/v1/modules/pricing/promote").header("If-Match", &tag);
    nothing.to(server.admin).await.is_problem(409, "conflict");
    let canary =
        deploy("pricing", "?share=5", variant("rust", 1)).header("If-Match", &tag).to(server.admin).await;
    assert_eq!(canary.status, 200, "{}", canary.text());
    let versions = canary.json()["versions"].clone();
    let of_canary = versions.as_array().unwrap().iter().find(|version| version["state"] == "canary").unwrap();
    assert_eq!(of_canary["share"], 5);
    let promote = Ask::new("POST", "/v1/modules/pricing/promote").header("If-Match", &canary.headers["etag"]);
    let promoted = promote.to(server.admin).await;
    assert_eq!(promoted.json()["serving"], of_canary["digest"]);
    for query in ["?share=0", "?share=100", "?share=x", "?share=5&share=6", "?digest=x", "?colour=red"] {
        let wrong = deploy("pricing", query, module("rust")).header("If-Match", "*").to(server.admin).await;
        wrong.is_problem(400, "bad_query");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_writers_with_one_revision_one_wins() {
    let server = Server::start(&["pricing"], |_| {}).await;
    for round in 0..3_u8 {
        let tag = get(&server, "pricing").await.headers["etag"].clone();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let ask = deploy("pricing", "", variant("rust", 1 + round * 8 + writer)).header("If-Match", &tag);
            let address = server.admin;
            writers.spawn(async move { ask.to(address).await });
        }
        let answers = writers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in lost {
            assert!(
                answer.status == 412 || (answer.status == 409 && answer.json()["code"] == "conflict"),
                "{answer:?}"
            );
        }
        assert_eq!(get(&server, "pricing").await.json()["serving"], won[0].json()["serving"]);
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_changes_nothing() {
    let server =
        Server::start(&["pricing"], |config| config.http.idle_timeout = Duration::from_secs(1)).await;
    let before = get(&server, "pricing").await;
    let whole = deploy("pricing", "", variant("rust", 1)).header("If-Match", "*").bytes();
    // The client goes away.
    let mut socket = TcpStream::connect(server.admin).await.unwrap();
    socket.write_all(&whole[..whole.len() - 1]).await.unwrap();
    drop(socket);
    // The client stalls.
    let mut socket = TcpStream::connect(server.admin).await.unwrap();
    socket.write_all(&whole[..whole.len() - 1]).await.unwrap();
    answer(&mut socket).await.unwrap().is_problem(408, "body_timeout");
    // The bytes are whole, but the module is not.
    let cut = module("rust");
    let cut = deploy("pricing", "", &cut[..cut.len() / 2]).header("If-Match", "*").to(server.admin).await;
    cut.is_problem(422, "invalid_module");
    let digest = format!("?digest=sha256:{}", "0".repeat(64));
    let other = deploy("pricing", &digest, module("rust")).header("If-Match", "*").to(server.admin).await;
    assert!((400..500).contains(&other.status), "{other:?}");
    let after = get(&server, "pricing").await;
    assert_eq!(after.json()["serving"], before.json()["serving"]);
    assert_eq!(Ask::call("pricing", "echo", "hi").to(server.calls).await.text(), "hi");
}

#[tokio::test]
async fn rubbish_and_bombs_are_refused_and_the_old_version_serves_on() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let memory = b"\0asm\x01\0\0\0\x05\x04\x01\0\xff\xff".to_vec();
    let empty = b"\0asm\x01\0\0\0".to_vec();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("text", b"not a module".to_vec()),
        ("an empty module", empty),
        ("a malformed memory", memory),
        ("a gzip header", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
        ("64 KiB of zeros", vec![0; 64 << 10]),
        // Compiled, it would take gigabytes.
        ("a bomb", bomb()),
    ] {
        let refused = deploy("pricing", "", bytes).header("If-Match", "*").to(server.admin).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (422, Some("invalid_module")),
            "{what}"
        );
    }
    // More than the largest module: refused before it is read.
    let mut socket = TcpStream::connect(server.admin).await.unwrap();
    let head = "POST /v1/modules/pricing/versions HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\nContent-Length: 1000000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    answer(&mut socket).await.unwrap().is_problem(413, "too_large");
    for name in ["%2e%2e", "-x", "a%20b", "%2Fetc"] {
        let ask = deploy(name, "", module("rust")).header("If-None-Match", "*");
        ask.to(server.admin).await.is_problem(400, "bad_name");
    }
    let ask = deploy("%zz", "", module("rust")).header("If-None-Match", "*");
    ask.to(server.admin).await.is_problem(400, "bad_path");
    assert_eq!(Ask::call("pricing", "echo", "hi").to(server.calls).await.text(), "hi");
    assert_eq!(Ask::new("GET", "/readyz").to(server.admin).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document_too() {
    let server = Server::empty(|_| {}).await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/modules/", "/v1/modules/a/b", "/v1/modules/a/versions/x"] {
        Ask::new("GET", path).to(server.admin).await.is_problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("PUT", "/v1/modules", "GET,HEAD"),
        ("PATCH", "/v1/modules/a", "GET,HEAD,PUT,DELETE"),
        ("GET", "/v1/modules/a/promote", "POST"),
        ("POST", "/v1/stats", "GET,HEAD"),
    ] {
        let answered = Ask::new(method, path).to(server.admin).await;
        answered.is_problem(405, "method_not_allowed");
        assert_eq!(answered.headers["allow"], allow);
    }
    Ask::new("GET", "/v1/modules/a/logs").to(server.admin).await.is_problem(404, "unknown_module");
    let wrong = Ask::new("GET", "/v1/events").header("Last-Event-ID", "x").to(server.admin).await;
    wrong.is_problem(400, "bad_header");
}

#[tokio::test]
async fn events_are_taken_up_where_the_client_stopped() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let stream = async |last: Option<&str>| {
        let mut ask = Ask::new("GET", "/v1/events");
        if let Some(last) = last {
            ask = ask.header("Last-Event-ID", last);
        }
        let mut socket = TcpStream::connect(server.admin).await.unwrap();
        socket.write_all(&ask.bytes()).await.unwrap();
        let head = answer(&mut socket).await.unwrap();
        assert_eq!(head.headers["content-type"], "text/event-stream");
        let mut came = String::new();
        let mut buffer = [0; 4096];
        // What is kept comes at once.
        while let Ok(Ok(count)) = timeout(Duration::from_millis(500), socket.read(&mut buffer)).await {
            came += &String::from_utf8_lossy(&buffer[..count]);
        }
        came
    };
    let all = stream(None).await;
    let ids: Vec<u64> = all.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.len() >= 2, "{all}");
    assert!(ids.is_sorted() && all.contains("\"module\":\"pricing\""), "{all}");
    let first = ids[0].to_string();
    let rest = stream(Some(&first)).await;
    assert!(
        !rest.contains(&format!("id: {first}\n")) && rest.contains(&format!("id: {}\n", ids[1])),
        "{rest}"
    );
}

#[tokio::test]
async fn new_settings_make_a_new_version_of_the_bytes_that_are_there() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let before = get(&server, "pricing").await;
    let put = |document: &str| Ask::new("PUT", "/v1/modules/pricing").body(document);
    let settings = r#"{"settings": {"limits": {"request": 4}}, "note": "small requests"}"#;
    put(settings).to(server.admin).await.is_problem(428, "revision_missing");
    let changed = put(settings).header("If-Match", &before.headers["etag"]).to(server.admin).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["serving"], before.json()["serving"]);
    assert_eq!(changed.json()["note"], "small requests");
    assert_eq!(Ask::call("pricing", "echo", "four").to(server.calls).await.text(), "four");
    let large = Ask::call("pricing", "echo", "fives").to(server.calls).await;
    large.is_problem(413, "too_large");
    assert_eq!(large.json()["limit"], serde_json::json!({"name": "request", "allowed": 4, "used": 5}));
    put(settings)
        .header("If-Match", &before.headers["etag"])
        .to(server.admin)
        .await
        .is_problem(412, "revision_wrong");
    for wrong in [
        "",
        "[]",
        "{\"settings\": 1}",
        "{\"setting\": {}}",
        "{\"settings\": {\"limit\": {}}}",
        "{\"share\": 0}",
    ] {
        put(wrong).header("If-Match", "*").to(server.admin).await.is_problem(400, "bad_body");
    }
    let unknown = format!("{{\"digest\": \"sha256:{}\"}}", "0".repeat(64));
    put(&unknown).header("If-Match", "*").to(server.admin).await.is_problem(404, "unknown_version");
    let nothing = Ask::new("PUT", "/v1/modules/nothing").body("{}").header("If-Match", "*");
    nothing.to(server.admin).await.is_problem(404, "unknown_module");
}
