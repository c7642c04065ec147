//! Bytes that are almost a module, or not a module at all.

use std::sync::Arc;
use std::time::Duration;

use antiphon::errors::{Error, ErrorKind};
use antiphon::{EngineProviderFactory, Limits};

use super::raw::{self, HEADER, Raw, leb, name};
use crate::suite::{Case, Guest, Host, Need, Subject, case};
use crate::support::{Failure, soon, timed};

/// Time and memory of a case that compiles and calls hundreds of modules, while other cases run.
const MANY_MODULES: (Duration, u64) = (Duration::from_secs(30), 192 << 20);

pub(super) const CASES: &[Case] = &[
    case!(hostile_bytes::a_module_that_breaks_off_at_any_byte_is_refused).hostile(),
    case!(hostile_bytes::a_module_that_begins_at_any_later_byte_is_refused).hostile(),
    case!(hostile_bytes::every_bit_flipped_is_refused_or_behaves)
        .needs(&[Need::Deadline, Need::MemoryLimit])
        .within(MANY_MODULES.0, MANY_MODULES.1),
    case!(hostile_bytes::every_byte_turned_over_is_refused_or_behaves)
        .needs(&[Need::Deadline, Need::MemoryLimit])
        .within(MANY_MODULES.0, MANY_MODULES.1),
    case!(hostile_bytes::every_byte_left_out_or_doubled_is_refused_or_behaves)
        .needs(&[Need::Deadline, Need::MemoryLimit])
        .within(MANY_MODULES.0, MANY_MODULES.1),
    case!(hostile_bytes::random_bytes_behind_a_header_are_refused).hostile(),
    case!(hostile_bytes::random_sections_are_refused).hostile(),
    case!(hostile_bytes::random_code_is_refused_or_behaves)
        .needs(&[Need::Deadline, Need::MemoryLimit])
        .within(MANY_MODULES.0, MANY_MODULES.1),
    case!(hostile_bytes::two_modules_glued_together_are_refused).hostile(),
    case!(hostile_bytes::anything_behind_the_last_section_is_refused).hostile(),
    case!(hostile_bytes::anything_before_the_header_is_refused).hostile(),
    case!(hostile_bytes::files_of_other_kinds_are_refused).hostile(),
    case!(hostile_bytes::what_does_not_compile_is_no_replacement_either).hostile(),
];

#[track_caller]
fn refused(subject: &Subject, bytes: Vec<u8>) {
    subject.refuses(Guest::binary(bytes), Failure::INVALID_MODULE);
}

/// The deadline of each start and each call of a damaged guest.
const DEADLINE: Duration = Duration::from_millis(30);

/// One engine for hundreds of damaged modules: to make an engine, and a pool behind it, takes far
/// longer than to refuse a module.
struct Engine<'a> {
    subject: &'a Subject,
    factory: Arc<dyn EngineProviderFactory>,
}

impl<'a> Engine<'a> {
    fn new(subject: &'a Subject, limits: Limits) -> Self {
        let factory = subject.factory(&Guest::binary(small()).limits(limits));
        Self { subject, factory: factory.expect("a module that compiles") }
    }

    fn start(&self, bytes: &[u8], limits: Limits) -> Result<Host, Error> {
        let factory = self.factory.with_module(bytes).map_err(Error::from_engine)?;
        self.subject.start_on(&*factory, Guest::binary(Vec::new()).limits(limits))
    }

    #[track_caller]
    fn refuses(&self, bytes: &[u8]) {
        match self.start(bytes, Limits::new()) {
            Ok(_) => panic!("the guest started"),
            Err(error) => Failure::INVALID_MODULE.check(&error),
        }
    }
}

/// Expects that a damaged module is refused, or that its guest runs like any other: it answers, or
/// fails in time in one of the ways that are a guest's fault. Every error's text is short, whatever
/// the module contains. Returns whether the module was served.
#[track_caller]
fn refused_or_behaves(engine: &Engine<'_>, bytes: &[u8], limits: Limits, what: &str) -> bool {
    let short = |error: &Error| assert!(error.to_string().len() < 24 << 10, "{what}: {error}");
    let host = match engine.start(bytes, limits) {
        Ok(host) => host,
        Err(error) => {
            short(&error);
            match error.kind() {
                ErrorKind::InitFailed => Failure::INIT_FAILED.check(&error),
                _ => Failure::INVALID_MODULE.check(&error),
            }
            return false;
        }
    };
    for payload in [&b"payload"[..], b""] {
        let (answer, elapsed) = timed(|| host.call("echo", payload));
        soon(elapsed, DEADLINE);
        let Err(error) = answer else { continue };
        short(&error);
        match error.kind() {
            ErrorKind::GuestFailed => Failure::GUEST_FAILED.check(&error),
            ErrorKind::GuestMisbehaved => Failure::MISBEHAVED.check(&error),
            ErrorKind::MemoryLimit => Failure::MEMORY_LIMIT.check(&error),
            ErrorKind::StackOverflow => Failure::STACK_OVERFLOW.check(&error),
            ErrorKind::DeadlineExceeded => Failure::DEADLINE_IN_GUEST.check(&error),
            ErrorKind::TooLarge => Failure::RESPONSE_TOO_LARGE.check(&error),
            _ => Failure::TRAPPED.check(&error),
        }
    }
    true
}

