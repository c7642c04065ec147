use crate::server::{Answer, Names, Server, answer, code, get, host};

#[tokio::test]
async fn an_address_of_this_machine_is_refused_however_it_is_written() {
    let server = Server::start(|_| answer("200 OK", "", "secret")).await;
    let port = server.port;
    // The resolver of a machine reads numbers like these as addresses.
    let names = Names::default()
        .with("localhost", "127.0.0.1 ::1")
        .with("2130706433", "127.0.0.1")
        .with("0x7f000001", "127.0.0.1")
        .with("127.1", "127.0.0.1")
        .with("0177.0.0.1", "127.0.0.1")
        .with("mapped.test", "::ffff:127.0.0.1")
        .with("compatible.test", "::127.0.0.1")
        .with("nat64.test", "64:ff9b::7f00:1")
        .with("local-nat64.test", "64:ff9b:1::7f00:1")
        .with("tunnel.test", "2002:7f00:1::1")
        .with("teredo.test", "2001:0:4136:e378:8000:63bf:80ff:fffe")
        .with("metadata.test", "169.254.169.254 fd00:ec2::254")
        .with("zero.test", "0.0.0.0 ::");
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "localhost",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "mapped.test",
        "compatible.test",
        "nat64.test",
        "local-nat64.test",
        "tunnel.test",
        "teredo.test",
        "metadata.test",
        "zero.test",
    ];
    let allow: Vec<_> = hosts.iter().map(|name| format!("'http://{name}:{port}'")).collect();
    let host = host(&format!("allow = [{}]", allow.join(", ")), &names).await;
    for name in hosts {
        let said = get(&host, format!("http://{name}:{port}/")).await;
        assert_eq!(code(&said), "forbidden_address", "{name}: {said:?}");
        let text = said.unwrap_err();
        assert!(text.ends_with("allow_addresses of the http grant can name its network"), "{text}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_allowed_is_connected_to() {
    let server = Server::start(|_| answer("200 OK", "", "right")).await;
    let port = server.port;
    // In this test the loopback address stands for a public one, and 127.0.0.2 for a private one.
    let other = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let names = Names::default()
        .with("mixed.test", "127.0.0.2 10.0.0.1 ::1 127.0.0.1")
        .with("mapped.test", "127.0.0.2 ::ffff:127.0.0.1")
        .with("private.test", "127.0.0.2 10.0.0.1");
    let grant = format!("allow = ['http://*.test:{port}'], allow_addresses = ['127.0.0.1/32']");
    let host = host(&grant, &names).await;
    assert_eq!(get(&host, format!("http://mixed.test:{port}/")).await.unwrap()["body"], "right");
    assert_eq!(get(&host, format!("http://mapped.test:{port}/")).await.unwrap()["body"], "right");
    assert_eq!(code(&get(&host, format!("http://private.test:{port}/")).await), "forbidden_address");
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(100), other.accept()).await;
    assert!(knocked.is_err(), "the private address was connected to");
}

#[tokio::test]
async fn a_name_that_is_bound_again_is_not_asked_twice() {
    // The server ends each connection, so that the second request needs one of its own.
    let server =
        Server::start(|_| Answer::Last(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst".to_vec())).await;
    let port = server.port;
    let names = Names::default().with("rebind.test", "127.0.0.1;127.0.0.2;169.254.169.254");
    let grant = format!("allow = ['http://rebind.test:{port}'], allow_addresses = ['127.0.0.1/32']");
    let host = host(&grant, &names).await;
    let url = format!("http://rebind.test:{port}/");
    // What was checked is what is connected to: the first answer, and no second look.
    assert_eq!(get(&host, &url).await.unwrap()["body"], "first");
    assert_eq!(names.asked().len(), 1);
    // A new connection checks the new answer.
    for asked in [2, 3] {
        assert_eq!(code(&get(&host, &url).await), "forbidden_address");
        assert_eq!(names.asked().len(), asked);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let server = Server::start(|_| answer("200 OK", "", "right")).await;
    let port = server.port;
    let names = Names::default().with("two.test", "127.0.0.3 127.0.0.1");
    let grant = format!("allow = ['http://two.test:{port}'], allow_addresses = ['127.0.0.0/8']");
    let host = host(&grant, &names).await;
    assert_eq!(get(&host, format!("http://two.test:{port}/")).await.unwrap()["body"], "right");
}
