//! Modules whose sections lie: about their sizes, their counts, their order, and what they point
//! to.

use super::raw::{self, HEADER, Raw, body, body_with_locals, leb, name, padded_leb};
use crate::suite::{Case, Guest, Subject, case};
use crate::support::Failure;

pub(super) const CASES: &[Case] = &[
    case!(hostile_sections::numbers_longer_than_need_be_are_read).hostile(),
    case!(hostile_sections::numbers_longer_than_may_be_are_refused).hostile(),
    case!(hostile_sections::numbers_with_bits_beyond_their_type_are_refused).hostile(),
    case!(hostile_sections::a_section_that_says_it_is_shorter_is_refused).hostile(),
    case!(hostile_sections::a_section_that_says_it_is_longer_is_refused).hostile(),
    case!(hostile_sections::a_section_of_four_gibibytes_is_refused).hostile(),
    case!(hostile_sections::a_list_that_says_it_has_one_less_is_refused).hostile(),
    case!(hostile_sections::a_list_that_says_it_has_one_more_is_refused).hostile(),
    case!(hostile_sections::a_list_of_four_billion_is_refused).hostile(),
    case!(hostile_sections::a_section_twice_is_refused).hostile(),
    case!(hostile_sections::sections_out_of_order_are_refused).hostile(),
    case!(hostile_sections::a_section_that_is_missing_is_refused_or_missed).hostile(),
    case!(hostile_sections::sections_of_unknown_kinds_are_refused).hostile(),
    case!(hostile_sections::an_empty_list_of_each_kind_is_served).hostile(),
    case!(hostile_sections::functions_without_code_and_code_without_functions_are_refused).hostile(),
    case!(hostile_sections::a_data_count_that_lies_is_refused).hostile(),
    case!(hostile_sections::a_body_that_lies_about_its_size_is_refused).hostile(),
    case!(hostile_sections::code_that_does_not_end_or_goes_on_is_refused).hostile(),
    case!(hostile_sections::instructions_that_point_nowhere_are_refused).hostile(),
    case!(hostile_sections::opcodes_that_nobody_defined_are_refused).hostile(),
    case!(hostile_sections::types_that_are_none_are_refused).hostile(),
    case!(hostile_sections::a_start_that_is_no_start_is_refused).hostile(),
    case!(hostile_sections::exports_that_point_nowhere_are_refused).hostile(),
    case!(hostile_sections::names_that_are_not_text_are_refused).hostile(),
    case!(hostile_sections::globals_that_need_themselves_are_refused).hostile(),
    case!(hostile_sections::memories_that_contradict_themselves_are_refused).hostile(),
    case!(hostile_sections::tables_that_contradict_themselves_are_refused).hostile(),
];

/// Expects bytes to be refused as a module.
#[track_caller]
fn refused(subject: &Subject, what: &str, raw: &Raw) {
    match subject.start(raw.guest()) {
        Ok(_) => panic!("{what} is served"),
        Err(error) => {
            assert!(!error.message().is_empty(), "{what}");
            Failure::INVALID_MODULE.check(&error);
        }
    }
}

#[track_caller]
fn echoes(subject: &Subject, raw: &Raw) {
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

/// Returns modules in which one section is changed, for each section.
fn each_section(change: impl Fn(&mut raw::Section)) -> impl Iterator<Item = (u8, Raw)> {
    let echo = Raw::echo();
    (0..echo.sections.len()).map(move |at| {
        let mut raw = echo.clone();
        change(&mut raw.sections[at]);
        (raw.sections[at].id, raw)
    })
}

fn numbers_longer_than_need_be_are_read(subject: &Subject) {
    for (_, raw) in each_section(|section| {
        section.size = Some(padded_leb(section.content().len() as u64, 5));
    }) {
        echoes(subject, &raw);
    }
    echoes(subject, &Raw::echo().with(raw::EXPORTS, |exports| exports.count = Some(padded_leb(2, 5))));
    // In the code: 1, encoded in five bytes.
    let code = [0x41, 0x81, 0x80, 0x80, 0x80, 0, 0x1a, 0x0b];
    echoes(subject, &Raw::echo().functions(1, &code));
}

fn numbers_longer_than_may_be_are_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| {
        section.size = Some(padded_leb(section.content().len() as u64, 6));
    }) {
        refused(subject, &format!("a size of six bytes in section {id}"), &raw);
    }
    let endless = vec![0x80; 4096];
    refused(
        subject,
        "an endless count",
        &Raw::echo().with(raw::EXPORTS, |it| it.count = Some(endless.clone())),
    );
    for (type_of, opcode, bytes) in [("i32", 0x41, 6), ("i64", 0x42, 11)] {
        let code = [&[opcode][..], &padded_leb(1, bytes), &[0x1a, 0x0b]].concat();
        refused(subject, &format!("an {type_of} of {bytes} bytes"), &Raw::echo().functions(1, &code));
    }
}

