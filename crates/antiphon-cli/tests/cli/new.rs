//! `antiphon new`.

use std::fs;

use crate::program::run;

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
