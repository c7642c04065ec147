//! Takes all that a project's page of operations shows into the project.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::readme::blocks;

/// The page of a project.
const PAGE: &str = "OPERATIONS.md";
/// Where the code of a page belongs, unless the page says otherwise.
const SOURCES: [&str; 5] = ["src/lib.rs", "main.go", "assembly/index.ts", "guest.zig", "guest.c"];

/// Puts the pieces of a page together, in place of the project's source and of its cases.
pub(super) fn take_all(project: &Path) -> Result<()> {
    let page = fs::read_to_string(project.join(PAGE)).context(PAGE)?;
    let source = SOURCES.into_iter().find(|source| project.join(source).is_file());
    let source = source.context("the project has none of the sources that are known here")?;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for block in blocks(&page) {
        let usual = if block.language == "toml" { "cases.toml" } else { source };
        let text = files.entry(block.file.unwrap_or_else(|| usual.to_owned())).or_default();
        text.push_str(&block.text);
        text.push('\n');
    }
    ensure!(files.len() > 1, "{PAGE} shows no code or no cases");
    for (file, text) in files {
        fs::write(project.join(&file), text).with_context(|| file)?;
    }
    Ok(())
}
