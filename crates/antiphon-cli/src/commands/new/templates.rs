//! The projects that `antiphon new guest` writes: one operation, its cases, and a page of further
//! operations. In templates/, the SDKs are copies of the files in the repository's guests/, and the
//! code of each page is the source of a guest there; a test compares them.

use std::path::Path;

use crate::args::Language;

/// A project: its files, and the commands for its README.
pub(crate) struct Template {
    /// Paths and contents.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What must be installed.
    pub(crate) needs: &'static str,
    /// The command that builds the guest.
    pub(crate) build: &'static str,
    /// The command that tests the built guest.
    pub(crate) test: &'static str,
    /// The content of `.gitignore`.
    pub(crate) ignored: &'static str,
    /// Where files carry a name: the file, the text as it is in the template, and the text with the
    /// project's `{name}`.
    names: &'static [(&'static str, &'static str, &'static str)],
}

/// A file of a template, as a pair of path and content.
macro_rules! file {
    ($folder:literal, $path:literal) => {
        ($path, include_str!(concat!("../../../templates/", $folder, "/", $path)))
    };
}

/// The cases of every project.
const CASES: (&str, &str) = ("cases.toml", include_str!("../../../templates/cases.toml"));

/// Where the SDK for Rust comes from, where there is no checkout.
const REPOSITORY: &str = r#"git = "https://github.com/antiphon-wasm/antiphon""#;

/// The manifest of a guest in Rust. `{name}` is the project's, `{from}` is where the SDK comes
/// from.
const RUST_MANIFEST: &str = r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

# A workspace of its own, in whatever folder it is.
[workspace]

[lib]
crate-type = ["cdylib"]

[dependencies]
# From a checkout: path = "antiphon/crates/antiphon-guest". From the repository:
# git = "https://github.com/antiphon-wasm/antiphon". Once it is published, from a registry: version = "0.1".
antiphon-guest = { {from}, features = ["messagepack"] }
# For MessagePack, as `greet` in OPERATIONS.md uses it.
serde = { version = "1.0", default-features = false, features = ["derive"] }

[profile.release]
opt-level = "s"
lto = true
panic = "abort"
strip = true
"#;

impl Language {
    pub(crate) const fn template(self) -> Template {
        match self {
            Self::Rust => Template {
                files: &[
                    ("Cargo.toml", RUST_MANIFEST),
                    ("src/lib.rs", include_str!("../../../templates/rust/src/lib.rs")),
                    file!("rust", "OPERATIONS.md"),
                    CASES,
                ],
                needs: "Rust with the target `wasm32-unknown-unknown` (`rustup target add wasm32-unknown-unknown`)",
                build: "cargo build --release --target wasm32-unknown-unknown",
                test: "antiphon test target/wasm32-unknown-unknown/release/{file}.wasm --cases cases.toml",
                ignored: "/target\n",
                names: &[
                    ("Cargo.toml", "{name}", "{name}"),
                    ("src/lib.rs", "//! A waPC guest.", "//! {name}: a waPC guest."),
                ],
            },
            Self::Go => Template {
                files: &[
                    file!("go", "Makefile"),
                    file!("go", "go.mod"),
                    file!("go", "main.go"),
                    file!("go", "antiphon/guest.go"),
                    file!("go", "antiphon/msgpack.go"),
                    file!("go", "OPERATIONS.md"),
                    CASES,
                ],
                needs: "Go 1.24 or newer, and make",
                build: "make",
                test: "make test",
                ignored: "/*.wasm\n",
                names: &[
                    // A module may have the name of a package of Go's own only below another one.
                    ("go.mod", "module guest\n", "module example/{name}\n"),
                    ("main.go", "\"guest/antiphon\"", "\"example/{name}/antiphon\""),
                    ("OPERATIONS.md", "\"guest/antiphon\"", "\"example/{name}/antiphon\""),
                    ("main.go", "// A waPC guest.", "// {name}: a waPC guest."),
                    ("Makefile", "OUT = guest.wasm", "OUT = {name}.wasm"),
                ],
            },
            Self::AssemblyScript => Template {
                files: &[
                    file!("assemblyscript", "package.json"),
                    file!("assemblyscript", "package-lock.json"),
                    file!("assemblyscript", "asconfig.json"),
                    file!("assemblyscript", "assembly/index.ts"),
                    file!("assemblyscript", "assembly/msgpack.ts"),
                    file!("assemblyscript", "OPERATIONS.md"),
                    CASES,
                ],
                needs: "Node.js 20 or newer, with its npm",
                build: "npm ci && npm run build",
                test: "npm test",
                ignored: "/node_modules\n/build\n",
                names: &[
                    ("package.json", "\"antiphon-guest-assemblyscript\"", "\"{name}\""),
                    ("package-lock.json", "\"antiphon-guest-assemblyscript\"", "\"{name}\""),
                    ("package.json", "build/guest.wasm", "build/{name}.wasm"),
                    ("asconfig.json", "build/guest.wasm", "build/{name}.wasm"),
                    ("assembly/index.ts", "// A waPC guest.", "// {name}: a waPC guest."),
                ],
            },
            Self::Zig => Template {
                files: &[
                    file!("zig", "Makefile"),
                    file!("zig", "guest.zig"),
                    file!("zig", "antiphon.zig"),
                    file!("zig", "msgpack.zig"),
                    file!("zig", "OPERATIONS.md"),
                    CASES,
                ],
                needs: "Zig 0.17, and make",
                build: "make",
                test: "make test",
                ignored: "/*.wasm\n/.zig-cache\n",
                names: &[
                    ("guest.zig", "//! A waPC guest.", "//! {name}: a waPC guest."),
                    ("Makefile", "OUT = guest.wasm", "OUT = {name}.wasm"),
                ],
            },
            Self::C => Template {
                files: &[
                    file!("c", "Makefile"),
                    file!("c", "guest.c"),
                    file!("c", "antiphon.h"),
                    file!("c", "OPERATIONS.md"),
                    CASES,
                ],
                needs: "clang, lld and make",
                build: "make",
                test: "make test",
                ignored: "/*.wasm\n",
                names: &[
                    ("guest.c", "// A waPC guest.", "// {name}: a waPC guest."),
                    ("Makefile", "OUT = guest.wasm", "OUT = {name}.wasm"),
                ],
            },
        }
    }
}

