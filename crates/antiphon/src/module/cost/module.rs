//! Estimates what a module's code would make a compiler take up, before any engine sees it.
//!
//! The memory of a compiler is not in proportion to a module's size. 1,000 loops of 100 parameters
//! are 3.5 KB, and take 2.5 GiB in Cranelift, which keeps a table of a function's variables by its
//! basic blocks. No engine bounds that. So the code is read once, and what its operators would take
//! is added up. The weights were measured with Cranelift, each near its worst: most code takes
//! less, and an interpreter takes much less. A larger module may cost more, since real ones do.

use wasmparser::FunctionBody;

use super::function::{Arity, Body, Function, Scratch, refuse};
use super::weights;
use crate::errors::{BoxError, Result};
use crate::module::info::CodeInfo;

/// The bytes that one function may cost while it is compiled. An engine compiles as many at once as
/// it has threads.
const FUNCTION: u64 = 96 << 20;

/// The bytes that a function may cost more for each byte of the module beyond a mebibyte. The
/// interpreters of PHP and Ruby, of 12 to 17 MB, have functions of 125 to 155 MB.
const FUNCTION_BYTE: u64 = 8;

/// The bytes that all functions and types of a module may cost together. Most of them come and go;
/// a tenth is kept until the last function is compiled.
const MODULE: u64 = 1280 << 20;

/// The bytes that all of them may cost more for each byte of the module.
const MODULE_BYTE: u64 = 384;

/// The most parameters and results of all types together. An engine makes code of each type.
const ARITY: u64 = 100_000;

/// The cost of a module so far.
pub(in crate::module) struct Costs {
    types: Vec<Arity>,
    arity: u64,
    module: u64,
    module_bound: u64,
    function_bound: u64,
    code: CodeInfo,
    scratch: Scratch,
}

impl Costs {
    /// Creates the costs of a module, given its size in bytes.
    pub(in crate::module) fn new(size: u64) -> Self {
        let large = size.saturating_sub(1 << 20);
        Self {
            types: Vec::new(),
            arity: 0,
            module: 0,
            module_bound: MODULE.saturating_add(size.saturating_mul(MODULE_BYTE)),
            function_bound: FUNCTION.saturating_add(large.saturating_mul(FUNCTION_BYTE)),
            code: CodeInfo::default(),
            scratch: Scratch::default(),
        }
    }

    /// Returns what was seen of the code on the way.
    pub(in crate::module) fn code(&self) -> CodeInfo {
        self.code
    }

    /// Adds the next type, given how many parameters and results it has.
    pub(in crate::module) fn add_type(&mut self, params: usize, results: usize) -> Result<()> {
        let wide = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let arity = Arity { params: wide(params), results: wide(results) };
        self.types.push(arity);
        self.arity = self.arity.saturating_add(arity.all());
        if self.arity > ARITY {
            return Err(refuse(format!("more than {ARITY} parameters and results of all types together")));
        }
        let cost = weights::TYPE.saturating_add(arity.all().saturating_mul(weights::TYPED));
        let index = self.types.len().saturating_sub(1);
        self.add(cost, ("type", index))
    }

    /// Adds the body of a function, given its index and the types of all functions.
    pub(in crate::module) fn add_body(
        &mut self,
        index: usize,
        body: &FunctionBody<'_>,
        functions: &[u32],
    ) -> Result<(), BoxError> {
        let Body { cost, locals, grows_tables, tail_calls } =
            Function::new(&self.types, functions, &mut self.scratch).read(index, body)?;
        if cost > self.function_bound {
            let bound = self.function_bound;
            let what = format!("function {index} costs {cost} bytes, over the bound of {bound} bytes");
            return Err(refuse(what).into());
        }
        let code = &mut self.code;
        code.largest_body = code.largest_body.max(u64::try_from(body.range().len())?);
        code.most_locals = code.most_locals.max(locals);
        code.grows_tables |= grows_tables;
        code.tail_calls |= tail_calls;
        Ok(self.add(cost, ("function", index))?)
    }

