//! Artifacts: which ones are loaded, and everything that is refused.

use std::error::Error as StdError;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits, WapcHost};
use antiphon_wasmtime::wasmtime::{Config, Engine};
use antiphon_wasmtime::{ArtifactError, SealKey, WasmtimeEngineProviderBuilder};

/// Answers with its payload.
const ECHO: &[u8] = br#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
      (call $request (i32.const 0) (i32.const 1024))
      (call $response (i32.const 1024) (local.get $msg))
      (i32.const 1)))"#;

type Builder<'a> = WasmtimeEngineProviderBuilder<'a>;

/// The bytes of the seal, and of the lengths, the version, and the magic before it.
const SEAL: usize = 32;
const END: usize = 8 + 8 + 4 + 16 + SEAL;

struct Fixture {
    directory: tempfile::TempDir,
    key: SealKey,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::open(directory.path().join("keys")).unwrap();
        Self { directory, key }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("echo.sealed")
    }

    fn written() -> Self {
        let fixture = Self::new();
        Builder::new().module_bytes(ECHO).write_artifact(&fixture.path(), &fixture.key).unwrap();
        fixture
    }

    fn reason(&self, builder: Builder<'_>) -> String {
        format!("{:?}", refusal(builder, &self.path(), &self.key))
    }
}

/// Returns why an artifact is not loaded. The error is always an invalid module.
fn refusal<'a>(builder: Builder<'a>, path: &'a Path, key: &'a SealKey) -> ArtifactError {
    let error = Error::from(builder.artifact(path, key).build().err().unwrap());
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidModule, "the artifact is not used"));
    let source = error.source().unwrap();
    // The variant is rebuilt, because an `io::Error` cannot be cloned.
    match source.downcast_ref::<ArtifactError>().unwrap() {
        ArtifactError::NotAnArtifact => ArtifactError::NotAnArtifact,
        ArtifactError::Damaged => ArtifactError::Damaged,
        ArtifactError::NotAuthentic => ArtifactError::NotAuthentic,
        ArtifactError::Format { found, expected } => {
            ArtifactError::Format { found: *found, expected: *expected }
        }
        ArtifactError::TooLarge { size, limit } => ArtifactError::TooLarge { size: *size, limit: *limit },
        ArtifactError::Environment { what, found, expected } => {
            ArtifactError::Environment { what, found: found.clone(), expected: expected.clone() }
        }
        ArtifactError::Io(error) => ArtifactError::Io(error.kind().into()),
        other => panic!("{other:?}"),
    }
}

fn answers(factory: &dyn EngineProviderFactory) {
    let host = WapcHost::builder(factory.provider().unwrap()).build().unwrap();
    assert_eq!(host.call("echo", b"hello").unwrap(), b"hello");
    assert_eq!(host.call("echo", &[7; 3_000]).unwrap(), [7; 3_000]);
}

#[test]
fn an_artifact_is_its_module() {
    let fixture = Fixture::written();
    let path = fixture.path();
    let loaded = Builder::new().artifact(&path, &fixture.key).factory().unwrap();
    let compiled = Builder::new().module_bytes(ECHO).factory().unwrap();
    assert_eq!(loaded.module_info(), compiled.module_info());
    assert_eq!(loaded.module_info().digest.len(), 64);
    assert!(loaded.capabilities().ahead_of_time);
    answers(&*loaded);
    answers(&*loaded.with_module(ECHO).unwrap());

    // The guest of an asynchronous host is made of the same code.
    #[cfg(feature = "async")]
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let host = antiphon::WapcHostAsync::builder(loaded.provider_async().unwrap()).build().await.unwrap();
        assert_eq!(host.call("echo", b"hello").await.unwrap(), b"hello");
    });
    // A running guest goes on after its file is gone.
    let host = WapcHost::builder(loaded.provider().unwrap()).build().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
}

#[test]
fn a_changed_bit_is_found_in_each_part_of_a_large_file() {
    // The file has more than a megabyte, so two threads read it in pieces of 64 KiB.
    let data = "x".repeat(1_040_000);
    let wat = String::from_utf8(ECHO.to_vec()).unwrap().replace(
        r#"(memory (export "memory") 1)"#,
        &format!(r#"(memory (export "memory") 17) (data (i32.const 4096) "{data}")"#),
    );
    let fixture = Fixture::new();
    let path = fixture.path();
    Builder::new().module_bytes(wat.as_bytes()).write_artifact(&path, &fixture.key).unwrap();
    answers(&*Builder::new().artifact(&path, &fixture.key).factory().unwrap());

    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 1 << 20, "{}", bytes.len());
    for at in (0..bytes.len() - END).step_by(32 << 10) {
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        bytes[at] ^= 1;
        let refused = refusal(Builder::new(), &path, &fixture.key);
        assert!(matches!(refused, ArtifactError::NotAuthentic), "{at}: {refused:?}");
    }
    // Two pieces that have changed places.
    let (first, rest) = bytes.split_at_mut(64 << 10);
    first.swap_with_slice(&mut rest[..64 << 10]);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(refusal(Builder::new(), &path, &fixture.key), ArtifactError::NotAuthentic));
}

