//! The cache of compiled modules: hits, misses, and everything that may be wrong with its
//! directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon::{EngineProviderFactory, Isolation, Limits, WapcHost};
use antiphon_wasmtime::{CacheStats, ModuleCache, WasmtimeEngineProviderBuilder as Builder};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Returns a guest that answers with a digit.
fn guest(digit: u8) -> Vec<u8> {
    format!(
        r#"(module
            (import "wapc" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") 1) (data (i32.const 0) "{digit}")
            (func (export "__guest_call") (param i32 i32) (result i32)
              (call $response (i32.const 0) (i32.const 1)) (i32.const 1)))"#
    )
    .into_bytes()
}

fn answer(factory: &dyn EngineProviderFactory) -> Vec<u8> {
    WapcHost::builder(factory.provider().unwrap()).build().unwrap().call("digit", b"").unwrap()
}

fn run(builder: Builder<'_>, digit: u8) {
    let module = guest(digit);
    assert_eq!(answer(&*builder.module_bytes(&module).factory().unwrap()), digit.to_string().as_bytes());
}

fn cached(cache: &ModuleCache, digit: u8) {
    run(Builder::new().cache(cache.clone()), digit);
}

/// Returns hits, misses, and rejected files; and files that were stored, not stored, and evicted.
fn stats(cache: &ModuleCache) -> ([u64; 3], [u64; 3]) {
    let CacheStats { hits, misses, rejected, stored, not_stored, evicted, .. } = cache.stats();
    ([hits, misses, rejected], [stored, not_stored, evicted])
}

fn sealed(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sealed")).collect()
}

/// Counts Antiphon's warnings on this thread while `work` runs.
fn warnings(work: impl FnOnce()) -> u64 {
    #[derive(Clone, Default)]
    struct Counter(Arc<AtomicU64>);
    impl Subscriber for Counter {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("antiphon")
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.fetch_add(u64::from(*event.metadata().level() == Level::WARN), Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
    let counter = Counter::default();
    tracing::subscriber::with_default(counter.clone(), work);
    counter.0.load(Ordering::Relaxed)
}

#[test]
fn the_second_of_a_kind_is_a_hit_and_what_differs_is_a_miss() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    cached(&cache, 1);
    assert_eq!(stats(&cache), ([0, 1, 0], [1, 0, 0]));
    cached(&cache, 1);
    cached(&cache, 2);
    cached(&cache, 1);
    assert_eq!(stats(&cache), ([2, 2, 0], [2, 0, 0]));
    // Another cache of this directory has counts of its own and shares the modules.
    let other = ModuleCache::open(directory.path()).unwrap();
    cached(&other, 2);
    assert_eq!((stats(&other), stats(&cache)), (([1, 0, 0], [0, 0, 0]), ([2, 2, 0], [2, 0, 0])));

    // Settings that change the code, and some that do not.
    let builder = || Builder::new().cache(cache.clone());
    run(builder().limits(Limits::new().fuel(1_000_000)), 1);
    run(builder().deterministic(1, std::time::Duration::ZERO), 1);
    assert_eq!(stats(&cache).0, [2, 4, 0]);
    run(builder().limits(Limits::new().memory(1 << 20).fuel(1_000_000)), 1);
    run(builder().deterministic(2, std::time::Duration::from_secs(1)), 1);
    run(builder().cooperative(false), 1);
    assert_eq!(stats(&cache).0, [5, 4, 0]);
}

#[test]
fn a_module_from_the_cache_is_held_to_its_limits_and_knows_all_about_itself() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    let module = guest(1);
    let factory = |limits| Builder::new().cache(cache.clone()).module_bytes(&module).limits(limits).factory();
    let compiled = factory(Limits::new()).unwrap();
    let loaded = factory(Limits::new()).unwrap();
    assert_eq!(loaded.module_info(), compiled.module_info());
    assert_eq!(stats(&cache).0, [1, 1, 0]);
    let over = |limits| factory(limits).err().unwrap().to_string();
    let size = module.len() as u64;
    assert!(over(Limits::new().module(size - 1)).contains("over the limit of"));
    assert!(over(Limits::new().memory(65_535)).contains("over the limit of 65535"));
    assert!(factory(Limits::new().module(size).memory(65_536)).is_ok());
}

#[test]
fn modules_that_are_replaced_are_looked_for_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    cached(&cache, 1);
    cached(&cache, 2);
    let module = guest(1);
    let factory = Builder::new().cache(cache.clone()).module_bytes(&module).factory().unwrap();
    assert_eq!(answer(&*factory.with_module(&guest(2)).unwrap()), b"2");
    let host = WapcHost::builder(factory.provider().unwrap()).build().unwrap();
    host.replace_module(&guest(2)).unwrap();
    assert_eq!(host.call("digit", b"").unwrap(), b"2");
    assert_eq!(stats(&cache).0, [3, 2, 0]);
}

