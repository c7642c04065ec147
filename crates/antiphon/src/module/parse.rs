//! Reads a module's sections, and adds up what its code would cost to compile. Validating the
//! module is the engine's part.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, Parser, Payload,
    TableInit, TypeRef,
};

use super::cost::Costs;
use super::info::{Export, ExternKind, FuncType, Import, ModuleInfo, Needs, ValType};
use crate::errors::{Error, ErrorKind, Result};

/// The most entries of a section. No useful module has more. Each takes some ten bytes in a module
/// and some hundred here.
const MANY: usize = 100_000;

/// The most elements in all segments of a module together, where each segment counts as one more.
/// An engine may make code of each element, which takes two to five kilobytes while it compiles.
const MANY_ELEMENTS: u64 = 100_000;

/// The most bytes of all constant expressions of a module together. An engine takes a hundred bytes
/// for each of them.
const MANY_EXPRESSIONS: usize = 1 << 20;

/// The most producers that are read. They are for humans.
const MANY_PRODUCERS: usize = 1_000;

impl ModuleInfo {
    /// Reads a module in the binary format.
    ///
    /// Time and memory are bounded by the length of the bytes. The code is read but not validated.
    /// A module that would make its compiler take up hundreds of megabytes is refused here, before
    /// an engine sees it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: not a module, broken off, too many of something, or too costly
    /// to compile.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        read(bytes).map_err(|error| match error.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(error) => Error::new(ErrorKind::InvalidModule, format!("not a WebAssembly module: {error}"))
                .with_source(error),
        })
    }
}

/// What the indices of a module stand for, to give each export its type.
#[derive(Default)]
struct Functions {
    types: Vec<Option<ExternKind>>,
    of: Vec<u32>,
    /// The number of imported functions. They come first.
    imported: usize,
    memories: Vec<ExternKind>,
    tables: Vec<ExternKind>,
}

