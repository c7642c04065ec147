//! Runs other programs. An error says which program failed, and how.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs `command` to its end and shows its output.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} did not start", line(command)))?;
    ensure!(status.success(), "{} failed: {status}", line(command));
    Ok(())
}

/// Runs `command` to its end and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} did not start", line(command)))?;
    ensure!(output.status.success(), "{} failed: {}", line(command), output.status);
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("{} wrote no text", line(command)))?;
    Ok(text.trim().to_owned())
}

/// Returns the command as typed in a shell.
fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    format!("`{}`", words.join(" "))
}
