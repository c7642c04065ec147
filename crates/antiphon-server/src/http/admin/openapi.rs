//! The description of both APIs, as OpenAPI.
//!
//! It is written by hand, in `openapi.json`. Tests compare it with the routes, and with what the
//! types of the answers are written as.

use axum::body::Body;
use http::{HeaderValue, Response, header};

use super::reply::Reply;

const DOCUMENT: &str = include_str!("openapi.json");

/// Answers with the document.
pub(super) async fn document() -> Reply {
    let mut response = Response::new(Body::from(DOCUMENT));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::outcome::{About, Limit, Problem, Refusal};

    const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    /// Returns every operation, as method, path, and what is said of it.
    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let paths = document["paths"].as_object().unwrap();
        let of_path = |(path, item): (&String, &Value)| {
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            methods
                .map(|method| (method.to_string(), path.clone(), item[*method].clone()))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let mut paths = keys(&document["paths"]);
        assert!(paths.remove("/v1/modules/{module}/operations/{operation}"), "the port for calls");
        let routes: BTreeSet<_> = super::super::routes().iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(paths, routes);
        let ids: BTreeSet<_> =
            operations(&document).iter().map(|(.., about)| about["operationId"].to_string()).collect();
        assert_eq!(ids.len(), operations(&document).len(), "an operationId stands there twice");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut seen = 0;
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                        seen += 1;
                    }
                    open.extend(map.values());
                }
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn each_write_takes_a_revision() {
        for (method, path, about) in operations(&document()) {
            let parameters = about["parameters"].to_string();
            let writes = method != "get" && !path.contains("/operations/");
            assert_eq!(parameters.contains("IfMatch"), writes, "{method} {path}");
            assert_eq!(about["responses"].get("428").is_some(), writes, "{method} {path}");
        }
    }

    #[test]
    fn a_problem_has_the_fields_of_the_document() {
        let schema = &document()["components"]["schemas"]["Problem"];
        let about = About { module: Some("m"), digest: Some(crate::desired::Digest::of(b"")), trace_id: 1 };
        let mut problem = Problem::of_refusal(&Refusal::TooLarge { allowed: 1, used: 2 }, about);
        problem.phase = Some("queue");
        let written: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(keys(&written), keys(&schema["properties"]));
        assert_eq!(keys(&written["limit"]), keys(&schema["properties"]["limit"]["properties"]));
        let _: Option<Limit> = problem.limit;
        let least = Problem::of_refusal(&Refusal::NotFound, About::default());
        let written: Value = serde_json::from_slice(&least.to_json()).unwrap();
        let required: BTreeSet<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        assert_eq!(keys(&written), required);
    }

    #[test]
    fn the_status_of_every_failure_of_a_call_is_documented() {
        use antiphon::errors::ErrorKind;

        let document = document();
        let answers = &document["paths"]["/v1/modules/{module}/operations/{operation}"]["post"]["responses"];
        for kind in ErrorKind::ALL {
            // Those two are answers to operators.
            if matches!(kind, ErrorKind::InvalidModule | ErrorKind::ReplaceFailed) {
                continue;
            }
            let verdict = crate::outcome::Verdict::of_error(&antiphon::Error::new(*kind, ""));
            assert!(answers.get(verdict.status.as_str()).is_some(), "{kind}: {}", verdict.status);
        }
    }
}
