//! Modules that are not waPC guests, and what a factory reports of those that are.

use antiphon::module_info::ExternKind;

use crate::cases::ECHO;
use crate::suite::{Case, Guest, Subject, case};
use crate::support::{Failure, says, wat};

pub(super) const CASES: &[Case] = &[
    case!(module::bytes_that_are_no_module_are_refused),
    case!(module::a_broken_off_module_is_refused_wherever_it_breaks),
    case!(module::a_module_that_does_not_validate_is_refused),
    case!(module::a_component_is_refused),
    case!(module::without_guest_call_it_is_refused),
    case!(module::without_memory_it_is_refused),
    case!(module::a_mistyped_guest_call_is_refused),
    case!(module::a_memory_that_is_none_is_refused),
    case!(module::a_memory_that_is_imported_is_refused),
    case!(module::an_unknown_import_is_refused),
    case!(module::a_mistyped_import_is_refused),
    case!(module::every_reason_is_in_one_error),
    case!(module::a_guest_needs_no_imports),
    case!(module::further_exports_do_not_matter),
    case!(module::the_factory_knows_imports_and_exports),
    case!(module::instances_of_a_factory_share_nothing).keeps_state(),
    case!(module::a_factory_makes_one_for_another_module),
];

fn bytes_that_are_no_module_are_refused(subject: &Subject) {
    let cases: [&[u8]; 5] = [b"", b"\0", b"\x7fELF not wasm at all", &[0xff; 1000], b"\0asm\x07\0\0\0"];
    for bytes in cases {
        subject.refuses(Guest::binary(bytes.to_vec()), Failure::INVALID_MODULE);
    }
}

fn a_broken_off_module_is_refused_wherever_it_breaks(subject: &Subject) {
    let whole = Guest::new(ECHO).module.bytes;
    subject.host(Guest::binary(whole.clone()));
    for end in (8..whole.len()).step_by(37) {
        subject.refuses(Guest::binary(whole[..end].to_vec()), Failure::INVALID_MODULE);
    }
}

