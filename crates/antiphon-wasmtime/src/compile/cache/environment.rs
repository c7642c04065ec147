//! Everything that native code depends on besides its module: the compiler, the target, and the
//! settings.
//!
//! Wasmtime's own check is not enough. It accepts code of any patch version, and code with or
//! without canonical NaNs where its own compiler would differ. Here everything that goes into the
//! code has to be equal, and the error names what differs if that has a name.

use std::hash::{Hash, Hasher};

use wasmtime::Engine;

use super::artifact::ArtifactError;
use crate::engine::Clocked;

/// What native code was compiled by and for. Code runs only where all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The version of Wasmtime, to the patch. A patch may fix a fault of the compiler.
    pub(super) wasmtime: String,
    /// Processor and system.
    pub(super) target: String,
    /// The features of the processor that a compiler makes use of.
    pub(super) features: String,
    /// The settings that have a name here.
    pub(super) settings: String,
    /// A hash of everything: the fields above, all settings of the engine, and the version of this
    /// crate.
    pub(super) hash: [u8; 32],
}

impl Environment {
    /// Returns the environment of code that this engine compiles.
    pub(crate) fn of(engine: &Clocked, deterministic: bool) -> Self {
        let engine: &Engine = &engine.engine;
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        let mut environment = Self {
            wasmtime: wasmtime_environ::VERSION.to_owned(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            features: features().join(" "),
            settings: format!(
                "fuel {}, epochs {}, deterministic {}{}{}",
                yes(engine.get_consume_fuel()),
                yes(engine.get_epoch_interruption()),
                yes(deterministic),
                if engine.get_signals_based_traps() { "" } else { ", traps without signals" },
                reserved(engine.get_memory_reservation())
            ),
            hash: [0; 32],
        };
        let mut hash = Blake3(blake3::Hasher::new());
        env!("CARGO_PKG_VERSION").hash(&mut hash);
        environment.hash(&mut hash);
        engine.precompile_compatibility_hash().hash(&mut hash);
        environment.hash = *hash.0.finalize().as_bytes();
        environment
    }

    /// Checks that code of `self` runs on an engine of `here`. The error says what differs.
    pub(super) fn fits(&self, here: &Self) -> Result<(), ArtifactError> {
        let pairs = [
            ("Wasmtime", &self.wasmtime, &here.wasmtime),
            ("target", &self.target, &here.target),
            ("processor features", &self.features, &here.features),
            ("engine settings", &self.settings, &here.settings),
        ];
        let different = |(what, found, expected): (&'static str, &String, &String)| {
            ArtifactError::Environment { what, found: found.clone(), expected: expected.clone() }
        };
        if let Some(pair) = pairs.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(different(pair));
        }
        if self.hash != here.hash {
            let found = "others than are visible".to_owned();
            return Err(ArtifactError::Environment {
                what: "engine settings",
                found,
                expected: here.settings.clone(),
            });
        }
        Ok(())
    }
}

/// Names how much address space a memory has, if it is not what Wasmtime reserves for every memory.
/// Code for a memory that has less checks its bounds.
fn reserved(bytes: u64) -> String {
    if bytes == 4 << 30 { String::new() } else { format!(", {bytes} bytes reserved for a memory") }
}

/// Leaves out the field `hash`, which is made of the others.
impl Hash for Environment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { wasmtime, target, features, settings, hash: _ } = self;
        (wasmtime, target, features, settings).hash(state);
    }
}

/// Collects what implements [`Hash`], at the width of a digest.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Returns the features of this processor that Cranelift looks for.
fn features() -> Vec<&'static str> {
    /// The names of the features that are present.
    macro_rules! detected {
        ($detect:ident: $($name:tt)*) => {
            [$(($name, std::arch::$detect!($name))),*]
                .into_iter()
                .filter_map(|(name, there)| there.then_some(name))
                .collect()
        };
    }
    #[cfg(target_arch = "x86_64")]
    let found = detected!(is_x86_feature_detected:
        "sse3" "ssse3" "sse4.1" "sse4.2" "cmpxchg16b" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
        "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi");
    #[cfg(target_arch = "aarch64")]
    let found = detected!(is_aarch64_feature_detected: "lse" "paca" "fp16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found = Vec::new();
    found
}
