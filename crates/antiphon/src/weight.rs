//! What code takes up of a compiler, in bytes. The weights were measured with Cranelift, each near
//! its worst.

/// A function, however empty. It is kept until the end, so it counts tenfold.
pub(crate) const FUNCTION: u64 = 64 << 10;
/// A type: the engine makes a function of it.
pub(crate) const TYPE: u64 = 80 << 10;
/// A parameter or result of a type.
pub(crate) const TYPED: u64 = 2 << 10;
pub(crate) const LOCAL: u64 = 256;
/// An operator that only names a value: constants, locals.
pub(crate) const NAME: u64 = 128;
pub(crate) const PLAIN: u64 = 1 << 10;
/// An operator that checks or chooses: divisions, conversions, `select`. Also `global.set`,
/// whose sums are kept for the next one.
pub(crate) const HEAVY: u64 = 2560;
pub(crate) const SIMD: u64 = 2 << 10;
/// `memory.copy` and its like, which become calls into the engine.
pub(crate) const BULK: u64 = 6 << 10;
pub(crate) const CALL: u64 = 2 << 10;
/// A value that a call passes, in either direction.
pub(crate) const PASSED: u64 = 640;
/// An operator that looks into a table, including `call_indirect`: tables are filled lazily.
pub(crate) const TABLE: u64 = 20 << 10;
pub(crate) const BLOCK: u64 = 768;
pub(crate) const IF: u64 = 1280;
/// Each turn of a loop checks the deadline.
pub(crate) const LOOP: u64 = 12 << 10;
/// A value that a branch carries, or a target of a jump table.
pub(crate) const CARRIED: u64 = 64;
/// A variable in a basic block. Cranelift keeps a table of all of them, which is what takes
/// gigabytes.
pub(crate) const CELL: u64 = 16;

/// The basic blocks that Cranelift makes of an operator.
pub(crate) mod blocks {
    pub(crate) const BRANCH: u64 = 1;
    pub(crate) const IF: u64 = 3;
    pub(crate) const TABLE: u64 = 4;
    pub(crate) const LOOP: u64 = 5;
}
