//! Modules in the text format, for providers that accept it. None of them is valid, so a provider
//! that accepts only the binary format refuses them as well.

use antiphon::errors::ErrorKind;

use crate::suite::{Case, Guest, Subject, case};
use crate::support::{Failure, cause};

pub(super) const CASES: &[Case] = &[
    case!(hostile_text::parentheses_that_never_close_are_refused).hostile(),
    case!(hostile_text::parentheses_that_never_opened_are_refused).hostile(),
    case!(hostile_text::comments_nested_without_end_are_refused).hostile(),
    case!(hostile_text::expressions_nested_without_end_are_refused).hostile(),
    case!(hostile_text::blocks_nested_without_end_are_refused).hostile(),
    case!(hostile_text::strings_that_never_end_are_refused).hostile(),
    case!(hostile_text::escapes_that_are_none_are_refused).hostile(),
    case!(hostile_text::numbers_beyond_reason_are_refused).hostile(),
    case!(hostile_text::bytes_that_are_no_text_are_refused).hostile(),
    case!(hostile_text::names_that_refer_to_nothing_or_to_themselves_are_refused).hostile(),
    case!(hostile_text::scripts_and_several_modules_are_refused).hostile(),
    case!(hostile_text::a_module_quoted_in_a_module_is_refused).hostile(),
    case!(hostile_text::a_line_of_a_megabyte_is_not_quoted_back).hostile(),
    case!(hostile_text::text_over_its_limit_is_refused_unread).hostile(),
    case!(hostile_text::hostile_text_is_no_replacement_either).hostile(),
];

/// Expects a refusal with a text of a few lines.
#[track_caller]
fn refused(subject: &Subject, text: impl Into<Vec<u8>>) {
    let error = subject.refuses(Guest::binary(text.into()), Failure::INVALID_MODULE);
    let length = error.to_string().len();
    assert!(length < 5_000, "{length} bytes of text");
}

/// Returns a complete guest with `more` inside.
fn around(more: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
             (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)) {more})"#
    )
}

/// About as many as fit into a module in the text format.
const MANY: usize = 300_000;

fn parentheses_that_never_close_are_refused(subject: &Subject) {
    for open in ["(", "(module ", "(func ", "(module (func (block ", "(type $a (func (param i32)) ", "(@a "] {
        refused(subject, open.repeat(MANY / open.len()));
        refused(subject, around(&open.repeat(MANY / open.len())));
    }
}

fn parentheses_that_never_opened_are_refused(subject: &Subject) {
    refused(subject, ")".repeat(MANY));
    refused(subject, around(&")".repeat(MANY)));
    refused(subject, format!("{})", around("")));
}

fn comments_nested_without_end_are_refused(subject: &Subject) {
    refused(subject, "(;".repeat(MANY));
    refused(subject, format!("{}{}", "(;".repeat(MANY / 2), ";)".repeat(MANY / 2)));
    refused(subject, around(&"(;".repeat(MANY)));
    refused(subject, format!("{}{}", "(;".repeat(1000), ";)".repeat(1001)));
    refused(subject, ";;".repeat(MANY));
}

fn expressions_nested_without_end_are_refused(subject: &Subject) {
    // A recursive parser would run out of stack. The innermost expression has a wrong type.
    let sums = format!("{}(f64.const 1){}", "(i32.eqz ".repeat(30_000), ")".repeat(30_000));
    refused(subject, around(&format!("(func (drop {sums}))")));
    refused(subject, around(&format!("(func (drop {}", "(i32.eqz ".repeat(30_000))));
    refused(subject, around(&format!("(global i32 {sums})")));
    refused(subject, around(&format!("(data (offset {sums}) \"\")")));
}

fn blocks_nested_without_end_are_refused(subject: &Subject) {
    let depth = 10_000;
    for (open, closes) in [("(block ", 1), ("(loop ", 1), ("(if (i32.const 0) (then ", 2), ("(try_table ", 1)]
    {
        let (open, close) = (open.repeat(depth), ")".repeat(closes * depth));
        // In the innermost block there is nothing to drop; then one block is not closed, or one is
        // closed twice.
        refused(subject, around(&format!("(func {open} drop {close})")));
        refused(subject, around(&format!("(func {open} {close}")));
        refused(subject, around(&format!("(func {open} {close}))")));
    }
    refused(subject, around(&format!("(func {})", "block loop if ".repeat(30_000))));
}

fn strings_that_never_end_are_refused(subject: &Subject) {
    refused(subject, format!("(module \"{}", "x".repeat(MANY)));
    refused(subject, around(&format!("(data \"{}", "\\00".repeat(MANY / 3))));
    refused(subject, "\"".to_owned());
    refused(subject, around("(data \"a\nb\")"));
    refused(subject, around("(data \"a\0b\")"));
}

