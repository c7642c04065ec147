//! Guests that import WASI.

use crate::program::{MODES, Wat, call, call_path};

/// Returns a guest that answers the strings that a pair of WASI's listing functions writes.
fn lister(sizes: &str, get: &str) -> Wat {
    let fields = format!(
        r#"(import "wasi_snapshot_preview1" "{sizes}" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "{get}" (func $get (param i32 i32) (result i32)))"#
    );
    let body =
        "(drop (call $sizes (i32.const 0) (i32.const 4))) (drop (call $get (i32.const 100) (i32.const 1000)))
        (call $respond (i32.const 1000) (i32.load (i32.const 4))) (i32.const 1)";
    Wat::guest(&fields, body)
}

/// Returns a guest that opens `file` in the first directory, for reading or for creation. It
/// answers the WASI error number as a character, counted from `!`.
#[cfg(feature = "wasmtime")]
fn opener(create: bool) -> Wat {
    let fields = r#"(import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (data (i32.const 0) "file")"#;
    let (flags, rights) = if create { (1, 0x40) } else { (0, 2) };
    let body = format!(
        "(i32.store8 (i32.const 100) (i32.add (i32.const 33) (call $open (i32.const 3) (i32.const 0) (i32.const 0)
            (i32.const 4) (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 200))))
        (call $respond (i32.const 100) (i32.const 1)) (i32.const 1)"
    );
    Wat::guest(fields, &body)
}

#[test]
fn the_world_has_the_variables_and_arguments_that_were_given_and_no_other() {
    let (environment, arguments) =
        (lister("environ_sizes_get", "environ_get"), lister("args_sizes_get", "args_get"));
    for mode in MODES {
        call_path(mode, &environment.path(), &["any"]).answered("");
        call_path(mode, &environment.path(), &["any", "--wasi", "--env", "A=b=c", "--env", "D="])
            .answered("A=b=c\0D=\0");
        call_path(mode, &arguments.path(), &["any"]).answered("");
        call_path(mode, &arguments.path(), &["any", "--arg", "one", "--arg", "--two"])
            .answered("guest.wat\0one\0--two\0");
    }
}

#[test]
fn a_world_for_a_guest_without_wasi_is_worth_a_warning() {
    for mode in MODES {
        let run = call(mode, "rust.wasm", &["echo", "x", "--env", "A=b"]);
        assert_eq!((run.code, run.text()), (Some(0), "x"));
        assert!(run.stderr.starts_with("warning: the module does not import WASI"), "{}", run.stderr);
    }
}

#[test]
fn no_wasi_refuses_a_guest_that_imports_it() {
    let environment = lister("environ_sizes_get", "environ_get");
    for mode in MODES {
        let text = call_path(mode, &environment.path(), &["any", "--no-wasi"]).failed(4).stderr;
        assert!(text.contains("wasi_snapshot_preview1.environ_get"), "{text}");
        call(mode, "rust.wasm", &["echo", "x", "--no-wasi"]).answered("x");
    }
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_directory_is_granted_as_the_option_says() {
    const SUCCESS: &str = "!";
    const BAD_DESCRIPTOR: &str = ")";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let (read, create) = (opener(false), opener(true));
    let host = dir.path().display();
    let (writable, read_only) = (format!("{host}::/data"), format!("{host}::/data:ro"));
    for mode in MODES {
        let open = |guest: &Wat, dir: &str| call_path(mode, &guest.path(), &["any", "--dir", dir]);

        let run = open(&create, &read_only);
        assert!(run.code == Some(0) && run.text() != SUCCESS && !file.exists(), "{run:?}");
        open(&create, &writable).answered(SUCCESS);
        assert!(file.exists());
        open(&read, &read_only).answered(SUCCESS);
        std::fs::remove_file(&file).unwrap();

        call_path(mode, &read.path(), &["any"]).answered(BAD_DESCRIPTOR);
    }
}

#[test]
fn a_guest_that_exits_says_with_what() {
    let fields = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let wat = Wat::guest(fields, "(call $exit (i32.const 7)) unreachable");
    for mode in MODES {
        let error = call_path(mode, &wat.path(), &["any", "--error-format", "json"]).failed(3).error();
        assert_eq!((&error["code"], &error["exit_code"]), (&"trapped".into(), &7.into()), "{error}");
        let text = call_path(mode, &wat.path(), &["any"]).failed(3).stderr;
        assert!(text.contains("\n  the guest exited with: 7\n"), "{text}");
    }
}
