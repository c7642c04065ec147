//! Imports that no host has, in large numbers, and with names that break a report.

use super::raw::{self, Raw, leb, name};
use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(hostile_imports::each_import_of_wapc_in_every_wrong_type_is_refused).hostile(),
    case!(hostile_imports::things_that_are_no_functions_are_refused_under_each_name).hostile(),
    case!(hostile_imports::all_wrong_types_are_in_one_error).hostile(),
    case!(hostile_imports::names_that_only_look_right_are_refused).hostile(),
    case!(hostile_imports::what_the_guest_exports_itself_is_no_import).hostile(),
    case!(hostile_imports::ten_thousand_unknown_imports_are_refused_in_a_short_text).hostile(),
    case!(hostile_imports::unknown_imports_with_names_of_100_kilobytes_are_refused_in_a_short_text).hostile(),
    case!(hostile_imports::unknown_imports_of_a_thousand_parameters_are_refused_in_a_short_text).hostile(),
    case!(hostile_imports::the_same_import_ten_thousand_times_is_served).hostile(),
    case!(hostile_imports::a_hundred_thousand_and_one_imports_are_refused).hostile(),
    case!(hostile_imports::imports_that_nobody_calls_are_refused_all_the_same).hostile(),
    case!(hostile_imports::other_worlds_of_wasi_are_refused).needs(&[Need::Wasi]).hostile(),
    case!(hostile_imports::both_names_of_wasi_in_one_guest_are_served).needs(&[Need::Wasi]).hostile(),
];

/// The imports of waPC, with the numbers of their parameters and results.
const WAPC: [(&str, &str, usize, usize); 10] = [
    ("wapc", "__guest_request", 2, 0),
    ("wapc", "__guest_response", 2, 0),
    ("wapc", "__guest_error", 2, 0),
    ("wapc", "__host_call", 8, 1),
    ("wapc", "__host_response_len", 0, 1),
    ("wapc", "__host_response", 1, 0),
    ("wapc", "__host_error_len", 0, 1),
    ("wapc", "__host_error", 1, 0),
    ("wapc", "__console_log", 2, 0),
    ("env", "abort", 4, 0),
];

