//! Too many of everything, and everything too large: up to the engine's own limits and over them.

use super::raw::{self, Raw, body, body_with_locals, leb, name};
use crate::suite::{Case, Guest, Need, Subject, case};
use crate::support::{Failure, says};

pub(super) const CASES: &[Case] = &[
    case!(hostile_crowds::two_thousand_functions_are_served).hostile(),
    case!(hostile_crowds::a_hundred_thousand_and_one_functions_are_refused).hostile(),
    case!(hostile_crowds::thirty_thousand_locals_are_served_and_one_more_is_not).hostile(),
    case!(hostile_crowds::locals_that_count_to_four_billion_are_refused).hostile(),
    case!(hostile_crowds::declarations_of_no_locals_are_served_by_the_thousand).hostile(),
    case!(hostile_crowds::a_hundred_thousand_and_one_types_are_refused).hostile(),
    case!(hostile_crowds::a_thousand_parameters_and_results_are_served_and_one_more_is_not).hostile(),
    case!(hostile_crowds::a_thousand_exports_are_served_and_a_hundred_thousand_and_one_are_not).hostile(),
    case!(hostile_crowds::exports_of_one_name_are_refused_whatever_they_are).hostile(),
    case!(hostile_crowds::exports_with_names_of_100_kilobytes_are_served).hostile(),
    case!(hostile_crowds::ten_thousand_globals_are_served_and_a_hundred_thousand_and_one_are_not).hostile(),
    case!(hostile_crowds::ten_tables_are_served_and_eleven_are_not).needs(&[Need::MemoryLimit]).hostile(),
    case!(hostile_crowds::tables_that_are_full_from_the_start_are_served)
        .needs(&[Need::MemoryLimit])
        .hostile(),
    case!(hostile_crowds::blocks_nested_a_thousand_deep_are_served).hostile(),
    case!(hostile_crowds::a_stack_of_ten_thousand_operands_is_served).hostile(),
    case!(hostile_crowds::a_jump_table_of_fifty_thousand_is_served_and_one_of_a_hundred_thousand_is_not)
        .hostile(),
    case!(hostile_crowds::a_function_over_the_engines_size_is_refused).hostile(),
    case!(hostile_crowds::a_custom_section_of_15_mebibytes_is_served).hostile(),
    case!(hostile_crowds::ten_thousand_custom_sections_are_served_and_a_hundred_thousand_and_one_are_not)
        .hostile(),
    case!(hostile_crowds::names_for_humans_may_be_garbage).hostile(),
    case!(hostile_crowds::names_of_functions_cannot_swell_a_backtrace).hostile(),
    case!(hostile_crowds::names_of_functions_cannot_reach_a_terminal).hostile(),
    case!(hostile_crowds::producers_may_be_garbage).hostile(),
    case!(hostile_crowds::a_module_one_byte_over_its_limit_is_refused_unread).hostile(),
];

