use serde_json::{Value, json};

use crate::server::{Answer, Names, Server, answer, code, get, host, request};

const LOOPBACK: &str = "allow_addresses = ['127.0.0.1/32']";

/// Redirects `/STATUS/LOCATION` to the location, and answers everything else.
fn redirecting(request: &str) -> Answer {
    let path = request.split(' ').nth(1).unwrap();
    match path[1..].split_once('/') {
        Some((status, location)) if status.starts_with('3') => {
            answer(&format!("{status} Elsewhere"), &format!("Location: {location}\r\n"), "moved")
        }
        _ => answer("200 OK", "", "here"),
    }
}

#[tokio::test]
async fn redirects_are_followed_as_browsers_do() {
    let server = Server::start(redirecting).await;
    let port = server.port;
    let names = Names::default().with("a.test", "127.0.0.1");
    let methods = "methods = ['GET', 'HEAD', 'POST', 'PUT']";
    let host = host(&format!("allow = ['http://a.test:{port}'], {methods}, {LOOPBACK}"), &names).await;
    for (method, status, second) in [
        ("GET", 301, "GET"),
        ("GET", 302, "GET"),
        ("GET", 303, "GET"),
        ("GET", 307, "GET"),
        ("HEAD", 303, "HEAD"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
    ] {
        let before = server.requests().len();
        let body = if matches!(method, "POST" | "PUT") { Some("body") } else { None };
        let asked = json!({
            "method": method,
            "url": format!("http://a.test:{port}/{status}//end"),
            "headers": [["Content-Type", "text/plain"], ["X-Kept", "1"], ["Cookie", "c"]],
            "body": body,
        });
        let said = request(&host, asked).await.unwrap();
        assert_eq!(said["status"], 200, "{method} {status}");
        let requests = server.requests();
        let [_, followed] = &requests[before..] else { panic!("{requests:?}") };
        assert!(followed.starts_with(&format!("{second} /end ")), "{method} {status}: {followed}");
        let keeps_body = body.is_some() && second == method;
        assert_eq!(followed.ends_with("\r\n\r\nbody"), keeps_body, "{followed}");
        assert_eq!(followed.contains("content-type: "), second == method, "{followed}");
        // Within one origin nothing else is left out.
        assert!(followed.contains("x-kept: 1\r\n") && followed.contains("cookie: c\r\n"), "{followed}");
    }
}

#[tokio::test]
async fn credentials_do_not_cross_origins() {
    let server = Server::start(redirecting).await;
    let other = Server::start(redirecting).await;
    let names = Names::default().with("a.test", "127.0.0.1").with("b.test", "127.0.0.1");
    let (port, elsewhere) = (server.port, other.port);
    let grant = format!("allow = ['http://*.test:{port}', 'http://a.test:{elsewhere}'], {LOOPBACK}");
    let host = host(&grant, &names).await;
    // Another name, and another port. From there back to the first origin they do not return.
    for there in [
        format!("http://b.test:{port}/end"),
        format!("http://a.test:{elsewhere}/end"),
        format!("http://b.test:{port}/307/http://a.test:{port}/end"),
    ] {
        let asked = json!({
            "url": format!("http://a.test:{port}/307/{there}"),
            "headers": [["Authorization", "secret"], ["Cookie", "secret"], ["X-Kept", "1"]],
        });
        assert_eq!(request(&host, asked).await.unwrap()["body"], "here");
        let last = if there.contains(&elsewhere.to_string()) { other.requests() } else { server.requests() };
        let last = last.last().unwrap();
        assert!(last.starts_with("GET /end ") && last.contains("x-kept: 1\r\n"), "{last}");
        assert!(!last.contains("secret"), "{last}");
    }
    assert!(server.requests()[0].contains("authorization: secret\r\ncookie: secret\r\n"));
}

#[tokio::test]
async fn each_redirect_is_checked_like_a_request() {
    let server = Server::start(redirecting).await;
    let port = server.port;
    let names = Names::default()
        .with("a.test", "127.0.0.1")
        .with("private.test", "10.0.0.1")
        .with("metadata.test", "::ffff:169.254.169.254");
    let grant =
        format!("allow = ['http://*.test:{port}', 'http://[::1]:{port}'], methods = ['POST'], {LOOPBACK}");
    let host = host(&grant, &names).await;
    let to = async |status: u16, location: &str| {
        let url = format!("http://a.test:{port}/{status}/{location}");
        request(&host, json!({"method": "POST", "url": url})).await
    };
    for (location, expected) in [
        (
            format!("http://private.test:{port}/"),
            "forbidden_address: private.test leads to a private address",
        ),
        (
            format!("http://metadata.test:{port}/"),
            "forbidden_address: metadata.test leads to a link-local address",
        ),
        (format!("http://[::1]:{port}/"), "forbidden_address: [::1] leads to a loopback address"),
        (
            "http://169.254.169.254/latest".into(),
            "not_granted: the http grant of this module does not allow http://169.254.169.254:80",
        ),
        (
            format!("//b.example:{port}/"),
            "not_granted: the http grant of this module does not allow http://b.example:",
        ),
        (
            format!("https://a.test:{port}/"),
            "not_granted: the http grant of this module does not allow https://a.test:",
        ),
        ("file:///etc/passwd".into(), "unavailable: http://a.test:"),
        (format!("http://u:p@a.test:{port}/"), "unavailable: http://a.test:"),
    ] {
        let text = to(307, &location).await.unwrap_err();
        assert!(text.starts_with(expected), "{location}: {text}");
    }
    // A redirect that turns it into GET needs that method granted.
    let text = to(303, "/end").await.unwrap_err();
    assert!(
        text.starts_with("not_granted: the http grant of this module does not allow the method GET"),
        "{text}"
    );
    assert_eq!(to(307, "/end").await.unwrap()["body"], "here");
}

#[tokio::test]
async fn redirects_are_counted_and_can_be_left_to_the_guest() {
    let circle = Server::start(|_| answer("302 Found", "Location: /again\r\n", "")).await;
    let url = format!("http://127.0.0.1:{}", circle.port);
    let all = host(&format!("allow = ['{url}'], {LOOPBACK}"), &Names::default()).await;
    let said = get(&all, &url).await;
    assert_eq!(code(&said), "too_many_redirects");
    assert_eq!(circle.requests().len(), 6, "the first request and five redirects");

    let none = host(&format!("allow = ['{url}'], redirects = 0, {LOOPBACK}"), &Names::default()).await;
    let said = get(&none, &url).await.unwrap();
    assert_eq!((&said["status"], &said["headers"][0]), (&json!(302), &json!(["location", "/again"])));
    assert_eq!(circle.requests().len(), 7);

    // What is no redirect, or leads nowhere, is an answer.
    for (status, headers) in
        [("304 Not Modified", "Location: /x\r\n"), ("302 Found", ""), ("201 Created", "Location: /x\r\n")]
    {
        let server = Server::start(move |_| answer(status, headers, "")).await;
        let url = format!("http://127.0.0.1:{}", server.port);
        let host = host(&format!("allow = ['{url}'], {LOOPBACK}"), &Names::default()).await;
        let said: Value = get(&host, &url).await.unwrap();
        assert_eq!(said["status"].to_string(), status[..3]);
        assert_eq!(server.requests().len(), 1);
    }
}