fn escapes_that_are_none_are_refused(subject: &Subject) {
    let huge = format!("\\u{{{}}}", "0".repeat(MANY));
    for escape in
        ["\\", "\\q", "\\0", "\\0g", "\\u{110000}", "\\u{d800}", "\\u{ffffffffff}", "\\u{", "\\u{}", &huge]
    {
        refused(subject, around(&format!("(export \"{escape}\" (func 9))")));
    }
    // An export's name must be UTF-8, although a string may hold any bytes.
    refused(subject, around(r#"(export "\ff\fe" (func 0))"#));
}

fn numbers_beyond_reason_are_refused(subject: &Subject) {
    let (nines, zeros) = ("9".repeat(MANY), "0".repeat(MANY));
    for number in
        ["4294967296", "-2147483649", "0x100000000", "0x", "1__0", "1_", "--1", "1e5", "nan", "inf", &nines]
    {
        refused(subject, around(&format!("(func (drop (i32.const {number})))")));
    }
    for number in
        ["0x1p", "nan:0x0", "nan:0x1000000", "1e", &format!("1e{nines}"), &format!("0x{zeros}.8p99999")]
    {
        refused(subject, around(&format!("(func (drop (f32.const {number})))")));
    }
    for memory in ["65537", "4294967296", "-1", &nines] {
        refused(subject, format!("(module (memory {memory}))"));
    }
    refused(subject, around(&format!("(func (drop (i32.load offset={nines} (i32.const 0))))")));
    refused(subject, around("(func (drop (i32.load align=3 (i32.const 0))))"));
    refused(subject, around(&format!("(func (drop (i32.load align={nines} (i32.const 0))))")));
}

fn bytes_that_are_no_text_are_refused(subject: &Subject) {
    for bytes in [
        &b"\xff\xfe(\0m\0o\0d\0"[..],
        b"\xef\xbb\xbf(module)",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\0",
        b"\x1b[2J",
    ] {
        refused(subject, bytes);
        refused(subject, [b"(module ", bytes, b")"].concat());
        refused(subject, [b"(module (; ", bytes, b" ;) (func (drop))"].concat());
    }
    // Characters that would reorder the text on a screen.
    refused(subject, around(";; \u{202e} \n"));
    refused(subject, around("(;\u{2066};)"));
}

fn names_that_refer_to_nothing_or_to_themselves_are_refused(subject: &Subject) {
    for more in [
        "(func (call $nowhere))",
        "(func (call 4294967295))",
        "(func (br $nowhere))",
        "(func $twice) (func $twice)",
        "(func (local $a i32) (local $a i32))",
        "(type $t (func (param (ref $t))))",
        "(type $a (struct (field (ref $b)))) (type $b (struct (field (ref $a))))",
        "(func (type $nowhere))",
        "(global $g i32 (global.get $g))",
        "(start $nowhere)",
        "(elem declare func $nowhere)",
        "(export \"x\" (table $nowhere))",
        "(alias outer 1 0 (core module $m))",
    ] {
        refused(subject, around(more));
    }
    // A name that is as long as the text.
    refused(subject, around(&format!("(func (call ${}))", "n".repeat(MANY))));
}

fn scripts_and_several_modules_are_refused(subject: &Subject) {
    refused(subject, format!("{0} {0}", around("")));
    refused(subject, format!("{} (assert_trap (invoke \"__guest_call\") \"\")", around("")));
    refused(subject, format!("(register \"wapc\") {}", around("")));
    refused(subject, "(component (core module))".to_owned());
    refused(subject, "(wast)".to_owned());
    refused(subject, String::new());
    refused(subject, " ".repeat(MANY));
}

fn a_module_quoted_in_a_module_is_refused(subject: &Subject) {
    refused(subject, r#"(module quote "(module")"#.to_owned());
    refused(subject, around("(module)"));
    refused(subject, r#"(module binary "\00asm")"#.to_owned());
    refused(subject, r#"(module binary "\00asm\01\00\00\00\01\ff\ff\ff\ff\0f")"#.to_owned());
    refused(subject, r#"(module binary "\00asm\0d\00\01\00")"#.to_owned());
}

fn a_line_of_a_megabyte_is_not_quoted_back(subject: &Subject) {
    // The mistake is in the middle of a line that is as long as the text.
    let half = "(func) ".repeat(70_000);
    refused(subject, around(&format!("{half} (mistake) {half}")));
    let letters = "\u{1f980}".repeat(100_000);
    refused(subject, around(&format!("(export \"{letters}\" (mistake))")));
}

fn text_over_its_limit_is_refused_unread(subject: &Subject) {
    // Two megabytes: of a valid module, of comments, and of bytes that no parser should see.
    let padded = |padding: &str| around(&padding.repeat((2 << 20) / padding.len()));
    for padding in [" ", ";; a comment\n", "(func) ", "(", "\"", "\\"] {
        refused(subject, padded(padding));
    }
}

fn hostile_text_is_no_replacement_either(subject: &Subject) {
    let host = subject.host(Guest::module(&around("")));
    for text in ["(".repeat(MANY), around("(func (drop))"), "(module quote \"\u{1b}[2J\")".to_owned()] {
        let error = host.replace(text.as_bytes()).unwrap_err();
        Failure::REPLACE_FAILED.check(&error);
        assert_eq!(cause(&error).kind(), ErrorKind::InvalidModule);
        assert!(error.to_string().len() < 5_000);
        Failure::MISBEHAVED.check(&host.call("run", b"").unwrap_err());
    }
}