fn a_module_that_does_not_validate_is_refused(subject: &Subject) {
    // The body leaves no value although its type needs an i32.
    let mut bytes = wat::module(
        r#"(module (memory (export "memory") 1)
             (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#,
    );
    let at = bytes.windows(3).rposition(|code| code == [0x41, 1, 0x0b]).expect("i32.const 1, end");
    bytes[at] = 0x01; // nop
    bytes[at + 1] = 0x01;
    subject.refuses(Guest::binary(bytes), Failure::INVALID_MODULE);
    // Two exports of one name.
    let mut bytes = Guest::new(&format!("{ECHO} (func (export \"memorz\"))")).module.bytes;
    let at = bytes.windows(6).position(|name| name == b"memorz").expect("the export's name");
    bytes[at + 5] = b'y';
    subject.refuses(Guest::binary(bytes), Failure::INVALID_MODULE);
}

fn a_component_is_refused(subject: &Subject) {
    subject.refuses(Guest::binary(wat::module("(component)")), Failure::INVALID_MODULE);
}

fn without_guest_call_it_is_refused(subject: &Subject) {
    let guest = Guest::module(r#"(module (memory (export "memory") 1))"#);
    let error = subject.refuses(guest, Failure::INVALID_MODULE);
    // Verbatim: users of wapc 2.x match on it.
    says(&error, &["Guest call function (__guest_call) not exported by wasm module."]);
}

const GUEST_CALL: &str = r#"(func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1))"#;

fn without_memory_it_is_refused(subject: &Subject) {
    let error = subject.refuses(Guest::module(&format!("(module {GUEST_CALL})")), Failure::INVALID_MODULE);
    says(&error, &["memory"]);
    let hidden = format!("(module (memory 1) {GUEST_CALL})");
    says(subject.refuses(Guest::module(&hidden), Failure::INVALID_MODULE), &["memory"]);
}

fn a_mistyped_guest_call_is_refused(subject: &Subject) {
    for export in [
        r#"(func (export "__guest_call") (param i32) (result i32) (i32.const 1))"#,
        r#"(func (export "__guest_call") (param i32 i32))"#,
        r#"(func (export "__guest_call") (param i64 i32) (result i32) (i32.const 1))"#,
        r#"(func (export "__guest_call") (param i32 i32) (result i64) (i64.const 1))"#,
        r#"(global (export "__guest_call") i32 (i32.const 1))"#,
    ] {
        let text = format!(r#"(module (memory (export "memory") 1) {export})"#);
        says(subject.refuses(Guest::module(&text), Failure::INVALID_MODULE), &["__guest_call"]);
    }
}

fn a_memory_that_is_none_is_refused(subject: &Subject) {
    for export in [
        r#"(func (export "memory"))"#,
        r#"(global (export "memory") i32 (i32.const 0))"#,
        r#"(table (export "memory") 1 funcref)"#,
    ] {
        let text = format!("(module {export} {GUEST_CALL})");
        says(subject.refuses(Guest::module(&text), Failure::INVALID_MODULE), &["memory"]);
    }
}

fn a_memory_that_is_imported_is_refused(subject: &Subject) {
    let text = format!(r#"(module (memory (export "memory") (import "env" "memory") 1) {GUEST_CALL})"#);
    says(subject.refuses(Guest::module(&text), Failure::INVALID_MODULE), &["env", "memory"]);
}

fn with_import(import: &str) -> Guest {
    Guest::module(&format!(r#"(module {import} (memory (export "memory") 1) {GUEST_CALL})"#))
}

fn an_unknown_import_is_refused(subject: &Subject) {
    for (module, name) in [
        ("env", "getenv"),
        ("wapc", "__guest_magic"),
        ("wapc2", "__guest_request"),
        ("", ""),
        ("wasi", "fd_write"),
    ] {
        let guest = with_import(&format!("(func (import {module:?} {name:?}))"));
        says(subject.refuses(guest, Failure::INVALID_MODULE), &[module, name]);
    }
}

fn a_mistyped_import_is_refused(subject: &Subject) {
    for (import, name) in [
        (r#"(func (import "wapc" "__guest_request") (param i32))"#, "__guest_request"),
        (r#"(func (import "wapc" "__guest_response") (param i64 i64))"#, "__guest_response"),
        (r#"(func (import "wapc" "__host_call") (param i32 i32) (result i32))"#, "__host_call"),
        (r#"(func (import "wapc" "__host_response_len") (result i64))"#, "__host_response_len"),
        (r#"(global (import "wapc" "__console_log") i32)"#, "__console_log"),
        (r#"(func (import "env" "abort"))"#, "abort"),
    ] {
        says(subject.refuses(with_import(import), Failure::INVALID_MODULE), &[name]);
    }
}

fn every_reason_is_in_one_error(subject: &Subject) {
    let error = subject.refuses(
        Guest::module(
            r#"(module
                 (func (import "env" "one_unknown"))
                 (func (import "other" "two_unknown") (param f64))
                 (func (import "wapc" "__guest_error") (param i64))
                 (func (export "memory")))"#,
        ),
        Failure::INVALID_MODULE,
    );
    let reasons = ["one_unknown", "two_unknown", "__guest_error", "memory", "__guest_call"];
    says(&error, &reasons);
}

fn a_guest_needs_no_imports(subject: &Subject) {
    let text = format!(r#"(module (memory (export "memory") 1) {GUEST_CALL})"#);
    let host = subject.host(Guest::module(&text));
    Failure::MISBEHAVED.check(&host.call("run", b"payload").unwrap_err());
}

fn further_exports_do_not_matter(subject: &Subject) {
    let host = subject.host(Guest::new(&format!(
        r#"{ECHO}
           (func (export "malloc") (param i32) (result i32) unreachable)
           (func (export "_Start") unreachable)
           (global (export "__heap_base") i32 (i32.const 1024))
           (table (export "__indirect_function_table") 1 funcref)"#
    )));
    assert_eq!(host.answer("echo", b"fine"), b"fine");
}

fn the_factory_knows_imports_and_exports(subject: &Subject) {
    let factory = subject.factory(&Guest::new(ECHO)).unwrap();
    let info = factory.module_info();
    let i32s = |count| vec!["i32"; count];
    let call = ExternKind::func(&i32s(2), &i32s(1));
    assert_eq!(info.export("__guest_call"), Some(&call));
    let host_call = ExternKind::func(&i32s(8), &i32s(1));
    assert_eq!(info.import("wapc", "__host_call"), Some(&host_call));
    assert_eq!(info.export("memory"), Some(&ExternKind::Memory { minimum: 1, maximum: None }));
    assert_eq!(info.imports.len(), 9);
}

fn instances_of_a_factory_share_nothing(subject: &Subject) {
    let guest = Guest::new(ECHO);
    let factory = subject.factory(&guest).unwrap();
    let hosts: Vec<_> = (0..5).map(|_| subject.start_on(&*factory, guest.clone()).unwrap()).collect();
    for (calls, host) in hosts.iter().enumerate() {
        for _ in 0..calls {
            host.answer("echo", b"");
        }
    }
    for (calls, host) in hosts.iter().enumerate() {
        assert_eq!(host.count() as usize, calls + 1);
    }
    let ids: std::collections::BTreeSet<_> = hosts.iter().map(crate::suite::Host::id).collect();
    assert_eq!(ids.len(), 5);
}

fn a_factory_makes_one_for_another_module(subject: &Subject) {
    let factory = subject.factory(&Guest::new(ECHO)).unwrap();
    let other = Guest::new("(func $run (param i32 i32) (result i32) (call $answer_i32 (i32.const 7)))");
    let factory = factory.with_module(&other.module.bytes).unwrap();
    assert_eq!(subject.start_on(&*factory, other).unwrap().number("run", b""), 7);
    let Err(error) = factory.with_module(b"no module") else { panic!("accepted a bad module") };
    Failure::INVALID_MODULE.check(&antiphon::errors::Error::from_engine(error));
}
