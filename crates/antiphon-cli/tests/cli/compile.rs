//! `antiphon compile`, and the cache of compiled modules.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{MODES, Run, command, guest, run};

/// A directory for artifacts, with a key in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program with these arguments and the directory of the key.
    fn run(&self, arguments: &[&dyn AsRef<OsStr>]) -> Run {
        let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned());
        run(arguments.chain(["--cache-dir".into(), self.path("keys").into()]))
    }

    /// Compiles a guest to an artifact, and checks that the program prints nothing.
    fn compiled(&self, options: &[&str]) -> PathBuf {
        let artifact = self.path("guest.sealed");
        let module = guest("rust.wasm");
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"compile", &module, &"-o", &artifact];
        all.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
        self.run(&all).answered("");
        artifact
    }

    fn kept(&self) -> usize {
        let entries = fs::read_dir(self.path("keys")).map(|entries| entries.count());
        entries.unwrap_or(0)
    }
}

/// Returns the reason why an artifact was refused.
fn refused(run: Run) -> String {
    let error = run.failed(4).error();
    assert_eq!(
        (error.get("kind"), error.get("message")),
        (Some(&"InvalidModule".into()), Some(&"the artifact is not used".into()))
    );
    let chain = error.get("chain").and_then(Value::as_array).unwrap();
    chain.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(": ")
}

#[test]
fn an_artifact_is_called_and_inspected_like_its_module() {
    let place = Place::new();
    let artifact = place.compiled(&[]);
    for mode in MODES {
        place.run(&[&"call", &artifact, &"echo", &"hello", &"--mode", &mode]).answered("hello");
    }
    let of_artifact = place.run(&[&"inspect", &artifact, &"--json"]);
    let of_module = place.run(&[&"inspect", &guest("rust.wasm"), &"--json"]);
    assert_eq!((of_artifact.code, of_artifact.stderr.as_str()), (Some(0), ""));
    let of = |run: &Run| serde_json::from_slice::<Value>(&run.stdout).unwrap();
    let compiled = serde_json::json!({ "engine": "wasmtime", "fuel": false, "deterministic": false });
    assert_eq!((&of(&of_artifact)["artifact"], &of(&of_module)["artifact"]), (&compiled, &Value::Null));
    let read = |run: &Run| of(run)["info"].clone();
    assert_eq!(read(&of_artifact), read(&of_module));
    assert_eq!(read(&of_artifact)["size"], guest("rust.wasm").metadata().unwrap().len());
}

#[test]
fn an_artifact_for_fuel_or_for_deterministic_runs_is_inspected_like_any_other() {
    for option in ["--fuel", "--deterministic"] {
        let place = Place::new();
        let artifact = place.compiled(&[option]);
        let run = place.run(&[&"inspect", &artifact]);
        assert_eq!(run.code, Some(0), "{option}: {}", run.stderr);
        let line = format!(
            "\nartifact  native code of wasmtime, sealed with the key at hand, for calls with {option}\n"
        );
        assert!(run.text().contains(&line), "{}", run.text());
    }
}

#[test]
fn a_place_that_takes_no_artifact_is_wrong_usage_and_stays_as_it_is() {
    let place = Place::new();
    let module = place.path("guest.wasm");
    fs::copy(guest("rust.wasm"), &module).unwrap();
    let json = "--error-format=json";
    let all = [
        (module.clone(), "it is the module itself"),
        (place.path("./guest.wasm"), "it is the module itself"),
        (place.path("no/such.sealed"), "No such file or directory"),
        (place.path(""), "what is there is no plain file"),
    ];
    for (output, expected) in all {
        let error = place.run(&[&"compile", &module, &"-o", &output, &json]).failed(2).error();
        assert_eq!(error["code"], "usage");
        assert_eq!(error["message"], format!("cannot write {}", output.display()));
        let why = error["chain"][0].as_str().unwrap();
        assert!(why.starts_with(expected), "{why}");
    }
    assert_eq!(fs::read(&module).unwrap(), fs::read(guest("rust.wasm")).unwrap());
}