/// Runs all modules. Some must be refused and some served; otherwise the damage would prove
/// nothing.
#[track_caller]
fn all_refused_or_behave(subject: &Subject, modules: impl Iterator<Item = (String, Vec<u8>)>) {
    let limits = Limits::new().deadline(DEADLINE).init_deadline(DEADLINE).memory(4 << 20);
    let engine = Engine::new(subject, limits);
    let (mut served, mut all) = (0, 0);
    for (what, bytes) in modules {
        served += usize::from(refused_or_behaves(&engine, &bytes, limits, &what));
        all += 1;
    }
    assert!(served > 0 && served < all, "{served} of {all} damaged modules are served");
}

/// Returns a complete guest, small enough to damage it everywhere.
fn small() -> Vec<u8> {
    Raw::echo().add(raw::DATA, 1, &[0, 0x41, 16, 0x0b, 2, b'h', b'i']).bytes()
}

fn a_module_that_breaks_off_at_any_byte_is_refused(subject: &Subject) {
    let whole = small();
    assert_eq!(subject.host(Guest::binary(whole.clone())).answer("echo", b"whole"), b"whole");
    // Cut off before its last section, the data, the module is complete again.
    let without_data = Raw::echo().bytes().len();
    let engine = Engine::new(subject, Limits::new());
    for end in (0..whole.len()).filter(|end| *end != without_data) {
        engine.refuses(&whole[..end]);
    }
}

fn a_module_that_begins_at_any_later_byte_is_refused(subject: &Subject) {
    let whole = small();
    let engine = Engine::new(subject, Limits::new());
    for start in 1..whole.len() {
        engine.refuses(&whole[start..]);
        if start > HEADER.len() {
            engine.refuses(&[&HEADER[..], &whole[start..]].concat());
        }
    }
}

fn every_bit_flipped_is_refused_or_behaves(subject: &Subject) {
    let whole = small();
    let flipped = (0..whole.len() * 8).map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {} of byte {}", bit % 8, bit / 8), bytes)
    });
    all_refused_or_behave(subject, flipped);
}

fn every_byte_turned_over_is_refused_or_behaves(subject: &Subject) {
    let whole = small();
    let turned = (0..whole.len()).flat_map(|at| {
        let whole = &whole;
        [0xff, 0x7f, 0x55, 0x03].map(|mask| {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            (format!("byte {at} ^ {mask:x}"), bytes)
        })
    });
    all_refused_or_behave(subject, turned);
}

fn every_byte_left_out_or_doubled_is_refused_or_behaves(subject: &Subject) {
    // Only in the code, whose sizes are then corrected: a change elsewhere would not get past the
    // first section.
    let echo = Raw::echo();
    let code = echo.clone().section(raw::CODE).body.clone();
    let damaged = (2..code.len()).flat_map(|at| {
        let (left_out, doubled) = ([&code[..at], &code[at + 1..]], [&code[..=at], &code[at..]]);
        [("left out", left_out.concat()), ("doubled", doubled.concat())].map(|(how, mut code)| {
            code[0] = code.len() as u8 - 1;
            (
                format!("byte {at} of the code {how}"),
                echo.clone().with(raw::CODE, |it| it.body = code).bytes(),
            )
        })
    });
    all_refused_or_behave(subject, damaged);
}

/// Returns pseudo-random numbers that are equal in each run (xorshift).
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn random_bytes_behind_a_header_are_refused(subject: &Subject) {
    let engine = Engine::new(subject, Limits::new());
    let mut next = random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..500 {
        let length = next() as usize % 300;
        let bytes: Vec<u8> = HEADER.iter().copied().chain((0..length).map(|_| next() as u8)).collect();
        engine.refuses(&bytes);
    }
}

fn random_sections_are_refused(subject: &Subject) {
    // In order, with true sizes and small counts, so that some get past the first checks.
    let engine = Engine::new(subject, Limits::new());
    let mut next = random(0x2545_f491_4f6c_dd1d);
    for _ in 0..500 {
        let mut bytes = HEADER.to_vec();
        for id in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11] {
            let content: Vec<u8> = (0..next() % 12).map(|_| next() as u8 % 0x80).collect();
            let content = [leb(next() % 3), content].concat();
            bytes.push(id);
            bytes.extend(leb(content.len() as u64));
            bytes.extend(content);
        }
        engine.refuses(&bytes);
    }
}

