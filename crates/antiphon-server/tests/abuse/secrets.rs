//! Secrets stay where they belong: tokens, payloads and queries show up nowhere.

use super::harness::{Ask, Server, auth, logs};

#[tokio::test]
async fn tokens_payloads_and_queries_are_in_no_log_problem_or_metric() {
    let logs = logs();
    let server = Server::start(&["pricing"], |config| config.auth = auth()).await;
    let payload = "the-payload-is-private";
    let query = "the-query-is-private";
    let wrong = "a-wrong-token-is-private";
    let calls = [
        Ask::call("pricing", &format!("echo?{query}"), payload).token("calls-of-shop"),
        Ask::call("pricing", &format!("nothing?{query}"), payload).token("calls-of-shop"),
        Ask::call("elsewhere", "echo", payload).token("calls-of-shop"),
        Ask::call("pricing", "echo", payload).token(wrong),
        Ask::call("pricing", "%zz", payload).token("calls-of-shop"),
        Ask::call("pricing", "echo", payload).token("calls-of-shop").header("Antiphon-Timeout", "x"),
    ];
    let mut shown = String::new();
    for call in &calls {
        let answered = call.to(server.calls).await;
        if answered.status != 200 {
            shown += &answered.text();
        }
    }
    let deploy = Ask::new("POST", &format!("/v1/modules/new/versions?{query}")).body(payload);
    shown += &deploy.token("writes-of-ops").header("If-None-Match", "*").to(server.admin).await.text();
    let metrics = Ask::new("GET", "/metrics").token("writes-of-ops").to(server.admin).await.text();
    assert!(metrics.contains("antiphon_server_calls_total{module=\"pricing\",code=\"ok\"}"), "{metrics}");
    let logged = String::from_utf8_lossy(&logs.lock().unwrap()).into_owned();
    let line = logged
        .lines()
        .find(|line| {
            line.contains("antiphon::access")
                && line.contains("code=\"ok\" ")
                && line.contains("token=\"shop\"")
        })
        .expect("an access log");
    for field in ["method", "path", "status", "module", "digest", "code", "duration_us", "trace_id"] {
        assert!(line.contains(field), "{field} is missing: {line}");
    }
    for (place, text) in [("a log", &logged), ("a problem", &shown), ("a metric", &metrics)] {
        for secret in [payload, query, wrong, "calls-of-shop", "writes-of-ops"] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
    // Names that clients make up become no labels.
    assert!(!metrics.contains("elsewhere") && !metrics.contains("nothing"), "{metrics}");
}
