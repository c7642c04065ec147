//! Values that last between calls.

use std::thread;
use std::time::Duration;

use antiphon_capabilities::{Backends, MemoryStore, Put};
use serde_bytes::{ByteBuf, Bytes};

use crate::guest::{Host, hosts};

fn empty() -> Backends {
    Backends::new().store("default", MemoryStore::new())
}

fn put(host: &Host, key: &str, value: &[u8]) -> Result<u64, String> {
    host.ask("put", ("", key, Bytes::new(value), None::<u64>))
}

fn get(host: &Host, key: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
    let entry: Option<(ByteBuf, u64)> = host.ask("get", ("", key))?;
    Ok(entry.map(|(value, revision)| (value.into_vec(), revision)))
}

#[test]
fn values_are_written_read_listed_and_deleted() {
    for host in hosts("[[grant]]\nkeyvalue = {}", empty) {
        let name = &host.name;
        assert_eq!(get(&host, "a"), Ok(None), "{name}");
        assert_eq!(put(&host, "a", b"\xff\0"), Ok(1), "{name}");
        assert_eq!(put(&host, "a", b""), Ok(2), "{name}");
        assert_eq!(get(&host, "a"), Ok(Some((vec![], 2))), "{name}");
        let large = vec![7; 1 << 20];
        put(&host, "large", &large).unwrap();
        assert_eq!(get(&host, "large").unwrap().unwrap().0, large, "{name}");

        for key in ["u/1", "u/2", "u/3", "u/4", "u/5", "v"] {
            put(&host, key, b"v").unwrap();
        }
        let pages: Vec<Vec<String>> = host.ask("list", ("", "u/", 2)).unwrap();
        assert_eq!(pages, [vec!["u/1", "u/2"], vec!["u/3", "u/4"], vec!["u/5"]], "{name}");
        let pages: Vec<Vec<String>> = host.ask("list", ("", "none", 2)).unwrap();
        assert_eq!(pages, [Vec::<String>::new()], "{name}");

        for _ in 0..2 {
            assert_eq!(host.bytes("delete", b"\x92\xa0\xa1a"), Ok(vec![]), "{name}");
        }
        assert_eq!(get(&host, "a"), Ok(None), "{name}");
    }
}

#[test]
fn a_value_is_set_only_if_it_is_still_the_one_that_was_read() {
    for host in hosts("[[grant]]\nkeyvalue = {}", empty) {
        let set = |expected: u64, value: &str| -> Result<Option<u64>, String> {
            host.ask("compare-and-set", ("", "k", expected, Bytes::new(value.as_bytes())))
        };
        assert_eq!(set(5, "1"), Ok(None), "{}", host.name);
        assert_eq!(set(0, "1"), Ok(Some(1)));
        assert_eq!(set(0, "2"), Ok(None));
        assert_eq!(set(1, "3"), Ok(Some(2)));
        assert_eq!(get(&host, "k"), Ok(Some((b"3".to_vec(), 2))));
    }
}

#[test]
fn guests_that_count_at_the_same_time_lose_nothing() {
    const EACH: usize = 50;
    let store = MemoryStore::new();
    let hosts = hosts("[[grant]]\nkeyvalue = {}", || Backends::new().store("default", store.clone()));
    thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(move || {
                for _ in 0..EACH {
                    host.bytes("count", "visits").unwrap();
                }
            });
        }
    });
    let host = hosts.first().unwrap();
    assert_eq!(host.bytes("count", "visits"), Ok((hosts.len() * EACH + 1).to_string().into_bytes()));
}

#[test]
fn a_value_lasts_as_long_as_was_said() {
    let hosts = hosts("[[grant]]\nkeyvalue = {}", empty);
    for host in &hosts {
        let brief: u64 = host.ask("put", ("", "brief", Bytes::new(b"v"), Some(200))).unwrap();
        let long: u64 = host.ask("put", ("", "long", Bytes::new(b"v"), Some(3_600_000))).unwrap();
        assert_eq!((brief, long), (1, 2), "{}", host.name);
    }
    thread::sleep(Duration::from_millis(250));
    for host in &hosts {
        assert_eq!(get(host, "brief"), Ok(None), "{}", host.name);
        assert_eq!(get(host, "long"), Ok(Some((b"v".to_vec(), 2))), "{}", host.name);
    }
}

#[test]
fn what_is_not_granted_is_refused_and_the_guest_serves_on() {
    let expected = "not_granted: this module has no grant for keyvalue; \
                    add a [[modules.shop.grant]] table with keyvalue = { ... }";
    for host in hosts("", empty) {
        assert_eq!(get(&host, "k"), Err(expected.into()), "{}", host.name);
    }
    let toml = "[[grant]]\nname = 'users'\nkeyvalue = { read_only = true }";
    let store = MemoryStore::new();
    antiphon::block_on(antiphon_capabilities::Store::put(&store, Put::new("shop/k", "v"))).unwrap();
    for host in hosts(toml, || Backends::new().store("default", store.clone())) {
        let expected = "not_granted: the keyvalue grant of this module is read-only; \
                        set read_only = false in it";
        assert_eq!(put(&host, "k", b"w"), Err(expected.into()), "{}", host.name);
        assert_eq!(get(&host, "k"), Ok(Some((b"v".to_vec(), 1))));
        // By its name, and by one that no grant has.
        let entry: Option<(ByteBuf, u64)> = host.ask("get", ("users", "k")).unwrap();
        assert_eq!(entry.unwrap().1, 1);
        let refused = host.ask::<Option<(ByteBuf, u64)>>("get", ("user", "k")).unwrap_err();
        assert!(refused.starts_with("not_granted: ") && refused.ends_with("it has \"users\""), "{refused}");
    }
}

#[test]
fn what_is_over_a_bound_or_a_budget_is_refused_and_the_next_call_begins_again() {
    for host in hosts("[[grant]]\nkeyvalue = { value = '8B', max_calls = 3 }", empty) {
        let name = &host.name;
        assert_eq!(put(&host, "k", &[0; 9]), Err("too_large: the value has 9 of 8 bytes".into()), "{name}");
        let refused = put(&host, "", b"").unwrap_err();
        assert_eq!(refused, "invalid_request: the key is empty; a key has 1 to 512 bytes", "{name}");
        for key in ["1", "2", "3", "4"] {
            put(&host, key, b"v").unwrap();
        }
        for _ in 0..2 {
            let refused = host.ask::<Vec<Vec<String>>>("list", ("", "", 1)).unwrap_err();
            let expected = "budget: host call \"\"/\"keyvalue\"/\"list\" refused: \
                            the budget of 3 calls that its route has for one guest call is spent";
            assert_eq!(refused, expected, "{name}");
            let pages: Vec<Vec<String>> = host.ask("list", ("", "", 2)).unwrap();
            assert_eq!(pages, [vec!["1", "2"], vec!["3", "4"]], "{name}");
        }
    }
}
