//! The ways to a compiled module: compile it, find it in a cache, open an artifact.

use antiphon::errors::{Error, ErrorKind};
use antiphon::{Limits, ModuleInfo};
use wasmtime::Module;

use crate::compiling::{self, Turn};
use crate::engine::Clocked;
use crate::errors::Result;

/// Compiles a module, in the binary or the text format, when its turn has come. What it would cost was looked at before.
pub(crate) fn compile(bytes: &[u8], engine: &Clocked, limits: &Limits) -> Result<(Module, ModuleInfo)> {
    let (bytes, info) = ModuleInfo::load(bytes, limits)?;
    let module = compile_binary(&bytes, engine, &compiling::turn())?;
    Ok((module, info))
}

fn compile_binary(bytes: &[u8], engine: &Clocked, _turn: &Turn<'_>) -> Result<Module> {
    tracing::debug!(target: "antiphon", bytes = bytes.len(), "compiling a module");
    Module::new(&engine.engine, bytes).map_err(|error| {
        let message = format!("not a valid WebAssembly module: {:.4000}", format!("{error:#}"));
        Error::new(ErrorKind::InvalidModule, message).into()
    })
}

#[cfg(feature = "cache")]
pub(crate) use kept::{artifact, cached, open};

#[cfg(feature = "cache")]
mod kept {
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::artifact::{ArtifactError, Authentic, Opening, Place};
    use crate::cache::{self, ModuleCache, Wanted};
    use crate::environment::Environment;
    use crate::key::SealKey;
    use crate::native;

    /// The same as [`compile`], unless the cache has it.
    pub(crate) fn cached(
        bytes: &[u8],
        engine: &Clocked,
        limits: &Limits,
        (cache, environment): (&ModuleCache, Environment),
    ) -> Result<(Module, ModuleInfo)> {
        ModuleInfo::check_size(bytes, limits)?;
        let wanted = Wanted::new(bytes, environment, limits);
        if let Some(found) = cache.load(engine, &wanted) {
            return Ok(found);
        }
        let (bytes, info) = ModuleInfo::load(bytes, limits)?;
        let turn = compiling::turn();
        // Whoever compiled meanwhile may have wanted the same.
        if turn.waited
            && let Some(found) = cache.load(engine, &wanted)
        {
            return Ok(found);
        }
        let module = compile_binary(&bytes, engine, &turn)?;
        cache.store(wanted, &module, &info);
        Ok((module, info))
    }

    /// Opens an artifact. Its module is held to the limits as if it had been handed in.
    pub(crate) fn artifact(
        path: &Path,
        key: &SealKey,
        limits: &Limits,
        (engine, environment): (&Clocked, &Environment),
    ) -> Result<(Module, ModuleInfo)> {
        let how = Opening { key, limit: cache::size_limit(limits), environment, module: None };
        let opened = File::open(path).map_err(ArtifactError::from).and_then(|file| open(&file, how, engine));
        let (module, info) = opened.map_err(Error::from)?;
        if info.size > limits.module() {
            let what =
                format!("the module has {} bytes, over the limit of {} bytes", info.size, limits.module());
            return Err(Error::new(ErrorKind::InvalidModule, what).into());
        }
        Ok((module, info))
    }

    /// Loads the code of an open file, if its seal is whole.
    pub(crate) fn open(
        file: &File,
        how: Opening<'_>,
        engine: &Clocked,
    ) -> Result<(Module, ModuleInfo), ArtifactError> {
        let from = |place| {
            let fitting = Authentic::open(file.try_clone()?, how, place)?.fit(how)?;
            let info = fitting.info.clone();
            Ok::<_, ArtifactError>((fitting.is_mapped(), native::load(&engine.engine, fitting), info))
        };
        let (_, loaded, info) = match from(Place::File)? {
            // No code may run from the files of some disks (`noexec`), which is no reason to compile it again.
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
        let how = Opening { key: &key, limit: 1 << 20, environment: &environment, module: None };
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
    fn code_of_another_module_or_another_environment_does_not_fit() {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path()).unwrap();
        let path = directory.path().join("guest.sealed");
        let engine = Clocked::new(&config()).unwrap();
        let (module, info) = compile(GUEST, &engine, &Limits::new()).unwrap();
        let here = Environment::of(&engine, false);
        assert_eq!(here, Environment::of(&Clocked::new(&config()).unwrap(), false));
        let wanted = *blake3::hash(GUEST).as_bytes();
        let fit = |environment: Environment, module_of: &[u8]| {
            let written =
                artifact::Written { bytes: module_of, module: &module, environment, info: info.clone() };
            artifact::write(&path, &key, written).unwrap();
            let how = Opening { key: &key, limit: 1 << 20, environment: &here, module: Some(&wanted) };
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
