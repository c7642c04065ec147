//! Loading compiled code: from the cache, or from an artifact.

use std::path::Path;

use antiphon::errors::Error;
use antiphon::{Limits, ModuleInfo};
use wasmtime::Engine;

use super::artifact::{self, ArtifactError, Opening};
use super::digest::{self, length};
use super::environment::Environment;
use super::key::SealKey;
use super::{ModuleCache, Wanted, private, size_limit};
use crate::compile::compiling::{Loaded, Read};
use crate::compile::turns;
use crate::engine::Clocked;
use crate::errors::Result;

/// About how many times the bytes of a module have to be hashed: once for the module, and the
/// rest for its code.
const CODE: u64 = 4;

/// A file of sealed code, and the key of its seal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Artifact<'a> {
    pub(crate) path: &'a Path,
    pub(crate) key: &'a SealKey,
}

impl ModuleCache {
    /// Takes a module from the cache, or compiles it as [`compiling::compile`] does.
    pub(in crate::compile) fn load_or_compile(
        &self,
        bytes: &[u8],
        engine: Clocked,
        limits: &Limits,
        deterministic: bool,
    ) -> Result<Loaded> {
        let environment = Environment::of(&engine, deterministic);
        ModuleInfo::check_size(bytes, limits)?;
        let (wanted, found) = digest::together(length(bytes.len()).saturating_mul(CODE), |parallel| {
            let wanted = Wanted::new(bytes, environment, limits, parallel);
            let found = self.load(&engine, &wanted, parallel);
            (wanted, found)
        });
        if let Some((module, info)) = found {
            return Ok((module, info, engine));
        }
        let (bytes, info) = ModuleInfo::load(bytes, limits)?;
        let (turn, waited) = turns::turn();
        // The module that was compiled during the wait may have been this one.
        if waited && let Some((module, info)) = self.load_again(&engine, &wanted) {
            return Ok((module, info, engine));
        }
        let read = Read { bytes: &bytes, info: &info, limits };
        let (module, compiled_on) = read.compile(&turn, engine.clone())?;
        if Engine::same(&compiled_on.engine, &engine.engine) {
            self.store(wanted, &module, &info);
        } else {
            // Not stored: the engine that looks the module up next time would refuse it.
            self.missed();
        }
        Ok((module, info, compiled_on))
    }
}

