//! `antiphon new`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{repository, run};

#[test]
fn a_project_has_the_commands_in_its_readme_and_the_files_that_they_need() {
    for (lang, build, source) in [
        ("c", "make", "antiphon.h"),
        ("go", "make", "antiphon/guest.go"),
        ("zig", "make", "antiphon.zig"),
        ("assemblyscript", "npm ci && npm run build", "assembly/index.ts"),
        ("rust", "cargo build --release --target wasm32-unknown-unknown", "src/lib.rs"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/hello");
        let made = run(["new", "guest", path.to_str().unwrap(), "--lang", lang]);
        assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""));
        assert!(made.text().contains(&format!("`{build}` builds")), "{}", made.text());
        let readme = fs::read_to_string(path.join("README.md")).unwrap();
        assert!(
            readme.starts_with("# hello\n") && readme.contains(&format!("```sh\n{build}\n```")),
            "{readme}"
        );
        for file in [source, "cases.toml", ".gitignore"] {
            assert!(path.join(file).metadata().unwrap().len() > 0, "{lang}: {file}");
        }
    }
}

#[test]
fn a_project_carries_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let made = |lang: &str, file: &str| {
        let path = dir.path().join(format!("My {lang}"));
        let said = run(["new", "guest", path.to_str().unwrap(), "--lang", lang]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        (said.text().to_owned(), fs::read_to_string(path.join(file)).unwrap())
    };
    let (said, manifest) = made("rust", "Cargo.toml");
    assert!(said.contains("wasm32-unknown-unknown/release/my_rust.wasm --cases"), "{said}");
    assert!(manifest.starts_with("[package]\nname = \"my-rust\"\n"), "{manifest}");
    // This program was built in a checkout, so the project uses its SDK.
    let sdk = repository().join("crates/antiphon-guest");
    let toml: toml::Table = toml::from_str(&manifest).unwrap();
    let path = Path::new(toml["dependencies"]["antiphon-guest"]["path"].as_str().unwrap());
    assert_eq!(path.canonicalize().unwrap(), sdk);
    assert!(made("go", "go.mod").1.starts_with("module example/my-go\n"));
    let (_, package) = made("assemblyscript", "package.json");
    assert!(package.contains("\"name\": \"my-assemblyscript\""), "{package}");
    assert!(package.contains("antiphon test build/my-assemblyscript.wasm"), "{package}");
    for (lang, file, named) in
        [("c", "guest.c", "// my-c: a waPC guest."), ("zig", "Makefile", "\nOUT = my-zig.wasm\n")]
    {
        let (_, text) = made(lang, file);
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "all mine").unwrap();
    for there in [dir.path().to_owned(), dir.path().join("mine")] {
        let refused = run(["new", "guest", there.to_str().unwrap(), "--lang", "c"]).failed(2);
        assert!(refused.stderr.contains("cannot make a project in"), "{}", refused.stderr);
    }
    assert_eq!(fs::read_to_string(dir.path().join("mine")).unwrap(), "all mine");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Returns the files below a folder, by their paths in it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

/// A template: its language, its source file, and the guest that its SDK and its page come from.
const TEMPLATES: [(&str, &str, &str); 5] = [
    ("assemblyscript", "assembly/index.ts", "assemblyscript"),
    ("c", "guest.c", "c"),
    ("go", "main.go", "go"),
    ("rust", "src/lib.rs", "rust/antiphon"),
    ("zig", "guest.zig", "zig"),
];

/// What a template has of its own; the rest is the SDK of its language.
const OWN: [&str; 4] = ["OPERATIONS.md", "package.json", "asconfig.json", "Cargo.toml"];

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

/// The SDKs are copies, because a checkout on Windows has no links and a package has no guests.
/// `ANTIPHON_COPY_TEMPLATES=1` copies them again.
#[test]
fn a_project_has_the_sdk_of_its_guest_byte_for_byte() {
    for (lang, source, guest) in TEMPLATES {
        let (template, guest) = (templates().join(lang), repository().join("guests").join(guest));
        let own = |file: &Path| OWN.iter().chain([&source]).any(|own| Path::new(own) == file);
        for file in files(&template).iter().filter(|file| !own(file)) {
            let (copy, original) = (template.join(file), guest.join(file));
            if std::env::var_os("ANTIPHON_COPY_TEMPLATES").is_some() {
                fs::write(&copy, fs::read(&original).unwrap()).unwrap();
            }
            assert!(!copy.is_symlink(), "{} is a link", copy.display());
            let same = fs::read(&copy).unwrap() == fs::read(&original).unwrap();
            assert!(same, "{} is not {}: set ANTIPHON_COPY_TEMPLATES=1", copy.display(), original.display());
        }
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("hello");
        run(["new", "guest", project.to_str().unwrap(), "--lang", lang]);
        let mut made = files(&project);
        made.retain(|file| {
            !["README.md", ".gitignore", "Cargo.toml", "cases.toml"].map(Path::new).contains(&file.as_path())
        });
        assert_eq!(made, files(&template), "{lang}");
    }
    // Each language that the program knows has a template; beside them are the cases of all.
    assert_eq!(fs::read_dir(templates()).unwrap().count(), TEMPLATES.len() + 1);
}

/// The pieces of a page, put together, are a guest that is built and tested, and its cases, but for
/// the comment at the top.
#[test]
fn the_page_of_operations_is_the_source_of_a_guest_and_its_cases() {
    for (lang, source, guest) in TEMPLATES {
        let page = fs::read_to_string(templates().join(lang).join("OPERATIONS.md")).unwrap();
        let guest = repository().join("guests").join(guest);
        let mut found = vec![(source, String::new()), ("cases.toml", String::new())];
        let mut other = None;
        for (before, block) in blocks(&page) {
            let (language, code) = block.split_once('\n').unwrap();
            if let Some(file) =
                before.strip_prefix("<!-- the file ").and_then(|rest| rest.strip_suffix(" -->"))
            {
                other = Some((file, code.to_owned()));
                continue;
            }
            let (_, text) = &mut found[usize::from(language == "toml")];
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(code);
        }
        for (file, shown) in found.into_iter().chain(other) {
            let whole = fs::read_to_string(guest.join(file)).unwrap();
            let top = whole.strip_suffix(&shown);
            let top = top.unwrap_or_else(|| {
                panic!("{lang}: {file} does not end with what OPERATIONS.md shows:\n{shown}")
            });
            let comment = |line: &str| line.is_empty() || line.starts_with("//") || line.starts_with('#');
            assert!(top.lines().all(comment), "{lang}: OPERATIONS.md does not show all of {file}: {top}");
        }
    }
}

/// Returns the fenced blocks of a page, each with its language, and the line before it.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut parts = page.split("```");
    let pairs = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
    pairs.map(|(before, block)| (before.trim_end().lines().last().unwrap_or(""), block)).collect()
}
