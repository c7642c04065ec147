//! The tests of behaviour that every [`Store`] has to pass, whatever it is made of.
//!
//! ```
//! use antiphon_capabilities::{MemoryStore, suite};
//!
//! suite::run(&MemoryStore::new());
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use antiphon::{Bytes, block_on};

use super::{Durability, Entry, List, Put, Store, StoreError};

/// How many keys the list has that is paged.
const MANY: usize = 10_000;
const THREADS: u64 = 8;

/// Runs all tests on a store, which may hold other values. It panics where the store behaves
/// otherwise.
///
/// # Panics
/// The store fails a test.
pub fn run(store: &dyn Store) {
    a_value_is_read_as_it_was_written(store);
    revisions_rise_across_deletion(store);
    compare_and_set_writes_at_its_revision_alone(store);
    one_of_eight_threads_wins_each_revision(store);
    an_expired_value_is_gone(store);
    a_list_is_paged_without_gaps_and_repetitions(store);
    hostile_keys_are_keys_like_others(store);
}

fn get(store: &dyn Store, key: &str) -> Option<Entry> {
    block_on(store.get(key)).unwrap()
}

fn put(store: &dyn Store, put: Put<'_>) -> u64 {
    block_on(store.put(put)).unwrap()
}

fn keys(store: &dyn Store, list: List<'_>) -> (Vec<String>, bool) {
    let page = block_on(store.list(list)).unwrap();
    (page.keys, page.more)
}

/// Returns the revision that the key has instead.
fn conflict(store: &dyn Store, asked: Put<'_>) -> u64 {
    match block_on(store.put(asked)) {
        Err(StoreError::Conflict { has }) => has,
        other => panic!("expected a conflict, not {other:?}"),
    }
}

fn a_value_is_read_as_it_was_written(store: &dyn Store) {
    assert_eq!(get(store, "suite/read/none"), None);
    let large: Bytes = (0..=255).cycle().take(1 << 20).collect::<Vec<u8>>().into();
    for (key, value) in [
        ("suite/read/a", Bytes::from_static(b"\0\xff")),
        ("suite/read/b", Bytes::new()),
        ("suite/read/c", large),
    ] {
        for durability in [Durability::Immediate, Durability::Eventual] {
            let revision = put(store, Put::new(key, value.clone()).durability(durability));
            assert!(revision > 0);
            assert_eq!(get(store, key), Some(Entry { value: value.clone(), revision }), "{key}");
        }
        block_on(store.delete(key, Durability::Eventual)).unwrap();
        assert_eq!(get(store, key), None);
        block_on(store.delete(key, Durability::Immediate)).unwrap();
    }
}

fn revisions_rise_across_deletion(store: &dyn Store) {
    let key = "suite/revisions";
    let mut last = 0;
    for _ in 0..5 {
        let first = put(store, Put::new(key, "1"));
        let second = put(store, Put::new(key, "2"));
        assert!(last < first && first < second, "{last} {first} {second}");
        block_on(store.delete(key, Durability::Immediate)).unwrap();
        last = second;
    }
}

fn compare_and_set_writes_at_its_revision_alone(store: &dyn Store) {
    let key = "suite/compare";
    block_on(store.delete(key, Durability::Immediate)).unwrap();
    assert_eq!(conflict(store, Put::new(key, "x").if_revision(7)), 0);
    let first = put(store, Put::new(key, "1").if_revision(0));
    assert_eq!(conflict(store, Put::new(key, "x").if_revision(0)), first);
    let second = put(store, Put::new(key, "2").if_revision(first));
    assert_eq!(conflict(store, Put::new(key, "x").if_revision(first)), second);
    assert_eq!(get(store, key).unwrap().value, "2");
    block_on(store.delete(key, Durability::Immediate)).unwrap();
    assert_eq!(conflict(store, Put::new(key, "x").if_revision(second)), 0);
    assert_eq!(get(store, key), None);
}

