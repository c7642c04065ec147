//! Modules that are within every limit but costly to compile: small ones that would need gigabytes
//! of a compiler's memory, and large ones that would take minutes. They are refused before an
//! engine sees them. Modules that are merely large are served.

use std::time::Duration;

use super::raw::{self, Raw, body, body_with_locals, leb};
use crate::suite::{Case, Subject, case};
use crate::support::{Failure, says};

/// The bound for a refused module, which is only read: a few times its own size.
const READ: (Duration, u64) = (Duration::from_secs(3), 128 << 20);

/// The bound for a served module that costs at least half of what is allowed.
const COMPILED: (Duration, u64) = (Duration::from_secs(30), 256 << 20);

pub(super) const CASES: &[Case] = &[
    case!(hostile_costs::calls_of_a_thousand_values_are_refused_by_the_hundred).within(READ.0, READ.1),
    case!(hostile_costs::fifty_calls_of_a_thousand_values_are_served).within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::blocks_with_many_values_are_refused_by_the_hundred).within(READ.0, READ.1),
    case!(hostile_costs::ifs_that_choose_values_are_refused_by_the_thousand).within(READ.0, READ.1),
    case!(hostile_costs::a_thousand_ifs_that_choose_values_are_served).within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::many_locals_over_many_blocks_are_refused).within(READ.0, READ.1),
    case!(hostile_costs::a_thousand_locals_over_five_hundred_blocks_are_served)
        .within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::functions_full_of_locals_are_refused_by_the_thousand).within(READ.0, READ.1),
    case!(hostile_costs::looks_into_tables_are_refused_by_the_ten_thousand).within(READ.0, READ.1),
    case!(hostile_costs::calls_into_the_engine_are_refused_by_the_hundred_thousand).within(READ.0, READ.1),
    case!(hostile_costs::additions_are_refused_by_the_million).within(READ.0, READ.1),
    case!(hostile_costs::a_hundred_thousand_operators_and_a_thousand_jumps_are_served)
        .within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::empty_functions_are_served_by_the_ten_thousand_and_refused_tenfold)
        .within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::loops_nested_ten_thousand_deep_are_refused).within(READ.0, READ.1),
    case!(hostile_costs::blocks_nested_ten_thousand_deep_are_served_and_deeper_ones_are_not)
        .within(COMPILED.0, COMPILED.1),
    case!(hostile_costs::wide_types_are_refused_by_the_ten_thousand).within(READ.0, READ.1),
    case!(hostile_costs::different_types_are_refused_by_the_ten_thousand).within(READ.0, READ.1),
    case!(hostile_costs::constants_that_are_computed_for_megabytes_are_refused).within(READ.0, READ.1),
];

/// Names the first function that is added to the echo guest, whose functions end with index 2.
const FIRST: &str = "function 3 ";

#[track_caller]
fn echoes(subject: &Subject, raw: &Raw) {
    assert_eq!(subject.host(raw.guest()).answer("echo", b"served"), b"served");
}

/// Expects that a module is refused for its cost, and that the error names the place.
#[track_caller]
fn too_costly(subject: &Subject, raw: &Raw, parts: &[&str]) {
    let error = subject.refuses(raw.guest(), Failure::INVALID_MODULE);
    says(&error, &["too costly to compile: "]);
    says(&error, parts);
}

/// Returns a type of so many `i32` parameters and results.
fn ty(params: usize, results: usize) -> Vec<u8> {
    let list = |count: usize| [leb(count as u64), vec![0x7f; count]].concat();
    [vec![0x60], list(params), list(results)].concat()
}

/// Returns a guest with a function that takes and returns `values` values and calls itself `calls`
/// times.
fn calls_of(values: usize, calls: usize) -> Raw {
    let gets = (0..values as u64).flat_map(|i| [vec![0x20], leb(i)].concat());
    let code: Vec<u8> = gets.chain([0x10, 3].repeat(calls)).chain([0x0b]).collect();
    Raw::echo().add(raw::TYPES, 1, &ty(values, values)).add(raw::FUNCTIONS, 1, &[3]).add(
        raw::CODE,
        1,
        &body(&code),
    )
}

fn calls_of_a_thousand_values_are_refused_by_the_hundred(subject: &Subject) {
    for calls in [100, 1_000] {
        too_costly(subject, &calls_of(1_000, calls), &[FIRST, "over the bound of"]);
    }
    too_costly(subject, &calls_of(10, 10_000), &[FIRST]);
}

fn fifty_calls_of_a_thousand_values_are_served(subject: &Subject) {
    echoes(subject, &calls_of(1_000, 50));
}

/// Returns a guest with a function that puts 100 values on its stack and then runs `code`, which
/// takes and leaves them: type 3.
fn over_a_hundred_values(code: &[u8]) -> Raw {
    let code = [&[0x41, 1].repeat(100), code, &[0x1a; 100][..], &[0x0b]].concat();
    Raw::echo().add(raw::TYPES, 1, &ty(100, 100)).functions(1, &code)
}