#[test]
fn a_directory_that_takes_no_key_is_named_instead_of_the_artifact() {
    let place = Place::new();
    fs::write(place.path("keys"), "no directory").unwrap();
    let artifact = place.path("guest.sealed");
    let error = place
        .run(&[&"compile", &guest("rust.wasm"), &"-o", &artifact, &"--error-format=json"])
        .failed(2)
        .error();
    assert_eq!(
        error["message"],
        format!("cannot use the directory {} for the key", place.path("keys").display())
    );
    assert!(error["chain"][0].as_str().unwrap().ends_with("is not a directory"), "{error}");
    assert!(!artifact.exists());
}

#[test]
fn an_artifact_that_is_not_what_was_sealed_here_is_refused_with_the_reason() {
    let place = Place::new();
    let artifact = place.compiled(&[]);
    let json = "--error-format=json";
    let call = |place: &Place, more: &[&str]| {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"call", &artifact, &"echo", &"hello", &json];
        all.extend(more.iter().map(|option| option as &dyn AsRef<OsStr>));
        place.run(&all)
    };
    let other = refused(call(&Place::new(), &[]));
    assert!(other.contains("sealed with another key") && other.contains("--cache-dir"), "{other}");
    // The key may be brought by itself, as to a machine that only runs what another one compiles.
    let fleet = Place::new();
    call(&fleet, &[]).failed(4);
    fs::copy(place.path("keys/key"), fleet.path("keys/key")).unwrap();
    call(&fleet, &[]).answered("hello");
    let other = refused(call(&place, &["--fuel", "1000000"]));
    assert!(other.contains("fuel no") && other.contains("fuel yes"), "{other}");
    assert!(refused(call(&place, &["--deterministic", "7"])).contains("deterministic yes"));

    let mut bytes = fs::read(&artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&artifact, &bytes).unwrap();
    assert!(refused(call(&place, &[])).contains("it was changed"));
    fs::write(&artifact, &bytes[..middle]).unwrap();
    assert!(refused(call(&place, &[])).contains("does not end with a seal"));
    assert!(refused(place.run(&[&"inspect", &artifact, &json])).contains("does not end with a seal"));
}

#[test]
fn settings_that_are_in_the_code_are_given_when_it_is_compiled() {
    let place = Place::new();
    let artifact = place.compiled(&["--fuel"]);
    place.run(&[&"call", &artifact, &"echo", &"hello", &"--fuel", &"1000000"]).answered("hello");
    let artifact = place.compiled(&["--deterministic"]);
    for seed in ["7", "8"] {
        place.run(&[&"call", &artifact, &"echo", &"hello", &"--deterministic", &seed]).answered("hello");
    }
}

#[test]
fn an_option_raises_each_limit_that_a_module_is_over() {
    let place = Place::new();
    let (module, artifact) = (place.path("guest.wat"), place.path("guest.sealed"));
    let text = "(module (table 30000 funcref) (memory (export \"memory\") 2000)
        (func (export \"__guest_call\") (param i32 i32) (result i32) (i32.const 0)))";
    fs::write(&module, text).unwrap();
    let mut options = Vec::new();
    for (option, value) in [("--memory", "128MiB"), ("--table-elements", "30000")] {
        let mut all: Vec<&dyn AsRef<OsStr>> =
            vec![&"compile", &module, &"-o", &artifact, &"--error-format=json"];
        all.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
        let error = place.run(&all).failed(4).error();
        assert_eq!(error["limit"]["option"], option, "{error}");
        options.extend([option, value]);
    }
    let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"compile", &module, &"-o", &artifact];
    all.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
    place.run(&all).answered("");
    assert!(artifact.exists());
}

#[test]
fn what_cannot_be_compiled_leaves_no_file() {
    let place = Place::new();
    let artifact = place.path("guest.sealed");
    let readme = Path::new("guests/README.md");
    place.run(&[&"compile", &readme, &"-o", &artifact]).failed(4);
    let json = "--error-format=json";
    let again = place.compiled(&[]);
    let error = place.run(&[&"compile", &again, &"-o", &artifact, &json]).failed(2).error();
    assert!(error["message"].as_str().unwrap().contains("is already compiled"), "{error}");
    fs::remove_file(&again).unwrap();
    let nowhere = place.path("no/where.sealed");
    place.run(&[&"compile", &guest("rust.wasm"), &"-o", &nowhere]).failed(2);
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "the keys");
}

