//! The namespace `keyvalue`, over a store in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use antiphon::{Bytes, WapcHost, async_trait};
use antiphon_capabilities::{
    Backends, Durability, Entry, List, MemoryStore, Page, Put, Store, StoreError, suite,
};
use antiphon_codec::{Codec, MessagePack};
use common::{ask, host, host_async};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[test]
fn a_store_in_memory_behaves() {
    suite::run(&MemoryStore::new());
}

fn granted(grant: &str, store: &MemoryStore) -> WapcHost {
    host(&format!("[[grant]]\nkeyvalue = {grant}"), &Backends::new().store("default", store.clone()))
}

fn kv(host: &WapcHost, operation: &str, payload: Value) -> Result<Value, String> {
    ask("keyvalue", operation).json(host, payload)
}

#[test]
fn values_are_written_read_listed_and_deleted_in_json() {
    let host = granted("{}", &MemoryStore::new());
    assert_eq!(kv(&host, "get", json!({"key": "a"})), Ok(json!({"revision": 0})));
    assert_eq!(kv(&host, "put", json!({"key": "a", "value": "text"})), Ok(json!({"revision": 1})));
    assert_eq!(
        kv(&host, "put", json!({"key": "b", "value": {"base64": "/wA="}})),
        Ok(json!({"revision": 2}))
    );
    assert_eq!(kv(&host, "get", json!({"key": "a"})), Ok(json!({"value": "text", "revision": 1})));
    assert_eq!(
        kv(&host, "get", json!({"key": "b"})),
        Ok(json!({"value": {"base64": "/wA="}, "revision": 2}))
    );
    assert_eq!(kv(&host, "list", json!({})), Ok(json!({"keys": ["a", "b"], "more": false})));
    assert_eq!(kv(&host, "list", json!({"limit": 1})), Ok(json!({"keys": ["a"], "more": true})));
    assert_eq!(
        kv(&host, "list", json!({"limit": 1, "after": "a"})),
        Ok(json!({"keys": ["b"], "more": false}))
    );
    assert_eq!(kv(&host, "list", json!({"prefix": "b"})), Ok(json!({"keys": ["b"], "more": false})));
    assert_eq!(kv(&host, "delete", json!({"key": "a"})), Ok(json!({})));
    assert_eq!(kv(&host, "delete", json!({"key": "a"})), Ok(json!({})));
    assert_eq!(kv(&host, "get", json!({"key": "a"})), Ok(json!({"revision": 0})));
}

#[tokio::test]
async fn values_are_written_and_read_in_messagepack() {
    #[derive(Serialize)]
    struct Asked<'a> {
        key: &'a str,
        #[serde(with = "serde_bytes", skip_serializing_if = "<[u8]>::is_empty")]
        value: &'a [u8],
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Got {
        #[serde(default)]
        value: Option<serde_bytes::ByteBuf>,
        revision: u64,
    }
    let host =
        host_async("[[grant]]\nkeyvalue = {}", &Backends::new().store("default", MemoryStore::new())).await;
    let put = MessagePack.encode(&Asked { key: "k", value: b"\xff\0" }).unwrap();
    let said = ask("keyvalue", "put").of_async(&host, antiphon::Context::new(), put).await.unwrap();
    assert_eq!(said, b"\x81\xa8revision\x01");
    let get = MessagePack.encode(&Asked { key: "k", value: b"" }).unwrap();
    let said = ask("keyvalue", "get").of_async(&host, antiphon::Context::new(), get).await.unwrap();
    assert_eq!(said, b"\x82\xa5value\xc4\x02\xff\0\xa8revision\x01");
    let expected = Got { value: Some(serde_bytes::ByteBuf::from(*b"\xff\0")), revision: 1 };
    assert_eq!(MessagePack.decode::<Got>(&said).unwrap(), expected);
}

#[test]
fn compare_and_set_says_what_the_key_has_instead() {
    let host = granted("{}", &MemoryStore::new());
    let set = |value: &str, revision: u64| {
        kv(&host, "compare_and_set", json!({"key": "k", "value": value, "revision": revision}))
    };
    assert_eq!(set("1", 5), Err("conflict: the key is not there".into()));
    assert_eq!(set("1", 0), Ok(json!({"revision": 1})));
    assert_eq!(set("2", 0), Err("conflict: the key has revision 1".into()));
    assert_eq!(set("2", 1), Ok(json!({"revision": 2})));
    let missing = kv(&host, "compare_and_set", json!({"key": "k", "value": ""})).unwrap_err();
    assert!(
        missing.starts_with("invalid_request: ") && missing.contains("missing field `revision`"),
        "{missing}"
    );
}