fn blocks_with_many_values_are_refused_by_the_hundred(subject: &Subject) {
    // Three bytes each. A compiler may keep a table of all values by all blocks: a thousand such
    // loops took gigabytes.
    for (code, count) in
        [(&[0x03, 3, 0x0b][..], 200), (&[0x02, 3, 0x0b], 500), (&[0x41, 0, 0x04, 3, 0x05, 0x0b], 200)]
    {
        echoes(subject, &over_a_hundred_values(&code.repeat(50)));
        for count in [count, 1_000, 5_000] {
            too_costly(subject, &over_a_hundred_values(&code.repeat(count)), &[FIRST]);
        }
    }
}

/// Returns a guest with a function of `count` ifs that yield a value each.
fn choices(count: usize) -> Raw {
    let choice = [0x41, 1, 0x04, 0x7f, 0x41, 2, 0x05, 0x41, 3, 0x0b, 0x1a];
    Raw::echo().functions(1, &[&choice.repeat(count)[..], &[0x0b]].concat())
}

fn ifs_that_choose_values_are_refused_by_the_thousand(subject: &Subject) {
    for count in [4_000, 10_000] {
        too_costly(subject, &choices(count), &[FIRST]);
    }
}

fn a_thousand_ifs_that_choose_values_are_served(subject: &Subject) {
    echoes(subject, &choices(1_000));
}

/// Returns a guest with a function that sets its locals, has `ifs` empty ifs, and reads the locals.
fn locals_over_ifs(locals: u64, ifs: usize) -> Raw {
    let each = |operators: &dyn Fn(u64) -> Vec<u8>| (0..locals).flat_map(operators).collect::<Vec<u8>>();
    let set = each(&|i| [&[0x41, 0, 0x28, 2][..], &leb(4 * i), &[0x21], &leb(i)].concat());
    let read = each(&|i| [&[0x41, 0, 0x20][..], &leb(i), &[0x36, 2], &leb(4 * i)].concat());
    let code = [set, [0x41, 1, 0x04, 0x40, 0x0b].repeat(ifs), read, vec![0x0b]].concat();
    let declared = [&[1][..], &leb(locals), &[0x7f]].concat();
    Raw::echo().add(raw::FUNCTIONS, 1, &[2]).add(raw::CODE, 1, &body_with_locals(&declared, &code))
}

fn many_locals_over_many_blocks_are_refused(subject: &Subject) {
    for (locals, ifs) in [(3_000, 3_000), (10_000, 1_000), (500, 20_000)] {
        too_costly(subject, &locals_over_ifs(locals, ifs), &[FIRST]);
    }
}

fn a_thousand_locals_over_five_hundred_blocks_are_served(subject: &Subject) {
    echoes(subject, &locals_over_ifs(1_000, 500));
}

fn functions_full_of_locals_are_refused_by_the_thousand(subject: &Subject) {
    let full = body_with_locals(&[&[1][..], &leb(30_000), &[0x7f]].concat(), &[0x0b]);
    let raw = Raw::echo().many(raw::FUNCTIONS, 1_000, &[2]).many(raw::CODE, 1_000, &full);
    too_costly(subject, &raw, &["the module costs", "over the bound of"]);
}

fn looks_into_tables_are_refused_by_the_ten_thousand(subject: &Subject) {
    let table = Raw::echo().add(raw::TABLES, 1, &[0x70, 0, 10]);
    let looks: [&[u8]; 6] = [
        &[0x41, 0, 0x11, 2, 0],                       // call_indirect
        &[0x41, 0, 0x25, 0, 0x1a],                    // table.get
        &[0x41, 0, 0xd0, 0x70, 0x26, 0],              // table.set
        &[0xd0, 0x70, 0x41, 0, 0xfc, 15, 0, 0x1a],    // table.grow
        &[0x41, 0, 0xd0, 0x70, 0x41, 0, 0xfc, 17, 0], // table.fill
        &[0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 14, 0, 0], // table.copy
    ];
    for look in looks {
        echoes(subject, &table.clone().functions(1, &[&look.repeat(100)[..], &[0x0b]].concat()));
        for count in [10_000, 30_000] {
            let code = [&look.repeat(count)[..], &[0x0b]].concat();
            too_costly(subject, &table.clone().functions(1, &code), &[FIRST]);
        }
    }
    // Spread over functions that are each within their bound.
    let code = [&looks[0].repeat(1_000)[..], &[0x0b]].concat();
    too_costly(subject, &table.functions(100, &code), &["the module costs"]);
}