#[test]
fn instances_of_one_call_come_from_the_same_code() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    for _ in 0..3 {
        run(Builder::new().isolation(Isolation::PerCall).cache(cache.clone()), 1);
    }
    assert_eq!(stats(&cache), ([2, 1, 0], [1, 0, 0]));
    // Code without interruption is different code.
    run(Builder::new().dangerously_without_interruption().cache(cache.clone()), 1);
    run(Builder::new().dangerously_without_interruption().cache(cache.clone()), 1);
    run(Builder::new().cache(cache.clone()), 1);
    assert_eq!(stats(&cache).0[0], 3 + u64::from(cache.stats().misses == 2));
}

#[test]
fn it_works_on_an_engine_of_the_callers_too() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    let mut config = antiphon_wasmtime::wasmtime::Config::new();
    config.epoch_interruption(true).wasm_multi_memory(true);
    for _ in 0..2 {
        let engine = antiphon_wasmtime::wasmtime::Engine::new(&config).unwrap();
        run(Builder::new().engine(engine).cache(cache.clone()), 1);
    }
    assert_eq!(stats(&cache).0, [1, 1, 0]);
}

#[test]
fn those_of_use_the_longest_ago_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    cached(&cache, 1);
    let size = fs::metadata(&sealed(directory.path())[0]).unwrap().len();
    let cache = ModuleCache::open(directory.path()).unwrap().max_bytes(size * 2 + size / 2);
    cached(&cache, 2);
    cached(&cache, 1);
    // There is room for two modules, and the second one was used before the first.
    cached(&cache, 3);
    assert_eq!((stats(&cache), sealed(directory.path()).len()), (([1, 2, 0], [2, 0, 1]), 2));
    cached(&cache, 1);
    assert_eq!(stats(&cache), ([2, 2, 0], [2, 0, 1]), "the first one is still there");
    cached(&cache, 2);
    assert_eq!(stats(&cache), ([2, 3, 0], [3, 0, 2]));
    // No room at all.
    let small = ModuleCache::open(directory.path()).unwrap().max_bytes(size / 2);
    assert_eq!(warnings(|| cached(&small, 4)), 0);
    assert_eq!((stats(&small), sealed(directory.path()).len()), (([0, 1, 0], [0, 1, 0]), 2));
}

#[test]
fn whatever_is_wrong_with_a_file_it_is_compiled_instead_with_a_warning_and_kept_anew() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    assert_eq!(warnings(|| cached(&cache, 1)), 0);
    let path = &sealed(directory.path())[0];
    let whole = fs::read(path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let wrong = [
        flipped(0),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        // The version of the format, before the magic and the seal.
        flipped(whole.len() - 32 - 16 - 4),
        whole[..whole.len() - 1].to_vec(),
        whole[..100].to_vec(),
        Vec::new(),
        vec![0; whole.len()],
    ];
    for (number, bytes) in (1..).zip(wrong) {
        fs::write(path, bytes).unwrap();
        assert_eq!(warnings(|| cached(&cache, 1)), 1);
        assert_eq!(stats(&cache), ([0, number + 1, number], [number + 1, 0, 0]));
        assert_eq!(fs::read(path).unwrap().len(), whole.len());
    }
    assert_eq!(warnings(|| cached(&cache, 1)), 0);
    assert_eq!(stats(&cache).0, [1, 9, 8]);

    // The code of another module under this module's name has a valid seal, and is still refused.
    cached(&cache, 2);
    let paths = sealed(directory.path());
    let other = paths.iter().find(|other| *other != path).unwrap();
    fs::copy(other, path).unwrap();
    assert_eq!(warnings(|| cached(&cache, 1)), 1);
    assert_eq!(stats(&cache).0, [1, 11, 9]);

    // After a change of the key everything is refused.
    fs::remove_file(directory.path().join("key")).unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    assert_eq!(warnings(|| cached(&cache, 1)), 1);
    assert_eq!(stats(&cache), ([0, 1, 1], [1, 0, 0]));
}

#[test]
fn a_directory_that_takes_no_file_costs_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    // A directory stands where the lock should be, so no user can write anything.
    fs::create_dir(directory.path().join("lock")).unwrap();
    assert_eq!(warnings(|| cached(&cache, 1)), 1);
    assert_eq!(stats(&cache), ([0, 1, 0], [0, 1, 0]));
    // The directory is gone.
    fs::remove_dir_all(directory.path()).unwrap();
    assert_eq!(warnings(|| cached(&cache, 1)), 1);
    assert_eq!(stats(&cache), ([0, 2, 0], [0, 2, 0]));
}

