//! Follows the Rust guide to the letter: runs its commands and writes its files, in order.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Shell;
use crate::guests::Environment;
use crate::process::output;
use crate::readme::blocks;

const GUIDE: &str = "docs/guests/rust.md";
/// The part of the guide that leads from an empty folder to a module that runs.
const PART: &str = "\n## A project\n";
/// Where the guide takes the SDK from.
const REPOSITORY: &str = r#"git = "https://github.com/antiphon-wasm/antiphon""#;
/// A text that commands for the guest toolchain contain. The other commands are for the user's own
/// machine.
const FOR_GUESTS: &str = "wasm32";

/// Follows the guide in an empty folder.
pub(super) fn follow(root: &Path, bin: &Path, environment: &Environment, scratch: &Path) -> Result<()> {
    let guide = fs::read_to_string(root.join(GUIDE)).context(GUIDE)?;
    let part = guide.split(PART).nth(1).with_context(|| format!("{GUIDE} has no part{PART}"))?;
    let part = part.split("\n## ").next().unwrap_or_default();
    ensure!(part.contains(REPOSITORY), "{GUIDE} names no {REPOSITORY}");
    let here = format!("path = {:?}", root.join("crates/antiphon-guest").display().to_string());
    let mut folder = scratch.to_owned();
    let mut manifest = String::new();
    let (mut commands, mut sources) = (0, 0);
    for block in blocks(part) {
        match block.language.as_str() {
            "sh" => {
                println!("{GUIDE}: {}", block.text.trim_end());
                let environment = block.text.contains(FOR_GUESTS).then_some(environment);
                let shell = Shell { bin, environment, folder: &folder };
                let said = output(&mut shell.command(&format!("{}\npwd", block.text))?)
                    .with_context(|| format!("a command in {GUIDE} failed"))?;
                println!("{said}");
                // The next block starts in the folder in which this block ended.
                folder = said.lines().last().context("no folder is current")?.into();
                commands += 1;
            }
            "toml" => {
                // What the guide takes from the repository is taken from this checkout.
                manifest.push_str(&block.text.replace(REPOSITORY, &here));
                manifest.push('\n');
                fs::write(folder.join("Cargo.toml"), &manifest)?;
            }
            "rust" => {
                fs::write(folder.join("src/lib.rs"), &block.text)?;
                sources += 1;
            }
            _ => {}
        }
    }
    ensure!(commands > 2 && sources == 1, "{GUIDE} has {commands} commands and {sources} sources{PART}");
    Ok(())
}