impl Artifact<'_> {
    /// Opens an artifact. Its module has to keep to the limits as if it had been handed in.
    pub(in crate::compile) fn load(
        self,
        engine: Clocked,
        limits: &Limits,
        deterministic: bool,
    ) -> Result<Loaded> {
        let Self { path, key } = self;
        let environment = &Environment::of(&engine, deterministic);
        let told = |error| Error::from(ArtifactError::from(error));
        let file = private::open(path).map_err(told)?;
        let size = file.metadata().map_err(told)?.len();
        let limit = size_limit(limits);
        let open = |engine: &Clocked| {
            digest::together(size, |parallel| {
                artifact::open(&file, Opening { key, limit, environment, module: None, parallel }, engine)
            })
        };
        let beside = || engine.pool.as_ref().and_then(|pool| Some((pool, pool.on_demand()?)));
        let (module, info, engine) = match open(&engine) {
            Ok((module, info)) => (module, info, engine),
            // As with a module, the pool may only lack a place of the kind that the code needs.
            Err(ArtifactError::Engine(refused)) if let Some((pool, engine)) = beside() => {
                let (module, info) = open(engine).map_err(Error::from)?;
                pool.warn(&refused);
                (module, info, engine.clone())
            }
            Err(refused) => return Err(Error::from(refused).into()),
        };
        if info.size > limits.module_or_default() {
            return Err(ModuleInfo::too_large(info.size, limits).into());
        }
        Ok((module, info, engine))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::artifact::{Authentic, Place};
    use super::digest::ParallelHasher;
    use super::*;
    use crate::WasmtimeEngineProviderBuilder;
    use crate::compile::{compiling, native};
    use crate::engine::config;

    const GUEST: &[u8] = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;

    #[test]
    fn a_file_that_is_swapped_after_the_check_is_not_what_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path()).unwrap();
        let path = directory.path().join("guest.sealed");
        WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).write_artifact(&path, &key).unwrap();

        let engine = Clocked::new(&config(None)).unwrap();
        let environment = Environment::of(&engine, false);
        let parallel = &ParallelHasher::default();
        let how = Opening { key: &key, limit: 1 << 20, environment: &environment, module: None, parallel };
        let file = File::open(&path).unwrap();
        let fitting = Authentic::open(file, how, Place::File).unwrap().fit(how).unwrap();
        assert_eq!(fitting.is_mapped(), cfg!(unix));
        let forged = directory.path().join("forged");
        fs::write(&forged, vec![0xCC; 100_000]).unwrap();
        fs::rename(&forged, &path).unwrap();
        let module = native::load(&engine.engine, fitting).unwrap();
        assert!(module.get_export("__guest_call").is_some());

        let refused = Authentic::open(File::open(&path).unwrap(), how, Place::File).unwrap_err();
        assert!(matches!(refused, ArtifactError::NotAnArtifact), "{refused:?}");
    }

    #[test]
    fn a_file_that_is_wrong_is_complained_of_once_although_it_is_looked_at_again_after_a_wait() {
        let directory = tempfile::tempdir().unwrap();
        let cache = ModuleCache::open(directory.path()).unwrap();
        let build = || {
            WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).cache(cache.clone()).factory().map(drop)
        };
        build().unwrap();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.len() > 10_000 {
                fs::write(&path, &bytes[1..]).unwrap();
            }
        }
        let (turn, _) = turns::turn();
        std::thread::scope(|scope| {
            let waits = scope.spawn(build);
            // The thread looks at the file, and then waits for this turn to end.
            while cache.stats().rejected == 0 {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(turn);
            waits.join().unwrap().unwrap();
        });
        assert_eq!((cache.stats().rejected, cache.stats().stored), (1, 2));
    }

    #[test]
    fn code_of_another_module_or_another_environment_does_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path()).unwrap();
        let path = directory.path().join("guest.sealed");
        let engine = Clocked::new(&config(None)).unwrap();
        let (module, info, _) = compiling::compile(GUEST, engine.clone(), &Limits::new()).unwrap();
        let here = Environment::of(&engine, false);
        assert_eq!(here, Environment::of(&Clocked::new(&config(None)).unwrap(), false));
        let wanted = *blake3::hash(GUEST).as_bytes();
        let fit = |environment: Environment, module_of: &[u8]| {
            let written =
                artifact::Written { bytes: module_of, module: &module, environment, info: info.clone() };
            artifact::write(&path, &key, written).unwrap();
            let (module, parallel) = (Some(&wanted), &ParallelHasher::default());
            let how = Opening { key: &key, limit: 1 << 20, environment: &here, module, parallel };
            Authentic::open(File::open(&path).unwrap(), how, Place::Memory).unwrap().fit(how)
        };
        assert!(!fit(here.clone(), GUEST).unwrap().is_mapped());
        assert!(matches!(fit(here.clone(), b"another").unwrap_err(), ArtifactError::OtherModule));
        let others = [
            ("Wasmtime", Environment { wasmtime: "48.0.7".into(), ..here.clone() }),
            ("target", Environment { target: "pdp11-unix".into(), ..here.clone() }),
            ("processor features", Environment { features: "sse9".into(), ..here.clone() }),
            ("engine settings", Environment { settings: "none".into(), ..here.clone() }),
            ("engine settings", Environment { hash: [0; 32], ..here.clone() }),
        ];
        for (expected, other) in others {
            match fit(other, GUEST).unwrap_err() {
                ArtifactError::Environment { what, .. } => assert_eq!(what, expected),
                refused => panic!("{refused:?}"),
            }
        }
    }
}