#[test]
fn a_comparison_says_why_an_artifact_is_refused_and_what_to_run() {
    let place = Place::new();
    let artifact = place.path("guest.sealed");
    let caches = place.path("caches");
    let run = |arguments: &[&dyn AsRef<OsStr>]| -> Run {
        let mut command = command(arguments.iter().map(|argument| argument.as_ref()));
        command.env("XDG_CACHE_HOME", &caches).output().unwrap().into()
    };
    run(&[&"compile", &guest("rust.wasm"), &"-o", &artifact]).answered("");
    let compared = run(&[&"compare", &artifact, &"echo", &"--engine", &"wasmtime", &"--fuel", &"1000"]);
    assert_eq!((compared.code, compared.stderr.as_str()), (Some(4), ""));
    let causes: Vec<_> = compared.text().lines().filter_map(|line| line.strip_prefix("cause     ")).collect();
    let [cause] = causes[..] else { panic!("{}", compared.text()) };
    assert!(cause.starts_with("compiled for other engine settings (fuel no, "), "{cause}");
    assert!(
        cause.ends_with("with the options that it is called with (`antiphon compile`, `write_artifact`)"),
        "{cause}"
    );
}

#[cfg(feature = "wasmi")]
#[test]
fn an_interpreter_has_nothing_to_compile_and_needs_no_cache() {
    let place = Place::new();
    let artifact = place.compiled(&[]);
    let before = place.kept();
    let json = "--error-format=json";
    let runs = [
        place.run(&[&"compile", &guest("rust.wasm"), &"-o", &artifact, &"--engine", &"wasmi", &json]),
        place.run(&[&"call", &artifact, &"echo", &"--engine", &"wasmi", &json]),
    ];
    for run in runs {
        let error = run.failed(2).error();
        assert!(error["message"].as_str().unwrap().starts_with("wasmi keeps no compiled code"), "{error}");
    }
    place.run(&[&"call", &guest("rust.wasm"), &"echo", &"hi", &"--engine", &"wasmi"]).answered("hi");
    assert_eq!(place.kept(), before);
}

#[test]
fn what_was_compiled_is_kept_unless_it_must_not_be() {
    let place = Place::new();
    let call = |more: &[&str]| {
        let module = guest("assemblyscript.wasm");
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"call", &module, &"echo", &"hello"];
        all.extend(more.iter().map(|option| option as &dyn AsRef<OsStr>));
        place.run(&all).answered("hello");
        place.kept()
    };
    assert_eq!(call(&["--no-cache"]), 0);
    // The cache holds three files: the module's code, the key and the lock.
    assert_eq!(call(&[]), 3);
    assert_eq!(call(&[]), 3);
    assert_eq!(call(&["--memory", "32MiB"]), 3);
    assert_eq!(call(&["--fuel", "1000000000"]), 4);

    // By default the cache is in the user's cache directory.
    let caches = place.path("caches");
    let mut command = command(["call", "guests/built/assemblyscript.wasm", "echo", "hello"]);
    let run: Run = command.env("XDG_CACHE_HOME", &caches).output().unwrap().into();
    run.answered("hello");
    assert_eq!(fs::read_dir(caches.join("antiphon")).unwrap().count(), 3);
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_used_costs_a_warning() {
    let place = Place::new();
    fs::write(place.path("keys"), "no directory").unwrap();
    let run = place.run(&[&"call", &guest("rust.wasm"), &"echo", &"hello"]);
    assert_eq!((run.code, run.text()), (Some(0), "hello"));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("the cache of compiled modules is not used"), "{}", run.stderr);
}
