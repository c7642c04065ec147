//! The embedded store.

use std::time::{Duration, Instant};

use antiphon::block_on;
use antiphon_capabilities::{Durability, List, Put, RedbStore, Store, suite};

#[test]
fn an_embedded_store_behaves() {
    let folder = tempfile::tempdir().unwrap();
    suite::run(&RedbStore::open(folder.path().join("store")).unwrap());
}

#[test]
fn values_revisions_and_expiry_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let put = |store: &RedbStore, put: Put<'_>| block_on(store.put(put)).unwrap();
    let get = |store: &RedbStore, key: &str| block_on(store.get(key)).unwrap();

    let store = RedbStore::open(&path).unwrap();
    let first = put(&store, Put::new("a", "1"));
    put(&store, Put::new("b", "2").durability(Durability::Eventual));
    put(&store, Put::new("brief", "3").expires_in(Duration::from_millis(100)));
    put(&store, Put::new("long", "4").expires_in(Duration::from_secs(3600)));
    put(&store, Put::new("gone", "5"));
    block_on(store.delete("gone", Durability::Eventual)).unwrap();
    let clone = store.clone();
    drop(store);
    // The clone holds the file.
    let error = RedbStore::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file is open already: one process at a time has a store, and opens it once"
    );
    drop(clone);

    std::thread::sleep(Duration::from_millis(150));
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(get(&store, "a").unwrap().revision, first);
    assert_eq!(get(&store, "b").unwrap().value, "2", "an orderly end loses nothing");
    assert_eq!(get(&store, "brief"), None);
    assert_eq!(get(&store, "long").unwrap().value, "4");
    assert_eq!(get(&store, "gone"), None);
    assert!(put(&store, Put::new("gone", "6").if_revision(0)) > first + 4);
    let all = block_on(store.list(List { prefix: "", after: None, limit: 10 })).unwrap();
    assert_eq!(all.keys, ["a", "b", "gone", "long"]);
}

#[test]
fn a_durable_write_is_in_the_file_when_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
    let store = RedbStore::open(&path).unwrap();
    for value in ["1", "2", "3"] {
        // What waits for the disk goes there with it.
        block_on(store.put(Put::new("other", value).durability(Durability::Eventual))).unwrap();
        block_on(store.put(Put::new("k", value))).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let crashed = RedbStore::open(&copy).unwrap();
        for key in ["k", "other"] {
            assert_eq!(block_on(crashed.get(key)).unwrap().unwrap().value, value, "{key}");
        }
    }
}

#[test]
fn eventual_writes_reach_the_disk_within_a_second_or_so() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
    let store = RedbStore::open(&path).unwrap();
    block_on(store.put(Put::new("k", "v").durability(Durability::Eventual))).unwrap();
    // What a crash would leave is what the file holds.
    let patience = Instant::now() + Duration::from_secs(20);
    let found = loop {
        std::thread::sleep(Duration::from_millis(200));
        std::fs::copy(&path, &copy).unwrap();
        let crashed = RedbStore::open(&copy);
        let found = crashed.ok().and_then(|store| block_on(store.get("k")).unwrap());
        if found.is_some() || Instant::now() > patience {
            break found;
        }
    };
    assert_eq!(found.unwrap().value, "v");
}

#[test]
fn durable_writes_that_come_together_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("store")).unwrap();
    let put = |number: u32| block_on(store.put(Put::new(&format!("k{number}"), "v"))).unwrap();
    let begun = Instant::now();
    for number in 0..16 {
        put(number);
    }
    let alone = begun.elapsed();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let put = &put;
            scope.spawn(move || (0..8).for_each(|number| _ = put(thread * 8 + number)));
        }
    });
    let together = begun.elapsed();
    // 128 writes by 16 threads are at most 8 commits each way, if they share; 128 if they do not.
    assert!(together < alone * 4, "{together:?} for 128 writes, {alone:?} for 16");
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "not a store, but a text of its owner".repeat(100)).unwrap();
    let error = RedbStore::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("the file cannot be used as a store: "), "{error}");
    assert!(RedbStore::open(folder.path().join("none/store")).is_err());
}
