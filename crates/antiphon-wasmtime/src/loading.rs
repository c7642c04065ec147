//! The ways to a compiled module: compile it, find it in a cache, or open an artifact.

use antiphon::errors::Error;
use antiphon::{Limits, ModuleInfo};
use wasmtime::Module;

use crate::compiling::{self, Turn};
use crate::engine::Clocked;
use crate::errors::Result;

/// A module, its info, and the engine that it is on: the given one, or the one beside its pool.
pub(crate) type Loaded = (Module, ModuleInfo, Clocked);

/// Compiles a module in the binary or the text format, when its turn has come. [`ModuleInfo::load`]
/// has priced it before that.
pub(crate) fn compile(bytes: &[u8], engine: Clocked, limits: &Limits) -> Result<Loaded> {
    let (bytes, info) = ModuleInfo::load(bytes, limits)?;
    let turn = compiling::turn();
    let (module, engine) = Read { bytes: &bytes, info: &info, limits }.compile(&turn, engine)?;
    Ok((module, info, engine))
}

/// A module that was read, and the limits that hold for it.
struct Read<'a> {
    bytes: &'a [u8],
    info: &'a ModuleInfo,
    limits: &'a Limits,
}

impl Read<'_> {
    fn compile(self, turn: &Turn<'_>, engine: Clocked) -> Result<(Module, Clocked)> {
        let Self { bytes, info, limits } = self;
        tracing::debug!(target: "antiphon", bytes = bytes.len(), "compiling a module");
        let refused = match turn.compile(|| Module::new(&engine.engine, bytes))? {
            Ok(module) => return Ok((module, engine)),
            Err(refused) => refused,
        };
        // The pool may only lack a place of the kind that this module needs.
        if let Some(pool) = &engine.pool {
            info.needs.check(limits)?;
            if let Some(engine) = pool.on_demand()
                && let Ok(module) = turn.compile(|| Module::new(&engine.engine, bytes))?
            {
                pool.warn(&refused);
                return Ok((module, engine.clone()));
            }
        }
        Err(Error::invalid_module(format_args!("{refused:#}")).into())
    }
}

#[cfg(feature = "cache")]
pub(crate) use kept::{artifact, cached, open};

#[cfg(feature = "cache")]
mod kept {
    use std::fs::File;
    use std::path::Path;

    use antiphon::errors::ErrorKind;
    use wasmtime::Engine;

    use super::*;
    use crate::artifact::{ArtifactError, Authentic, Opening, Place};
    use crate::cache::{self, ModuleCache, Wanted};
    use crate::digest::{self, length};
    use crate::environment::Environment;
    use crate::key::SealKey;
    use crate::{native, private};

    /// About how many times the bytes of a module have to be hashed: once for the module, and the
    /// rest for its code.
    const CODE: u64 = 4;

    /// Takes a module from the cache, or compiles it as [`compile`] does.
    pub(crate) fn cached(
        bytes: &[u8],
        engine: Clocked,
        limits: &Limits,
        (cache, environment): (&ModuleCache, Environment),
    ) -> Result<Loaded> {
        ModuleInfo::check_size(bytes, limits)?;
        let (wanted, found) = digest::together(length(bytes.len()).saturating_mul(CODE), |crew| {
            let wanted = Wanted::new(bytes, environment, limits, crew);
            let found = cache.load(&engine, &wanted, crew);
            (wanted, found)
        });
        if let Some((module, info)) = found {
            return Ok((module, info, engine));
        }
        let (bytes, info) = ModuleInfo::load(bytes, limits)?;
        let turn = compiling::turn();
        // The module that was compiled during the wait may have been this one.
        if turn.waited
            && let Some((module, info)) = cache.load_again(&engine, &wanted)
        {
            return Ok((module, info, engine));
        }
        let read = Read { bytes: &bytes, info: &info, limits };
        let (module, compiled_on) = read.compile(&turn, engine.clone())?;
        if Engine::same(&compiled_on.engine, &engine.engine) {
            cache.store(wanted, &module, &info);
        } else {
            // Not stored: the engine that looks the module up next time would refuse it.
            cache.missed();
        }
        Ok((module, info, compiled_on))
    }

    /// Opens an artifact. Its module has to keep to the limits as if it had been handed in.
    pub(crate) fn artifact(
        (path, key): (&Path, &SealKey),
        engine: Clocked,
        limits: &Limits,
        environment: &Environment,
    ) -> Result<Loaded> {
        let told = |error| Error::from(ArtifactError::from(error));
        let file = private::open(path).map_err(told)?;
        let size = file.metadata().map_err(told)?.len();
        let limit = cache::size_limit(limits);
        let open = |engine: &Clocked| {
            digest::together(size, |crew| {
                open(&file, Opening { key, limit, environment, module: None, crew }, engine)
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
        if info.size > limits.module() {
            let what =
                format!("the module has {} bytes, over the limit of {} bytes", info.size, limits.module());
            return Err(Error::new(ErrorKind::InvalidModule, what).into());
        }
        Ok((module, info, engine))
    }

    /// Loads the code of an open file, if its seal is intact.
    pub(crate) fn open(
        file: &File,
        how: Opening<'_, '_>,
        engine: &Clocked,
    ) -> Result<(Module, ModuleInfo), ArtifactError> {
        let from = |place| {
            let fitting = Authentic::open(file.try_clone()?, how, place)?.fit(how)?;
            let info = fitting.info.clone();
            Ok::<_, ArtifactError>((fitting.is_mapped(), native::load(&engine.engine, fitting), info))
        };
        let (_, loaded, info) = match from(Place::File)? {
            // Some disks allow no code to run from their files (`noexec`). That is no reason to
            // compile the module again.
            (true, Err(_), _) => from(Place::Memory)?,
            loaded => loaded,
        };
        loaded.map(|module| (module, info)).map_err(|error| ArtifactError::Engine(error.into()))
    }
}

#[cfg(all(test, feature = "cache"))]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::artifact::{self, ArtifactError, Authentic, Opening, Place};
    use crate::digest::Crew;
    use crate::engine::config;
    use crate::environment::Environment;
    use crate::{SealKey, WasmtimeEngineProviderBuilder, native};

    const GUEST: &[u8] = br#"(module (memory (export "memory") 1)
        (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;

    #[test]
    fn a_file_that_is_swapped_after_the_check_is_not_what_is_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path()).unwrap();
        let path = directory.path().join("guest.sealed");
        WasmtimeEngineProviderBuilder::new().module_bytes(GUEST).write_artifact(&path, &key).unwrap();

        let engine = Clocked::new(&config()).unwrap();
        let environment = Environment::of(&engine, false);
        let crew = &Crew::default();
        let how = Opening { key: &key, limit: 1 << 20, environment: &environment, module: None, crew };
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
        let cache = crate::ModuleCache::open(directory.path()).unwrap();
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
        let turn = compiling::turn();
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
        let engine = Clocked::new(&config()).unwrap();
        let (module, info, _) = compile(GUEST, engine.clone(), &Limits::new()).unwrap();
        let here = Environment::of(&engine, false);
        assert_eq!(here, Environment::of(&Clocked::new(&config()).unwrap(), false));
        let wanted = *blake3::hash(GUEST).as_bytes();
        let fit = |environment: Environment, module_of: &[u8]| {
            let written =
                artifact::Written { bytes: module_of, module: &module, environment, info: info.clone() };
            artifact::write(&path, &key, written).unwrap();
            let (module, crew) = (Some(&wanted), &Crew::default());
            let how = Opening { key: &key, limit: 1 << 20, environment: &here, module, crew };
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
