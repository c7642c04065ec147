//! A module's info as bytes, to be kept beside its compiled code.
//!
//! The bytes are those of postcard, over types of their own: the public types stay free of serde,
//! and a module of some kilobytes can import one wide type a hundred thousand times, so that each
//! function type is written once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::info::{CodeInfo, Export, ExternKind, FuncType, Import, ModuleInfo, Needs, ValType};
use crate::errors::{Error, ErrorKind, Result};

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
        // Nothing fails here: a list of bytes takes all that is written to it. `from_bytes` would
        // refuse an empty one.
        postcard::to_allocvec(&Record::of(self)).unwrap_or_default()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Time and memory are bounded by the length of
    /// the bytes, whatever they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: another version wrote the bytes, or they are something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let info = match postcard::take_from_bytes::<Record<'_>>(bytes) {
            Ok((record, [])) => record.info(),
            _ => None,
        };
        info.ok_or_else(|| {
            let what = "what is kept of a module was not written by this version: compile the module again";
            Error::new(ErrorKind::InvalidModule, what)
        })
    }
}

/// A module's info as it is written.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    /// The parameters and results of each function type, each a byte: its index in
    /// [`ValType::ALL`].
    types: Vec<(Vec<u8>, Vec<u8>)>,
    size: u64,
    digest: Cow<'a, str>,
    #[serde(borrow)]
    imports: Vec<(&'a str, &'a str, Kind)>,
    #[serde(borrow)]
    exports: Vec<(&'a str, Kind)>,
    has_start: bool,
    custom_sections: Cow<'a, [(String, u64)]>,
    #[serde(with = "NeedsRecord")]
    needs: Needs,
    #[serde(with = "CodeRecord")]
    code: CodeInfo,
    producers: Cow<'a, [(String, String, String)]>,
}

/// An [`ExternKind`] whose function type is an index into those of the record.
#[derive(Serialize, Deserialize)]
enum Kind {
    Func(usize),
    Memory(u64, Option<u64>),
    Table(u64, Option<u64>),
    Global,
    Tag,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Needs")]
struct NeedsRecord {
    memory: u64,
    tables: u64,
    table_elements: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CodeInfo")]
struct CodeRecord {
    largest_body: u64,
    most_locals: u64,
    grows_tables: bool,
    tail_calls: bool,
}

impl<'a> Record<'a> {
    fn of(info: &'a ModuleInfo) -> Self {
        // Every field by its name, so that a new field cannot be forgotten here.
        let ModuleInfo { size, digest, imports, exports, has_start, custom_sections, needs, code, producers } =
            info;
        let mut types = Types::default();
        let import = |Import { module, name, kind }: &'a Import| (&**module, &**name, types.kind(kind));
        let imports = imports.iter().map(import).collect();
        let exports = exports.iter().map(|Export { name, kind }| (&**name, types.kind(kind))).collect();
        Self {
            types: types.distinct,
            size: *size,
            digest: digest.into(),
            imports,
            exports,
            has_start: *has_start,
            custom_sections: custom_sections.into(),
            needs: *needs,
            code: *code,
            producers: producers.into(),
        }
    }