fn read(bytes: &[u8]) -> Result<ModuleInfo, crate::errors::BoxError> {
    let mut info =
        ModuleInfo { size: bytes.len().try_into()?, digest: digest(bytes), ..ModuleInfo::default() };
    let mut known = Functions::default();
    let mut elements = 0_u64;
    let mut expressions = 0_usize;
    let mut costs = Costs::new(info.size);
    let mut bodies = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: wasmparser::Encoding::Component, .. } => {
                return Err(refuse("a component, not a core module").into());
            }
            Payload::TypeSection(types) => {
                for group in types {
                    for ty in group?.into_types() {
                        let kind = match ty.composite_type.inner {
                            CompositeInnerType::Func(func) => Some(ExternKind::Func(Arc::new(FuncType {
                                params: func.params().iter().copied().map(val_type).collect(),
                                results: func.results().iter().copied().map(val_type).collect(),
                            }))),
                            _ => None,
                        };
                        let (params, results) = match &kind {
                            Some(ExternKind::Func(func)) => (func.params.len(), func.results.len()),
                            _ => (0, 0),
                        };
                        push(&mut known.types, kind)?;
                        costs.add_type(params, results)?;
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    let kind = known.import(import.ty);
                    push(&mut info.imports, Import::new(import.module, import.name, kind))?;
                }
            }
            Payload::FunctionSection(functions) => {
                for function in functions {
                    if known.of.len() >= MANY {
                        return Err(refuse(&format!("more than {MANY} functions, imports included")).into());
                    }
                    known.of.push(function?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                costs.add_body(known.imported.saturating_add(bodies), &body, &known.of)?;
                bodies = bodies.saturating_add(1);
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    push(&mut known.memories, memory_kind(&memory?))?;
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table?;
                    push(&mut known.tables, table_kind(&table.ty))?;
                    if let TableInit::Expr(init) = table.init {
                        count_expression(&mut expressions, &init)?;
                    }
                }
            }
            Payload::GlobalSection(globals) => {
                for (count, global) in globals.into_iter().enumerate() {
                    if count >= MANY {
                        return Err(many().into());
                    }
                    count_expression(&mut expressions, &global?.init_expr)?;
                }
            }
            Payload::DataSection(segments) => {
                for (count, segment) in segments.into_iter().enumerate() {
                    if count >= MANY {
                        return Err(many().into());
                    }
                    if let DataKind::Active { offset_expr, .. } = segment?.kind {
                        count_expression(&mut expressions, &offset_expr)?;
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    push(
                        &mut info.exports,
                        Export::new(export.name, known.export(export.kind, export.index)),
                    )?;
                }
            }
            Payload::StartSection { func, .. } => {
                if known.export(ExternalKind::Func, func) != ExternKind::func::<&str>(&[], &[]) {
                    return Err(refuse("invalid start function type").into());
                }
                info.has_start = true;
            }
            Payload::ElementSection(segments) => {
                for segment in segments {
                    let segment = segment?;
                    if let ElementKind::Active { offset_expr, .. } = segment.kind {
                        count_expression(&mut expressions, &offset_expr)?;
                    }
                    let (items, bytes) = match segment.items {
                        ElementItems::Functions(items) => (items.count(), 0),
                        ElementItems::Expressions(_, items) => (items.count(), items.range().len()),
                    };
                    elements = elements.saturating_add(u64::from(items)).saturating_add(1);
                    if elements > MANY_ELEMENTS {
                        let what = format!("more than {MANY_ELEMENTS} elements in all segments together");
                        return Err(refuse(&what).into());
                    }
                    count_bytes(&mut expressions, bytes)?;
                }
            }
            Payload::CustomSection(section) => {
                let size = section.data().len().try_into()?;
                push(&mut info.custom_sections, (section.name().to_owned(), size))?;
                if let wasmparser::KnownCustom::Producers(producers) = section.as_known() {
                    // A broken section is no reason to refuse a module: engines do not read it.
                    info.producers = read_producers(producers).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    info.needs = known.needs();
    info.code = costs.code();
    Ok(info)
}

impl Functions {
    fn func(&self, ty: u32) -> ExternKind {
        let known = usize::try_from(ty).ok().and_then(|ty| self.types.get(ty)).cloned().flatten();
        // Out of range or not a function: the engine refuses it with its own words.
        known.unwrap_or_else(|| ExternKind::Func(Arc::default()))
    }

    fn import(&mut self, ty: TypeRef) -> ExternKind {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.of.push(ty);
                self.imported = self.imported.saturating_add(1);
                self.func(ty)
            }
            TypeRef::Memory(ty) => {
                self.memories.push(memory_kind(&ty));
                memory_kind(&ty)
            }
            TypeRef::Table(ty) => {
                self.tables.push(table_kind(&ty));
                table_kind(&ty)
            }
            TypeRef::Global(_) => ExternKind::Global,
            TypeRef::Tag(_) => ExternKind::Tag,
        }
    }

    fn export(&self, kind: ExternalKind, index: u32) -> ExternKind {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let unknown = ExternKind::Memory { minimum: 0, maximum: None };
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                self.func(self.of.get(index).copied().unwrap_or(u32::MAX))
            }
            ExternalKind::Memory => self.memories.get(index).cloned().unwrap_or(unknown),
            ExternalKind::Table => {
                self.tables.get(index).cloned().unwrap_or(ExternKind::Table { minimum: 0, maximum: None })
            }
            ExternalKind::Global => ExternKind::Global,
            ExternalKind::Tag => ExternKind::Tag,
        }
    }

    fn needs(&self) -> Needs {
        /// Bytes of a page of memory.
        const PAGE: u64 = 64 * 1024;

        let largest = |kinds: &[ExternKind]| {
            let minima = kinds.iter().map(|kind| match kind {
                ExternKind::Memory { minimum, .. } | ExternKind::Table { minimum, .. } => *minimum,
                _ => 0,
            });
            minima.max().unwrap_or(0)
        };
        Needs {
            memory: largest(&self.memories).saturating_mul(PAGE),
            tables: u64::try_from(self.tables.len()).unwrap_or(u64::MAX),
            table_elements: largest(&self.tables),
        }
    }
}

fn val_type(ty: wasmparser::ValType) -> ValType {
    use wasmparser::ValType as Wasm;
    match ty {
        Wasm::I32 => ValType::I32,
        Wasm::I64 => ValType::I64,
        Wasm::F32 => ValType::F32,
        Wasm::F64 => ValType::F64,
        Wasm::V128 => ValType::V128,
        Wasm::FUNCREF => ValType::FuncRef,
        Wasm::EXTERNREF => ValType::ExternRef,
        Wasm::Ref(_) => ValType::OtherRef,
    }
}