#[test]
fn ten_thousand_flipped_bits_and_every_length_are_refused_before_anything_is_loaded() {
    let fixture = Fixture::new();
    let path = fixture.path();
    // One engine for all, because making thousands of them takes longer.
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    Builder::new().engine(engine.clone()).module_bytes(ECHO).write_artifact(&path, &fixture.key).unwrap();
    let bytes = fs::read(&path).unwrap();
    let open = || Builder::new().engine(engine.clone());
    answers(&*open().artifact(&path, &fixture.key).factory().unwrap());

    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut write = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let bits = bytes.len() * 8;
    let mut seals = 0;
    // A stride that is prime to the number of bits, so it covers the whole file; and every bit of
    // its end.
    let strided = (0..10_000_usize).map(|number| (number * 7_919 * 13) % bits);
    for bit in strided.chain(bits - END * 8..bits) {
        write(bit / 8, bytes[bit / 8] ^ (1 << (bit % 8)));
        match refusal(open(), &path, &fixture.key) {
            ArtifactError::NotAuthentic => seals += 1,
            // The lengths, the version, and the magic are checked before anything is hashed.
            ArtifactError::Damaged | ArtifactError::NotAnArtifact | ArtifactError::Format { .. } => {
                assert!((bits - END * 8..bits - SEAL * 8).contains(&bit), "bit {bit} of {bits}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        write(bit / 8, bytes[bit / 8]);
    }
    assert!(seals >= 9_000, "{seals}");

    for length in (0..bytes.len()).step_by(997).chain(bytes.len() - END - 3..bytes.len()) {
        fs::write(&path, &bytes[..length]).unwrap();
        let refused = refusal(open(), &path, &fixture.key);
        assert!(matches!(refused, ArtifactError::NotAnArtifact), "{length}: {refused:?}");
    }
    // Cut at the front, or with something inserted: the end is intact.
    fs::write(&path, &bytes[1..]).unwrap();
    assert!(matches!(refusal(open(), &path, &fixture.key), ArtifactError::Damaged));
    fs::write(&path, [b"x", &bytes[..]].concat()).unwrap();
    assert!(matches!(refusal(open(), &path, &fixture.key), ArtifactError::Damaged));
    fs::write(&path, &bytes).unwrap();
    answers(&*open().artifact(&path, &fixture.key).factory().unwrap());
}

#[test]
fn a_seal_without_the_key_or_with_another_one_is_none() {
    let fixture = Fixture::written();
    let path = fixture.path();
    let other = SealKey::open(fixture.directory.path().join("others")).unwrap();
    assert!(matches!(refusal(Builder::new(), &path, &other), ArtifactError::NotAuthentic));

    // An attacker who knows the format but not the key claims another version, and seals the file
    // as well as possible.
    let bytes = fs::read(&path).unwrap();
    let sealed = bytes.len() - SEAL;
    for key in [None, Some([0; 32]), Some(*blake3::hash(b"key").as_bytes())] {
        let mut forged = bytes.clone();
        let at = forged.windows(5).rposition(|window| window == b"fuel ").unwrap();
        forged[at] = b'F';
        let mut hasher = key.map_or_else(blake3::Hasher::new, |key| blake3::Hasher::new_keyed(&key));
        let seal = hasher.update(&forged[..sealed]).finalize();
        forged[sealed..].copy_from_slice(seal.as_bytes());
        fs::write(&path, &forged).unwrap();
        assert!(matches!(refusal(Builder::new(), &path, &fixture.key), ArtifactError::NotAuthentic));
    }
}

#[test]
fn other_versions_of_the_format_are_refused_by_their_number() {
    let fixture = Fixture::written();
    let bytes = fs::read(fixture.path()).unwrap();
    let at = bytes.len() - SEAL - 16 - 4;
    for version in [1_u32, 3] {
        let mut other = bytes.clone();
        other[at..at + 4].copy_from_slice(&version.to_le_bytes());
        fs::write(fixture.path(), &other).unwrap();
        assert_eq!(fixture.reason(Builder::new()), format!("Format {{ found: {version}, expected: 2 }}"));
    }
}

#[test]
fn what_is_no_artifact_says_so_whatever_it_is() {
    let fixture = Fixture::new();
    for bytes in [b"".as_slice(), b"\x7fELF", ECHO, &[0; 4_096]] {
        fs::write(fixture.path(), bytes).unwrap();
        assert_eq!(fixture.reason(Builder::new()), "NotAnArtifact");
    }
    fs::remove_file(fixture.path()).unwrap();
    assert_eq!(fixture.reason(Builder::new()), "Io(Kind(NotFound))");
    fs::create_dir(fixture.path()).unwrap();
    assert_eq!(fixture.reason(Builder::new()), "NotAnArtifact");
}

#[test]
fn other_settings_are_named() {
    let fixture = Fixture::written();
    let reason = |builder| match refusal(builder, &fixture.path(), &fixture.key) {
        ArtifactError::Environment { what, found, expected } => (what, found, expected),
        other => panic!("{other:?}"),
    };
    let plain = || "fuel no, epochs yes, deterministic no".to_owned();
    let fuel = reason(Builder::new().limits(Limits::new().fuel(1_000)));
    assert_eq!(fuel, ("engine settings", plain(), "fuel yes, epochs yes, deterministic no".to_owned()));
    // Canonical NaNs are part of the code, and Wasmtime itself would load code without them.
    let nan = reason(Builder::new().deterministic(7, std::time::Duration::ZERO));
    assert_eq!(nan.2, "fuel yes, epochs yes, deterministic yes");
    // Settings that have no name of their own are still told apart.
    let simd = reason(Builder::new().configure(|config| {
        config.wasm_multi_memory(true);
    }));
    assert_eq!(simd, ("engine settings", "others than are visible".to_owned(), plain()));
    // Settings that do not change the code do not count.
    let path = fixture.path();
    let limits = Limits::new().memory(1 << 20);
    answers(
        &*Builder::new().limits(limits).cooperative(false).artifact(&path, &fixture.key).factory().unwrap(),
    );
}

#[test]
fn limits_hold_for_artifacts_as_for_modules() {
    let fixture = Fixture::written();
    let path = fixture.path();
    let refused = |limits: Limits| {
        let error = Builder::new().limits(limits).artifact(&path, &fixture.key).build().err().unwrap();
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        error.message().to_owned()
    };
    let size = Builder::new().artifact(&path, &fixture.key).factory().unwrap().module_info().size;
    assert_eq!(
        refused(Limits::new().module(size - 1)),
        format!(
            "the module has {size} bytes, over the limit of {} bytes (raise it with Limits::module)",
            size - 1
        )
    );
    assert!(refused(Limits::new().memory(1_000)).starts_with("the module starts with 65536 bytes"));

    // A file that is longer than any code of such a module is not read at all.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let limit = (16 << 20) * 64 + (1 << 20);
    assert_eq!(
        fixture.reason(Builder::new()),
        format!("TooLarge {{ size: {}, limit: {limit} }}", 1_u64 << 40)
    );
}

#[test]
fn an_artifact_takes_the_place_of_a_module_and_is_made_of_one() {
    let fixture = Fixture::written();
    let path = fixture.path();
    let both = Builder::new().module_bytes(ECHO).artifact(&path, &fixture.key).build().err().unwrap();
    assert!(both.to_string().contains("`artifact` takes the place of"), "{both}");
    let none = Builder::new().write_artifact(&path, &fixture.key).unwrap_err();
    assert!(none.to_string().contains("is made of `module_bytes`"), "{none}");

    // A module that is not a guest is not written, and the previous file stays. Nothing is left
    // over where no file can be written.
    let before = fs::read(&path).unwrap();
    let refused = Builder::new().module_bytes(b"(module)").write_artifact(&path, &fixture.key).unwrap_err();
    assert_eq!(Error::from(refused).kind(), ErrorKind::InvalidModule);
    assert_eq!(fs::read(&path).unwrap(), before);
    let nowhere = fixture.directory.path().join("no/such/directory.sealed");
    assert!(Builder::new().module_bytes(ECHO).write_artifact(&nowhere, &fixture.key).is_err());
    let names = || fs::read_dir(fixture.directory.path()).unwrap().count();
    assert_eq!(names(), 2, "the artifact, and the directory of the key");
    // Nothing is compiled for such a path either: this module would be refused.
    let taken = fixture.directory.path().join("keys");
    for place in [&nowhere, &taken] {
        let refused =
            Builder::new().module_bytes(b"(module)").write_artifact(place, &fixture.key).unwrap_err();
        assert!(Error::from(refused).to_string().contains("cannot write the artifact"));
    }
    assert_eq!(names(), 2);
}

#[test]
fn artifacts_that_are_written_to_one_place_at_once_are_all_whole() {
    let fixture = Fixture::written();
    let path = fixture.path();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| Builder::new().module_bytes(ECHO).write_artifact(&path, &fixture.key).unwrap());
        }
    });
    Builder::new().artifact(&path, &fixture.key).build().unwrap();
    assert_eq!(fs::read_dir(fixture.directory.path()).unwrap().count(), 2);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_pipe_in_the_place_of_an_artifact_is_refused_and_not_waited_for() {
        let fixture = Fixture::written();
        let path = fixture.directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = Builder::new().artifact(&path, &fixture.key).build().map(drop).unwrap_err();
        assert_eq!(Error::from(refused).kind(), ErrorKind::InvalidModule);
    }

    #[test]
    fn what_is_no_plain_file_is_not_replaced() {
        let fixture = Fixture::written();
        let [link, socket] = ["link", "socket"].map(|name| fixture.directory.path().join(name));
        symlink("/dev/null", &link).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for place in [&link, &socket] {
            let refused = Builder::new().module_bytes(ECHO).write_artifact(place, &fixture.key).unwrap_err();
            let refused = Error::from(refused).to_string();
            assert!(refused.contains("cannot write the artifact"), "{refused}");
            assert!(!fs::symlink_metadata(place).unwrap().is_file());
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn opening(directory: &Path) -> String {
        let error = SealKey::open(directory).unwrap_err();
        let source = error.get_ref().and_then(|error| error.source()).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    }

    #[test]
    fn a_key_is_its_users_alone_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        let key = keys.join("key");
        SealKey::open(&keys).unwrap();
        let seen = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((seen(&keys), seen(&key), fs::metadata(&key).unwrap().len()), (0o700, 0o600, 32));
        assert_eq!(fs::read_dir(&keys).unwrap().count(), 1, "the key alone is left");

        for wrong in [0o644, 0o640, 0o604, 0o620] {
            mode(&key, wrong);
            assert!(opening(&keys).contains("others may read it"), "{wrong:o}: {}", opening(&keys));
        }
        mode(&key, 0o600);
        for wrong in [0o777, 0o720, 0o702] {
            mode(&keys, wrong);
            assert!(opening(&keys).contains("others may write to it"), "{wrong:o}: {}", opening(&keys));
        }
        mode(&keys, 0o700);
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&key, &elsewhere).unwrap();
        symlink(&elsewhere, &key).unwrap();
        assert!(opening(&keys).starts_with("cannot use the key"), "{}", opening(&keys));
        fs::remove_file(&key).unwrap();
        fs::create_dir(&key).unwrap();
        assert!(opening(&keys).contains("no plain file"), "{}", opening(&keys));
        fs::remove_dir(&key).unwrap();
        // The open does not wait for a pipe without a writer.
        assert!(
            std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&key).status().unwrap().success()
        );
        assert!(opening(&keys).contains("no plain file"), "{}", opening(&keys));
        fs::remove_file(&key).unwrap();
        for length in [0, 31, 33] {
            fs::write(&key, vec![1; length]).unwrap();
            mode(&key, 0o600);
            assert!(opening(&keys).contains("not a key of 32 bytes"), "{}", opening(&keys));
        }
        fs::remove_file(&key).unwrap();
        SealKey::open(&keys).unwrap();
    }

    #[test]
    fn a_file_that_others_may_write_to_is_loaded_from_memory_and_works_as_well() {
        let fixture = Fixture::written();
        let path = fixture.path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        mode(&path, 0o666);
        let loaded = Builder::new().artifact(&path, &fixture.key).factory().unwrap();
        // What is written into the file now is not what runs.
        let length = fs::metadata(&path).unwrap().len();
        fs::write(&path, vec![0xCC; usize::try_from(length).unwrap()]).unwrap();
        answers(&*loaded);
    }
}

#[test]
fn many_that_make_a_key_at_once_agree_on_it() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let path = directory.path().join("echo.sealed");
    let all: Vec<SealKey> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| SealKey::open(&keys).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Builder::new().module_bytes(ECHO).write_artifact(&path, &all[0]).unwrap();
    for key in &all {
        Builder::new().artifact(&path, key).build().unwrap();
    }
    assert_eq!(format!("{:?}", all[0]), "SealKey(..)");
}
