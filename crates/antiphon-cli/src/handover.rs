//! Commands of operators, which another program does: `antiphon-server`. It is found as git finds
//! its commands, so that this program stays small.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::failure::Failure;

/// The program that does them.
const PROGRAM: &str = "antiphon-server";

/// The commands that are handed over.
const VERBS: [&str; 19] = [
    "serve", "config", "status", "deploy", "promote", "rollback", "drain", "retry", "remove", "logs",
    "events", "work", "replay", "push", "pull", "sign", "verify", "keygen", "call",
];

/// Returns the arguments for the other program, if the command is one of its own: one of the verbs,
/// or `call` of a server.
pub(crate) fn arguments(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let after = arguments.get(1..)?;
    let mut is_value = false;
    let place = after.iter().position(|argument| {
        let is_option = is_value || argument.as_encoded_bytes().starts_with(b"-");
        is_value = !is_value && argument == "--error-format";
        !is_option
    })?;
    let (options, command) = after.split_at_checked(place)?;
    // The other program is told what it knows: it has no `--verbose`.
    let options = options.iter().filter(|option| *option != "-v" && *option != "--verbose");
    let verb = command.first()?.to_str()?;
    let handed = match verb {
        "help" if is_of_server(command.get(1)?.to_str()?) && command.get(1)? != "call" => {
            command.get(1..)?.iter().cloned().chain(["--help".into()]).collect::<Vec<_>>()
        }
        "call" if !calls_server(command) => return None,
        verb if is_of_server(verb) => command.to_vec(),
        _ => return None,
    };
    Some(options.cloned().chain(handed).collect())
}

fn is_of_server(verb: &str) -> bool {
    VERBS.contains(&verb)
}

/// Returns whether a `call` names a server.
fn calls_server(command: &[OsString]) -> bool {
    let of_server = |option: &OsStr| {
        let option = option.as_encoded_bytes();
        [b"--url".as_slice(), b"--nats"].into_iter().any(|name| {
            option.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
        })
    };
    command.iter().take_while(|argument| *argument != "--").any(|argument| of_server(argument))
}

/// Lets the other program do the command.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode, Failure> {
    let Some(program) = find() else {
        let verb = arguments.iter().find(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
        let what = format!(
            "`antiphon {}` is done by {PROGRAM}, which is neither beside this program nor on the path; \
             install it with `cargo install --locked --path crates/antiphon-server`",
            verb.map_or_else(String::new, |verb| verb.to_string_lossy().into_owned())
        );
        return Err(Failure::Usage(what, io::ErrorKind::NotFound.into()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    become_it(command).map_err(|error| Failure::System("cannot start antiphon-server", error))
}

#[cfg(unix)]
fn become_it(mut command: Command) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    // It returns only if it fails. Signals and the exit code need no one in between.
    Err(command.exec())
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> io::Result<ExitCode> {
    let code = command.status()?.code().unwrap_or(3);
    Ok(u8::try_from(code).unwrap_or(3).into())
}

/// Returns the program beside this one, or the first one on the path.
fn find() -> Option<PathBuf> {
    let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let here = env::current_exe().ok();
    let here = here.as_deref().and_then(|program| program.parent()).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    here.into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(line: &str) -> Option<String> {
        let all: Vec<OsString> = std::iter::once("antiphon").chain(line.split(' ')).map(Into::into).collect();
        let handed = arguments(&all)?;
        Some(
            handed
                .iter()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn verbs_of_operators_are_handed_over_with_all_that_follows() {
        for (line, expected) in [
            ("serve", "serve"),
            ("serve guests/built/rust.wasm --listen x", "serve guests/built/rust.wasm --listen x"),
            ("--error-format json -v status --url x", "--error-format json status --url x"),
            ("--error-format=json config check", "--error-format=json config check"),
            ("help config", "config --help"),
            ("call --url http://x m op", "call --url http://x m op"),
            ("call m op --url=http://x", "call m op --url=http://x"),
        ] {
            assert_eq!(handed(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn all_else_stays_here() {
        for line in [
            "",
            "--help",
            "call m.wasm op",
            "call m.wasm op -- --url",
            "call m.wasm op --urls",
            "bench serve",
            "--error-format serve",
            "help call",
            "help",
            "inspect logs",
        ] {
            assert_eq!(handed(line), None, "{line}");
        }
    }
}
