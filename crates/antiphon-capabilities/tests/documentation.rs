//! The examples of docs/capabilities.md are true.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test says what it expects")]

mod common;

use std::path::Path;

use antiphon::{Bytes, WapcHost, async_trait};
use antiphon_capabilities::{
    Backends, CallModule, Fault, Grants, MemoryStore, ModuleCall, Secret, SecretReference,
};
use common::{ask, guest};
use serde_json::Value;

struct Tax;

#[async_trait]
impl CallModule for Tax {
    async fn call(&self, call: ModuleCall<'_>) -> Result<Bytes, Fault> {
        assert_eq!((call.module, call.operation, &*call.payload), ("tax", "rate", &b"DE"[..]));
        Ok(Bytes::from_static(b"19"))
    }
}

/// Returns the blocks of code of a kind.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).map(|rest| rest.split_once("\n```").expect("an open block").0).collect()
}

fn host(page: &str) -> WapcHost {
    #[derive(serde::Deserialize)]
    struct Configuration {
        modules: std::collections::BTreeMap<String, Module>,
    }
    #[derive(serde::Deserialize)]
    struct Module {
        grant: Grants,
    }
    let parse =
        |toml: &str| toml::from_str::<Configuration>(toml).unwrap().modules.remove("shop").unwrap().grant;
    let mut grants: Vec<Grants> = blocks(page, "toml").into_iter().map(parse).collect();
    for grants in &grants {
        assert_eq!(grants.check(), Ok(()));
    }
    let backends = Backends::new()
        .store("default", MemoryStore::new())
        .modules(Tax)
        .secrets(|_: &SecretReference| Ok(Secret::new("hunter2")));
    let router = grants.remove(0).router("shop", &backends).unwrap();
    WapcHost::builder(Box::new(guest())).handler(router).build().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn each_example_is_answered_as_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/capabilities.md");
    let page = std::fs::read_to_string(page).unwrap();
    let host = host(&page);
    let mut run = 0;
    for block in blocks(&page, "hex") {
        let [names, request, answer] = block.lines().collect::<Vec<_>>()[..] else { panic!("{block}") };
        let (namespace, operation) = names.split_once(' ').unwrap();
        let said = ask(namespace, operation).of(&host, bytes(request)).unwrap();
        assert_eq!(said, bytes(answer.strip_prefix("-> ").unwrap()), "{block}");
        run += 1;
    }
    for block in blocks(&page, "wire") {
        for pair in block.lines().collect::<Vec<_>>().chunks(2) {
            let &[request, answer] = pair else { panic!("{block}") };
            let [namespace, operation, payload] = request.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{request}")
            };
            let answer = answer.strip_prefix("-> ").unwrap_or_else(|| panic!("{answer}"));
            match ask(namespace, operation).of(&host, payload) {
                Ok(said) => {
                    let [said, answer] = [&*said, answer.as_bytes()]
                        .map(|json| serde_json::from_slice::<Value>(json).unwrap());
                    assert_eq!(said, answer, "{request}");
                }
                Err(text) => assert_eq!(text, answer, "{request}"),
            }
            run += 1;
        }
    }
    assert!(run > 15, "only {run} examples");
}