#[test]
fn values_expire() {
    let host = granted("{}", &MemoryStore::new());
    let put = json!({"key": "k", "value": "v", "expires_in_ms": 200});
    kv(&host, "put", put).unwrap();
    let renewed = json!({"key": "l", "value": "v", "revision": 0, "expires_in_ms": u64::MAX});
    kv(&host, "compare_and_set", renewed).unwrap();
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(kv(&host, "get", json!({"key": "k"})), Ok(json!({"revision": 0})));
    assert_eq!(kv(&host, "list", json!({})), Ok(json!({"keys": ["l"], "more": false})));
    let text = kv(&host, "put", json!({"key": "k", "value": "v", "expires_in_ms": 0})).unwrap_err();
    assert_eq!(text, "invalid_request: expires_in_ms is 0; leave it out, or give at least 1");
}

#[test]
fn no_key_leads_out_of_the_prefix() {
    let store = MemoryStore::new();
    let put = |key: &str| antiphon::block_on(store.put(Put::new(key, "other's"))).unwrap();
    for key in ["secret", "sho", "shop", "shop.", "shop0", "other/a"] {
        put(key);
    }
    // By default it is the module's name and a slash.
    let host = granted("{}", &store);
    for key in ["../secret", "/secret", "secret", "\0secret", "..", "shop/a", "../other/a", "é", "*", ">"] {
        assert_eq!(kv(&host, "get", json!({"key": key})), Ok(json!({"revision": 0})), "{key:?}");
        kv(&host, "put", json!({"key": key, "value": key})).unwrap();
    }
    assert_eq!(kv(&host, "list", json!({"limit": 1000})).unwrap()["keys"].as_array().unwrap().len(), 10);
    for after in ["", "../", "0", "\u{10ffff}"] {
        let listed = kv(&host, "list", json!({"after": after, "limit": 1000})).unwrap();
        assert!(!listed.to_string().contains("other's"), "{listed}");
    }
    kv(&host, "delete", json!({"key": "../secret"})).unwrap();
    let all = antiphon::block_on(store.list(List { prefix: "", after: None, limit: 100 })).unwrap();
    let (inside, outside): (Vec<_>, Vec<_>) =
        all.keys.iter().map(String::as_str).partition(|key| key.starts_with("shop/"));
    assert_eq!(inside.len(), 9);
    assert_eq!(outside, ["other/a", "secret", "sho", "shop", "shop.", "shop0"]);

    // Two modules with a prefix of their own see nothing of each other; one without sees all.
    let [mine, all] = ["{ prefix = 'mine/' }", "{ prefix = '' }"].map(|grant| granted(grant, &store));
    assert_eq!(kv(&mine, "list", json!({})), Ok(json!({"keys": [], "more": false})));
    assert_eq!(kv(&all, "get", json!({"key": "secret"})).unwrap()["value"], "other's");
}

#[test]
fn keys_values_and_limits_are_bounded() {
    let host = granted("{ value = '8B' }", &MemoryStore::new());
    let long = "k".repeat(513);
    let widest = "é".repeat(256);
    for (operation, payload, expected) in [
        ("get", json!({"key": ""}), "invalid_request: the key is empty; a key has 1 to 512 bytes"),
        ("get", json!({"key": long}), "too_large: the key has 513 bytes; a key has at most 512"),
        ("put", json!({"key": "k", "value": "123456789"}), "too_large: the value has 9 of 8 bytes"),
        ("list", json!({"limit": 0}), "invalid_request: the limit is 0; a list has 1 to 1000 keys"),
        ("list", json!({"limit": 1001}), "invalid_request: the limit is 1001; a list has 1 to 1000 keys"),
        ("list", json!({"prefix": long}), "too_large: the prefix has 513 bytes; a key has at most 512"),
        ("list", json!({"after": long}), "too_large: the after has 513 bytes; a key has at most 512"),
    ] {
        assert_eq!(kv(&host, operation, payload), Err(expected.into()));
    }
    kv(&host, "put", json!({"key": widest, "value": "12345678"})).unwrap();
    assert_eq!(kv(&host, "list", json!({})), Ok(json!({"keys": [widest], "more": false})));
    for (operation, payload) in [
        ("get", json!({"key": "k", "default": 1})),
        ("put", json!({"key": "k", "value": "", "ttl": 1})),
        ("delete", json!({"key": "k", "revision": 1})),
        ("list", json!({"cursor": 1})),
    ] {
        let text = kv(&host, operation, payload.clone()).unwrap_err();
        let unknown =
            payload.as_object().unwrap().keys().find(|key| *key != "key" && *key != "value").unwrap();
        assert!(text.starts_with("invalid_request: "), "{text}");
        assert!(text.contains(&format!("unknown field `{unknown}`")), "{text}");
    }
}