/// Returns a guest with these imports and nothing else of interest.
fn importing(imports: &str) -> Guest {
    Guest::module(&format!(
        r#"(module {imports} (memory (export "memory") 1)
             (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#
    ))
}

fn func(module: &str, import: &str, params: &[&str], results: &[&str]) -> String {
    let (params, results) = (params.join(" "), results.join(" "));
    format!("(func (import {module:?} {import:?}) (param {params}) (result {results}))\n")
}

fn each_import_of_wapc_in_every_wrong_type_is_refused(subject: &Subject) {
    for (module, import, params, results) in WAPC {
        let (sound, returned) = (vec!["i32"; params], vec!["i32"; results]);
        assert!(subject.start(importing(&func(module, import, &sound, &returned))).is_ok(), "{import}");
        let mut wrong = vec![
            (vec!["i32"; params + 1], returned.clone()),
            (sound.clone(), vec!["i32"; results + 1]),
            (sound.clone(), vec!["i64"]),
            (vec!["i32"; 1000], returned.clone()),
        ];
        if params > 0 {
            wrong.push((vec!["i32"; params - 1], returned.clone()));
        }
        for at in 0..params {
            for ty in ["i64", "f32", "externref", "v128"] {
                let mut other = sound.clone();
                other[at] = ty;
                wrong.push((other, returned.clone()));
            }
        }
        for (params, results) in wrong {
            let guest = importing(&func(module, import, &params, &results));
            let error = subject.refuses(guest, Failure::INVALID_MODULE);
            says(&error, &[module, import]);
        }
    }
}

fn things_that_are_no_functions_are_refused_under_each_name(subject: &Subject) {
    let things = [
        ("memory", "1"),
        ("table", "1 funcref"),
        ("table", "0 0 externref"),
        ("global", "i32"),
        ("global", "(mut i32)"),
    ];
    for (module, import, ..) in WAPC {
        for (keyword, rest) in things {
            // The guest has its own memory, so an imported one is one too many.
            let guest = importing(&format!("({keyword} (import {module:?} {import:?}) {rest})"));
            let error = subject.refuses(guest, Failure::INVALID_MODULE);
            if keyword != "memory" {
                says(&error, &[import, keyword]);
            }
        }
        // An imported memory is refused even where the guest has no other.
        let error = subject.refuses(
            Guest::module(&format!(
                r#"(module (memory (import {module:?} {import:?}) 1) (export "memory" (memory 0))
                     (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#
            )),
            Failure::INVALID_MODULE,
        );
        says(&error, &[import, "memory"]);
    }
}

fn all_wrong_types_are_in_one_error(subject: &Subject) {
    let imports: String = WAPC.map(|(module, import, ..)| func(module, import, &["f64"], &["f64"])).concat();
    let error = subject.refuses(importing(&imports), Failure::INVALID_MODULE);
    says(&error, &WAPC.map(|(_, import, ..)| import));
}

fn names_that_only_look_right_are_refused(subject: &Subject) {
    for (module, import) in [
        ("wapc", "__guest_request "),
        ("wapc", "__guest_request\0"),
        ("wapc", "__Guest_Request"),
        ("wapc", "__guest_re\u{200b}quest"),
        ("w\u{430}pc", "__guest_request"),
        ("wapc\0", "__guest_request"),
        (" wapc", "__guest_request"),
        ("wapc", ""),
        ("", "__guest_request"),
        ("wapc.__guest_request", ""),
        ("__guest_request", "wapc"),
        ("env", "__guest_request"),
        ("wapc", "abort"),
    ] {
        let raw = Raw::echo().add(raw::IMPORTS, 1, &[name(module), name(import), vec![0, 0]].concat());
        let error = subject.refuses(raw.guest(), Failure::INVALID_MODULE);
        says(error.message(), &["is unknown"]);
    }
}

fn what_the_guest_exports_itself_is_no_import(subject: &Subject) {
    for import in ["__guest_call", "wapc_init", "_start", "_initialize", "memory"] {
        for module in ["wapc", "env", "self", ""] {
            let error = subject.refuses(
                importing(&func(module, import, &["i32", "i32"], &["i32"])),
                Failure::INVALID_MODULE,
            );
            says(&error, &[import]);
        }
    }
}

/// Expects a refusal with a short text: its list of imports has at most 16 KiB.
#[track_caller]
fn refused_shortly(subject: &Subject, raw: &Raw) -> String {
    let error = subject.refuses(raw.guest(), Failure::INVALID_MODULE);
    let text = error.to_string();
    assert!(text.len() < 18 << 10, "{} bytes of text", text.len());
    says(&text, &["more imports"]);
    text
}

fn ten_thousand_unknown_imports_are_refused_in_a_short_text(subject: &Subject) {
    let raw =
        Raw::echo().each(raw::IMPORTS, 10_000, |i| [name("m"), name(format!("f{i}")), vec![0, 0]].concat());
    let text = refused_shortly(subject, &raw);
    says(&text, &["m.f0", "m.f1"]);
}

fn unknown_imports_with_names_of_100_kilobytes_are_refused_in_a_short_text(subject: &Subject) {
    let long = "n".repeat(99_990);
    let raw = Raw::echo()
        .each(raw::IMPORTS, 50, |i| [name(&long), name(format!("{long}{i}")), vec![0, 0]].concat());
    refused_shortly(subject, &raw);
    // A name that is one byte too long makes the module malformed.
    let longer = "n".repeat(100_001);
    let raw = Raw::echo().add(raw::IMPORTS, 1, &[name("m"), name(longer), vec![0, 0]].concat());
    let error = subject.refuses(raw.guest(), Failure::INVALID_MODULE);
    assert!(error.to_string().len() < 18 << 10);
}

fn unknown_imports_of_a_thousand_parameters_are_refused_in_a_short_text(subject: &Subject) {
    let wide = [&[0x60][..], &leb(1000), &[0x7b; 1000], &leb(1000), &[0x7b; 1000]].concat();
    let raw = Raw::echo()
        .add(raw::TYPES, 1, &wide)
        .each(raw::IMPORTS, 400, |i| [name("m"), name(format!("f{i}")), vec![0, 3]].concat());
    refused_shortly(subject, &raw);
}

fn the_same_import_ten_thousand_times_is_served(subject: &Subject) {
    // Behind 10,000 further imports, `__guest_call` is function 10,002.
    let log = [name("wapc"), name("__console_log"), vec![0, 0]].concat();
    let exports = [name("memory"), vec![2, 0], name("__guest_call"), vec![0], leb(10_002)].concat();
    let raw =
        Raw::echo().many(raw::IMPORTS, 10_000, &log).with(raw::EXPORTS, |section| section.body = exports);
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

fn a_hundred_thousand_and_one_imports_are_refused(subject: &Subject) {
    let log = [name("wapc"), name("__console_log"), vec![0, 0]].concat();
    let error =
        subject.refuses(Raw::echo().many(raw::IMPORTS, 100_001, &log).guest(), Failure::INVALID_MODULE);
    assert!(error.to_string().len() < 18 << 10);
}

fn imports_that_nobody_calls_are_refused_all_the_same(subject: &Subject) {
    // Not used, in a module that would never run; in a table; exported.
    for more in ["", "(table funcref (elem 0))", r#"(export "__guest_call" (func 0))"#] {
        let text = format!(
            r#"(module (func (import "env" "system") (param i32 i32) (result i32))
                 (memory (export "memory") 1) {more})"#
        );
        let error = subject.refuses(Guest::module(&text), Failure::INVALID_MODULE);
        says(&error, &["env", "system"]);
    }
}

fn other_worlds_of_wasi_are_refused(subject: &Subject) {
    for module in [
        "wasi_snapshot_preview2",
        "wasi_snapshot_preview0",
        "wasi_snapshot_preview1 ",
        "wasi",
        "wasi:io/streams@0.2.0",
        "wasi:cli/run@0.2.0",
        "wasix_32v1",
        "wasi_ephemeral_nn",
    ] {
        let guest = importing(&func(module, "random_get", &["i32", "i32"], &["i32"]));
        says(subject.refuses(guest, Failure::INVALID_MODULE), &[module, "random_get"]);
    }
}

fn both_names_of_wasi_in_one_guest_are_served(subject: &Subject) {
    // A file's status has 64 bytes under the new name and 56 under the old one: the byte behind
    // shows which was written.
    let host = subject.host(Guest::new(
        r#"(func $new (import "wasi_snapshot_preview1" "fd_filestat_get") (param i32 i32) (result i32))
           (func $old (import "wasi_unstable" "fd_filestat_get") (param i32 i32) (result i32))
           (func $run (param i32 i32) (result i32)
             (memory.fill (i32.const 0) (i32.const 9) (i32.const 256))
             (if (call $old (i32.const 1) (i32.const 0)) (then unreachable))
             (if (call $new (i32.const 1) (i32.const 128)) (then unreachable))
             (i32.store8 (i32.const 200) (i32.load8_u (i32.const 56)))
             (i32.store8 (i32.const 201) (i32.load8_u (i32.const 184)))
             (i32.store8 (i32.const 202) (i32.load8_u (i32.const 192)))
             (call $answer (i32.const 200) (i32.const 3)))"#,
    ));
    assert_eq!(host.answer("run", b""), [9, 0, 9]);
}
