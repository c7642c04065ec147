//! A cache of compiled modules on disk.

mod artifact;
mod digest;
mod disk;
mod environment;
mod key;
mod load;
mod private;

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon::errors::BoxError;
use antiphon::{Limits, ModuleInfo};
use wasmtime::Module;

pub use self::artifact::ArtifactError;
pub(super) use self::artifact::{Code, Fitting};
use self::artifact::{Manifest, Opening};
pub(crate) use self::artifact::{Written, check, write};
use self::digest::{Digest, ParallelHasher, length};
use self::disk::{DiskStore, Put};
pub(crate) use self::environment::Environment;
pub use self::key::SealKey;
pub(crate) use self::load::Artifact;

use crate::engine::Clocked;

/// A directory of compiled modules, each sealed with a [`SealKey`]. A module that any process has
/// compiled is loaded in the time that it takes to hash it.
///
/// A module is found by its bytes and by everything that its code depends on: the version of
/// Wasmtime, the processor, and the settings of the engine. Code is loaded only after its seal was
/// checked. If anything is wrong with the directory or with a file in it, the module is compiled
/// instead, with a warning to `tracing`. So a cache never makes a caller fail.
///
/// A limit on the size of files (`ulimit -f`) ends a process that writes beyond it by the signal
/// SIGXFSZ, unless the program ignores or catches that signal. Then the write fails, nothing is
/// left of the file, and the module is compiled, with a warning. A library does not change what
/// becomes of signals, so this is the program's part; `antiphon` catches the signal. (A process
/// that was ended leaves an incomplete file, which the next one that writes there removes.)
///
/// When all files together would exceed [`max_bytes`](Self::max_bytes), the least recently used
/// files are removed. Any number of threads and processes may share a directory. Clones share their
/// counts.
///
/// ```
/// use antiphon_wasmtime::{ModuleCache, WasmtimeEngineProviderBuilder};
///
/// let module = br#"(module (memory (export "memory") 1)
///   (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("modules");
/// let cache = ModuleCache::open(&directory)?.max_bytes(64 << 20);
/// for _ in 0..2 {
///     WasmtimeEngineProviderBuilder::new().module_bytes(module).cache(cache.clone()).build()?;
/// }
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModuleCache {
    disk: Arc<DiskStore>,
    key: SealKey,
    max_bytes: u64,
    counts: Arc<Counts>,
}

/// The results of a cache in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Modules that were loaded.
    pub hits: u64,
    /// Modules that were compiled, for whatever reason.
    pub misses: u64,
    /// Files that existed and were not loaded, because they were damaged, forged, or not readable.
    /// Each of them also counts as a miss.
    pub rejected: u64,
    /// Modules that were stored.
    pub stored: u64,
    /// Modules that could not be stored, for lack of room or permission.
    pub not_stored: u64,
    /// Files that were removed to make room for others.
    pub evicted: u64,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    rejected: AtomicU64,
    stored: AtomicU64,
    not_stored: AtomicU64,
    evicted: AtomicU64,
}

/// A module, with the environment that it is compiled for.
#[derive(Debug)]
struct Wanted {
    module: Digest,
    environment: Environment,
    /// The largest size of its artifact, in bytes.
    limit: u64,
}

impl Wanted {
    fn new<'env>(
        module: &'env [u8],
        environment: Environment,
        limits: &Limits,
        parallel: &ParallelHasher<'env>,
    ) -> Self {
        // Reading bytes in memory does not fail.
        let digest =
            parallel.hash(module, length(module.len()), None).unwrap_or_else(|_| blake3::hash(module));
        Self { module: *digest.as_bytes(), environment, limit: size_limit(limits) }
    }

    fn name(&self) -> String {
        blake3::Hasher::new()
            .update(&self.module)
            .update(&self.environment.hash)
            .finalize()
            .to_hex()
            .to_string()
    }
}

/// Returns the largest size of an artifact in bytes, given the limit on the size of a module.
/// Native code is three to four times the size of its module, and small modules have some tens of
/// kilobytes of padding.
fn size_limit(limits: &Limits) -> u64 {
    limits.module_or_default().saturating_mul(64).saturating_add(1 << 20)
}

impl ModuleCache {
    /// The default of [`max_bytes`](Self::max_bytes): 512 MiB.
    pub const DEFAULT_MAX_BYTES: u64 = 512 << 20;

