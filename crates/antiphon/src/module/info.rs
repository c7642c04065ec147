//! What a module says about itself.

use std::fmt;
use std::sync::Arc;

pub use crate::module::needs::Needs;

/// What a module imports, exports and says about itself, read without running it. All of it is
/// hostile input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Size in bytes; 0 if the module came compiled.
    pub size: u64,
    /// SHA-256 of the bytes, in hexadecimal; empty if the module came compiled.
    pub digest: String,
    /// Its imports, in the module's order.
    pub imports: Vec<Import>,
    /// Its exports, in the module's order.
    pub exports: Vec<Export>,
    /// Whether it runs a start function when it is instantiated.
    pub has_start: bool,
    /// Custom sections: name, and size in bytes.
    pub custom_sections: Vec<(String, u64)>,
    /// What it asks for before any of its code runs.
    pub needs: Needs,
    /// What its functions look like; empty if the module came compiled.
    pub code: CodeInfo,
    /// The contents of its `producers` section: field (`language`, `processed-by`, `sdk`), name,
    /// version.
    pub producers: Vec<(String, String, String)>,
}

/// What the functions of a module look like, for engines with bounds of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeInfo {
    /// Size of the largest function body in bytes, including its declarations of locals.
    pub largest_body: u64,
    /// The most locals that one function has, including its parameters.
    pub most_locals: u64,
    /// Whether any function has a `table.grow`.
    pub grows_tables: bool,
    /// Whether any function has a tail call.
    pub tail_calls: bool,
}

/// One import of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// The module that it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// The type that it has to have.
    pub kind: ExternKind,
}

/// One export of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ExternKind,
}

/// The type of an import or an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExternKind {
    /// A function. The type is shared, because a module of some kilobytes can import one wide type
    /// a hundred thousand times.
    Func(Arc<FuncType>),
    /// A linear memory, in pages of 64 KiB.
    Memory {
        /// Pages at the start.
        minimum: u64,
        /// The most pages, if the module says so.
        maximum: Option<u64>,
    },
    /// A table.
    Table {
        /// Elements at the start.
        minimum: u64,
        /// The most elements, if the module says so.
        maximum: Option<u64>,
    },
    /// A global.
    Global,
    /// A tag.
    Tag,
}

/// The type of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FuncType {
    /// Parameters.
    pub params: Box<[ValType]>,
    /// Results.
    pub results: Box<[ValType]>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    FuncRef,
    ExternRef,
    /// A reference of another kind.
    OtherRef,
}

impl ValType {
    /// All types, in the order of their definition.
    pub(super) const ALL: [Self; 8] = [
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::V128,
        Self::FuncRef,
        Self::ExternRef,
        Self::OtherRef,
    ];

    /// Returns the type's name in the text format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::FuncRef => "funcref",
            Self::ExternRef => "externref",
            Self::OtherRef => "ref",
        }
    }

    /// Returns the type of a name in the text format.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|ty| ty.name() == name).unwrap_or(Self::OtherRef)
    }
}

impl ExternKind {
    /// Returns the type of a function, from the names of its value types in the text format.
    #[must_use]
    pub fn func<S: AsRef<str>>(params: &[S], results: &[S]) -> Self {
        let types = |names: &[S]| names.iter().map(|name| ValType::named(name.as_ref())).collect();
        Self::Func(Arc::new(FuncType { params: types(params), results: types(results) }))
    }
}

impl Import {
    /// Creates an import, for engines that know it from a compiled module.
    pub fn new(module: impl Into<String>, name: impl Into<String>, kind: ExternKind) -> Self {
        Self { module: module.into(), name: name.into(), kind }
    }
}

impl Export {
    /// Creates an export, for engines that know it from a compiled module.
    pub fn new(name: impl Into<String>, kind: ExternKind) -> Self {
        Self { name: name.into(), kind }
    }
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(func) => {
                let list = |f: &mut fmt::Formatter<'_>, types: &[ValType]| {
                    for (number, ty) in types.iter().enumerate() {
                        // A thousand of them are of no use, and a hostile module would print them
                        // for each import.
                        let separator = if number == 0 { "" } else { ", " };
                        match number {
                            0..16 => write!(f, "{separator}{}", ty.name())?,
                            _ => return write!(f, ", ... ({} in all)", types.len()),
                        }
                    }
                    Ok(())
                };
                f.write_str("func(")?;
                list(f, &func.params)?;
                f.write_str(")")?;
                if func.results.is_empty() {
                    return Ok(());
                }
                f.write_str(" -> ")?;
                list(f, &func.results)
            }
            Self::Memory { minimum, maximum: Some(maximum) } => {
                write!(f, "memory {minimum}..{maximum} pages")
            }
            Self::Memory { minimum, maximum: None } => write!(f, "memory {minimum}.. pages"),
            Self::Table { minimum, maximum: Some(maximum) } => write!(f, "table {minimum}..{maximum}"),
            Self::Table { minimum, maximum: None } => write!(f, "table {minimum}.."),
            Self::Global => f.write_str("global"),
            Self::Tag => f.write_str("tag"),
        }
    }
}

impl ModuleInfo {
    /// Returns the type of the export with this name.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<&ExternKind> {
        self.exports.iter().find(|export| export.name == name).map(|export| &export.kind)
    }

    /// Returns the type of the import from this module with this name.
    #[must_use]
    pub fn import(&self, module: &str, name: &str) -> Option<&ExternKind> {
        self.imports
            .iter()
            .find(|import| import.module == module && import.name == name)
            .map(|import| &import.kind)
    }

    /// Returns whether anything is imported from a module with one of these names.
    #[must_use]
    pub fn imports_from(&self, modules: &[&str]) -> bool {
        self.imports.iter().any(|import| modules.contains(&import.module.as_str()))
    }
}
