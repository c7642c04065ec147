//! What a module says about itself.

use std::fmt;

/// What a module imports, exports and says about itself, without running it. All of it is hostile input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Size in bytes; 0 where the module came compiled.
    pub size: u64,
    /// SHA-256 of the bytes, in hexadecimal; empty where the module came compiled.
    pub digest: String,
    /// What it needs, in its order.
    pub imports: Vec<Import>,
    /// What it offers, in its order.
    pub exports: Vec<Export>,
    /// Whether it runs a start function when it is instantiated.
    pub has_start: bool,
    /// Custom sections: name, and size in bytes.
    pub custom_sections: Vec<(String, u64)>,
    /// What its `producers` section says: field (`language`, `processed-by`, `sdk`), name, version.
    pub producers: Vec<(String, String, String)>,
}

/// One import of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// The module that it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What it has to be.
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

/// What an import or an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExternKind {
    /// A function, with the types of its parameters and results as the text format writes them.
    Func {
        /// Parameters.
        params: Vec<String>,
        /// Results.
        results: Vec<String>,
    },
    /// A linear memory, in pages of 64 KiB.
    Memory {
        /// Pages at the start.
        minimum: u64,
        /// Pages at most, where it says so.
        maximum: Option<u64>,
    },
    /// A table.
    Table {
        /// Elements at the start.
        minimum: u64,
        /// Elements at most, where it says so.
        maximum: Option<u64>,
    },
    /// A global.
    Global,
    /// A tag.
    Tag,
}

impl Import {
    /// An import, for engines that know it from a compiled module.
    pub fn new(module: impl Into<String>, name: impl Into<String>, kind: ExternKind) -> Self {
        Self { module: module.into(), name: name.into(), kind }
    }
}

impl Export {
    /// An export, for engines that know it from a compiled module.
    pub fn new(name: impl Into<String>, kind: ExternKind) -> Self {
        Self { name: name.into(), kind }
    }
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func { params, results } => {
                write!(f, "func({})", params.join(", "))?;
                if results.is_empty() { Ok(()) } else { write!(f, " -> {}", results.join(", ")) }
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
    /// The export of a name.
    #[must_use]
    pub fn export(&self, name: &str) -> Option<&ExternKind> {
        self.exports.iter().find(|export| export.name == name).map(|export| &export.kind)
    }

    /// The import of a module and a name.
    #[must_use]
    pub fn import(&self, module: &str, name: &str) -> Option<&ExternKind> {
        self.imports
            .iter()
            .find(|import| import.module == module && import.name == name)
            .map(|import| &import.kind)
    }

    /// Whether it imports anything from a module of one of these names.
    #[must_use]
    pub fn imports_from(&self, modules: &[&str]) -> bool {
        self.imports.iter().any(|import| modules.contains(&import.module.as_str()))
    }
}
