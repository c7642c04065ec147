//! Estimates what one function would make a compiler take up.
//!
//! The code is read but not validated. What does not exist counts nothing, and the engine refuses
//! it with its own words.

use wasmparser::{BlockType, FunctionBody, Operator, OperatorsReader, OperatorsReaderAllocations};

use super::weights::{self, blocks};
use crate::errors::{BoxError, Error, ErrorKind};

/// How deep blocks may nest. The time to compile loops grows with the square of it.
pub(super) const NESTING: usize = 10_000;

/// The most locals, parameters included, and the most targets of a jump table. These are the
/// smallest bounds of any engine: what one of them refuses, none serves.
pub(super) const LOCALS: u64 = 30_000;
pub(super) const TARGETS: u32 = 65_535;

/// How many values a type takes and returns: none for a type that is no function.
#[derive(Clone, Copy, Default)]
pub(super) struct Arity {
    pub(super) params: u32,
    pub(super) results: u32,
}

impl Arity {
    pub(super) fn all(self) -> u64 {
        u64::from(self.params) + u64::from(self.results)
    }
}

/// Memory that is used again from function to function.
#[derive(Default)]
pub(super) struct Scratch {
    operators: OperatorsReaderAllocations,
    frames: Vec<Frame>,
    /// The locals that are used, one bit each.
    used: Vec<u64>,
}

/// An open block.
#[derive(Clone, Copy)]
struct Frame {
    arity: Arity,
    /// How many values a branch to the block carries.
    label: u32,
}

/// What was read of a function.
pub(super) struct Body {
    /// The bytes that it costs while it is compiled.
    pub(in crate::module) cost: u64,
    /// The number of its locals, parameters included.
    pub(super) locals: u64,
    pub(in crate::module) grows_tables: bool,
    pub(in crate::module) tail_calls: bool,
}

/// A function that is being read.
pub(super) struct Function<'a> {
    types: &'a [Arity],
    functions: &'a [u32],
    cost: u64,
    blocks: u64,
    /// The variables that blocks have to know, each as often as there are blocks.
    cells: u64,
    /// The number of locals that are used.
    locals: u64,
    /// The targets of its largest jump table.
    targets: u32,
    grows_tables: bool,
    tail_calls: bool,
    scratch: &'a mut Scratch,
}

impl<'a> Function<'a> {
    /// Creates a function of a module with these types and these types of functions.
    pub(super) fn new(types: &'a [Arity], functions: &'a [u32], scratch: &'a mut Scratch) -> Self {
        Self {
            types,
            functions,
            cost: weights::FUNCTION,
            blocks: 1,
            cells: 0,
            locals: 0,
            targets: 0,
            grows_tables: false,
            tail_calls: false,
            scratch,
        }
    }

    /// Reads the function's body, given its index.
    pub(super) fn read(mut self, index: usize, body: &FunctionBody<'_>) -> Result<Body, BoxError> {
        let own = self.of_function(u32::try_from(index).unwrap_or(u32::MAX));
        self.add(own.all(), weights::LOCAL);
        let mut declared = u64::from(own.params);
        let mut locals = body.get_locals_reader()?;
        for _ in 0..locals.get_count() {
            let (count, _) = locals.read()?;
            // A count of 0 takes up only bytes of the module.
            self.add(count.into(), weights::LOCAL);
            declared = declared.saturating_add(count.into());
        }
        if declared > LOCALS {
            let what = format!("function {index} has {declared} locals, over the bound of {LOCALS}");
            return Err(refuse(what).into());
        }
        self.scratch.used.clear();
        self.scratch.frames.clear();
        self.scratch.frames.push(Frame { arity: own, label: own.results });
        let allocations = std::mem::take(&mut self.scratch.operators);
        let mut operators = OperatorsReader::new_with_allocs(locals.get_binary_reader(), allocations);
        while !operators.eof() {
            let operator = operators.read()?;
            self.operator(&operator);
            // The body itself is one frame.
            if self.scratch.frames.len() > NESTING + 1 {
                let what = format!("function {index} nests blocks deeper than the bound of {NESTING}");
                return Err(refuse(what).into());
            }
        }
        operators.finish()?;
        if self.targets > TARGETS {
            let what =
                format!("function {index} has a jump table of {}, over the bound of {TARGETS}", self.targets);
            return Err(refuse(what).into());
        }
        self.scratch.operators = operators.into_allocations();
        let cells = self.cells.saturating_add(self.locals.saturating_mul(self.blocks));
        self.add(cells, weights::CELL);
        Ok(Body {
            cost: self.cost,
            locals: declared,
            grows_tables: self.grows_tables,
            tail_calls: self.tail_calls,
        })
    }