/// Each thread adds to one counter by compare-and-set until it did so often enough. What is lost or
/// counted twice shows in the sum, and in the revisions that threads were told.
fn one_of_eight_threads_wins_each_revision(store: &dyn Store) {
    const EACH: u64 = 25;
    let key = "suite/counter";
    block_on(store.delete(key, Durability::Immediate)).unwrap();
    put(store, Put::new(key, "0").durability(Durability::Eventual));
    let lost = AtomicU64::new(0);
    let won = thread::scope(|scope| {
        let add = || {
            let mut won = Vec::new();
            while u64::try_from(won.len()).unwrap() < EACH {
                let Entry { value, revision } = get(store, key).unwrap();
                let count: u64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
                let next = Put::new(key, (count + 1).to_string()).if_revision(revision);
                match block_on(store.put(next.durability(Durability::Eventual))) {
                    Ok(revision) => won.push(revision),
                    Err(StoreError::Conflict { .. }) => _ = lost.fetch_add(1, Ordering::Relaxed),
                    Err(other) => panic!("{other}"),
                }
            }
            won
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(add)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(get(store, key).unwrap().value, (THREADS * EACH).to_string());
    assert_eq!(won.len(), won.iter().collect::<BTreeSet<_>>().len(), "a revision was given twice");

    // All at once from one revision: exactly one wins.
    for _ in 0..20 {
        let revision = get(store, key).unwrap().revision;
        let won = thread::scope(|scope| {
            let try_one = |number: u64| {
                let put = Put::new(key, number.to_string()).if_revision(revision);
                block_on(store.put(put.durability(Durability::Eventual))).ok()
            };
            let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || try_one(number))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).count()
        });
        assert_eq!(won, 1);
    }
}

fn an_expired_value_is_gone(store: &dyn Store) {
    let (key, brief) = ("suite/expiry/a", Duration::from_millis(300));
    let first = put(store, Put::new(key, "v").expires_in(brief));
    put(store, Put::new("suite/expiry/b", "v").expires_in(Duration::MAX));
    // A write without expiry takes it away.
    put(store, Put::new("suite/expiry/c", "v").expires_in(brief));
    put(store, Put::new("suite/expiry/c", "w"));
    let begun = Instant::now();
    let read = get(store, key);
    assert!(read.is_some() || begun.elapsed() > Duration::from_millis(100), "gone at once");
    thread::sleep(brief + Duration::from_millis(50));
    assert_eq!(get(store, key), None);
    let all = List { prefix: "suite/expiry/", after: None, limit: 10 };
    assert_eq!(keys(store, all).0, ["suite/expiry/b", "suite/expiry/c"]);
    assert_eq!(conflict(store, Put::new(key, "x").if_revision(first)), 0);
    assert!(put(store, Put::new(key, "w").if_revision(0)) > first);
    assert_eq!(get(store, key).unwrap().value, "w");
}

fn a_list_is_paged_without_gaps_and_repetitions(store: &dyn Store) {
    let expected: Vec<_> = (0..MANY).map(|number| format!("suite/list/{number:05}")).collect();
    thread::scope(|scope| {
        for part in expected.chunks(MANY / 8) {
            scope.spawn(move || {
                for key in part {
                    put(store, Put::new(key, "v").durability(Durability::Eventual));
                }
            });
        }
    });
    // Neighbours in the order that do not belong to it.
    put(store, Put::new("suite/list", "v"));
    put(store, Put::new("suite/list0", "v"));
    for limit in [999, 1000, 10_000, 20_000] {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let list = List { prefix: "suite/list/", after: after.as_deref(), limit };
            let (page, more) = keys(store, list);
            assert!(!more || page.len() == usize::try_from(limit).unwrap());
            found.extend(page);
            if !more {
                break;
            }
            after = found.last().cloned();
        }
        assert!(found == expected, "{} keys by {limit}", found.len());
    }
    let list = |prefix, after| keys(store, List { prefix, after, limit: 3 });
    assert_eq!(list("suite/list/0999", Some("suite/list/09997")).0, ["suite/list/09998", "suite/list/09999"]);
    // A place to begin that is in front of the prefix, behind it, or not there.
    assert_eq!(list("suite/list/0000", Some("a")).0.first().unwrap(), "suite/list/00000");
    assert_eq!(list("suite/list/0000", Some("suite/list/1")), (vec![], false));
    assert_eq!(list("suite/list/0000", Some("suite/list/00007x")).0.first().unwrap(), "suite/list/00008");
    assert_eq!(list("suite/list/none", None), (vec![], false));
}

fn hostile_keys_are_keys_like_others(store: &dyn Store) {
    let long = format!("suite/hostile/{}", "é".repeat(249));
    let mut all = [
        "suite/hostile/../../read",
        "suite/hostile/\0",
        "suite/hostile/\0\0",
        "suite/hostile/%2e%2e",
        "suite/hostile/*",
        "suite/hostile/>",
        "suite/hostile/a b\r\n.c",
        "suite/hostile/'; drop table entries; --",
        "suite/hostile/\u{10ffff}",
        "suite/hostile/\u{feff}\u{202e}",
        &long,
    ];
    for key in all {
        put(store, Put::new(key, key.to_owned()).durability(Durability::Eventual));
    }
    for key in all {
        assert_eq!(get(store, key).unwrap().value, key, "{key:?}");
    }
    all.sort_unstable();
    assert_eq!(keys(store, List { prefix: "suite/hostile/", after: None, limit: 100 }).0, all);
    for key in all {
        block_on(store.delete(key, Durability::Eventual)).unwrap();
        assert_eq!(get(store, key), None, "{key:?}");
    }
}
