//! `antiphon inspect`.

mod verdict;

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use antiphon::module_info::ExternKind;
use antiphon::wapc_functions::MEMORY;
use antiphon::{Limits, ModuleInfo};
use serde_json::{Value, json};

use verdict::Verdict;

use crate::args::{Format, InspectArgs};
use crate::failure::Failure;
use crate::run::{self, Compiled, Module};
use crate::terminal::{self, escape_block, escape_json, escape_line};

/// The exit code for a module that is not a waPC guest.
const NO_GUEST: u8 = 4;

pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    run::ensure_available(args.engine)?;
    let limits = args.module_limit.limits(Limits::new());
    let module = run::read_module(&args.module, &limits)?;
    let verdict = match module {
        Module::Bytes(bytes) => Verdict::of(&bytes, (args.engine, &args.cache), &limits),
        // An engine accepted the module when it compiled the artifact, so only the artifact itself
        // can be wrong.
        Module::Artifact(path) => Verdict::compiled(run::artifact_info(args.engine, &args.cache, &path)?),
    };
    let report = if args.format.format() == Format::Json {
        let json = format!("{:#}\n", as_json(&args.module, &verdict));
        escape_json(&json)
    } else {
        as_text(&args.module, &verdict)
    };
    terminal::write(report.as_bytes())?;
    Ok(if verdict.is_guest() { ExitCode::SUCCESS } else { NO_GUEST.into() })
}

fn as_json(path: &Path, verdict: &Verdict) -> Value {
    json!({
        "module": path.to_string_lossy(),
        "wapc_guest": verdict.is_guest(),
        "reasons": verdict.reasons,
        // What an artifact was compiled for; null for a module.
        "artifact": verdict.compiled,
        // Bytes that are not a module have no info.
        "info": verdict.info.as_ref().map(info_as_json),
    })
}

fn info_as_json(info: &ModuleInfo) -> Value {
    let memory = match info.export(MEMORY) {
        Some(ExternKind::Memory { minimum, maximum }) => {
            json!({ "minimum_pages": minimum, "maximum_pages": maximum })
        }
        _ => Value::Null,
    };
    let imports = info.imports.iter().map(
        |import| json!({ "module": import.module, "name": import.name, "type": import.kind.to_string() }),
    );
    let exports =
        info.exports.iter().map(|export| json!({ "name": export.name, "type": export.kind.to_string() }));
    let sections = info.custom_sections.iter().map(|(name, size)| json!({ "name": name, "size": size }));
    let producers = info
        .producers
        .iter()
        .map(|(field, name, version)| json!({ "field": field, "name": name, "version": version }));
    json!({
        "size": info.size,
        "digest": info.digest,
        "memory": memory,
        "start_section": info.has_start,
        "wasi": verdict::wasi_flavours(info),
        "init_exports": verdict::init_exports(info),
        "imports": imports.collect::<Vec<_>>(),
        "exports": exports.collect::<Vec<_>>(),
        "custom_sections": sections.collect::<Vec<_>>(),
        "producers": producers.collect::<Vec<_>>(),
    })
}

/// Returns the report for humans. Names from the module are escaped.
fn as_text(path: &Path, verdict: &Verdict) -> String {
    let mut out = String::new();
    field(&mut out, "module", &path.to_string_lossy());
    if let Some(Compiled { engine, fuel, deterministic }) = verdict.compiled {
        let calls = match (fuel, deterministic) {
            (true, _) => "with --fuel",
            (false, true) => "with --deterministic",
            (false, false) => "without --fuel and --deterministic",
        };
        let what = format!("native code of {engine}, sealed with the key at hand, for calls {calls}");
        field(&mut out, "artifact", &what);
    }
    if let Some(info) = &verdict.info {
        info_as_text(&mut out, info);
    }
    if verdict.is_guest() {
        field(&mut out, "verdict", "a waPC guest");
    } else {
        field(&mut out, "verdict", "not a waPC guest");
        for reason in &verdict.reasons {
            line(&mut out, &format!("  - {}", escape_block(reason, "    ")));
        }
    }
    out
}

fn info_as_text(out: &mut String, info: &ModuleInfo) {
    field(out, "size", &format!("{} bytes", info.size));
    field(out, "sha-256", &info.digest);
    let memory = match info.export(MEMORY) {
        Some(kind @ ExternKind::Memory { .. }) => kind.to_string(),
        _ => "not exported".to_owned(),
    };
    field(out, "memory", memory.trim_start_matches("memory "));
    field(out, "start", if info.has_start { "has a start section" } else { "no start section" });
    field(out, "init", &listed(verdict::init_exports(info)));
    field(out, "WASI", &listed(verdict::wasi_flavours(info)));
    let name_of = |module: &str, name: &str| format!("{module}.{name}");
    list(out, "imports", info.imports.iter().map(|i| (name_of(&i.module, &i.name), i.kind.to_string())));
    list(out, "exports", info.exports.iter().map(|export| (export.name.clone(), export.kind.to_string())));
    let sections = info.custom_sections.iter();
    list(out, "custom sections", sections.map(|(name, size)| (name.clone(), format!("{size} bytes"))));
    let producers = info.producers.iter();
    list(
        out,
        "producers",
        producers.map(|(kind, name, version)| (kind.clone(), format!("{name} {version}"))),
    );
}

fn listed(names: Vec<&str>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn field(out: &mut String, name: &str, value: &str) {
    line(out, &format!("{name:<9} {}", escape_line(value)));
}

/// Writes a heading with the number of items, then a line per item, in two columns.
fn list(out: &mut String, heading: &str, items: impl Iterator<Item = (String, String)>) {
    /// The widest first column. A longer name overflows it instead of widening the column for all.
    const WIDEST: usize = 40;
    let items: Vec<_> = items.map(|(name, what)| (escape_line(&name), escape_line(&what))).collect();
    let width = items.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(WIDEST);
    line(out, &format!("{heading} ({})", items.len()));
    for (name, what) in items {
        line(out, &format!("  {name:<width$}  {what}"));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_host::EngineKind;

    use crate::args::CacheArgs;

    #[test]
    fn the_names_of_a_hostile_module_are_harmless() {
        let module =
            "(module (import \"wapc\" \"a\\1b[2J\\0a b\" (func)) (memory (export \"\\c2\\9b1m\") 1))";
        let verdict =
            Verdict::of(module.as_bytes(), (EngineKind::default(), &CacheArgs::none()), &Limits::new());
        let text = as_text(Path::new("m\u{1b}.wasm"), &verdict);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains("wapc.a\\u{1b}[2J\\n b"), "{text}");

        let json = escape_json(&format!("{:#}", as_json(Path::new("m.wasm"), &verdict)));
        assert!(json.chars().all(|c| c == '\n' || !c.is_control()), "{json:?}");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["info"]["exports"][0]["name"], "\u{9b}1m");
        assert_eq!(json["wapc_guest"], false);
    }

    #[test]
    fn what_is_no_module_has_only_a_verdict() {
        let verdict = Verdict::of(b"\0asm junk", (EngineKind::default(), &CacheArgs::none()), &Limits::new());
        let text = as_text(Path::new("x"), &verdict);
        assert!(
            text.starts_with("module    x\nverdict   not a waPC guest\n  - not a WebAssembly module: "),
            "{text}"
        );
        assert_eq!(as_json(Path::new("x"), &verdict)["wapc_guest"], false);
    }
}