fn numbers_with_bits_beyond_their_type_are_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| {
        // The low 32 bits are the true size.
        section.size = Some(leb((1 << 32) + section.content().len() as u64));
    }) {
        refused(subject, &format!("a size of 33 bits in section {id}"), &raw);
    }
    for last in [0x10, 0x70, 0x40] {
        let count = vec![0x82, 0x80, 0x80, 0x80, last];
        refused(subject, "a count of 35 bits", &Raw::echo().with(raw::EXPORTS, |it| it.count = Some(count)));
    }
    // A positive number whose sign bit says otherwise.
    let code = [0x41, 0xff, 0xff, 0xff, 0xff, 0x4f, 0x1a, 0x0b];
    refused(subject, "an i32 of 35 bits", &Raw::echo().functions(1, &code));
}

fn a_section_that_says_it_is_shorter_is_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| {
        section.size = Some(leb(section.content().len() as u64 - 1));
    }) {
        refused(subject, &format!("section {id}, a byte shorter"), &raw);
    }
    for (id, raw) in each_section(|section| section.size = Some(vec![0])) {
        refused(subject, &format!("section {id} of no bytes"), &raw);
    }
}

fn a_section_that_says_it_is_longer_is_refused(subject: &Subject) {
    for more in [1, 2, 100, 1 << 20] {
        for (id, raw) in each_section(|section| {
            section.size = Some(leb(section.content().len() as u64 + more));
        }) {
            refused(subject, &format!("section {id}, {more} bytes longer"), &raw);
        }
    }
}

fn a_section_of_four_gibibytes_is_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| section.size = Some(leb(u32::MAX.into()))) {
        refused(subject, &format!("section {id} of 4 GiB"), &raw);
    }
    let mut custom = Raw::echo().custom(b"padding", b"");
    custom.sections.last_mut().expect("the custom one").size = Some(leb(u32::MAX.into()));
    refused(subject, "a custom section of 4 GiB", &custom);
    // The length of its name is as large.
    let mut named = Raw::echo().custom(b"", b"");
    named.sections.last_mut().expect("the custom one").body = leb(u32::MAX.into());
    refused(subject, "a name of 4 GiB", &named);
}

fn a_list_that_says_it_has_one_less_is_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| {
        let count = section.content()[0];
        section.count = Some(vec![count - 1]);
    }) {
        refused(subject, &format!("section {id}, one entry less"), &raw);
    }
}

fn a_list_that_says_it_has_one_more_is_refused(subject: &Subject) {
    for (id, raw) in each_section(|section| {
        let count = section.content()[0];
        section.count = Some(vec![count + 1]);
    }) {
        refused(subject, &format!("section {id}, one entry more"), &raw);
    }
}

fn a_list_of_four_billion_is_refused(subject: &Subject) {
    // No memory may be reserved for entries that do not exist.
    for count in [u32::MAX, 0x8000_0000, 0x7fff_ffff, 1_000_001, 100_001] {
        for (id, raw) in each_section(|section| section.count = Some(leb(count.into()))) {
            refused(subject, &format!("section {id} of {count} entries"), &raw);
        }
    }
}

fn a_section_twice_is_refused(subject: &Subject) {
    let echo = Raw::echo();
    for at in 0..echo.sections.len() {
        for to in [at, echo.sections.len()] {
            let mut raw = echo.clone();
            raw.sections.insert(to, echo.sections[at].clone());
            refused(subject, &format!("section {} twice", echo.sections[at].id), &raw);
        }
    }
}