    fn add(&mut self, cost: u64, (last, index): (&str, usize)) -> Result<()> {
        self.module = self.module.saturating_add(cost);
        let Self { module, module_bound: bound, .. } = self;
        if *module > *bound {
            return Err(refuse(format!(
                "up to {last} {index} the module costs {module} bytes, over the bound of {bound} bytes for its size"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::ErrorKind;
    use crate::module::cost::function::{NESTING, TARGETS};
    use crate::module::info::ModuleInfo;

    const EMPTY: u64 = weights::FUNCTION + weights::NAME;

    fn leb(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    }

    fn section(id: u8, entries: &[Vec<u8>]) -> Vec<u8> {
        let content = [leb(entries.len() as u64), entries.concat()].concat();
        [vec![id], leb(content.len() as u64), content].concat()
    }

    /// Returns a type of this many `i32`.
    fn ty(params: usize, results: usize) -> Vec<u8> {
        let list = |count: usize| [leb(count as u64), vec![0x7f; count]].concat();
        [vec![0x60], list(params), list(results)].concat()
    }

    fn sized(body: &[u8]) -> Vec<u8> {
        [&leb(body.len() as u64), body].concat()
    }

    /// Returns a module of functions, all of type 0, with the same declarations of locals and code.
    fn module(types: &[Vec<u8>], functions: usize, body: &[u8]) -> Vec<u8> {
        let header = b"\0asm\x01\0\0\0".to_vec();
        let bodies = vec![sized(body); functions];
        [header, section(1, types), section(3, &vec![vec![0]; functions]), section(10, &bodies)].concat()
    }

    /// Returns one function without locals, given its code without its `end`.
    fn one(code: &[u8]) -> Vec<u8> {
        module(&[ty(0, 0), ty(1000, 1000)], 1, &[&[0], code, &[0x0b]].concat())
    }

    fn said(module: &[u8]) -> String {
        let error = ModuleInfo::parse(module).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        error.message().to_owned()
    }

    fn count(cost: u64) -> usize {
        usize::try_from(cost).unwrap()
    }

    #[test]
    fn a_function_at_its_bound_passes_and_one_that_costs_more_does_not() {
        let calls = (FUNCTION - EMPTY) / weights::CALL;
        // The rest is made up of `nop`s.
        let names = (FUNCTION - EMPTY) % weights::CALL / weights::NAME;
        assert_eq!(EMPTY + calls * weights::CALL + names * weights::NAME, FUNCTION);
        let code = |names: u64| [[0x10, 0].repeat(count(calls)), vec![0x01; count(names)]].concat();
        assert!(ModuleInfo::parse(&one(&code(names))).is_ok());
        let cost = FUNCTION + weights::NAME;
        assert_eq!(
            said(&one(&code(names + 1))),
            format!(
                "too costly to compile: function 0 costs {cost} bytes, over the bound of {FUNCTION} bytes"
            )
        );
    }

    #[test]
    fn a_large_module_may_have_a_costlier_function() {
        let calls = FUNCTION / weights::CALL;
        let mut module = one(&[0x10, 0].repeat(count(calls)));
        assert!(said(&module).contains("function 0 costs"), "by a little");
        // A custom section without a name. What the function costs over the bound is some 64 KiB.
        let padding = vec![0; (1 << 20) + (64 << 10)];
        module.extend([vec![0], leb(padding.len() as u64), padding].concat());
        assert!(ModuleInfo::parse(&module).is_ok());
    }

    #[test]
    fn a_function_is_named_by_its_index_behind_the_imports() {
        let import = [&[1, b'm', 1, b'f'][..], &[0, 0]].concat();
        let body = sized(&[&[0], &[0x10, 0].repeat(60_000)[..], &[0x0b]].concat());
        let parts = [
            section(1, &[ty(0, 0)]),
            section(2, &vec![import; 3]),
            section(3, &[vec![0], vec![0]]),
            section(10, &[sized(&[0, 0x0b]), body]),
        ];
        let said = said(&[b"\0asm\x01\0\0\0".to_vec(), parts.concat()].concat());
        assert!(said.contains("function 4 costs"), "{said}");
    }

    #[test]
    fn small_functions_that_take_up_gigabytes_are_refused() {
        let block = |open: &[u8]| [open, &[0x0b]].concat();
        let hostile: [(&str, Vec<u8>); 8] = [
            ("calls of many values", [0x10, 1].repeat(1_000)),
            ("loops of many parameters", block(&[0x03, 1]).repeat(100)),
            ("ifs of many parameters", [0x41, 0, 0x04, 1, 0x05, 0x0b].repeat(100)),
            ("blocks of many results", block(&[0x02, 1]).repeat(200)),
            (
                "ifs of one result each",
                [0x41, 0, 0x04, 0x7f, 0x41, 1, 0x05, 0x41, 2, 0x0b, 0x1a].repeat(5_000),
            ),
            ("calls through a table", [0x41, 0, 0x11, 0, 0].repeat(6_000)),
            ("looks into a table", [0x41, 0, 0x25, 0, 0x1a].repeat(6_000)),
            ("additions", [0x20, 0, 0x41, 1, 0x6a, 0x21, 0].repeat(80_000)),
        ];
        for (what, code) in hostile {
            // Blocks name type 1. There is no function 1, so calls name function 0, which is as
            // wide.
            let types = [ty(1000, 1000), ty(1000, 1000)];
            let code =
                code.iter().map(|byte| if what == "calls of many values" && *byte == 1 { 0 } else { *byte });
            let body = [&[0][..], &code.collect::<Vec<_>>(), &[0x0b]].concat();
            let said = said(&module(&types, 1, &body));
            assert!(said.contains("function 0 costs"), "{what}: {said}");
        }
    }

    #[test]
    fn locals_count_as_often_as_there_are_blocks() {
        // Each local is read once, and there is an empty `if` for each of them.
        let code = |locals: u64, ifs: usize| {
            let reads: Vec<u8> =
                (0..locals).flat_map(|i| [vec![0x20], leb(i), vec![0x1a]].concat()).collect();
            let ifs = [0x41, 0, 0x04, 0x40, 0x0b].repeat(ifs);
            let body = [&[1][..], &leb(locals), &[0x7f], &reads, &ifs, &[0x0b]].concat();
            module(&[ty(0, 0)], 1, &body)
        };
        assert!(ModuleInfo::parse(&code(1_000, 1_000)).is_ok());
        assert!(ModuleInfo::parse(&code(10, 10_000)).is_ok());
        assert!(ModuleInfo::parse(&code(10_000, 10)).is_ok());
        assert!(said(&code(3_000, 3_000)).contains("function 0 costs"));
        // The reader refuses more locals than any engine takes, so that their number overflows
        // nothing.
        let most = [&[2][..], &leb(u32::MAX.into()), &[0x7f], &leb(u32::MAX.into()), &[0x7f, 0x0b]].concat();
        let said = said(&module(&[ty(0, 0)], 1, &most));
        assert!(said.contains("too many locals"), "{said}");
    }

    #[test]
    fn targets_of_a_jump_table_count_and_so_does_what_they_carry() {
        // From a block with a result for each of the values, to its end.
        let jump = |ty: u8, targets: u64| {
            let targets = [leb(targets), vec![0; count(targets) + 1]].concat();
            one(&[&[0x02, ty, 0x41, 0, 0x0e][..], &targets, &[0x0b]].concat())
        };
        assert!(ModuleInfo::parse(&jump(0x40, TARGETS.into())).is_ok());
        let over = said(&jump(0x40, u64::from(TARGETS) + 1));
        assert_eq!(
            over,
            "too costly to compile: function 0 has a jump table of 65536, over the bound of 65535"
        );
        assert!(ModuleInfo::parse(&jump(1, 100)).is_ok());
        assert!(said(&jump(1, 2_000)).contains("function 0 costs"));
    }

    #[test]
    fn blocks_nest_to_their_bound_and_no_deeper() {
        let nested = |depth: usize| one(&[[0x02, 0x40].repeat(depth), vec![0x0b; depth]].concat());
        assert!(ModuleInfo::parse(&nested(NESTING)).is_ok());
        let said = said(&nested(NESTING + 1));
        assert_eq!(said, "too costly to compile: function 0 nests blocks deeper than the bound of 10000");
    }

    #[test]
    fn the_functions_of_a_module_cost_no_more_than_its_size_allows() {
        let module = |functions: usize| module(&[ty(0, 0)], functions, &[0, 0x0b]);
        let fits = |functions: usize| {
            let bytes = module(functions);
            let cost = weights::TYPE + EMPTY * functions as u64;
            (cost <= MODULE + MODULE_BYTE * bytes.len() as u64, bytes)
        };
        // Bit by bit, because each try makes a module.
        let most = (0..17)
            .rev()
            .map(|bit| 1 << bit)
            .fold(0, |most, more| if fits(most + more).0 { most + more } else { most });
        assert!(ModuleInfo::parse(&fits(most).1).is_ok());
        let (false, over) = fits(most + 1) else { panic!("too many") };
        let said = said(&over);
        assert!(said.contains(&format!("up to function {most} the module costs")), "{said}");
        // The same number of functions in a larger module.
        let padding = [vec![0], leb(1 << 20), vec![1, b'x'], vec![0; (1 << 20) - 2]].concat();
        assert!(ModuleInfo::parse(&[over, padding].concat()).is_ok());
    }

    #[test]
    fn parameters_and_results_of_all_types_are_counted_together() {
        let header = b"\0asm\x01\0\0\0".to_vec();
        let types = |more: &[Vec<u8>]| {
            let wide = vec![ty(600, 400); count(ARITY / 1000)];
            [header.clone(), section(1, &[&wide, more].concat())].concat()
        };
        assert!(ModuleInfo::parse(&types(&[ty(0, 0)])).is_ok());
        for over in [ty(1, 0), ty(0, 1)] {
            let said = said(&types(&[over]));
            assert!(said.contains("more than 100000 parameters and results"), "{said}");
        }
        // Each type costs as well.
        let said = said(&[header, section(1, &vec![ty(0, 0); 99_999])].concat());
        assert!(said.contains("up to type 1"), "{said}");
    }

    #[test]
    fn the_largest_body_the_most_locals_and_growing_tables_are_seen_on_the_way() {
        let code = |functions: &str| {
            let text =
                format!("(module (import \"m\" \"f\" (func (param i64))) (table 1 funcref) {functions})");
            ModuleInfo::parse(&wat::parse_str(text).unwrap()).unwrap().code
        };
        let seen = |largest_body, most_locals, grows_tables| CodeInfo {
            largest_body,
            most_locals,
            grows_tables,
            tail_calls: false,
        };
        assert_eq!(code(""), CodeInfo::default());
        // An empty list of locals and an `end`.
        assert_eq!(code("(func)"), seen(2, 0, false));
        let few = "(func (param i32 i64) (local f32) local.get 2 drop)";
        assert_eq!(code(few), seen(3 + 4, 3, false));
        // Two runs of locals. The largest body and the body with the most locals need not be the
        // same.
        let many = "(func (param i32) (local i32 i32 i32 i64))";
        assert_eq!(code(many), seen(5 + 1, 5, false));
        assert_eq!(code(&[many, few].concat()), seen(7, 5, false));
        let grow = "(func (drop (table.grow 0 (ref.null func) (i32.const 1))))";
        assert_eq!(code(grow), seen(1 + 2 + 2 + 3 + 2, 0, true));
        assert_eq!(code(&[grow, many].concat()), seen(10, 5, true));
        let others = "(elem func) (func i32.const 0 ref.null func i32.const 0 table.fill 0 table.size 0 drop
            i32.const 0 i32.const 0 i32.const 0 table.init 0 0 i32.const 0 memory.grow drop) (memory 1)";
        assert!(!code(others).grows_tables);
        for (calls, tail) in
            [("call 0", false), ("return_call 0", true), ("i32.const 0 return_call_indirect", true)]
        {
            let code = code(&format!(
                "(func $f) (func (drop (i64.const 0)) {})",
                calls.replace("call 0", "call $f")
            ));
            assert_eq!(code.tail_calls, tail, "{calls}");
        }
    }

    #[test]
    fn code_that_cannot_be_read_is_no_module() {
        // An unknown operator, no end, bytes behind the end, an `else` without an `if`, cut off.
        for code in [&[0xff, 0x0b][..], &[0x01], &[0x0b, 0x01], &[0x05, 0x0b], &[0x41]] {
            let said = said(&module(&[ty(0, 0)], 1, &[&[0], code].concat()));
            assert!(said.starts_with("not a WebAssembly module: "), "{said}");
        }
        // What can be read but does not exist is left to the engine: a function, a type, a local, a
        // label.
        for code in
            [&[0x10, 9][..], &[0x11, 9, 0], &[0x02, 9, 0x0b], &[0x20, 9], &[0x0c, 9], &[0x0e, 1, 9, 9]]
        {
            assert!(ModuleInfo::parse(&one(code)).is_ok(), "{code:x?}");
        }
    }
}
