//! Canonical NaNs, in the deterministic mode: everything that a guest computes has equal bits on
//! every machine.

use std::time::Duration;

use crate::suite::{Case, Guest, Need, Subject, case};

const NEEDS: &[Need] = &[Need::Deterministic];

pub(super) const CASES: &[Case] = &[
    case!(nan::single_precision_computes_canonical_ones).needs(NEEDS),
    case!(nan::double_precision_computes_canonical_ones).needs(NEEDS),
    case!(nan::conversions_between_precisions_make_canonical_ones).needs(NEEDS),
    case!(nan::constants_fold_to_canonical_ones).needs(NEEDS),
    case!(nan::vectors_of_single_precision_compute_canonical_ones).needs(NEEDS),
    case!(nan::vectors_of_double_precision_compute_canonical_ones).needs(NEEDS),
    case!(nan::what_only_moves_bits_keeps_them).needs(NEEDS),
];

/// The positive NaN with only the first bit of its payload set.
const CANONICAL_32: u32 = 0x7fc0_0000;
const CANONICAL_64: u64 = 0x7ff8_0000_0000_0000;

/// A quiet NaN with a sign and a payload, and a signalling one; few instructions preserve these on
/// every processor.
const QUIET_32: u32 = 0xffc1_2345;
const SIGNALLING_32: u32 = 0x7fa5_4321;
const QUIET_64: u64 = 0xfff8_1234_5678_9abc;
const SIGNALLING_64: u64 = 0x7ff4_dead_beef_0001;

/// Where the operands are in the guest's memory. They come with the payload, so the engine cannot
/// fold them when it compiles.
const OPERANDS: usize = 4096;
/// Where the results are written.
const RESULTS: usize = 8192;

/// Expressions, each with the operands that it loads and the bytes that it must yield.
#[derive(Default)]
struct Program {
    text: String,
    operands: Vec<u8>,
    expected: Vec<(String, Vec<u8>)>,
    written: usize,
}

impl Program {
    /// Returns the text that loads an operand.
    fn load(&mut self, ty: &str, bytes: &[u8]) -> String {
        let at = OPERANDS + self.operands.len();
        self.operands.extend_from_slice(bytes);
        format!("({ty}.load (i32.const {at}))")
    }

    fn expect(&mut self, ty: &str, expression: &str, what: String, bytes: &[u8]) {
        self.text += &format!("({ty}.store (i32.const {}) {expression})\n", RESULTS + self.written);
        self.written += bytes.len();
        self.expected.push((what, bytes.to_vec()));
    }

    /// Adds an instruction, with its operands and its result as bytes of a type.
    fn check(&mut self, instruction: &str, from: &str, operands: &[&[u8]], to: &str, result: &[u8]) {
        let loads: String = operands.iter().map(|bytes| self.load(from, bytes)).collect();
        let what = format!("{instruction} of {operands:02x?}");
        self.expect(to, &format!("({instruction} {loads})"), what, result);
    }

    /// Runs all expressions, twice.
    fn run(self, subject: &Subject) {
        let body = format!(
            "(func $run (param i32 i32) (result i32)
               (call $guest_request (i32.const 0) (i32.const {OPERANDS}))
               {}
               (call $answer (i32.const {RESULTS}) (i32.const {})))",
            self.text, self.written
        );
        assert!(!self.expected.is_empty() && self.operands.len() <= RESULTS - OPERANDS);
        let host = subject.host(Guest::new(&body).deterministic(0, Duration::ZERO));
        for _ in 0..2 {
            let answer = host.answer("run", &self.operands);
            let mut rest = answer.as_slice();
            for (what, expected) in &self.expected {
                let (result, next) = rest.split_at(expected.len());
                assert_eq!(result, expected, "{what}: {result:02x?} instead of {expected:02x?}");
                rest = next;
            }
            assert!(rest.is_empty());
        }
    }
}

