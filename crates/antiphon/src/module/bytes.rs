//! A module's info as bytes, to be kept beside its compiled code.

use std::collections::HashMap;
use std::sync::Arc;

use super::info::{CodeInfo, Export, ExternKind, FuncType, Import, ModuleInfo, Needs, ValType};
use crate::errors::{Error, ErrorKind, Result};

/// The types of values, each at the index of the byte that stands for it.
const TYPES: [ValType; 8] = [
    ValType::I32,
    ValType::I64,
    ValType::F32,
    ValType::F64,
    ValType::V128,
    ValType::FuncRef,
    ValType::ExternRef,
    ValType::OtherRef,
];

impl ModuleInfo {
    /// Returns all of it as bytes, for [`from_bytes`](Self::from_bytes) of the same version of this
    /// crate.
    ///
    /// An engine that keeps compiled code keeps these bytes beside it, because reading a module
    /// again takes longer than loading its code.
    ///
    /// ```
    /// use antiphon::{Limits, ModuleInfo};
    ///
    /// let (_, info) = ModuleInfo::load(br#"(module (memory (export "memory") 2))"#, &Limits::new())?;
    /// assert_eq!(ModuleInfo::from_bytes(&info.to_bytes())?, info);
    /// # Ok::<(), antiphon::errors::Error>(())
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every field by its name, so that a new field cannot be forgotten here.
        let Self {
            size,
            digest,
            imports,
            exports,
            has_start,
            custom_sections,
            needs: Needs { memory, tables, table_elements },
            code: CodeInfo { largest_body, most_locals, grows_tables, tail_calls },
            producers,
        } = self;
        let mut out = Writer::default();
        let kinds =
            imports.iter().map(|import| &import.kind).chain(exports.iter().map(|export| &export.kind));
        out.types(kinds);
        [size, memory, tables, table_elements, largest_body, most_locals]
            .into_iter()
            .for_each(|&number| out.number(number));
        [has_start, grows_tables, tail_calls].into_iter().for_each(|&flag| out.byte(flag.into()));
        out.text(digest);
        out.count(imports.len());
        for Import { module, name, kind } in imports {
            out.text(module);
            out.text(name);
            out.kind(kind);
        }
        out.count(exports.len());
        for Export { name, kind } in exports {
            out.text(name);
            out.kind(kind);
        }
        out.count(custom_sections.len());
        for (name, size) in custom_sections {
            out.text(name);
            out.number(*size);
        }
        out.count(producers.len());
        for (field, name, version) in producers {
            [field, name, version].into_iter().for_each(|text| out.text(text));
        }
        out.bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Time and memory are bounded by the length of
    /// the bytes, whatever they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: another version wrote the bytes, or they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, types: Vec::new() };
        match reader.info() {
            Some(info) if reader.bytes.is_empty() => Ok(info),
            _ => {
                let what =
                    "what is kept of a module was not written by this version: compile the module again";
                Err(Error::new(ErrorKind::InvalidModule, what))
            }
        }
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// The number of each function type. A module of some kilobytes can import one wide type a
    /// hundred thousand times, so each type is written once. The key is the type's address, because
    /// comparing two types takes as long as they are wide.
    types: HashMap<*const FuncType, u64>,
}

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        // No machine has more of anything in memory.
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn types<'a>(&mut self, kinds: impl Iterator<Item = &'a ExternKind>) {
        let mut distinct = Vec::new();
        for kind in kinds {
            if let ExternKind::Func(ty) = kind {
                let number = u64::try_from(distinct.len()).unwrap_or(u64::MAX);
                self.types.entry(Arc::as_ptr(ty)).or_insert_with(|| {
                    distinct.push(ty);
                    number
                });
            }
        }
        self.count(distinct.len());
        for ty in distinct {
            for side in [&ty.params, &ty.results] {
                self.count(side.len());
                self.bytes.extend(side.iter().map(|ty| code(*ty)));
            }
        }
    }

    fn kind(&mut self, kind: &ExternKind) {
        let bounds = |out: &mut Self, minimum: u64, maximum: Option<u64>| {
            out.number(minimum);
            out.byte(maximum.is_some().into());
            out.number(maximum.unwrap_or(0));
        };
        match kind {
            ExternKind::Func(ty) => {
                self.byte(0);
                let number = self.types.get(&Arc::as_ptr(ty)).copied();
                self.number(number.unwrap_or(u64::MAX));
            }
            ExternKind::Memory { minimum, maximum } => {
                self.byte(1);
                bounds(self, *minimum, *maximum);
            }
            ExternKind::Table { minimum, maximum } => {
                self.byte(2);
                bounds(self, *minimum, *maximum);
            }
            ExternKind::Global => self.byte(3),
            ExternKind::Tag => self.byte(4),
        }
    }
}