    fn operator(&mut self, operator: &Operator<'_>) {
        self.tail_calls |= matches!(
            operator,
            Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. }
        );
        match operator {
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } => {
                self.cost = self.cost.saturating_add(weights::NAME);
                self.local(*local_index);
            }
            Operator::I32Const { .. }
            | Operator::I64Const { .. }
            | Operator::F32Const { .. }
            | Operator::F64Const { .. }
            | Operator::RefNull { .. }
            | Operator::Drop
            | Operator::Nop => self.add(1, weights::NAME),

            Operator::Block { blockty } => self.open(*blockty, weights::BLOCK, blocks::BRANCH, Opens::Block),
            Operator::Loop { blockty } => self.open(*blockty, weights::LOOP, blocks::LOOP, Opens::Loop),
            Operator::If { blockty } => self.open(*blockty, weights::IF, blocks::IF, Opens::If),
            Operator::Try { blockty } => self.open(*blockty, weights::IF, blocks::IF, Opens::If),
            Operator::TryTable { try_table } => {
                self.add(try_table.catches.len() as u64, weights::PLAIN);
                self.open(try_table.ty, weights::IF, blocks::IF, Opens::If);
            }
            Operator::Else | Operator::Catch { .. } | Operator::CatchAll => {
                let arity = self.scratch.frames.last().map_or_else(Arity::default, |frame| frame.arity);
                self.add(1, weights::NAME);
                self.variables(arity.params);
            }
            Operator::End | Operator::Delegate { .. } => {
                self.add(1, weights::NAME);
                let closed = self.scratch.frames.pop();
                self.variables(closed.map_or(0, |frame| frame.arity.results));
            }

            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                self.add(1, weights::PLAIN);
                self.branch(*relative_depth);
            }
            Operator::BrTable { targets } => {
                self.add(1, weights::PLAIN);
                self.blocks = self.blocks.saturating_add(blocks::BRANCH);
                self.targets = self.targets.max(targets.len());
                self.target(targets.default());
                for target in targets.targets() {
                    // A target that is not a number: the reader has refused it already.
                    self.target(target.unwrap_or(u32::MAX));
                }
            }
            Operator::Return => {
                let results = self.scratch.frames.first().map_or(0, |frame| frame.label);
                self.add(1, weights::PLAIN);
                self.add(results.into(), weights::CARRIED);
                self.blocks = self.blocks.saturating_add(blocks::BRANCH);
            }

            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                self.call(self.of_function(*function_index), weights::CALL);
            }
            Operator::CallIndirect { type_index, .. } | Operator::ReturnCallIndirect { type_index, .. } => {
                self.call(self.of_type(*type_index), weights::TABLE);
                self.blocks = self.blocks.saturating_add(blocks::TABLE);
            }
            Operator::CallRef { type_index } | Operator::ReturnCallRef { type_index } => {
                self.call(self.of_type(*type_index), weights::CALL);
            }
            Operator::RefFunc { .. } => self.add(1, weights::CALL),
            Operator::TableGet { .. }
            | Operator::TableSet { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. } => {
                self.grows_tables |= matches!(operator, Operator::TableGrow { .. });
                self.add(1, weights::TABLE);
                self.blocks = self.blocks.saturating_add(blocks::TABLE);
            }
            Operator::MemoryGrow { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. }
            | Operator::DataDrop { .. }
            | Operator::ElemDrop { .. } => self.add(1, weights::BULK),

            Operator::Select
            | Operator::TypedSelect { .. }
            | Operator::GlobalSet { .. }
            | Operator::I32DivS
            | Operator::I32DivU
            | Operator::I32RemS
            | Operator::I32RemU
            | Operator::I64DivS
            | Operator::I64DivU
            | Operator::I64RemS
            | Operator::I64RemU
            | Operator::F32Min
            | Operator::F32Max
            | Operator::F64Min
            | Operator::F64Max
            | Operator::I32TruncF32S
            | Operator::I32TruncF32U
            | Operator::I32TruncF64S
            | Operator::I32TruncF64U
            | Operator::I64TruncF32S
            | Operator::I64TruncF32U
            | Operator::I64TruncF64S
            | Operator::I64TruncF64U
            | Operator::I32TruncSatF32S
            | Operator::I32TruncSatF32U
            | Operator::I32TruncSatF64S
            | Operator::I32TruncSatF64U
            | Operator::I64TruncSatF32S
            | Operator::I64TruncSatF32U
            | Operator::I64TruncSatF64S
            | Operator::I64TruncSatF64U => self.add(1, weights::HEAVY),
            operator => self.add(1, if is_simd(operator) { weights::SIMD } else { weights::PLAIN }),
        }
    }

    fn add(&mut self, count: u64, weight: u64) {
        self.cost = self.cost.saturating_add(count.saturating_mul(weight));
    }

    fn call(&mut self, arity: Arity, weight: u64) {
        self.add(1, weight);
        self.add(arity.all(), weights::PASSED);
    }

    fn open(&mut self, ty: BlockType, weight: u64, blocks: u64, opens: Opens) {
        let arity = match ty {
            BlockType::Empty => Arity::default(),
            BlockType::Type(_) => Arity { params: 0, results: 1 },
            BlockType::FuncType(index) => self.of_type(index),
        };
        self.add(1, weight);
        self.blocks = self.blocks.saturating_add(blocks);
        self.add(arity.all(), weights::CARRIED);
        // The parameters of a block are the values that are there already.
        if opens != Opens::Block {
            self.variables(arity.params);
        }
        let label = if opens == Opens::Loop { arity.params } else { arity.results };
        self.scratch.frames.push(Frame { arity, label });
    }

    fn branch(&mut self, depth: u32) {
        self.add(self.label(depth) + 1, weights::CARRIED);
        self.blocks = self.blocks.saturating_add(blocks::BRANCH);
    }

    /// Adds a target of a jump table. A target that gets values has a basic block of its own on the
    /// way.
    fn target(&mut self, depth: u32) {
        let label = self.label(depth);
        self.add(label + 1, weights::CARRIED);
        if label > 0 {
            self.blocks = self.blocks.saturating_add(blocks::BRANCH);
        }
    }

    /// Returns how many values a branch of this depth carries.
    fn label(&self, depth: u32) -> u64 {
        let frames = &self.scratch.frames;
        let at =
            usize::try_from(depth).ok().and_then(|depth| frames.len().checked_sub(depth)?.checked_sub(1));
        at.and_then(|at| frames.get(at)).map_or(0, |frame| frame.label.into())
    }

    /// Adds new variables, in a block that comes after all earlier ones.
    fn variables(&mut self, count: u32) {
        self.cells = self.cells.saturating_add(u64::from(count).saturating_mul(self.blocks));
    }

    fn local(&mut self, index: u32) {
        // No engine accepts a function with more locals.
        let Ok(index) = u16::try_from(index) else { return };
        let (word, bit) = (usize::from(index / 64), 1_u64 << (index % 64));
        let used = &mut self.scratch.used;
        if used.len() <= word {
            used.resize(word + 1, 0);
        }
        if let Some(used) = used.get_mut(word).filter(|used| **used & bit == 0) {
            *used |= bit;
            self.locals += 1;
        }
    }

    /// Returns the type of an index; an empty one for what the engine will refuse with its own
    /// words.
    fn of_type(&self, index: u32) -> Arity {
        usize::try_from(index).ok().and_then(|index| self.types.get(index)).copied().unwrap_or_default()
    }

    fn of_function(&self, index: u32) -> Arity {
        let ty = usize::try_from(index).ok().and_then(|index| self.functions.get(index));
        self.of_type(ty.copied().unwrap_or(u32::MAX))
    }
}

/// The kind of block that is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    Block,
    Loop,
    If,
}

fn is_simd(operator: &Operator<'_>) -> bool {
    macro_rules! proposals {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            match operator {
                $(Operator::$op { .. } => matches!(stringify!($proposal), "simd" | "relaxed_simd"),)*
                _ => false,
            }
        };
    }
    wasmparser::for_each_operator!(proposals)
}

pub(super) fn refuse(what: String) -> Error {
    Error::new(ErrorKind::InvalidModule, format!("too costly to compile: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_of_simd_are_known() {
        assert!(is_simd(&Operator::I8x16Add) && is_simd(&Operator::I32x4RelaxedTruncF32x4S));
        assert!(!is_simd(&Operator::I32Add) && !is_simd(&Operator::Nop));
    }
}
