//! Keeps the README and the guides true: runs their commands, and compares their code with files
//! that are compiled.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Says that the next block is the end of a file.
const FROM_FILE: &str = "<!-- the file ";
/// Says that the next block is a part of a file.
const PART_OF_FILE: &str = "<!-- part of the file ";

/// The folder of the guides for guest languages.
const GUIDES: &str = "docs/guests";

/// Checks the README and the guides.
pub(crate) fn run(root: &Path) -> Result<()> {
    check(root, Path::new("README.md"))?;
    let mut guides = fs::read_dir(root.join(GUIDES))
        .context(GUIDES)?
        .map(|entry| Ok(Path::new(GUIDES).join(entry?.file_name())))
        .collect::<Result<Vec<_>>>()?;
    guides.sort();
    guides.iter().try_for_each(|guide| check(root, guide))
}

/// Runs each `$` line in the `console` blocks of a page and compares its output. Compares blocks
/// that name a file with that file.
fn check(root: &Path, page: &Path) -> Result<()> {
    let name = page.display();
    let text = fs::read_to_string(root.join(page)).with_context(|| name.to_string())?;
    let (mut commands, mut files) = (0, 0);
    for block in blocks(&text) {
        if block.language == "console" {
            for (command, expected) in commands_of(&block.text)? {
                check_command(root, &command, &expected).with_context(|| name.to_string())?;
                commands += 1;
            }
        } else if let Some(file) = block.file {
            let source = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
            let holds = if block.part { source.contains(&block.text) } else { source.ends_with(&block.text) };
            ensure!(holds, "{name} shows what is not in {file}, or not at its end:\n{}", block.text);
            files += 1;
        }
    }
    ensure!(commands > 0 && files > 0, "{name} shows no command or no file: nothing was checked");
    println!("{name}: {commands} commands and {files} files checked");
    Ok(())
}

/// A fenced code block.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) language: String,
    /// The file that the block shows, if the line before names one.
    pub(crate) file: Option<String>,
    /// Whether it is any part of the file, and not its end.
    part: bool,
    pub(crate) text: String,
}

pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut previous = "";
    for line in markdown.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let part = previous.strip_prefix(PART_OF_FILE);
                let file = previous.strip_prefix(FROM_FILE).or(part);
                let file = file.and_then(|rest| rest.split([',', ' ']).next());
                open = Some(Block {
                    language: language.into(),
                    file: file.map(Into::into),
                    part: part.is_some(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
        previous = line;
    }
    blocks
}

/// Returns the commands of a `console` block, each with its expected output.
fn commands_of(block: &str) -> Result<Vec<(String, String)>> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, expected))) => {
                expected.push_str(line);
                expected.push('\n');
            }
            (None, None) => bail!("a console block starts with output: {line}"),
        }
    }
    Ok(commands)
}

fn check_command(root: &Path, command: &str, expected: &str) -> Result<()> {
    println!("$ {command}");
    let output = Command::new("bash")
        .args(["-c", command])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("bash did not start")?;
    ensure!(output.status.success(), "`{command}` failed: {}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(
        printed.trim_end() == expected.trim_end(),
        "`{command}` printed\n{printed}\nbut the page says\n{expected}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_language_their_file_and_their_lines() {
        let markdown = "text\n<!-- the file a/b.rs, from its first `use` on -->\n```rust\nuse x;\n```\n```console\n$ y\nz\n```\n";
        let found = blocks(markdown);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].file.as_deref(), found[0].text.as_str()), (Some("a/b.rs"), "use x;\n"));
        assert!(!found[0].part);
        let part = blocks("<!-- part of the file a/b.c -->\n```c\nx\n```\n");
        assert_eq!((part[0].file.as_deref(), part[0].part), (Some("a/b.c"), true));
        assert_eq!(commands_of(&found[1].text).unwrap(), [("y".to_owned(), "z\n".to_owned())]);
    }
}