fn sections_out_of_order_are_refused(subject: &Subject) {
    let echo = Raw::echo();
    for one in 0..echo.sections.len() {
        for other in one + 1..echo.sections.len() {
            let mut raw = echo.clone();
            raw.sections.swap(one, other);
            let (one, other) = (echo.sections[one].id, echo.sections[other].id);
            refused(subject, &format!("sections {one} and {other} swapped"), &raw);
        }
    }
}

fn a_section_that_is_missing_is_refused_or_missed(subject: &Subject) {
    let echo = Raw::echo();
    for at in 0..echo.sections.len() {
        let mut raw = echo.clone();
        let id = raw.sections.remove(at).id;
        refused(subject, &format!("without section {id}"), &raw);
    }
    refused(subject, "without any section", &Raw::empty());
}

fn sections_of_unknown_kinds_are_refused(subject: &Subject) {
    for id in [14, 15, 64, 127, 128, 255] {
        for at in [0, Raw::echo().sections.len()] {
            let mut raw = Raw::echo().custom(b"", b"");
            let mut unknown = raw.sections.pop().expect("the custom one");
            unknown.id = id;
            raw.sections.insert(at, unknown);
            refused(subject, &format!("section {id} at {at}"), &raw);
        }
    }
}

fn an_empty_list_of_each_kind_is_served(subject: &Subject) {
    let mut raw = Raw::echo();
    for id in [raw::TABLES, raw::GLOBALS, raw::ELEMENTS, raw::DATA] {
        raw = raw.add(id, 0, &[]);
    }
    raw = raw.add(raw::DATA_COUNT, 0, &[0]).custom(b"", b"");
    echoes(subject, &raw);
}

fn functions_without_code_and_code_without_functions_are_refused(subject: &Subject) {
    refused(subject, "a function without code", &Raw::echo().add(raw::FUNCTIONS, 1, &[2]));
    refused(subject, "code without a function", &Raw::echo().add(raw::CODE, 1, &body(&[0x0b])));
    for ty in [3, 0x7f, u32::MAX] {
        let raw = Raw::echo().add(raw::FUNCTIONS, 1, &leb(ty.into())).add(raw::CODE, 1, &body(&[0x0b]));
        refused(subject, &format!("a function of type {ty}"), &raw);
    }
}

fn a_data_count_that_lies_is_refused(subject: &Subject) {
    let raw = Raw::echo().add(raw::DATA, 1, &[1, 1, b'x']);
    echoes(subject, &raw.clone().add(raw::DATA_COUNT, 0, &[1]));
    for count in [0, 2, u32::MAX] {
        let raw = raw.clone().add(raw::DATA_COUNT, 0, &leb(count.into()));
        refused(subject, &format!("a data count of {count}"), &raw);
    }
    refused(subject, "a data count without data", &Raw::echo().add(raw::DATA_COUNT, 0, &[1]));
    // memory.init without a data count.
    let code = [0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 8, 0, 0, 0x0b];
    refused(subject, "no data count", &raw.functions(1, &code));
}

fn a_body_that_lies_about_its_size_is_refused(subject: &Subject) {
    for size in [0, 1, 3, 4, 1000, u32::MAX] {
        let entry = [leb(size.into()), vec![0, 0x0b]].concat();
        let raw = Raw::echo().add(raw::FUNCTIONS, 1, &[2]).add(raw::CODE, 1, &entry);
        refused(subject, &format!("a body of {size} bytes"), &raw);
    }
}

fn code_that_does_not_end_or_goes_on_is_refused(subject: &Subject) {
    let bodies: [(&str, &[u8]); 8] = [
        ("no end", &[0x01]),
        ("no code", &[]),
        ("two ends", &[0x0b, 0x0b]),
        ("code behind the end", &[0x0b, 0x01]),
        ("a block without end", &[0x02, 0x40, 0x0b]),
        ("an else without if", &[0x05, 0x0b]),
        ("two elses", &[0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b, 0x0b]),
        ("half an instruction", &[0x41]),
    ];
    for (what, code) in bodies {
        refused(subject, what, &Raw::echo().functions(1, code));
    }
}