#[test]
fn a_read_only_grant_reads() {
    let store = MemoryStore::new();
    antiphon::block_on(store.put(Put::new("shop/k", "v"))).unwrap();
    let host = granted("{ read_only = true }", &store);
    assert_eq!(kv(&host, "get", json!({"key": "k"})), Ok(json!({"value": "v", "revision": 1})));
    let expected = "not_granted: the keyvalue grant of this module is read-only; set read_only = false in it";
    for (operation, payload) in [
        ("put", json!({"key": "k", "value": ""})),
        ("delete", json!({"key": "k"})),
        ("compare_and_set", json!({"key": "k", "value": "", "revision": 1})),
    ] {
        assert_eq!(kv(&host, operation, payload), Err(expected.into()));
    }
    assert_eq!(kv(&host, "get", json!({"key": "k"})), Ok(json!({"value": "v", "revision": 1})));
}

/// A store whose answers wait until a test lets them go.
struct Slow(Arc<tokio::sync::Semaphore>);

#[async_trait]
impl Store for Slow {
    async fn get(&self, _: &str) -> Result<Option<Entry>, StoreError> {
        let _permit = self.0.acquire().await;
        Ok(Some(Entry { value: Bytes::from_static(b"late"), revision: 1 }))
    }

    async fn put(&self, put: Put<'_>) -> Result<u64, StoreError> {
        assert_eq!(put.durability, Durability::Eventual);
        Err(StoreError::Unavailable("the disk is full".into()))
    }

    async fn delete(&self, _: &str, _: Durability) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("the disk is full".into()))
    }

    async fn list(&self, _: List<'_>) -> Result<Page, StoreError> {
        Ok(Page { keys: vec!["elsewhere".into()], more: false })
    }
}

#[tokio::test]
async fn a_store_that_waits_holds_no_thread_and_its_places_are_counted() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let backends = Backends::new().store("default", Slow(Arc::clone(&gate)));
    let toml = "[[grant]]\nkeyvalue = { max_concurrent = 1, durability = 'eventual' }";
    let router = Arc::new(common::grants(toml).router("shop", &backends).unwrap());
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let builder =
            antiphon::WapcHostAsync::builder(Box::new(common::guest())).handler(Arc::clone(&router));
        hosts.push(builder.build().await.unwrap());
    }
    let key = json!({"key": "k"});
    let get = ask("keyvalue", "get");
    // One thread runs both: the first call waits, and the second is refused meanwhile.
    let (first, second) = tokio::join!(get.json_async(&hosts[0], key.clone()), async {
        tokio::task::yield_now().await;
        let refused = get.json_async(&hosts[1], key.clone()).await;
        gate.add_permits(1);
        refused
    });
    assert_eq!(first, Ok(json!({"value": "late", "revision": 1})));
    let expected =
        "budget: the keyvalue grant of this module allows 1 host calls at the same time (max_concurrent)";
    assert_eq!(second, Err(expected.into()));

    // A call whose deadline passes leaves its place.
    let _permit = gate.acquire().await.unwrap();
    let request = antiphon::Request::new("ask", b"1\xff\xffkeyvalue\xffget\xff{\"key\":\"k\"}".to_vec());
    let error = hosts[0].call_with(request.deadline(Duration::from_millis(50))).await.unwrap_err();
    assert_eq!(error.kind(), antiphon::ErrorKind::DeadlineExceeded);
    drop(_permit);
    assert_eq!(get.json_async(&hosts[1], key.clone()).await, Ok(json!({"value": "late", "revision": 1})));

    let put = ask("keyvalue", "put").json_async(&hosts[0], json!({"key": "k", "value": ""})).await;
    assert_eq!(put, Err("unavailable: the disk is full".into()));
    // What a backend lists outside of the prefix reaches no guest.
    let listed = ask("keyvalue", "list").json_async(&hosts[0], json!({})).await;
    assert_eq!(listed, Ok(json!({"keys": [], "more": false})));
}
