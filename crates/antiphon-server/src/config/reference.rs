//! The reference page and the example, made of the declarations of the keys.

use std::fmt::Write as _;

use super::section::{Given, Key};
use super::{Auth, Http, Keyvalue, Module, ModuleLimits, Server, Telemetry, Tls};

/// A section, as the page and the example show it.
pub(crate) struct Section {
    /// Its table, where `*` stands for any name.
    pub(crate) path: &'static str,
    pub(crate) keys: &'static [Key],
    doc: &'static str,
}

/// All sections in the order of the page. A section stands behind the one that it is in.
pub(crate) const SECTIONS: &[Section] = &[
    Section { path: "server", keys: Server::KEYS, doc: "The server itself." },
    Section { path: "http", keys: Http::KEYS, doc: "The two ports." },
    Section {
        path: "http.tls",
        keys: Tls::KEYS,
        doc: "TLS for both ports. The files are PEM, and are read again when they change. Without this table there is no TLS.",
    },
    Section {
        path: "auth",
        keys: Auth::KEYS,
        doc: "Callers and operators that may enter. Without this table, everybody may, so the addresses have to be loopback.",
    },
    Section {
        path: "limits",
        keys: ModuleLimits::KEYS,
        doc: "The limits of every module that sets none of its own.",
    },
    Section {
        path: "modules.*",
        keys: Module::KEYS,
        doc: "One module. A module of the folder needs no table. NAME has 1 to 128 letters, digits, `.`, `_` and `-` of \
              ASCII, and begins with a letter or a digit. The keys may also stand in `NAME.toml` beside `NAME.wasm`; what \
              `antiphon.toml` says stands before that.",
    },
    Section {
        path: "modules.*.limits",
        keys: ModuleLimits::KEYS,
        doc: "The limits of one module. What is not set here comes from `[limits]`.",
    },
    Section {
        path: "keyvalue.*",
        keys: Keyvalue::KEYS,
        doc: "A store of values for the grants `keyvalue`, which name it. The store `default` needs no table.",
    },
    Section { path: "telemetry", keys: Telemetry::KEYS, doc: "What the server says about itself." },
];

impl Section {
    fn title(&self) -> String {
        self.path.replace('*', "NAME")
    }
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made of crates/antiphon-server/src/config/keys.rs by a test, which ANTIPHON_WRITE_PAGES=1 lets write this page. -->

`antiphon-server` reads `antiphon.toml` of the current folder, or the file that `--config` names. Everything has a
default. `antiphon-server config example` prints a file with every key, `config check` says all that is wrong with one, and
`config show` says where each value comes from.

A key can be set in four places. The first one that has it counts:

1. the command line: `--modules`, `--listen`, `--admin`;
2. the environment: `ANTIPHON__HTTP__LISTEN` is `http.listen`. Two underscores are a dot, and letters are written small, so
   that a module whose name has capital letters cannot be named. The value is a text, or TOML;
3. the file;
4. `NAME.toml` beside `NAME.wasm`, for the table `[modules.NAME]`.

Relative paths begin at the folder of the file that they stand in; those of the environment and the command line begin at
the current folder. A duration is a text such as `\"250ms\"`, `\"2s\"` or `\"10m\"`. A size is a text such as `\"64KiB\"` or
`\"1MiB\"`, or a number of bytes.

The file is read again when it changes, when a file beside a module changes, and on SIGHUP. A file with a problem changes
nothing. `[server]`, `[keyvalue]`, the addresses, timeouts and `connections` of `[http]`, the paths of `[http.tls]`, and
`telemetry.log_format` hold until the server starts again; everything else changes at once, and no call fails for it.
";

/// Returns the reference page in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        // Writing to a `String` cannot fail.
        let _ = write!(page, "\n## `[{}]`\n\n{}\n", section.title(), wrapped(section.doc, ""));
        if section.path == "modules.*.limits" {
            page.push_str("The keys are those of `[limits]`.\n");
            continue;
        }
        page.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
        for key in section.keys {
            let default = match key.given {
                Given::Default => format!("`{}`", key.text),
                Given::Example => "none".to_owned(),
            };
            let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, key.kind, key.meaning());
        }
    }
    page
}

/// Returns a configuration with every key: those that have a default with it, and the others in
/// comments.
#[must_use]
pub fn example() -> String {
    let mut example =
        "# Every key of antiphon-server, at its default. Optional tables, and keys without a default, stand behind `#`.\n"
            .to_owned();
    for section in SECTIONS {
        let optional = matches!(section.path, "http.tls" | "auth") || section.path.contains('*');
        let _ = writeln!(example, "\n{}", wrapped(section.doc, "# "));
        let _ = writeln!(example, "{}[{}]", if optional { "#" } else { "" }, section.title());
        for key in section.keys {
            // What it means stands at the section before.
            if section.path != "modules.*.limits" {
                let _ = writeln!(example, "{}", wrapped(&key.meaning(), "# "));
            }
            let mark = if optional || key.given == Given::Example { "#" } else { "" };
            let _ = writeln!(example, "{mark}{} = {}", key.name, key.text);
        }
    }
    example
}

/// Wraps a text at 100 columns.
fn wrapped(text: &str, prefix: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line: &String| line.chars().count());
        if line > 0 && line.saturating_add(word.chars().count()).saturating_add(prefix.len()) >= 100 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the page if `ANTIPHON_WRITE_PAGES` is set.
    #[test]
    fn the_page_of_the_repository_says_what_the_keys_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("ANTIPHON_WRITE_PAGES").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(kept == page(), "run this test with ANTIPHON_WRITE_PAGES=1 to write docs/configuration.md");
    }

    #[test]
    fn a_text_is_wrapped_between_words() {
        let text = "word ".repeat(30);
        let lines: Vec<_> = wrapped(&text, "# ").lines().map(str::to_owned).collect();
        assert!(lines.iter().all(|line| line.starts_with("# word") && line.len() < 100), "{lines:?}");
        assert_eq!(lines.len(), 2);
    }
}
