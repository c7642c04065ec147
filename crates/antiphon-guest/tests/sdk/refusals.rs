//! The compiler's messages for mistakes in guests: each must say what to write instead.
//!
//! Cargo builds a project of files, each with its mistakes, and every message is expected at its
//! line. `trybuild` would compare all of rustc's output, which changes with each release.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first line of every file.
const HEAD: &str = "#![allow(unused)] use antiphon_guest::{operation, operations, table}; fn main() {}\n";

/// Mistakes that the macros refuse, and their messages. Later mistakes are in files of their own,
/// because the compiler stops before it reaches them.
const REFUSED: &[(&str, &str)] = &[
    ("#[operation] struct S;", "an operation is a function: `fn name(payload: &[u8]) -> Vec<u8>`"),
    ("#[operation] mod m {}", "an operation is a function: `fn name(payload: &[u8]) -> Vec<u8>`"),
    ("#[operation] async fn a1() {}", "an operation cannot be async: a guest answers before it returns"),
    ("#[operation] unsafe fn u1() {}", "an operation cannot be unsafe: its payload is whatever a host sends"),
    (
        "#[operation] extern \"C\" fn e1() {}",
        "an operation needs no `extern`: antiphon-guest exports what the host calls",
    ),
    (
        "#[operation] fn two(a: &[u8], b: &[u8]) {}",
        "an operation takes one parameter, the payload: several values go into one type, as in `Json((a, b)): Json<(u32, u32)>`",
    ),
    (
        "#[operation] fn generic<T>(a: T) {}",
        "an operation has no type parameters: it has one type of payload",
    ),
    (
        "#[operation] fn constant<const N: usize>(a: [u8; N]) {}",
        "an operation has no type parameters: it has one type of payload",
    ),
    (
        "struct A; impl A { #[operation] fn method(&self) {} }",
        "an operation is a free function, not a method",
    ),
    ("#[operation(\"x\")] fn n1() {}", "expected nothing, or `name = \"...\"`"),
    ("#[operation(title = \"x\")] fn n2() {}", "expected nothing, or `name = \"...\"`"),
    ("#[operation(name)] fn n3() {}", "expected nothing, or `name = \"...\"`"),
    ("#[operation(name = 1)] fn n4() {}", "expected nothing, or `name = \"...\"`"),
    ("#[operation(name = \"x\", name = \"y\")] fn n5() {}", "expected nothing, or `name = \"...\"`"),
    (
        "operations![\"echo\"];",
        "the paths of functions with #[operation], as in operations![greet, math::add]",
    ),
    ("operations!{ 1 + 1 }", "the paths of functions with #[operation], as in operations![greet, math::add]"),
    (
        "static T: antiphon_guest::Table = table![\"echo\"];",
        "the paths of functions with #[operation], as in operations![greet, math::add]",
    ),
];

/// Mistakes in types.
const UNTYPED: &[(&str, &str)] = &[
    (
        "#[operation] fn takes(payload: u32) {}",
        "it takes `&[u8]`, `Vec<u8>`, `&str`, `String`, `Json<T>`, `MessagePack<T>`, or a `Result` of these and their error",
    ),
    (
        "#[operation] fn returns() -> u32 { 1 }",
        "it returns bytes, text, `()`, `Json<T>`, `MessagePack<T>`, or a `Result` of these whose error implements `Display`",
    ),
    ("static T: antiphon_guest::Table = table![u32];", "put `#[operation]` above the function"),
    (
        "#[operation] fn fails() -> Result<(), Vec<u8>> { Ok(()) }",
        "`Vec<u8>` doesn't implement `std::fmt::Display`",
    ),
];

/// A mistake in the table, which is evaluated only once all types are right.
const TWICE: &[(&str, &str)] = &[(
    "#[operation] fn one() {} #[operation(name = \"one\")] fn other() {} operations![one, other];",
    "two operations have the same name",
)];

/// A function without its attribute, and one that does not exist. The compiler reports both before
/// it checks types.
const UNMARKED: &[(&str, &str)] = &[
    (
        "mod a { pub fn plain() {} antiphon_guest::operations![plain]; }",
        "expected type, found function `plain`",
    ),
    ("operations![nowhere];", "cannot find type `nowhere` in this scope"),
];

/// A guest that depends on this crate under the name of `wapc-guest`.
const RENAMED: &str = "
    extern crate wapc_guest as antiphon_guest;
    use wapc_guest::prelude::*;

    #[operation]
    fn echo(payload: &[u8]) -> &[u8] { payload }

    fn old(_: &[u8]) -> CallResult { Ok(Vec::new()) }

    static TABLE: wapc_guest::Table = wapc_guest::table![echo];

    fn main() {
        wapc_guest::install(&TABLE);
        register_function(\"old\", old);
    }
";

#[test]
fn what_is_no_guest_is_refused_with_what_to_write() {
    let files = [("refused", REFUSED), ("unmarked", UNMARKED), ("untyped", UNTYPED), ("twice", TWICE)];
    let project = Project::new("refusals", "antiphon-guest");
    for (name, mistakes) in files {
        let mut source = HEAD.to_owned();
        for (mistake, _) in mistakes {
            writeln!(source, "{mistake}").unwrap();
        }
        project.write(name, &source);
    }
    let (built, said) = project.build();
    assert!(!built, "{said}");
    for (name, mistakes) in files {
        for (line, (mistake, expected)) in (2..).zip(mistakes) {
            let place = format!("{name}.rs:{line}:");
            let found = said.split("\n\n").any(|said| said.contains(&place) && said.contains(expected));
            assert!(found, "{mistake}\nis not refused at {place} with\n{expected}\nbut\n{said}");
        }
    }
}

#[test]
fn operations_and_the_name_of_another_crate_go_together() {
    let project = Project::new("renamed", "wapc-guest");
    project.write("renamed", RENAMED);
    let (built, said) = project.build();
    assert!(built, "{said}");
}

/// A cargo project with several binaries.
struct Project {
    folder: PathBuf,
}

impl Project {
    /// Creates a project that depends on this crate under the name `dependency`.
    fn new(name: &str, dependency: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let sdk = env!("CARGO_MANIFEST_DIR");
        fs::create_dir_all(folder.join("src/bin")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[dependencies]\n{dependency} = {{ package = \
             \"antiphon-guest\", path = {sdk:?} }}\n\n[workspace]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        // The versions of this workspace, so that nothing is fetched.
        if let Ok(lock) = fs::read(Path::new(sdk).join("../../Cargo.lock")) {
            fs::write(folder.join("Cargo.lock"), lock).unwrap();
        }
        Self { folder }
    }

    fn write(&self, name: &str, source: &str) {
        fs::write(self.folder.join("src/bin").join(name).with_extension("rs"), source).unwrap();
    }

    /// Builds the project; returns whether it succeeded, and the messages. A check would not do,
    /// because it does not evaluate tables.
    fn build(&self) -> (bool, String) {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--keep-going", "--color=never"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }
}