fn code(ty: ValType) -> u8 {
    let place = TYPES.iter().position(|known| *known == ty);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

/// The bytes that are left to read, and the types that were read.
struct Reader<'a> {
    bytes: &'a [u8],
    types: Vec<Arc<FuncType>>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(count).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// Reads items behind their count. The list grows as they are read: the count alone allocates
    /// nothing.
    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn val_types(&mut self) -> Option<Box<[ValType]>> {
        let count = self.number()?;
        self.take(count)?.iter().map(|byte| TYPES.get(usize::from(*byte)).copied()).collect()
    }

    fn bounds(&mut self) -> Option<(u64, Option<u64>)> {
        let minimum = self.number()?;
        let bounded = self.flag()?;
        let maximum = self.number()?;
        Some((minimum, bounded.then_some(maximum)))
    }

    fn kind(&mut self) -> Option<ExternKind> {
        Some(match self.byte()? {
            0 => {
                let number = usize::try_from(self.number()?).ok()?;
                ExternKind::Func(Arc::clone(self.types.get(number)?))
            }
            1 => {
                let (minimum, maximum) = self.bounds()?;
                ExternKind::Memory { minimum, maximum }
            }
            2 => {
                let (minimum, maximum) = self.bounds()?;
                ExternKind::Table { minimum, maximum }
            }
            3 => ExternKind::Global,
            4 => ExternKind::Tag,
            _ => return None,
        })
    }

    fn info(&mut self) -> Option<ModuleInfo> {
        self.types = self.items(|reader| {
            let (params, results) = (reader.val_types()?, reader.val_types()?);
            Some(Arc::new(FuncType { params, results }))
        })?;
        // In the order in which they were written, which is also that of a struct expression's
        // fields.
        let size = self.number()?;
        let needs = Needs { memory: self.number()?, tables: self.number()?, table_elements: self.number()? };
        let (largest_body, most_locals) = (self.number()?, self.number()?);
        let has_start = self.flag()?;
        let code =
            CodeInfo { largest_body, most_locals, grows_tables: self.flag()?, tail_calls: self.flag()? };
        Some(ModuleInfo {
            size,
            needs,
            has_start,
            code,
            digest: self.text()?,
            imports: self.items(|reader| {
                Some(Import { module: reader.text()?, name: reader.text()?, kind: reader.kind()? })
            })?,
            exports: self.items(|reader| Some(Export { name: reader.text()?, kind: reader.kind()? }))?,
            custom_sections: self.items(|reader| Some((reader.text()?, reader.number()?)))?,
            producers: self.items(|reader| Some((reader.text()?, reader.text()?, reader.text()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::Limits;

    /// A module with something of everything.
    const RICH: &[u8] = br#"(module
        (import "wapc" "__host_call" (func (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "a" "f" (func $f (param i32 i64 f32 f64 v128 funcref externref) (result i64 f32)))
        (import "a" "g" (func $g (param i32 i64 f32 f64 v128 funcref externref) (result i64 f32)))
        (import "a" "m" (memory 1 9)) (import "a" "t" (table 3 funcref)) (import "a" "h" (global i32))
        (table $t (export "table") 5 7 funcref) (global (export "global") i32 (i32.const 0))
        (func $start (local i32 i64)) (start $start)
        (func (export "grow") (drop (table.grow $t (ref.null func) (i32.const 1))))
        (func (export "tail") (return_call $start))
        (@producers (language "Wat" "1") (sdk "none" "2")))"#;

    fn rich() -> ModuleInfo {
        let info = ModuleInfo::load(RICH, &Limits::new()).unwrap().1;
        assert!(info.has_start && info.code.grows_tables && info.code.tail_calls);
        assert_eq!((info.imports.len(), info.exports.len(), info.producers.len()), (6, 4, 2));
        info
    }

    #[test]
    fn everything_comes_back_and_types_are_shared() {
        let info = rich();
        let again = ModuleInfo::from_bytes(&info.to_bytes()).unwrap();
        assert_eq!(again, info);
        let types: Vec<_> = again
            .imports
            .iter()
            .filter_map(|import| match &import.kind {
                ExternKind::Func(ty) => Some(ty),
                _ => None,
            })
            .collect();
        assert!(Arc::ptr_eq(types[1], types[2]) && !Arc::ptr_eq(types[0], types[1]));
        assert_eq!(ModuleInfo::from_bytes(&ModuleInfo::default().to_bytes()).unwrap(), ModuleInfo::default());
    }

    #[test]
    fn a_wide_type_that_is_imported_often_is_written_once() {
        let wide = ExternKind::func(&["i32"; 1_000], &["i64"]);
        let info = ModuleInfo {
            imports: (0..1_000).map(|_| Import::new("m", "f", wide.clone())).collect(),
            ..ModuleInfo::default()
        };
        let bytes = info.to_bytes();
        assert!(bytes.len() < 40_000, "{}", bytes.len());
        assert_eq!(ModuleInfo::from_bytes(&bytes).unwrap(), info);
    }

    #[test]
    fn bytes_that_are_cut_off_or_go_on_are_refused_and_no_bit_makes_it_panic() {
        let bytes = rich().to_bytes();
        for length in 0..bytes.len() {
            let error = ModuleInfo::from_bytes(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModule);
        }
        assert!(ModuleInfo::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Another value, or an error: what counts is that it ends.
            let _ = ModuleInfo::from_bytes(&flipped);
        }
    }
}