impl Template {
    /// Returns a file of the template with the project's name in it.
    pub(crate) fn named(&self, file: &str, content: &str, name: &Name) -> String {
        let mut content = content.replace("{from}", &sdk());
        for (_, from, to) in self.names.iter().filter(|(named, ..)| *named == file) {
            content = content.replace(from, &to.replace("{name}", &name.package));
        }
        content
    }

    /// Returns the command that tests the built guest.
    pub(crate) fn test(&self, name: &Name) -> String {
        self.test.replace("{file}", &name.package.replace('-', "_"))
    }

    /// Returns the README of the project.
    pub(crate) fn readme(&self, name: &Name) -> String {
        let (Self { needs, build, .. }, test, name) = (self, self.test(name), &name.shown);
        format!(
            "# {name}\n\nA waPC guest. It needs {needs}.\n\nBuild it:\n\n```sh\n{build}\n```\n\nTest it, with the calls in \
             `cases.toml`:\n\n```sh\n{test}\n```\n\nThe guest has one operation, `hello`. `OPERATIONS.md` has more to \
             copy from: errors, panics, host calls, logs, MessagePack.\n"
        )
    }
}

/// The name of a project.
pub(crate) struct Name {
    /// As its folder is named.
    shown: String,
    /// As a package of any language may be named: lower-case letters, digits and dashes.
    package: String,
}

impl Name {
    pub(crate) fn new(shown: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let package: String = shown.chars().map(plain).collect();
        let package = match package.trim_matches('-') {
            "" => "guest".to_owned(),
            digit if digit.starts_with(|c: char| c.is_ascii_digit()) => format!("guest-{digit}"),
            package => package.to_owned(),
        };
        Self { shown: shown.to_owned(), package }
    }
}

/// Returns where a project's SDK comes from: the checkout that this program was built in, if it is
/// still there, or the repository.
fn sdk() -> String {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|crates| crates.join("antiphon-guest"));
    match beside.filter(|sdk| sdk.join("Cargo.toml").is_file()) {
        Some(sdk) => format!("path = {:?}", sdk.display().to_string()),
        None => REPOSITORY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_a_name_that_every_language_takes() {
        for (shown, package) in [
            ("hello", "hello"),
            ("My Guest!", "my-guest"),
            ("2nd", "guest-2nd"),
            ("é", "guest"),
            ("a_b", "a-b"),
        ] {
            assert_eq!(Name::new(shown).package, package);
        }
    }

    #[test]
    fn each_name_of_a_template_is_there_to_be_replaced() {
        for language in [Language::Rust, Language::Go, Language::AssemblyScript, Language::Zig, Language::C] {
            let template = language.template();
            for (file, from, _) in template.names {
                let found =
                    template.files.iter().any(|(path, content)| path == file && content.contains(from));
                assert!(found, "{file} has no {from}");
            }
        }
    }
}
