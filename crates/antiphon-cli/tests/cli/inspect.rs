//! `antiphon inspect`.

use serde_json::json;

use crate::program::{GUESTS, Wat, guest, repository, run};

fn inspect(path: &std::path::Path, json: bool) -> crate::program::Run {
    let format = if json { ["--format", "json"].as_slice() } else { &[] };
    let arguments = ["inspect".as_ref(), path.as_os_str()].into_iter().map(ToOwned::to_owned);
    run(arguments.chain(format.iter().map(Into::into)))
}

#[test]
fn the_guests_are_guests_and_their_digests_are_those_of_the_manifest() {
    let manifest = std::fs::read_to_string(repository().join("guests/built/manifest.toml")).unwrap();
    for name in GUESTS {
        let run = inspect(&guest(name), true);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{name}");
        let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!((&report["wapc_guest"], &report["reasons"]), (&true.into(), &json!([])));
        let info = &report["info"];
        assert_eq!(info["size"], guest(name).metadata().unwrap().len());
        assert!(manifest.contains(info["digest"].as_str().unwrap()), "{info}");
        let wasi = if name == "go.wasm" { json!(["wasi_snapshot_preview1"]) } else { json!([]) };
        assert_eq!(info["wasi"], wasi);
        let imports = info["imports"].as_array().unwrap();
        assert!(imports.contains(&json!({
            "module": "wapc", "name": "__guest_request", "type": "func(i32, i32)",
        })));
    }
}

#[test]
fn the_text_has_imports_exports_sections_and_a_verdict() {
    let text = inspect(&guest("rust.wasm"), false);
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    let text = text.text();
    for part in [
        "init      wapc_init\n",
        "WASI      none\n",
        "wapc.__host_call ",
        "\nproducers (",
        "__guest_call ",
        "verdict   a waPC guest\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_is_no_guest_is_exit_code_4_with_every_reason() {
    let wat = Wat::new(
        r#"(module (import "wasi_snapshot_preview1" "fd_fly" (func)) (memory (export "memory") 1 2)
            (func $start) (start $start) (func (export "__guest_call"))
            (@producers (language "Rust" "2021")) (@custom "notes" "some"))"#,
    );
    let reasons = [
        "import wasi_snapshot_preview1.fd_fly (func()) is unknown",
        "the module imports WASI, which is off here or lacks these functions: leave out `wasi(false)` (`--no-wasi`), or turn \
         on the feature `wasi`",
        "export __guest_call is func(), expected func(i32, i32) -> i32",
    ];
    let run = inspect(&wat.path(), false);
    assert_eq!((run.code, run.stderr.as_str()), (Some(4), ""));
    let verdict = format!("verdict   not a waPC guest\n  - {}\n", reasons.join("\n  - "));
    assert!(run.text().ends_with(&verdict), "{}", run.text());

    let run = inspect(&wat.path(), true);
    assert_eq!(run.code, Some(4));
    let short = crate::program::run(["inspect", wat.path().to_str().unwrap(), "--json"]);
    assert_eq!(short.text(), run.text());
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["reasons"], json!(reasons));
    let info = &report["info"];
    assert_eq!(info["memory"], json!({ "minimum_pages": 1, "maximum_pages": 2 }));
    assert_eq!(info["producers"], json!([{ "field": "language", "name": "Rust", "version": "2021" }]));
    assert!(info["custom_sections"].as_array().unwrap().contains(&json!({ "name": "notes", "size": 4 })));
    assert_eq!((&info["start_section"], &info["wasi"]), (&true.into(), &json!(["wasi_snapshot_preview1"])));
}

#[test]
fn many_unknown_imports_are_listed_by_module_with_what_they_tell() {
    let imports: String = (0..60).map(|n| format!(r#"(import "wbg" "__wbg_f{n}" (func))"#)).collect();
    let wat = Wat::new(&format!("(module {imports})"));
    let run = inspect(&wat.path(), false);
    assert_eq!((run.code, run.stderr.as_str()), (Some(4), ""));
    let (_, reasons) = run.text().split_once("verdict   not a waPC guest\n").unwrap();
    assert!(
        reasons.starts_with(
            "  - 60 imports of wbg are unknown: wbg.__wbg_f0, wbg.__wbg_f1, wbg.__wbg_f2 and 57 more imports\n  - the module \
             was made for wasm-bindgen"
        ),
        "{reasons}"
    );
    assert_eq!(reasons.lines().count(), 4, "{reasons}");
}

#[test]
fn a_component_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("component.wasm");
    std::fs::write(&file, b"\0asm\x0d\0\x01\0").unwrap();
    let run = inspect(&file, false);
    assert_eq!(run.code, Some(4));
    assert!(run.text().contains("it is a component: build a module"), "{}", run.text());
}

#[test]
fn a_guest_that_wants_more_memory_than_the_default_is_a_guest() {
    let wat = Wat::new(
        r#"(module (memory (export "memory") 2000)
            (func (export "__guest_call") (param i32 i32) (result i32) i32.const 0))"#,
    );
    assert_eq!(inspect(&wat.path(), false).code, Some(0));
}

#[test]
fn what_is_no_module_is_exit_code_4() {
    let run = inspect(&repository().join("guests/README.md"), true);
    assert_eq!(run.code, Some(4));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&report["wapc_guest"], &report["info"]), (&false.into(), &json!(null)));
    assert!(report["reasons"][0].as_str().unwrap().starts_with("not a WebAssembly module: "));
}