fn random_code_is_refused_or_behaves(subject: &Subject) {
    // Made of whole instructions that leave the stack unchanged, or push and pop in turn.
    let pieces: [&[u8]; 16] = [
        &[0x41, 0x7f, 0x1a],                                           // a number, dropped
        &[0x41, 0, 0x28, 2, 0, 0x1a],                                  // a load
        &[0x41, 0x7f, 0x28, 2, 0, 0x1a],                               // a load from the last address
        &[0x41, 8, 0x20, 0, 0x36, 2, 0],                               // a store
        &[0x20, 1, 0x20, 0, 0x36, 2, 0], // a store wherever the payload's length leads
        &[0x20, 0, 0x20, 1, 0x6d, 0x1a], // a division, perhaps by zero
        &[0x41, 1, 0x40, 0, 0x1a],       // a page more
        &[0x41, 0xff, 0xff, 3, 0x40, 0, 0x1a], // all pages
        &[0x02, 0x40, 0x20, 1, 0x0d, 0, 0x0b], // a branch
        &[0x20, 1, 0x04, 0x40, 0x05, 0x0b], // a condition
        &[0x03, 0x40, 0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b], // a loop that may run forever
        &[0x20, 0, 0x41, 0, 0x10, 0],    // a request
        &[0x41, 0, 0x20, 1, 0x10, 1],    // a response
        &[0x41, 0x7f, 0x20, 1, 0x10, 1], // a response from nowhere
        &[0x20, 0, 0x20, 1, 0x10, 2, 0x1a], // a call of itself
        &[0x6a],                         // a sum without operands
    ];
    let mut next = random(0xd1b5_4a32_d192_ed03);
    let modules = (0..120).map(|number| {
        let mut code: Vec<u8> =
            (0..next() % 8).flat_map(|_| pieces[next() as usize % pieces.len()].to_vec()).collect();
        code.extend([0x41, (next() % 2) as u8, 0x0b]);
        let body = raw::body(&code);
        (format!("code {number}"), Raw::echo().with(raw::CODE, |section| section.body = body).bytes())
    });
    all_refused_or_behave(subject, modules);
}

fn two_modules_glued_together_are_refused(subject: &Subject) {
    refused(subject, [small(), small()].concat());
    refused(subject, [HEADER.to_vec(), small()].concat());
    refused(subject, [small(), HEADER.to_vec()].concat());
    // A module in a custom section of another module is not read as a module either.
    let wrapped = Raw::empty().custom(b"module", &small());
    refused(subject, wrapped.bytes());
    assert_eq!(subject.host(Raw::echo().custom(b"module", &small()).guest()).answer("echo", b"a"), b"a");
}

fn anything_behind_the_last_section_is_refused(subject: &Subject) {
    let whole = small();
    let with = |more: &[u8]| [&whole, more].concat();
    for more in [&b"\0"[..], b"\n", b"\x01", &[0; 100], &[0xff; 100], b"\x0b\x01\0", b"(module)"] {
        refused(subject, with(more));
    }
    // Custom sections may follow.
    let custom = [&[0, 2][..], &name("x")].concat();
    assert_eq!(subject.host(Guest::binary(with(&custom.repeat(2)))).answer("echo", b"a"), b"a");
}

fn anything_before_the_header_is_refused(subject: &Subject) {
    let whole = small();
    for before in [&b"\0"[..], b" ", b"\n", b"\xef\xbb\xbf", b"#!/usr/bin/wasm\n", b";; text\n", b"()"] {
        refused(subject, [before, &whole].concat());
    }
}

fn files_of_other_kinds_are_refused(subject: &Subject) {
    let heads: [&[u8]; 14] = [
        b"\x7fELF\x02\x01\x01\0",
        b"\xcf\xfa\xed\xfe\x07\0\0\x01",
        b"MZ\x90\0\x03\0\0\0",
        b"PK\x03\x04\x14\0\0\0",
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\x28\xb5\x2f\xfd\0\0\0\0",
        b"BZh91AY&SY",
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.7\n",
        b"!<arch>\n",
        b"BC\xc0\xde5\x14\0\0",
        b"<!DOCTYPE html>",
        b"{\"module\": []}",
        b"\0asm\x0d\0\x01\0", // a component
    ];
    for head in heads {
        refused(subject, head.to_vec());
        refused(subject, [head, &[0; 4096]].concat());
        refused(subject, [head, &small()].concat());
    }
    // A header in other letters, or with its bytes in another order.
    for header in [b"\0ASM\x01\0\0\0", b"\0asm\0\0\0\x01", b"msa\0\0\0\0\x01", b"\0asm\x01\0\0\x80"] {
        refused(subject, [&header[..], &small()[8..]].concat());
    }
}

fn what_does_not_compile_is_no_replacement_either(subject: &Subject) {
    let host = subject.host(Guest::binary(small()));
    let whole = small();
    for bytes in [&b""[..], &whole[..8], &whole[..whole.len() - 1], &whole[1..], &[0xff; 100]] {
        let error = host.replace(bytes).unwrap_err();
        Failure::REPLACE_FAILED.check(&error);
        assert_eq!(crate::support::cause(&error).kind(), ErrorKind::InvalidModule);
        assert_eq!(host.answer("echo", b"serves on"), b"serves on");
    }
}