fn memory_kind(ty: &wasmparser::MemoryType) -> ExternKind {
    ExternKind::Memory { minimum: ty.initial, maximum: ty.maximum }
}

fn table_kind(ty: &wasmparser::TableType) -> ExternKind {
    ExternKind::Table { minimum: ty.initial, maximum: ty.maximum }
}

fn read_producers(
    section: wasmparser::ProducersSectionReader<'_>,
) -> wasmparser::Result<Vec<(String, String, String)>> {
    let mut all = Vec::new();
    for field in section {
        let field = field?;
        for value in field.values {
            let value = value?;
            if all.len() < MANY_PRODUCERS {
                all.push((field.name.to_owned(), value.name.to_owned(), value.version.to_owned()));
            }
        }
    }
    Ok(all)
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    if list.len() >= MANY {
        return Err(many());
    }
    list.push(item);
    Ok(())
}

fn many() -> Error {
    refuse(&format!("more than {MANY} entries in a section"))
}

fn count_expression(total: &mut usize, expression: &ConstExpr<'_>) -> Result<()> {
    count_bytes(total, expression.get_binary_reader().bytes_remaining())
}

fn count_bytes(total: &mut usize, bytes: usize) -> Result<()> {
    *total = total.saturating_add(bytes);
    if *total > MANY_EXPRESSIONS {
        return Err(refuse(&format!("more than {MANY_EXPRESSIONS} bytes of constant expressions")));
    }
    Ok(())
}