    /// Opens a cache in a directory. Makes the directory and its key if they are missing.
    ///
    /// # Errors
    /// Those of [`SealKey::open`]: the directory is not private, or the system refuses.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        let directory = directory.as_ref();
        Ok(Self {
            key: SealKey::open(directory)?,
            disk: Arc::new(DiskStore::new(directory)),
            max_bytes: Self::DEFAULT_MAX_BYTES,
            counts: Arc::default(),
        })
    }

    /// Returns the directory for compiled modules within this user's cache directory: below
    /// `XDG_CACHE_HOME`, `~/.cache`, or `LOCALAPPDATA`. Returns `None` if the environment has none
    /// of them.
    #[must_use]
    pub fn default_directory() -> Option<PathBuf> {
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .or_else(|| absolute("LOCALAPPDATA"))?;
        Some(caches.join("antiphon"))
    }

    /// Limits the size of all files together, in bytes. A module whose code exceeds this is
    /// compiled each time.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Returns the key that all files of the cache are sealed with.
    #[must_use]
    pub fn key(&self) -> &SealKey {
        &self.key
    }

    /// Returns the directory of the cache.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.disk.directory()
    }

    /// Returns the results so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let Counts { hits, misses, rejected, stored, not_stored, evicted } = &*self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStats {
            hits: read(hits),
            misses: read(misses),
            rejected: read(rejected),
            stored: read(stored),
            not_stored: read(not_stored),
            evicted: read(evicted),
        }
    }

    /// Loads the module, if it is in the cache and intact.
    fn load(
        &self,
        engine: &Clocked,
        wanted: &Wanted,
        parallel: &ParallelHasher<'_>,
    ) -> Option<(Module, ModuleInfo)> {
        let found = self.find(engine, wanted, parallel);
        match found {
            Ok(Some(found)) => {
                count(&self.counts.hits, 1);
                let directory = self.directory().display();
                tracing::debug!(target: "antiphon", %directory, "a compiled module was in the cache");
                Some(found)
            }
            Ok(None) => {
                let directory = self.directory().display();
                tracing::debug!(target: "antiphon", %directory, "a compiled module is not in the cache");
                None
            }
            Err(error) => {
                count(&self.counts.rejected, 1);
                self.warn("a compiled module in the cache is not used", error.into());
                None
            }
        }
    }

    /// Looks again after a wait, as [`load`](Self::load) does but without a warning: the first look
    /// has already warned.
    fn load_again(&self, engine: &Clocked, wanted: &Wanted) -> Option<(Module, ModuleInfo)> {
        let found = self.find(engine, wanted, &ParallelHasher::default()).ok().flatten()?;
        count(&self.counts.hits, 1);
        Some(found)
    }

    fn find(
        &self,
        engine: &Clocked,
        wanted: &Wanted,
        parallel: &ParallelHasher<'_>,
    ) -> Result<Option<(Module, ModuleInfo)>, ArtifactError> {
        let Some(file) = self.disk.get(&wanted.name())? else { return Ok(None) };
        let Wanted { module, environment, limit } = wanted;
        let how = Opening { key: &self.key, limit: *limit, environment, module: Some(module), parallel };
        let found = artifact::open(&file, how, engine)?;
        DiskStore::touch(&file);
        Ok(Some(found))
    }

    /// Counts a module that had to be compiled.
    fn missed(&self) {
        count(&self.counts.misses, 1);
    }

    /// Stores a module that was just compiled.
    fn store(&self, wanted: Wanted, module: &Module, info: &ModuleInfo) {
        self.missed();
        let name = wanted.name();
        let Wanted { module: digest, environment, .. } = wanted;
        let stored = module.serialize().map_err(BoxError::from).and_then(|code| {
            let manifest = Manifest { module: digest, environment, info: info.to_bytes() };
            let tail = artifact::seal(&code, &manifest, &self.key);
            Ok(self.disk.put(&name, [&code, &tail], self.max_bytes)?)
        });
        match stored {
            Ok(Put::Kept { evicted }) => {
                count(&self.counts.stored, 1);
                count(&self.counts.evicted, evicted);
            }
            Ok(Put::TooLarge) => {
                count(&self.counts.not_stored, 1);
                tracing::debug!(target: "antiphon", max_bytes = self.max_bytes, "a compiled module is larger than its cache");
            }
            Err(error) => {
                count(&self.counts.not_stored, 1);
                self.warn("a compiled module is not kept in the cache", error);
            }
        }
    }

    fn warn(&self, what: &str, error: BoxError) {
        let directory = self.directory().display();
        tracing::warn!(target: "antiphon", %directory, error = %chain(&*error), "{what}");
    }
}

/// Opens the cache of a directory, or of the default one. Warns and returns `None` if it cannot be
/// used.
pub(crate) fn open_or_warn(directory: Option<&Path>) -> Option<ModuleCache> {
    let directory = directory.map(Path::to_owned).or_else(ModuleCache::default_directory);
    let opened = match &directory {
        Some(directory) => ModuleCache::open(directory),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the environment names no directory for caches")),
    };
    opened
        .map_err(|error| {
            let error = chain(&error);
            tracing::warn!(target: "antiphon", error, "the cache of compiled modules is not used");
        })
        .ok()
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Formats an error with its sources in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
