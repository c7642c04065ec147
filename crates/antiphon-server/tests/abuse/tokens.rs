//! Tokens that are missing, wrong, or for something else.

use antiphon_server::config::Config;

use super::harness::{Ask, Server, auth};

fn with_tokens(config: &mut Config) {
    config.auth = auth();
}

#[tokio::test]
async fn a_call_needs_a_token_that_is_for_its_module() {
    let server = Server::start(&["pricing", "taxes", "other"], with_tokens).await;
    let call = |module: &str| Ask::call(module, "echo", "hi");
    let none = call("pricing").to(server.calls).await;
    none.is_problem(401, "unauthorized");
    assert_eq!(none.headers["www-authenticate"], "Bearer realm=\"antiphon\"");
    for value in
        ["Bearer wrong", "Bearer", "Basic Y2FsbHMtb2Ytc2hvcA==", "calls-of-shop", "Bearer calls-of-shop2"]
    {
        let answered = call("pricing").header("Authorization", value).to(server.calls).await;
        answered.is_problem(401, "unauthorized");
    }
    let twice = call("pricing").token("calls-of-shop").token("calls-of-shop");
    twice.to(server.calls).await.is_problem(401, "unauthorized");
    let in_url = Ask::call("pricing", "echo?token=calls-of-shop&access_token=calls-of-shop", "hi");
    in_url.to(server.calls).await.is_problem(401, "unauthorized");
    for module in ["pricing", "taxes"] {
        assert_eq!(call(module).token("calls-of-shop").to(server.calls).await.status, 200, "{module}");
    }
    // Whether the module exists makes no difference.
    for module in ["other", "nothing", "Pricing", "pricing2"] {
        call(module).token("calls-of-shop").to(server.calls).await.is_problem(403, "forbidden");
    }
    assert_eq!(call("other").token("writes-of-ops").to(server.calls).await.status, 200);
    call("nothing").token("writes-of-ops").to(server.calls).await.is_problem(404, "unknown_module");
    // Probes have none.
    assert_eq!(Ask::new("GET", "/readyz").to(server.calls).await.status, 200);
}

#[tokio::test]
async fn only_an_operator_names_a_version() {
    let server = Server::start(&["pricing"], with_tokens).await;
    let call = |token: &str| Ask::call("pricing", "echo", "hi").token(token);
    let digest = server.modules.status("pricing").unwrap().serving.unwrap().to_string();
    let version = |token, digest: &str| call(token).header("Antiphon-Version", digest);
    version("calls-of-shop", &digest).to(server.calls).await.is_problem(403, "forbidden");
    assert_eq!(version("writes-of-ops", &digest).to(server.calls).await.status, 200);
    let unknown = format!("sha256:{}", "0".repeat(64));
    for digest in [&*unknown, "latest", ""] {
        version("writes-of-ops", digest).to(server.calls).await.is_problem(404, "unknown_version");
    }
}

#[tokio::test]
async fn operators_need_a_token_of_their_role() {
    let server = Server::start(&["pricing"], with_tokens).await;
    for (method, path) in [
        ("GET", "/v1/modules"),
        ("GET", "/v1/modules/pricing"),
        ("GET", "/v1/events"),
        ("GET", "/v1/modules/pricing/logs"),
        ("GET", "/v1/stats"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/readyz?verbose"),
        ("GET", "/readyz?a=1&verbose=0"),
        ("POST", "/v1/modules/pricing/versions"),
        ("POST", "/v1/modules/pricing/promote"),
        ("DELETE", "/v1/modules/pricing"),
        ("GET", "/nothing"),
    ] {
        Ask::new(method, path).to(server.admin).await.is_problem(401, "unauthorized");
        let answered = Ask::new(method, path).token("calls-of-shop").to(server.admin).await;
        answered.is_problem(403, "forbidden");
    }
    Ask::new("GET", "/metrics").to(server.admin).await.is_problem(401, "unauthorized");
    for token in ["calls-of-shop", "writes-of-ops"] {
        assert_eq!(Ask::new("GET", "/metrics").token(token).to(server.admin).await.status, 200);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Ask::new("GET", path).to(server.admin).await.status, 200);
    }
    let list = Ask::new("GET", "/v1/modules").token("writes-of-ops").to(server.admin).await;
    assert_eq!(list.json()["modules"][0]["name"], "pricing");
}

#[tokio::test]
async fn new_tokens_hold_at_once_and_old_ones_no_longer() {
    let server = Server::start(&["pricing"], with_tokens).await;
    let mut config = Config { auth: auth(), ..Config::default() };
    config.auth.as_mut().unwrap().tokens.remove(0);
    server.servers.as_ref().unwrap().reload(&config);
    let call = Ask::call("pricing", "echo", "hi");
    call.token("calls-of-shop").to(server.calls).await.is_problem(401, "unauthorized");
    assert_eq!(Ask::call("pricing", "echo", "hi").token("writes-of-ops").to(server.calls).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_origins_reach_nothing_without_a_token() {
    let server = Server::start(&["pricing"], |_| {}).await;
    let cross = |ask: Ask| ask.header("Origin", "http://evil.example");
    cross(Ask::call("pricing", "echo", "hi")).to(server.calls).await.is_problem(403, "cross_origin");
    for (method, path) in [("POST", "/v1/modules/pricing/drain"), ("GET", "/v1/modules"), ("GET", "/metrics")]
    {
        cross(Ask::new(method, path)).to(server.admin).await.is_problem(403, "cross_origin");
        // A page whose name was made to resolve to loopback.
        let mut rebound = Ask::new(method, path);
        rebound.line = rebound.line.replace("localhost", "evil.example");
        rebound.to(server.admin).await.is_problem(403, "cross_origin");
    }
    assert_eq!(Ask::new("GET", "/v1/modules").to(server.admin).await.status, 200);
}
