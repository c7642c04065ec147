//! The README says only what is true: its commands are run, its code is a file that is compiled.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// Announces that the next block is the end of a file.
const FROM_FILE: &str = "<!-- the file ";

/// Runs every `$` line of every `console` block of the README and compares what it prints; compares blocks that name
/// their file with it.
pub(crate) fn run(root: &Path) -> Result<()> {
    let readme = fs::read_to_string(root.join("README.md")).context("README.md")?;
    let (mut commands, mut files) = (0, 0);
    for block in blocks(&readme) {
        if block.language == "console" {
            for (command, expected) in commands_of(&block.text)? {
                check_command(root, &command, &expected)?;
                commands += 1;
            }
        } else if let Some(file) = block.file {
            let source = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
            ensure!(source.ends_with(&block.text), "the block of README.md is not the end of {file}");
            files += 1;
        }
    }
    ensure!(commands > 0 && files > 0, "README.md shows no command or no file: nothing was checked");
    println!("README.md: {commands} commands and {files} files checked");
    Ok(())
}

/// A fenced block.
#[derive(Debug, PartialEq)]
struct Block {
    language: String,
    /// The file that it shows, if the line before says so.
    file: Option<String>,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut previous = "";
    for line in markdown.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let file = previous.strip_prefix(FROM_FILE).and_then(|rest| rest.split([',', ' ']).next());
                open = Some(Block {
                    language: language.into(),
                    file: file.map(Into::into),
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

/// The commands of a `console` block, each with what it prints.
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
        "`{command}` printed\n{printed}\nbut README.md says\n{expected}"
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
        assert_eq!(commands_of(&found[1].text).unwrap(), [("y".to_owned(), "z\n".to_owned())]);
    }
}