fn instructions_that_point_nowhere_are_refused(subject: &Subject) {
    let codes: [(&str, &[u8]); 14] = [
        ("a local", &[0x20, 0, 0x1a, 0x0b]),
        ("a local of four billion", &[0x20, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a, 0x0b]),
        ("a global", &[0x23, 0, 0x1a, 0x0b]),
        ("a function", &[0x10, 4, 0x0b]),
        ("a label", &[0x0c, 1, 0x0b]),
        ("a label of four billion", &[0x0c, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b]),
        ("a table", &[0x41, 0, 0x11, 2, 0, 0x0b]),
        ("a type", &[0x41, 0, 0x11, 9, 0, 0x0b]),
        ("another memory", &[0x41, 0, 0x28, 0x42, 1, 0, 0x1a, 0x0b]),
        ("an alignment of more than the value", &[0x41, 0, 0x28, 3, 0, 0x1a, 0x0b]),
        ("an alignment of 2^31", &[0x41, 0, 0x28, 31, 0, 0x1a, 0x0b]),
        ("an offset of 64 bits", &[0x41, 0, 0x28, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a, 0x0b]),
        ("a function that was never declared", &[0xd2, 3, 0x1a, 0x0b]),
        ("a lane", &[&[0xfd, 12][..], &[0; 16], &[0xfd, 21, 16, 0x1a, 0x0b]].concat()),
    ];
    for (what, code) in codes {
        refused(subject, what, &Raw::echo().functions(1, code));
    }
}

fn opcodes_that_nobody_defined_are_refused(subject: &Subject) {
    for opcode in [0x06, 0x17, 0x1d, 0x27, 0xc5, 0xcf, 0xd7, 0xe5, 0xf0, 0xf8, 0xff] {
        refused(subject, &format!("opcode {opcode:x}"), &Raw::echo().functions(1, &[opcode, 0x0b]));
    }
    for (prefix, opcode) in [(0xfb, 99), (0xfc, 99), (0xfd, 999), (0xfe, 99), (0xfc, u32::MAX)] {
        let code = [&[prefix][..], &leb(opcode.into()), &[0x0b]].concat();
        refused(subject, &format!("opcode {prefix:x} {opcode}"), &Raw::echo().functions(1, &code));
    }
}

fn types_that_are_none_are_refused(subject: &Subject) {
    let types: [&[u8]; 9] = [
        &[0x61, 0, 0],
        &[0, 0, 0],
        &[0xff, 0, 0],
        &[0x60, 1, 0, 0],
        &[0x60, 1, 0x40, 0],
        &[0x60, 1, 0x60, 0],
        &[0x5f, 0],                                     // a structure
        &[0x4e, 2, 0x60, 0, 0, 0x5f, 0],                // a group with one
        &[0x60, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0], // four billion parameters
    ];
    for ty in types {
        refused(subject, &format!("type {ty:x?}"), &Raw::echo().add(raw::TYPES, 1, ty));
    }
    let local = body_with_locals(&[1, 1, 0x40], &[0x0b]);
    refused(
        subject,
        "a local of no type",
        &Raw::echo().add(raw::FUNCTIONS, 1, &[2]).add(raw::CODE, 1, &local),
    );
}

fn a_start_that_is_no_start_is_refused(subject: &Subject) {
    // A function that does not exist (twice), an import of two parameters, the guest's call,
    // nothing, and too many bytes.
    for start in [&[99][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0], &[2], &[], &[3, 3]] {
        let raw = Raw::echo().functions(1, &[0x0b]).add(raw::START, 0, start);
        refused(subject, &format!("start {start:x?}"), &raw);
    }
    echoes(subject, &Raw::echo().functions(1, &[0x0b]).add(raw::START, 0, &[3]));
}

fn exports_that_point_nowhere_are_refused(subject: &Subject) {
    for (kind, index) in [(0, 3), (0, u32::MAX), (1, 0), (2, 1), (3, 0), (4, 0), (5, 0), (0x7f, 0)] {
        let export = [name("more"), vec![kind], leb(index.into())].concat();
        refused(
            subject,
            &format!("export of kind {kind}, {index}"),
            &Raw::echo().add(raw::EXPORTS, 1, &export),
        );
    }
}