#[test]
fn enable_cache_takes_a_directory_and_leaves_out_what_is_none() {
    let directory = tempfile::tempdir().unwrap();
    run(Builder::new().enable_cache(Some(directory.path())), 1);
    assert_eq!(sealed(directory.path()).len(), 1);
    let file = directory.path().join("key");
    assert_eq!(warnings(|| run(Builder::new().enable_cache(Some(&file)), 1)), 1);
    assert!(ModuleCache::open(&file).is_err());
}

#[test]
fn threads_that_want_one_module_compile_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(directory.path()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| cached(&cache, 1));
        }
    });
    // Some threads may look at the cache before another one has compiled, and ask for their turn
    // after it; but not most of them.
    let CacheStats { hits, misses, .. } = cache.stats();
    assert_eq!(hits + misses, 8);
    assert!(misses <= 4, "{misses}");
}

const DIRECTORY: &str = "ANTIPHON_TEST_CACHE";

/// Started by the test below, as another process.
#[test]
#[ignore = "needs the directory of the test that starts it"]
fn another_process() {
    let cache = ModuleCache::open(std::env::var_os(DIRECTORY).unwrap()).unwrap();
    for round in 0..4 {
        for digit in 0..4 {
            cached(&cache, (digit + round) % 4);
        }
    }
    let ([hits, misses, rejected], [stored, not_stored, evicted]) = stats(&cache);
    assert_eq!((hits + misses, rejected, not_stored, evicted), (16, 0, 0, 0));
    assert_eq!(stored, misses);
}

#[test]
fn processes_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared");
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["cache::another_process", "--exact", "--ignored"])
            .env(DIRECTORY, &path)
            .spawn()
            .unwrap()
    };
    let processes: Vec<_> = (0..4).map(|_| start()).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    // All processes agreed on one key, so this process can load what they stored.
    let cache = ModuleCache::open(&path).unwrap();
    (0..4).for_each(|digit| cached(&cache, digit));
    assert_eq!(stats(&cache), ([4, 0, 0], [0, 0, 0]));
    assert_eq!(sealed(&path).len(), 4);
}

#[cfg(target_os = "linux")]
mod disks {
    use super::*;

    /// A small disk in memory, if this user may mount one.
    struct Disk(tempfile::TempDir);

    impl Disk {
        fn new(options: &str) -> Option<Self> {
            let directory = tempfile::tempdir().unwrap();
            mount(&["-t", "tmpfs", "-o", options, "tmpfs"], directory.path()).then(|| Self(directory))
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("cache")
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
        }
    }

    fn mount(arguments: &[&str], path: &Path) -> bool {
        let output = Command::new("mount").args(arguments).arg(path).output();
        output.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_full_disk_costs_a_warning_and_leaves_nothing_behind() {
        let Some(disk) = Disk::new("size=16k,mode=700") else { return };
        let cache = ModuleCache::open(disk.path()).unwrap();
        assert_eq!(warnings(|| cached(&cache, 1)), 1);
        assert_eq!(stats(&cache), ([0, 1, 0], [0, 1, 0]));
        let mut names: Vec<_> =
            fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["key", "lock"]);
    }

    #[test]
    fn a_disk_that_is_read_only_gives_what_it_has_and_takes_nothing() {
        let Some(disk) = Disk::new("size=4m,mode=700") else { return };
        let cache = ModuleCache::open(disk.path()).unwrap();
        cached(&cache, 1);
        assert!(mount(&["-o", "remount,ro"], disk.0.path()));
        let cache = ModuleCache::open(disk.path()).unwrap();
        assert_eq!(warnings(|| cached(&cache, 1)), 0);
        assert_eq!(warnings(|| cached(&cache, 2)), 1);
        assert_eq!(stats(&cache), ([1, 1, 0], [0, 1, 0]));
        let elsewhere = disk.0.path().join("elsewhere");
        assert_eq!(warnings(|| run(Builder::new().enable_cache(Some(&elsewhere)), 3)), 1);
    }

    #[test]
    fn a_disk_that_nothing_may_run_from_still_holds_what_runs() {
        let Some(disk) = Disk::new("size=4m,mode=700,noexec") else { return };
        let cache = ModuleCache::open(disk.path()).unwrap();
        cached(&cache, 1);
        assert_eq!(warnings(|| cached(&cache, 1)), 0);
        assert_eq!(stats(&cache).0, [1, 1, 0]);
    }
}
