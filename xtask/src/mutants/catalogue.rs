//! Reads the mutants, and applies their changes to text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A fault that is put back into the code.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Mutant {
    /// A sentence that says what is wrong in the mutant.
    pub(super) name: String,
    /// The promise that it breaks: of SECURITY.md, or of an invariant.
    pub(super) stands_for: String,
    /// The narrowest command that must fail.
    pub(super) by: String,
    /// The case that must be among the failures; for a command without tests, a part of its output.
    pub(super) fails: String,
    change: Vec<Change>,
}

/// A replacement in one file. White space in `find` is ignored, so that formatting never breaks a
/// mutant. Without white space, the text must occur exactly once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    file: String,
    find: String,
    replace: String,
}

#[derive(Deserialize)]
struct Catalogue {
    mutant: Vec<Mutant>,
}

/// Reads all catalogues of a folder, in the order of their names.
pub(super) fn read(folder: &Path) -> Result<Vec<Mutant>> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut mutants: Vec<Mutant> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let Catalogue { mutant } = toml::from_str(&text).with_context(|| file.display().to_string())?;
        mutants.extend(mutant);
    }
    let mut names = BTreeSet::new();
    for mutant in &mutants {
        ensure!(names.insert(&mutant.name), "two mutants are called {:?}", mutant.name);
        ensure!(!mutant.change.is_empty(), "{:?} changes nothing", mutant.name);
    }
    Ok(mutants)
}

impl Mutant {
    /// Returns the changed files with their new contents.
    pub(super) fn apply(&self, tree: &Path) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for Change { file, find, replace } in &self.change {
            let text = match files.remove(file) {
                Some(text) => text,
                None => fs::read_to_string(tree.join(file)).with_context(|| file.clone())?,
            };
            let changed = replaced(&text, find, replace).with_context(|| file.clone())?;
            files.insert(file.clone(), changed);
        }
        Ok(files)
    }
}

fn replaced(text: &str, find: &str, replace: &str) -> Result<String> {
    let Range { start, end } = match occurrences(text, find).as_slice() {
        [one] => one.clone(),
        [] => bail!("the code no longer has\n{find}"),
        more => bail!("the code has {} times\n{find}", more.len()),
    };
    let (Some(before), Some(after)) = (text.get(..start), text.get(end..)) else {
        unreachable!("an occurrence begins and ends with whole characters")
    };
    Ok([before, replace.trim(), after].concat())
}

/// Returns the places at which the pattern occurs in the text, ignoring white space in both.
fn occurrences(text: &str, pattern: &str) -> Vec<Range<usize>> {
    let pattern: Vec<char> = pattern.chars().filter(|c| !c.is_whitespace()).collect();
    let text: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !c.is_whitespace()).collect();
    text.windows(pattern.len().max(1))
        .filter(|window| window.iter().map(|(_, c)| c).eq(&pattern))
        .filter_map(|window| {
            let (&(start, _), &(last, c)) = (window.first()?, window.last()?);
            Some(start..last.saturating_add(c.len_utf8()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "fn é() {\n    call(a,\n        b);\n    other();\n    other();\n}\n";

    #[test]
    fn a_change_applies_however_the_code_is_laid_out() {
        let changed = replaced(CODE, "call( a, b );", "\ncall(b, a);\n").unwrap();
        assert_eq!(changed, CODE.replace("call(a,\n        b);", "call(b, a);"));
        assert_eq!(replaced("é", "é", "").unwrap(), "");
    }

    #[test]
    fn what_is_not_there_exactly_once_is_refused() {
        let error = |find| replaced(CODE, find, "").unwrap_err().to_string();
        assert!(error("call(b, a)").starts_with("the code no longer has"), "{}", error("call(b, a)"));
        assert!(error("other();").starts_with("the code has 2 times"), "{}", error("other();"));
        assert!(error(" ").starts_with("the code no longer has"));
    }
}