/// The operations and numbers of one precision, with numbers as bits.
macro_rules! precision {
    ($module:ident, $float:ty, $bits:ty, $canonical:expr, $quiet:expr, $signalling:expr) => {
        mod $module {
            use super::*;

            type Unary = (&'static str, fn($float) -> $float);
            type Binary = (&'static str, fn($float, $float) -> $float);

            pub(super) const UNARY: [Unary; 5] = [
                ("sqrt", <$float>::sqrt),
                ("ceil", <$float>::ceil),
                ("floor", <$float>::floor),
                ("trunc", <$float>::trunc),
                ("nearest", <$float>::round_ties_even),
            ];

            pub(super) const BINARY: [Binary; 6] = [
                ("add", |a, b| a + b),
                ("sub", |a, b| a - b),
                ("mul", |a, b| a * b),
                ("div", |a, b| a / b),
                // Rust's own functions return the operand that is not a NaN.
                ("min", |a, b| if a.is_nan() || b.is_nan() { <$float>::NAN } else { a.min(b) }),
                ("max", |a, b| if a.is_nan() || b.is_nan() { <$float>::NAN } else { a.max(b) }),
            ];

            pub(super) const ONE: $bits = (1.0 as $float).to_bits();
            pub(super) const MINUS_TWO: $bits = (-2.0 as $float).to_bits();
            pub(super) const INFINITE: $bits = <$float>::INFINITY.to_bits();
            pub(super) const MINUS_INFINITE: $bits = <$float>::NEG_INFINITY.to_bits();

            /// Pairs of operands: NaNs on either side and on both, pairs whose result is a NaN, and
            /// plain numbers.
            pub(super) const PAIRS: [($bits, $bits); 12] = [
                ($quiet, ONE),
                (ONE, $quiet),
                ($signalling, ONE),
                (ONE, $signalling),
                ($quiet, $signalling),
                ($signalling, $quiet),
                ($canonical, $quiet),
                (0, 0),
                (INFINITE, INFINITE),
                (INFINITE, MINUS_INFINITE),
                (0, INFINITE),
                (ONE, MINUS_TWO),
            ];

            pub(super) const SINGLES: [$bits; 5] = [$quiet, $signalling, $canonical, MINUS_TWO, ONE];

            /// Returns the bits of a result that the host computed, with the canonical NaN for any
            /// NaN.
            pub(super) fn canonical(result: $float) -> $bits {
                if result.is_nan() { $canonical } else { result.to_bits() }
            }

            pub(super) fn unary(run: fn($float) -> $float, bits: $bits) -> $bits {
                canonical(run(<$float>::from_bits(bits)))
            }

            pub(super) fn binary(run: fn($float, $float) -> $float, (a, b): ($bits, $bits)) -> $bits {
                canonical(run(<$float>::from_bits(a), <$float>::from_bits(b)))
            }

            /// Checks each instruction on each operand, as a scalar.
            pub(super) fn scalars(ty: &str) -> Program {
                let mut program = Program::default();
                for (name, run) in UNARY {
                    for a in SINGLES {
                        let result = unary(run, a).to_le_bytes();
                        program.check(&format!("{ty}.{name}"), ty, &[&a.to_le_bytes()], ty, &result);
                    }
                }
                for (name, run) in BINARY {
                    for pair @ (a, b) in PAIRS {
                        let result = binary(run, pair).to_le_bytes();
                        let operands: [&[u8]; 2] = [&a.to_le_bytes(), &b.to_le_bytes()];
                        program.check(&format!("{ty}.{name}"), ty, &operands, ty, &result);
                    }
                }
                program
            }

            /// Checks each instruction on as many operands at a time as a vector has lanes.
            pub(super) fn vectors(shape: &str) -> Program {
                const LANES: usize = 16 / size_of::<$bits>();
                let bytes =
                    |lanes: &[$bits]| lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect::<Vec<_>>();
                let mut program = Program::default();
                for (name, run) in UNARY {
                    // Each operand gets its turn in each lane.
                    for first in 0..SINGLES.len() {
                        let a: Vec<_> = SINGLES.iter().cycle().skip(first).take(LANES).copied().collect();
                        let result: Vec<_> = a.iter().map(|a| unary(run, *a)).collect();
                        program.check(
                            &format!("{shape}.{name}"),
                            "v128",
                            &[&bytes(&a)],
                            "v128",
                            &bytes(&result),
                        );
                    }
                }
                for (name, run) in BINARY {
                    for first in 0..PAIRS.len() {
                        let pairs: Vec<_> = PAIRS.iter().cycle().skip(first).take(LANES).copied().collect();
                        let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
                        let result: Vec<_> = pairs.iter().map(|pair| binary(run, *pair)).collect();
                        let operands: [&[u8]; 2] = [&bytes(&a), &bytes(&b)];
                        program.check(&format!("{shape}.{name}"), "v128", &operands, "v128", &bytes(&result));
                    }
                }
                program
            }
        }
    };
}

precision!(single, f32, u32, CANONICAL_32, QUIET_32, SIGNALLING_32);
precision!(double, f64, u64, CANONICAL_64, QUIET_64, SIGNALLING_64);

fn single_precision_computes_canonical_ones(subject: &Subject) {
    single::scalars("f32").run(subject);
}

fn double_precision_computes_canonical_ones(subject: &Subject) {
    double::scalars("f64").run(subject);
}

fn vectors_of_single_precision_compute_canonical_ones(subject: &Subject) {
    single::vectors("f32x4").run(subject);
}

fn vectors_of_double_precision_compute_canonical_ones(subject: &Subject) {
    double::vectors("f64x2").run(subject);
}

fn conversions_between_precisions_make_canonical_ones(subject: &Subject) {
    let mut program = Program::default();
    for a in single::SINGLES {
        let result = double::canonical(f64::from(f32::from_bits(a))).to_le_bytes();
        program.check("f64.promote_f32", "f32", &[&a.to_le_bytes()], "f64", &result);
        let lanes = [a, single::ONE, 0, 0].map(u32::to_le_bytes).concat();
        let results = [&result[..], &double::ONE.to_le_bytes()].concat();
        program.check("f64x2.promote_low_f32x4", "v128", &[&lanes], "v128", &results);
    }
    for a in double::SINGLES {
        let result = single::canonical(f64::from_bits(a) as f32).to_le_bytes();
        program.check("f32.demote_f64", "f64", &[&a.to_le_bytes()], "f32", &result);
        let lanes = [double::MINUS_TWO, a].map(u64::to_le_bytes).concat();
        let results = [&single::MINUS_TWO.to_le_bytes()[..], &result, &[0; 8]].concat();
        program.check("f32x4.demote_f64x2_zero", "v128", &[&lanes], "v128", &results);
    }
    program.run(subject);
}

fn constants_fold_to_canonical_ones(subject: &Subject) {
    let mut program = Program::default();
    for expression in [
        "(f32.div (f32.const 0) (f32.const 0))",
        "(f32.sub (f32.const inf) (f32.const inf))",
        "(f32.mul (f32.const -inf) (f32.const 0))",
        "(f32.sqrt (f32.const -1))",
        "(f32.add (f32.const -nan:0x412345) (f32.const 1))",
        "(f32.min (f32.const 1) (f32.const nan:0x254321))",
        "(f32.demote_f64 (f64.const -nan:0x8123456789abc))",
    ] {
        program.expect("f32", expression, expression.to_owned(), &CANONICAL_32.to_le_bytes());
    }
    for expression in [
        "(f64.div (f64.const 0) (f64.const 0))",
        "(f64.sub (f64.const inf) (f64.const inf))",
        "(f64.mul (f64.const -inf) (f64.const 0))",
        "(f64.sqrt (f64.const -1))",
        "(f64.add (f64.const -nan:0x8123456789abc) (f64.const 1))",
        "(f64.max (f64.const 1) (f64.const nan:0x4deadbeef0001))",
        "(f64.promote_f32 (f32.const -nan:0x412345))",
    ] {
        program.expect("f64", expression, expression.to_owned(), &CANONICAL_64.to_le_bytes());
    }
    let expression = "(f32x4.div (v128.const f32x4 0 0 0 0) (v128.const f32x4 0 0 0 0))";
    program.expect("v128", expression, expression.to_owned(), &[CANONICAL_32.to_le_bytes(); 4].concat());
    program.run(subject);
}

/// Instructions that WebAssembly defines on bits for every engine, or as a choice between two
/// operands.
fn what_only_moves_bits_keeps_them(subject: &Subject) {
    const SIGN: u32 = 1 << 31;
    let mut program = Program::default();
    for a in [QUIET_32, SIGNALLING_32] {
        let operand = &a.to_le_bytes()[..];
        let minus = &single::MINUS_TWO.to_le_bytes()[..];
        program.check("f32.neg", "f32", &[operand], "f32", &(a ^ SIGN).to_le_bytes());
        program.check("f32.abs", "f32", &[operand], "f32", &(a & !SIGN).to_le_bytes());
        program.check("f32.copysign", "f32", &[operand, minus], "f32", &(a | SIGN).to_le_bytes());
        program.check("i32.reinterpret_f32", "f32", &[operand], "i32", operand);
        program.check("f32.reinterpret_i32", "i32", &[operand], "f32", operand);
        let moved = program.load("f32", operand);
        program.expect(
            "f32",
            &format!("(select {moved} (f32.const 1) (i32.const 1))"),
            "select".into(),
            operand,
        );
        program.expect("f32", &moved, "a load and a store".into(), operand);

        let lanes = [a, single::ONE, a, single::ONE].map(u32::to_le_bytes).concat();
        let others = [single::ONE, a, single::MINUS_TWO, single::MINUS_TWO].map(u32::to_le_bytes).concat();
        let negated =
            [a ^ SIGN, single::ONE ^ SIGN, a ^ SIGN, single::ONE ^ SIGN].map(u32::to_le_bytes).concat();
        program.check("f32x4.neg", "v128", &[&lanes], "v128", &negated);
        // The second operand is chosen only if it compares as less, so never with a NaN.
        let least = [a, single::ONE, a, single::MINUS_TWO].map(u32::to_le_bytes).concat();
        program.check("f32x4.pmin", "v128", &[&lanes, &others], "v128", &least);
        let most = [a, single::ONE, a, single::ONE].map(u32::to_le_bytes).concat();
        program.check("f32x4.pmax", "v128", &[&lanes, &others], "v128", &most);
    }
    for a in [QUIET_64, SIGNALLING_64] {
        let operand = &a.to_le_bytes()[..];
        program.check("f64.neg", "f64", &[operand], "f64", &(a ^ (1 << 63)).to_le_bytes());
        program.check("f64.abs", "f64", &[operand], "f64", &(a & !(1 << 63)).to_le_bytes());
        program.check("i64.reinterpret_f64", "f64", &[operand], "i64", operand);
    }
    program.run(subject);
}
