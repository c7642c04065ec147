//! The projects that `antiphon new guest` writes. Their files, in templates/, are copies of those
//! in the repository's guests/; a test compares them.

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
}

/// A file of the repository's guests, as a pair of path and content.
macro_rules! file {
    ($folder:literal, $path:literal) => {
        ($path, include_str!(concat!("../../../templates/", $folder, "/", $path)))
    };
}

const RUST_MANIFEST: &str = r#"[package]
name = "guest"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
antiphon-guest = { version = "0.1", features = ["messagepack"] }
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
                    file!("rust", "cases.toml"),
                ],
                needs: "Rust with the target `wasm32-unknown-unknown` (`rustup target add wasm32-unknown-unknown`)",
                build: "cargo build --release --target wasm32-unknown-unknown",
                test: "antiphon test target/wasm32-unknown-unknown/release/guest.wasm --cases cases.toml",
                ignored: "/target\n",
            },
            Self::Go => Template {
                files: &[
                    file!("go", "Makefile"),
                    file!("go", "go.mod"),
                    file!("go", "main.go"),
                    file!("go", "antiphon/guest.go"),
                    file!("go", "antiphon/msgpack.go"),
                    file!("go", "cases.toml"),
                ],
                needs: "Go 1.24 or newer, and make",
                build: "make",
                test: "make test",
                ignored: "/guest.wasm\n",
            },
            Self::AssemblyScript => Template {
                files: &[
                    file!("assemblyscript", "package.json"),
                    file!("assemblyscript", "package-lock.json"),
                    file!("assemblyscript", "asconfig.json"),
                    file!("assemblyscript", "assembly/index.ts"),
                    file!("assemblyscript", "assembly/greet.ts"),
                    file!("assemblyscript", "assembly/msgpack.ts"),
                    file!("assemblyscript", "cases.toml"),
                ],
                needs: "Node.js 20 or newer, with its npm",
                build: "npm ci && npm run build",
                test: "npm test",
                ignored: "/node_modules\n/build\n",
            },
            Self::Zig => Template {
                files: &[
                    file!("zig", "Makefile"),
                    file!("zig", "guest.zig"),
                    file!("zig", "antiphon.zig"),
                    file!("zig", "msgpack.zig"),
                    file!("zig", "cases.toml"),
                ],
                needs: "Zig 0.17, and make",
                build: "make",
                test: "make test",
                ignored: "/guest.wasm\n/.zig-cache\n",
            },
            Self::C => Template {
                files: &[
                    file!("c", "Makefile"),
                    file!("c", "guest.c"),
                    file!("c", "antiphon.h"),
                    file!("c", "cases.toml"),
                ],
                needs: "clang, lld and make",
                build: "make",
                test: "make test",
                ignored: "/guest.wasm\n",
            },
        }
    }
}

impl Template {
    /// Returns the README of the project.
    pub(crate) fn readme(&self, name: &str) -> String {
        let Self { needs, build, test, .. } = self;
        format!(
            "# {name}\n\nA waPC guest. It needs {needs}.\n\nBuild it:\n\n```sh\n{build}\n```\n\nTest it, with the calls in \
             `cases.toml`:\n\n```sh\n{test}\n```\n"
        )
    }
}
