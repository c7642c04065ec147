//! What code takes up of a compiler, in bytes. The weights were measured with Cranelift, each near
//! its worst.

/// A function, however empty. It is kept until the end, so it counts tenfold.
pub(in crate::module) const FUNCTION: u64 = 64 << 10;
/// A type: the engine makes a function of it.
pub(super) const TYPE: u64 = 80 << 10;
/// A parameter or result of a type.
pub(super) const TYPED: u64 = 2 << 10;
pub(super) const LOCAL: u64 = 256;
/// An operator that only names a value: constants, locals.
pub(super) const NAME: u64 = 128;
pub(super) const PLAIN: u64 = 1 << 10;
/// An operator that checks or chooses: divisions, conversions, `select`. Also `global.set`,
/// whose sums are kept for the next one.
pub(super) const HEAVY: u64 = 2560;
pub(super) const SIMD: u64 = 2 << 10;
/// `memory.copy` and its like, which become calls into the engine.
pub(super) const BULK: u64 = 6 << 10;
pub(super) const CALL: u64 = 2 << 10;
/// A value that a call passes, in either direction.
pub(super) const PASSED: u64 = 640;
/// An operator that looks into a table, including `call_indirect`: tables are filled lazily.
pub(super) const TABLE: u64 = 20 << 10;
pub(super) const BLOCK: u64 = 768;
pub(super) const IF: u64 = 1280;
/// Each turn of a loop checks the deadline.
pub(super) const LOOP: u64 = 12 << 10;
/// A value that a branch carries, or a target of a jump table.
pub(super) const CARRIED: u64 = 64;
/// A variable in a basic block. Cranelift keeps a table of all of them, which is what takes
/// gigabytes.
pub(super) const CELL: u64 = 16;

/// The basic blocks that Cranelift makes of an operator.
pub(super) mod blocks {
    pub(in crate::module::cost) const BRANCH: u64 = 1;
    pub(in crate::module::cost) const IF: u64 = 3;
    pub(in crate::module::cost) const TABLE: u64 = 4;
    pub(in crate::module::cost) const LOOP: u64 = 5;
}