fn calls_into_the_engine_are_refused_by_the_hundred_thousand(subject: &Subject) {
    let calls: [&[u8]; 4] = [
        &[0x41, 0, 0x40, 0, 0x1a],                    // memory.grow
        &[0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0],    // memory.fill
        &[0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 0], // memory.copy
        &[0x10, 3],                                   // a call of the function itself
    ];
    for call in calls {
        let code = [&call.repeat(100_000)[..], &[0x0b]].concat();
        too_costly(subject, &Raw::echo().functions(1, &code), &[FIRST]);
    }
}

fn additions_are_refused_by_the_million(subject: &Subject) {
    let sum = |count: usize| [&[0x41, 1][..], &[0x41, 1, 0x6a].repeat(count), &[0x1a, 0x0b]].concat();
    for count in [100_000, 2_500_000] {
        too_costly(subject, &Raw::echo().functions(1, &sum(count)), &[FIRST]);
    }
}

fn a_hundred_thousand_operators_and_a_thousand_jumps_are_served(subject: &Subject) {
    // The code that compilers make of an interpreter: blocks around a jump table, and the code of a
    // case behind each block.
    let blocks = 1_000_u32;
    let targets: Vec<u8> = (0..=blocks).flat_map(|i| leb(u64::from(i.min(blocks - 1)))).collect();
    let mut code = [0x02, 0x40].repeat(blocks as usize);
    code.extend([&[0x41, 0, 0x28, 2, 0, 0x0e][..], &leb(blocks.into()), &targets].concat());
    for case in 0..blocks {
        // Twelve sums of two loads, each of them stored; then a branch out of the outermost block.
        let sums = (0..12_u64).flat_map(|i| {
            let at = leb(64 * u64::from(case) + 4 * i);
            [&[0x41, 0, 0x41, 0, 0x28, 2][..], &at, &[0x41, 4, 0x28, 2], &at, &[0x6a, 0x36, 2], &at].concat()
        });
        code.extend([0x0b].into_iter().chain(sums));
        if case + 2 < blocks {
            code.extend([&[0x0c][..], &leb(u64::from(blocks - case - 2))].concat());
        }
    }
    code.push(0x0b);
    echoes(subject, &Raw::echo().functions(1, &code));
}

fn empty_functions_are_served_by_the_ten_thousand_and_refused_tenfold(subject: &Subject) {
    echoes(subject, &Raw::echo().functions(10_000, &[0x0b]));
    too_costly(subject, &Raw::echo().functions(90_000, &[0x0b]), &["the module costs", "over the bound of"]);
}

fn loops_nested_ten_thousand_deep_are_refused(subject: &Subject) {
    let loops = |depth: usize| [[0x03, 0x40].repeat(depth), vec![0x0b; depth + 1]].concat();
    for depth in [10_000, 100_000] {
        too_costly(subject, &Raw::echo().functions(1, &loops(depth)), &[FIRST]);
    }
}

fn blocks_nested_ten_thousand_deep_are_served_and_deeper_ones_are_not(subject: &Subject) {
    let blocks = |depth: usize| [[0x02, 0x40].repeat(depth), vec![0x0b; depth + 1]].concat();
    echoes(subject, &Raw::echo().functions(1, &blocks(10_000)));
    for depth in [10_001, 100_000, 3_000_000] {
        too_costly(subject, &Raw::echo().functions(1, &blocks(depth)), &[FIRST, "10000"]);
    }
}

fn wide_types_are_refused_by_the_ten_thousand(subject: &Subject) {
    for count in [1_000, 99_000] {
        too_costly(subject, &Raw::echo().many(raw::TYPES, count, &ty(150, 0)), &["100000 parameters"]);
    }
}

fn different_types_are_refused_by_the_ten_thousand(subject: &Subject) {
    // Types of eight parameters of four kinds. The engine makes a function for each type.
    let kinds = |i: u32| (0..8).map(move |at| 0x7f - (i >> (2 * at) & 3) as u8);
    let types = |count| {
        Raw::echo().each(raw::TYPES, count, |i| [0x60, 8].into_iter().chain(kinds(i)).chain([0]).collect())
    };
    echoes(subject, &types(1_000));
    for count in [30_000, 60_000] {
        too_costly(subject, &types(count), &["type"]);
    }
}

fn constants_that_are_computed_for_megabytes_are_refused(subject: &Subject) {
    let sum = |count: usize| [&[0x7f, 0, 0x41, 0][..], &[0x41, 0, 0x6a].repeat(count), &[0x0b]].concat();
    echoes(subject, &Raw::echo().add(raw::GLOBALS, 1, &sum(10_000)));
    let deep = [&[0x7f, 0][..], &[0x41, 0].repeat(1_000_000), &[0x6a; 999_999], &[0x0b]].concat();
    for global in [sum(400_000), sum(4_000_000), deep] {
        let error =
            subject.refuses(Raw::echo().add(raw::GLOBALS, 1, &global).guest(), Failure::INVALID_MODULE);
        says(&error, &["1048576 bytes of constant expressions"]);
    }
}