fn names_that_are_not_text_are_refused(subject: &Subject) {
    let surrogate = [0xed, 0xa0, 0x80];
    for bytes in [&[0xff][..], &[0xc0, 0x80], &surrogate, &[0xf4, 0x90, 0x80, 0x80], &[b'a', 0xe2, 0x82]] {
        let export = [&name(bytes)[..], &[0, 2]].concat();
        refused(subject, "an export's name", &Raw::echo().add(raw::EXPORTS, 1, &export));
        let import = [&name(bytes)[..], &name("name"), &[0, 0]].concat();
        refused(subject, "an import's module", &Raw::echo().add(raw::IMPORTS, 1, &import));
        let import = [&name("wapc")[..], &name(bytes), &[0, 0]].concat();
        refused(subject, "an import's name", &Raw::echo().add(raw::IMPORTS, 1, &import));
        refused(subject, "a custom section's name", &Raw::echo().custom(bytes, b""));
    }
}

fn globals_that_need_themselves_are_refused(subject: &Subject) {
    let globals: [&[u8]; 7] = [
        &[0x7f, 0, 0x23, 2, 0x23, 2, 0x6a, 0x0b], // the sum of later ones
        &[0x7f, 0, 0x23, 0, 0x0b],                // itself
        &[0x7f, 0, 0x23, 1, 0x0b],                // the next one
        &[0x7f, 0, 0x42, 0, 0x0b],                // of another type
        &[0x7f, 2, 0x41, 0, 0x0b],                // of no mutability
        &[0x7f, 0, 0x10, 2, 0x0b],                // a call
        &[0x70, 0, 0xd2, 0x7f, 0x0b],             // a function of nowhere
    ];
    for global in globals {
        refused(subject, &format!("global {global:x?}"), &Raw::echo().add(raw::GLOBALS, 1, global));
    }
}

fn memories_that_contradict_themselves_are_refused(subject: &Subject) {
    let memory = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        Raw::echo().with(raw::MEMORIES, |section| section.body = bytes)
    };
    echoes(subject, &memory(&[1, 1, 0x80, 0x80, 4])); // at most 65,536 pages: all that there are
    for (what, bytes) in [
        ("a minimum above the maximum", &[1, 2, 1][..]),
        ("a maximum of 65,537 pages", &[1, 1, 0x81, 0x80, 4]),
        ("65,537 pages at first", &[0, 0x81, 0x80, 4]),
        ("65,536 pages at first", &[0, 0x80, 0x80, 4]),
        ("65,536 pages, and no more", &[1, 0x80, 0x80, 4, 0x80, 0x80, 4]),
        ("four billion pages", &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("undefined flags", &[0x10, 1]),
        ("a page of one byte", &[8, 1, 0]),
    ] {
        refused(subject, what, &memory(bytes));
    }
    for memories in [2, 101, 1000] {
        refused(subject, "several memories", &Raw::echo().many(raw::MEMORIES, memories - 1, &[0, 0]));
    }
}

fn tables_that_contradict_themselves_are_refused(subject: &Subject) {
    echoes(subject, &Raw::echo().add(raw::TABLES, 1, &[0x70, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    for (what, bytes) in [
        ("a minimum above the maximum", &[0x70, 1, 2, 1][..]),
        ("four billion elements", &[0x70, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("ten million and one elements", &[0x70, 0, 0x81, 0xad, 0xe2, 4]),
        ("elements that are numbers", &[0x7f, 0, 1]),
        ("undefined flags", &[0x70, 0x10, 1]),
        ("64-bit indices", &[0x70, 4, 1]),
    ] {
        refused(subject, what, &Raw::echo().add(raw::TABLES, 1, bytes));
    }
    // A header alone is not a guest, and neither is a module of another version.
    for version in [0, 2, 0x0d, 255] {
        let bytes = [&HEADER[..4], &[version, 0, 0, 0], &Raw::echo().bytes()[8..]].concat();
        subject.refuses(Guest::binary(bytes), Failure::INVALID_MODULE);
    }
}