    /// Converts it back, unless the number of a type or of a function type is out of range.
    fn info(self) -> Option<ModuleInfo> {
        let values = |codes: &[u8]| {
            codes.iter().map(|code| ValType::ALL.get(usize::from(*code)).copied()).collect::<Option<_>>()
        };
        let ty = |(params, results): &(Vec<u8>, Vec<u8>)| {
            Some(Arc::new(FuncType { params: values(params)?, results: values(results)? }))
        };
        let types = self.types.iter().map(ty).collect::<Option<Vec<_>>>()?;
        let kind = |kind| {
            Some(match kind {
                Kind::Func(number) => ExternKind::Func(Arc::clone(types.get(number)?)),
                Kind::Memory(minimum, maximum) => ExternKind::Memory { minimum, maximum },
                Kind::Table(minimum, maximum) => ExternKind::Table { minimum, maximum },
                Kind::Global => ExternKind::Global,
                Kind::Tag => ExternKind::Tag,
            })
        };
        let imports =
            self.imports.into_iter().map(|(module, name, ty)| Some(Import::new(module, name, kind(ty)?)));
        let exports = self.exports.into_iter().map(|(name, ty)| Some(Export::new(name, kind(ty)?)));
        Some(ModuleInfo {
            size: self.size,
            digest: self.digest.into_owned(),
            imports: imports.collect::<Option<_>>()?,
            exports: exports.collect::<Option<_>>()?,
            has_start: self.has_start,
            custom_sections: self.custom_sections.into_owned(),
            needs: self.needs,
            code: self.code,
            producers: self.producers.into_owned(),
        })
    }
}

/// The function types of a record.
#[derive(Default)]
struct Types {
    distinct: Vec<(Vec<u8>, Vec<u8>)>,
    /// The index of each. The key is the type's address, because comparing two types takes as long
    /// as they are wide.
    numbers: HashMap<*const FuncType, usize>,
}

impl Types {
    fn kind(&mut self, kind: &ExternKind) -> Kind {
        match kind {
            ExternKind::Func(ty) => Kind::Func(*self.numbers.entry(Arc::as_ptr(ty)).or_insert_with(|| {
                let codes = |types: &[ValType]| types.iter().map(|ty| *ty as u8).collect();
                self.distinct.push((codes(&ty.params), codes(&ty.results)));
                self.distinct.len().saturating_sub(1)
            })),
            ExternKind::Memory { minimum, maximum } => Kind::Memory(*minimum, *maximum),
            ExternKind::Table { minimum, maximum } => Kind::Table(*minimum, *maximum),
            ExternKind::Global => Kind::Global,
            ExternKind::Tag => Kind::Tag,
        }
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
    fn the_info_of_every_built_guest_comes_back() {
        let guests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/built");
        let mut count = 0;
        for entry in std::fs::read_dir(guests).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                let info = ModuleInfo::load(&std::fs::read(&path).unwrap(), &Limits::new()).unwrap().1;
                assert_eq!(ModuleInfo::from_bytes(&info.to_bytes()).unwrap(), info, "{}", path.display());
                count += 1;
            }
        }
        assert!(count > 10, "{count} guests");
    }

    #[test]
    fn no_count_of_items_reserves_memory_for_them() {
        let bytes = rich().to_bytes();
        // Each byte is one of a count of items, of a length of text, or of a number. Space for as
        // many items as these numbers say would abort the program.
        for count in [u64::MAX, u64::from(u32::MAX), 1 << 40, 1 << 62] {
            let count = postcard::to_allocvec(&count).unwrap();
            let first = [&count[..], &bytes[1..]].concat();
            assert_eq!(ModuleInfo::from_bytes(&first).unwrap_err().kind(), ErrorKind::InvalidModule);
            for at in 0..bytes.len() {
                let _ = ModuleInfo::from_bytes(&[&bytes[..at], &count, &bytes[at + 1..]].concat());
            }
        }
    }

    #[test]
    fn numbers_that_stand_for_nothing_are_refused() {
        let nothing = ModuleInfo::default();
        let with = |types: Vec<(Vec<u8>, Vec<u8>)>, exports| {
            let record = Record { types, exports, ..Record::of(&nothing) };
            ModuleInfo::from_bytes(&postcard::to_allocvec(&record).unwrap())
        };
        assert!(with(vec![(vec![0, 7], vec![])], vec![("f", Kind::Func(0))]).is_ok());
        assert!(with(vec![(vec![0, 8], vec![])], vec![]).is_err());
        assert!(with(vec![(vec![], vec![255])], vec![]).is_err());
        assert!(with(vec![(vec![], vec![])], vec![("f", Kind::Func(1))]).is_err());
    }

    #[test]
    fn the_code_of_each_type_is_its_index() {
        for (index, ty) in ValType::ALL.into_iter().enumerate() {
            assert_eq!(ty as usize, index);
        }
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