fn refuse(what: &str) -> Error {
    Error::new(ErrorKind::InvalidModule, format!("not a waPC guest: {what}"))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a LEB128 number of at most two bytes.
    fn leb(value: usize) -> Vec<u8> {
        let low = u8::try_from(value & 0x7f).unwrap();
        match u8::try_from(value >> 7).unwrap() {
            0 => vec![low],
            high => vec![low | 0x80, high],
        }
    }

    fn section(id: u8, content: Vec<u8>) -> Vec<u8> {
        [vec![id], leb(content.len()), content].concat()
    }

    #[test]
    fn a_start_function_takes_and_returns_nothing() {
        let with_start = |signature: &str| {
            let module = format!("(module (func $run {signature} unreachable) (start $run))");
            ModuleInfo::parse(&wat::parse_str(module).unwrap())
        };
        assert!(with_start("").unwrap().has_start);
        // A start function that does not exist is left to the engine, as all indices are.
        for signature in ["(param i32)", "(result i32)"] {
            let error = with_start(signature).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModule);
            assert!(error.message().contains("invalid start function type"), "{error}");
        }
    }

    #[test]
    fn a_wide_type_is_shared_by_all_its_imports() {
        let wide = [vec![1, 0x60], leb(1_000), vec![0x7f; 1_000], vec![0]].concat();
        let imports = [leb(2_000), [0, 0, 0, 0].repeat(2_000)].concat();
        let module = [b"\0asm\x01\0\0\0".to_vec(), section(1, wide), section(2, imports)].concat();
        let info = ModuleInfo::parse(&module).unwrap();
        assert_eq!(info.imports.len(), 2_000);
        let ExternKind::Func(first) = &info.imports[0].kind else { panic!("a function") };
        assert_eq!(first.params.len(), 1_000);
        for import in &info.imports {
            let ExternKind::Func(other) = &import.kind else { panic!("a function") };
            assert!(Arc::ptr_eq(first, other));
        }
        // The text of the refusals is bounded too.
        let refusals = info.refusals(|_| None);
        assert!(refusals.concat().len() < 20_000, "{}", refusals.concat().len());
        assert!(refusals.iter().any(|refusal| refusal.ends_with(" more imports")));
    }

    #[test]
    fn elements_of_all_segments_are_counted_together() {
        // A passive segment of 99 functions, which counts as 100 elements.
        let segment = [vec![1, 0, 99], vec![0; 99]].concat();
        let module = |segments: usize| {
            let content = [leb(segments), segment.repeat(segments)].concat();
            let size = content.len();
            // Three bytes of a number, which is less than 2^21.
            let size = [size & 0x7f | 0x80, size >> 7 & 0x7f | 0x80, size >> 14];
            let size = size.map(|byte| u8::try_from(byte).unwrap());
            [&b"\0asm\x01\0\0\0\x09"[..], &size, &content].concat()
        };
        assert!(ModuleInfo::parse(&module(1_000)).is_ok());
        let error = ModuleInfo::parse(&module(1_001)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        assert!(error.message().contains("more than 100000 elements"), "{error}");
    }

    /// Returns a section with a number of entries, of any size.
    fn long(id: u8, count: usize, entries: &[u8]) -> Vec<u8> {
        let five = |value: usize| {
            let low = [0, 7, 14, 21].map(|shift| u8::try_from(value >> shift & 0x7f).unwrap() | 0x80);
            [&low[..], &[u8::try_from(value >> 28).unwrap()]].concat()
        };
        let content = [five(count), entries.to_vec()].concat();
        [b"\0asm\x01\0\0\0".to_vec(), vec![id], five(content.len()), content].concat()
    }

    #[test]
    fn functions_globals_and_segments_of_data_are_counted() {
        // Functions without their code are no module, but at the bound it is not their number that
        // is refused.
        let functions = |count: usize| ModuleInfo::parse(&long(3, count, &vec![0; count])).unwrap_err();
        assert!(functions(MANY).message().contains("code section is absent"), "{}", functions(MANY));
        assert!(
            functions(MANY + 1).message().contains("more than 100000 functions"),
            "{}",
            functions(MANY + 1)
        );
        for (id, entry) in [(6, &[0x7f, 0, 0x41, 0, 0x0b][..]), (11, &[0, 0x41, 0, 0x0b, 0])] {
            assert!(ModuleInfo::parse(&long(id, MANY, &entry.repeat(MANY))).is_ok(), "{id}");
            let error = ModuleInfo::parse(&long(id, MANY + 1, &entry.repeat(MANY + 1))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModule);
            assert!(error.message().contains("more than 100000 "), "{error}");
        }
    }

    #[test]
    fn constant_expressions_are_counted_together_by_their_bytes() {
        // The constant 0, plus 0 as often as it takes.
        let sum =
            |bytes: usize| [vec![0x41, 0], [0x41, 0, 0x6a].repeat((bytes - 3) / 3), vec![0x0b]].concat();
        let half = MANY_EXPRESSIONS / 2 / 3 * 3;
        let global = |bytes: usize| [vec![0x7f, 0], sum(bytes)].concat();
        let data = |bytes: usize| [vec![0], sum(bytes), vec![0]].concat();
        let element = |bytes: usize| [vec![0], sum(bytes), vec![0]].concat();
        let items = |bytes: usize| [vec![5, 0x70, 1], sum(bytes)].concat();
        for (id, entry) in
            [(6, &global as &dyn Fn(usize) -> Vec<u8>), (11, &data), (9, &element), (9, &items)]
        {
            let two = |bytes: usize| long(id, 2, &entry(bytes).repeat(2));
            assert!(ModuleInfo::parse(&two(half)).is_ok(), "{id}");
            let error = ModuleInfo::parse(&two(half + 3)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModule);
            assert!(error.message().contains("more than 1048576 bytes of constant expressions"), "{error}");
        }
    }

    #[test]
    fn the_largest_memory_and_table_count_imported_or_not_and_so_do_all_tables() {
        let needs = |text: &str| ModuleInfo::parse(&wat::parse_str(text).unwrap()).unwrap().needs;
        assert_eq!(needs("(module (func))"), Needs::default());
        assert_eq!(
            needs(
                r#"(module (import "m" "m" (memory 3 9)) (import "m" "t" (table 20 30 funcref)) (memory 2)
                (table 10 funcref) (table 0 40 externref))"#
            ),
            Needs { memory: 3 * 65_536, tables: 3, table_elements: 20 }
        );
        assert_eq!(
            needs("(module (memory 1) (memory 4 4) (table 5 funcref) (table 6 funcref))"),
            Needs { memory: 4 * 65_536, tables: 2, table_elements: 6 }
        );
        // No engine has so many pages: the engine has to say so.
        assert_eq!(needs("(module (memory i64 0x1_0000_0000_0000))").memory, u64::MAX);
    }

    #[test]
    fn what_is_no_module_or_broken_off_is_refused() {
        for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0", b"not wasm", b"\0asm\x01\0\0\0\x01\x7f"] {
            assert_eq!(ModuleInfo::parse(bytes).unwrap_err().kind(), ErrorKind::InvalidModule, "{bytes:?}");
        }
    }
}