#[track_caller]
fn echoes(subject: &Subject, raw: &Raw) {
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

#[track_caller]
fn refused(subject: &Subject, raw: &Raw) {
    subject.refuses(raw.guest(), Failure::INVALID_MODULE);
}

fn two_thousand_functions_are_served(subject: &Subject) {
    // Each further function costs the compiler a fraction of a millisecond.
    echoes(subject, &Raw::echo().functions(2_000, &[0x0b]));
}

fn a_hundred_thousand_and_one_functions_are_refused(subject: &Subject) {
    for count in [100_001, 1_000_001] {
        refused(subject, &Raw::echo().functions(count, &[0x0b]));
    }
}

/// Returns a guest with a function whose locals come in groups of these sizes.
fn with_locals(groups: &[u64]) -> Raw {
    let locals: Vec<u8> = groups.iter().flat_map(|count| [leb(*count), vec![0x7f]].concat()).collect();
    let locals = [leb(groups.len() as u64), locals].concat();
    Raw::echo().add(raw::FUNCTIONS, 1, &[2]).add(raw::CODE, 1, &body_with_locals(&locals, &[0x0b]))
}

fn thirty_thousand_locals_are_served_and_one_more_is_not(subject: &Subject) {
    for groups in [&[30_000][..], &[15_000, 15_000]] {
        echoes(subject, &with_locals(groups));
    }
    for groups in [&[30_001][..], &[30_000, 1], &[1; 30_001]] {
        refused(subject, &with_locals(groups));
    }
    // Parameters count as well.
    let locals = body_with_locals(&[&[1][..], &leb(29_999), &[0x7f]].concat(), &[0x41, 1, 0x0b]);
    refused(subject, &Raw::echo().add(raw::FUNCTIONS, 1, &[1]).add(raw::CODE, 1, &locals));
}

fn locals_that_count_to_four_billion_are_refused(subject: &Subject) {
    let most = u64::from(u32::MAX);
    for groups in [&[most][..], &[most, 1], &[most, most], &[0x8000_0000, 0x8000_0000]] {
        refused(subject, &with_locals(groups));
    }
}

fn declarations_of_no_locals_are_served_by_the_thousand(subject: &Subject) {
    echoes(subject, &with_locals(&vec![0; 100_000]));
}

fn a_hundred_thousand_and_one_types_are_refused(subject: &Subject) {
    echoes(subject, &Raw::echo().many(raw::TYPES, 10_000, &[0x60, 0, 0]));
    refused(subject, &Raw::echo().many(raw::TYPES, 100_001, &[0x60, 0, 0]));
}

fn a_thousand_parameters_and_results_are_served_and_one_more_is_not(subject: &Subject) {
    let ty = |params: usize, results: usize| {
        [&[0x60][..], &leb(params as u64), &vec![0x7f; params], &leb(results as u64), &vec![0x7f; results]]
            .concat()
    };
    // A function that returns its parameters.
    let gets: Vec<u8> = (0..1000).flat_map(|i| [vec![0x20], leb(i)].concat()).chain([0x0b]).collect();
    let raw = Raw::echo().add(raw::TYPES, 1, &ty(1000, 1000)).add(raw::FUNCTIONS, 1, &[3]).add(
        raw::CODE,
        1,
        &body(&gets),
    );
    echoes(subject, &raw);
    for (params, results) in [(1001, 0), (0, 1001), (100_000, 100_000)] {
        refused(subject, &Raw::echo().add(raw::TYPES, 1, &ty(params, results)));
    }
}

fn a_thousand_exports_are_served_and_a_hundred_thousand_and_one_are_not(subject: &Subject) {
    let exports =
        |count| Raw::echo().each(raw::EXPORTS, count, |i| [name(format!("{i}")), vec![0, 2]].concat());
    echoes(subject, &exports(1_000));
    refused(subject, &exports(100_001));
}

fn exports_of_one_name_are_refused_whatever_they_are(subject: &Subject) {
    for (export, kind) in [("__guest_call", 0), ("__guest_call", 2), ("memory", 0), ("memory", 2)] {
        let again = [name(export), vec![kind, 0]].concat();
        refused(subject, &Raw::echo().add(raw::EXPORTS, 1, &again));
    }
    let empty = [name(""), vec![0, 2]].concat();
    echoes(subject, &Raw::echo().add(raw::EXPORTS, 1, &empty));
    refused(subject, &Raw::echo().many(raw::EXPORTS, 2, &empty));
}

fn exports_with_names_of_100_kilobytes_are_served(subject: &Subject) {
    let exports =
        |length| Raw::echo().each(raw::EXPORTS, 20, |i| [name(format!("{i:0length$}")), vec![0, 2]].concat());
    echoes(subject, &exports(60_000));
    let longest = |length| Raw::echo().add(raw::EXPORTS, 1, &[name("n".repeat(length)), vec![0, 2]].concat());
    echoes(subject, &longest(100_000));
    refused(subject, &longest(100_001));
}

fn ten_thousand_globals_are_served_and_a_hundred_thousand_and_one_are_not(subject: &Subject) {
    let globals = |count| Raw::echo().many(raw::GLOBALS, count, &[0x7f, 1, 0x41, 0, 0x0b]);
    echoes(subject, &globals(10_000));
    for count in [100_001, 1_000_001] {
        refused(subject, &globals(count));
    }
}

fn ten_tables_are_served_and_eleven_are_not(subject: &Subject) {
    let tables = |count| Raw::echo().many(raw::TABLES, count, &[0x70, 0, 0]);
    echoes(subject, &tables(10));
    for count in [11, 101, 10_000] {
        says(subject.refuses(tables(count).guest(), Failure::INVALID_MODULE), &["table"]);
    }
}

fn tables_that_are_full_from_the_start_are_served(subject: &Subject) {
    let full = [&[0x70, 0][..], &leb(20_000)].concat();
    echoes(subject, &Raw::echo().many(raw::TABLES, 10, &full));
    let over = [&[0x70, 0][..], &leb(20_001)].concat();
    let error = subject.refuses(
        Raw::echo().many(raw::TABLES, 9, &full).add(raw::TABLES, 1, &over).guest(),
        Failure::INVALID_MODULE,
    );
    says(&error, &["20001", "20000"]);
}

fn blocks_nested_a_thousand_deep_are_served(subject: &Subject) {
    // The cost of deeper ones grows with the square of their depth.
    let depth = 1_000;
    for (open, inner) in [(&[0x02, 0x40][..], &[][..]), (&[0x03, 0x40], &[]), (&[0x41, 1, 0x04, 0x40], &[])] {
        let code = [open.repeat(depth), inner.to_vec(), vec![0x0b; depth + 1]].concat();
        echoes(subject, &Raw::echo().functions(1, &code));
    }
    // Each block has a jump to the outermost one.
    let mut code = [0x02, 0x40].repeat(depth);
    code.extend([&[0x41, 0, 0x0d][..], &leb(depth as u64 - 1)].concat().repeat(depth));
    code.extend(vec![0x0b; depth + 1]);
    echoes(subject, &Raw::echo().functions(1, &code));
}

fn a_stack_of_ten_thousand_operands_is_served(subject: &Subject) {
    let count = 10_000;
    let code = [[0x41, 1].repeat(count), vec![0x6a; count - 1], vec![0x1a, 0x0b]].concat();
    echoes(subject, &Raw::echo().functions(1, &code));
    // One operand less than the sums need.
    let code = [[0x41, 1].repeat(count), vec![0x6a; count], vec![0x1a, 0x0b]].concat();
    refused(subject, &Raw::echo().functions(1, &code));
}

fn a_jump_table_of_fifty_thousand_is_served_and_one_of_a_hundred_thousand_is_not(subject: &Subject) {
    let jumps = |count: usize, targets: usize| {
        [&[0x02, 0x40, 0x41, 0, 0x0e][..], &leb(count as u64), &vec![0; targets + 1], &[0x0b, 0x0b]].concat()
    };
    echoes(subject, &Raw::echo().functions(1, &jumps(50_000, 50_000)));
    for count in [100_000, 7_654_320, u32::MAX as usize] {
        refused(subject, &Raw::echo().functions(1, &jumps(count, 100_000)));
    }
}

fn a_function_over_the_engines_size_is_refused(subject: &Subject) {
    // A body may have at most 7,654,321 bytes.
    let code = [vec![0x01; 7_654_321], vec![0x0b]].concat();
    refused(subject, &Raw::echo().functions(1, &code));
}

fn a_custom_section_of_15_mebibytes_is_served(subject: &Subject) {
    echoes(subject, &Raw::echo().custom(b"padding", &vec![0xff; 15 << 20]));
    let error = subject
        .refuses(Raw::echo().custom(b"padding", &vec![0xff; 16 << 20]).guest(), Failure::INVALID_MODULE);
    says(&error, &["16777216"]);
}

fn ten_thousand_custom_sections_are_served_and_a_hundred_thousand_and_one_are_not(subject: &Subject) {
    let custom = |count: usize| {
        let mut raw = Raw::echo().custom(b"x", b"");
        let one = raw.sections.pop().expect("the custom one");
        raw.sections.extend(vec![one; count]);
        raw
    };
    echoes(subject, &custom(10_000));
    refused(subject, &custom(100_001));
}

/// Returns the content of a name section that has only names of functions, with this map.
fn names(map: &[u8]) -> Vec<u8> {
    [&[1][..], &leb(map.len() as u64), map].concat()
}

fn names_for_humans_may_be_garbage(subject: &Subject) {
    // No engine may depend on names, so none of these is a reason to refuse a guest.
    let sections: [Vec<u8>; 8] = [
        vec![0xff; 1000],
        names(&leb(u32::MAX.into())),
        [&[1][..], &leb(u32::MAX.into())].concat(),
        names(&[&leb(1)[..], &leb(u32::MAX.into()), &name("nowhere")].concat()),
        names(&[&leb(3)[..], &[2], &name("one"), &[2], &name("two"), &[1], &name("back")].concat()),
        names(&[&leb(1)[..], &[2], &name([0xff, 0xfe])].concat()),
        names(&[&leb(1)[..], &[2], &leb(u32::MAX.into())].concat()),
        [names(&[0]), names(&[0]), vec![0x7f, 0]].concat(),
    ];
    for section in &sections {
        echoes(subject, &Raw::echo().custom(b"name", section));
    }
    let both = sections.iter().fold(Raw::echo(), |raw, section| raw.custom(b"name", section));
    echoes(subject, &both);
}

/// Returns a mangled name whose type arguments are nested pairs. The second of each pair refers
/// back to the first, so each level doubles the length of the demangled name.
fn doubling(levels: usize) -> String {
    fn pair(levels: usize, at: usize) -> String {
        if levels == 0 {
            return "y".into();
        }
        // Positions are numbers in base 62, encoded as one less.
        let digits: Vec<char> = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
        let back = match at {
            0 => String::new(),
            at => digits[at - 1].to_string(),
        };
        format!("T{}B{back}_E", pair(levels - 1, at + 1))
    }
    let start = "INvC1a1f";
    format!("_R{start}{}E", pair(levels, start.len() + 1))
}

fn names_of_functions_cannot_swell_a_backtrace(subject: &Subject) {
    // The function that traps calls itself, so every frame has its name.
    for hostile in [&doubling(30), &"n".repeat(90_000), "_ZN4core3fmt17h0123456789abcdefE", ""] {
        let frames = frames_of(subject, hostile);
        // An engine need not report frames.
        assert!(frames.is_empty() || frames.lines().count() >= 10, "{frames}");
        assert!(frames.len() < 64 << 10, "{} bytes of frames", frames.len());
    }
}

fn names_of_functions_cannot_reach_a_terminal(subject: &Subject) {
    let hostile = "\x1b]0;title\x07\x1b[2J\r\n0: forged at 0x0\u{9b}31m\u{202e}";
    let frames = frames_of(subject, hostile);
    assert!(!frames.chars().any(|char| char.is_control() && char != '\n'), "{frames:?}");
    assert!(!frames.lines().any(|line| line.starts_with("0: forged")), "{frames:?}");
}

/// Returns the frames of a trap, thirty calls deep in a function of this name.
fn frames_of(subject: &Subject, title: &str) -> String {
    // Calls itself until its parameter is zero, then traps.
    let code = [0x20, 0, 0x45, 0x04, 0x40, 0x00, 0x0b, 0x20, 0, 0x41, 1, 0x6b, 0x41, 0, 0x10, 3, 0x0b];
    let call = [0x41, 30, 0x41, 0, 0x10, 3, 0x0b];
    let map = [&leb(1)[..], &[3], &name(title)].concat();
    let exports = [name("memory"), vec![2, 0], name("__guest_call"), vec![0, 4]].concat();
    let raw = Raw::echo()
        .add(raw::FUNCTIONS, 2, &[1, 1])
        .add(raw::CODE, 1, &body(&code))
        .add(raw::CODE, 1, &body(&call))
        .with(raw::EXPORTS, |section| section.body = exports)
        .custom(b"name", &names(&map));
    let error = subject.host(raw.guest()).call("run", b"").unwrap_err();
    Failure::TRAPPED.check(&error);
    assert!(error.to_string().len() < 1 << 10, "{} bytes of text", error.to_string().len());
    error.backtrace().unwrap_or_default().to_owned()
}

fn producers_may_be_garbage(subject: &Subject) {
    let many = [name("x"), name("y")].concat().repeat(50_000);
    for section in [
        vec![0xff; 1000],
        leb(u32::MAX.into()),
        [&leb(1)[..], &name("language"), &leb(u32::MAX.into())].concat(),
        [&leb(1)[..], &name("language"), &leb(50_000), &many].concat(),
        [&leb(1)[..], &name([0xff]), &leb(0)].concat(),
    ] {
        let guest = Raw::echo().custom(b"producers", &section).guest();
        let factory = subject.factory(&guest).unwrap();
        assert!(factory.module_info().producers.len() <= 1_000);
        assert_eq!(subject.start_on(&*factory, guest).unwrap().answer("echo", b"served"), b"served");
    }
}

fn a_module_one_byte_over_its_limit_is_refused_unread(subject: &Subject) {
    let bytes = Raw::echo().custom(b"padding", &[0; 1000]).bytes();
    let limit = |module: usize| antiphon::Limits::new().module(module as u64);
    let at_limit = Guest::binary(bytes.clone()).limits(limit(bytes.len()));
    assert_eq!(subject.host(at_limit).answer("echo", b"served"), b"served");
    let over = Guest::binary(bytes.clone()).limits(limit(bytes.len() - 1));
    says(subject.refuses(over, Failure::INVALID_MODULE), &[&bytes.len().to_string()]);
    // 17 MiB of anything: of header, spaces, text.
    for byte in [0, b' ', b'(', 0xff] {
        let mut bytes = vec![byte; 17 << 20];
        subject.refuses(Guest::binary(bytes.clone()), Failure::INVALID_MODULE);
        bytes[..8].copy_from_slice(raw::HEADER);
        subject.refuses(Guest::binary(bytes), Failure::INVALID_MODULE);
    }
}
