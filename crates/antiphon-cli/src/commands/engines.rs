//! `antiphon engines`.

use std::fmt::Write;

use antiphon::Capabilities;
use antiphon_host::EngineKind;
use serde_json::{Map, Value, json};

use crate::args::{EnginesArgs, Format};
use crate::failure::Failure;
use crate::terminal;

/// A capability: its name in [`Capabilities`], its meaning, and how to read it.
type Capability = (&'static str, &'static str, fn(&Capabilities) -> bool);

/// Every capability. A test compares this list with the library's.
const CAPABILITIES: &[Capability] = &[
    ("deadline", "ends a guest at its deadline, wherever it runs", |can| can.deadline),
    ("fuel", "counts fuel", |can| can.fuel),
    ("deterministic", "runs a guest identically each time, on any machine", |can| can.deterministic),
    ("memory_limit", "caps memory and tables", |can| can.memory_limit),
    ("stack_limit", "ends a guest that recurses too deep with a typed error", |can| can.stack_limit),
    ("backtrace", "says where a guest was when it ended", |can| can.backtrace),
    ("suspend", "suspends a guest while a host call is awaited", |can| can.suspend),
    ("wasi", "serves WASI preview 1", |can| can.wasi),
    ("ahead_of_time", "compiles ahead of time to an artifact", |can| can.ahead_of_time),
];

/// An engine and its capabilities; `None` for an engine that is not in this build.
type Asked = (EngineKind, Option<Capabilities>);

pub(crate) fn run(args: &EnginesArgs) -> Result<(), Failure> {
    let ask = |engine: &EngineKind| -> Result<Asked, Failure> {
        Ok((*engine, if engine.is_available() { Some(engine.capabilities()?) } else { None }))
    };
    let asked = EngineKind::ALL.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
    let report = match args.format.format() {
        Format::Json => format!("{:#}\n", as_json(&asked)),
        Format::Text => as_text(&asked),
    };
    terminal::write(report.as_bytes())
}

fn as_json(asked: &[Asked]) -> Value {
    let engines = asked.iter().map(|(engine, can)| {
        let capabilities = can.map(|can| {
            CAPABILITIES
                .iter()
                .map(|(name, _, has)| ((*name).to_owned(), has(&can).into()))
                .collect::<Map<_, _>>()
        });
        json!({
            "name": engine.name(),
            "available": can.is_some(),
            "default": can.is_some() && *engine == EngineKind::default(),
            "capabilities": capabilities,
        })
    });
    json!({ "engines": engines.collect::<Vec<_>>() })
}

/// Returns a line per capability, a column per engine.
fn as_text(asked: &[Asked]) -> String {
    const NAMES: usize = 13;
    let width = asked.iter().map(|(engine, _)| engine.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    let mut row = |name: &str, cells: &mut dyn Iterator<Item = &str>, meaning: &str| {
        let cells: Vec<_> = cells.map(|cell| format!("{cell:<width$}")).collect();
        let line = format!("{name:<NAMES$}  {}  {meaning}", cells.join("  "));
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{}", line.trim_end());
    };
    row("", &mut asked.iter().map(|(engine, _)| engine.name()), "");
    row("in this build", &mut asked.iter().map(|(_, can)| yes_or_no(can.is_some())), "");
    for (name, meaning, has) in CAPABILITIES {
        let cells = asked.iter().map(|(_, can)| can.as_ref().map_or("-", |can| yes_or_no(has(can))));
        row(&name.replace('_', " "), &mut { cells }, meaning);
    }
    out
}

fn yes_or_no(answer: bool) -> &'static str {
    if answer { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_capability_of_the_library_is_left_out() {
        let debug = format!("{:?}", Capabilities::none());
        let fields = debug.split_once("{ ").unwrap().1.trim_end_matches(" }").split(", ");
        let mut expected: Vec<_> = fields.map(|field| field.split_once(':').unwrap().0).collect();
        let mut listed: Vec<_> = CAPABILITIES.iter().map(|(name, _, _)| *name).collect();
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected);
    }

    #[test]
    fn each_capability_is_the_field_of_its_name() {
        for (name, _, has) in CAPABILITIES {
            assert!(!has(&Capabilities::none()), "{name}");
        }
        let mut can = Capabilities::none();
        can.fuel = true;
        let of = |engines: &[Asked]| as_json(engines)["engines"][0]["capabilities"].clone();
        let json = of(&[(EngineKind::Wasmi, Some(can))]);
        assert_eq!((&json["fuel"], &json["deadline"]), (&true.into(), &false.into()));
        assert_eq!(json.as_object().unwrap().len(), CAPABILITIES.len());
    }

    #[test]
    fn an_engine_that_is_not_in_the_build_can_not_be_asked() {
        let mut can = Capabilities::none();
        can.deadline = true;
        let asked = [(EngineKind::Wasmtime, Some(can)), (EngineKind::Wasmi, None)];
        let text = as_text(&asked);
        let mut lines = text.lines();
        assert_eq!(lines.next().unwrap(), "               wasmtime  wasmi");
        assert_eq!(lines.next().unwrap(), "in this build  yes       no");
        assert_eq!(
            lines.next().unwrap(),
            "deadline       yes       -         ends a guest at its deadline, wherever it runs"
        );
        assert!(lines.next().unwrap().starts_with("fuel           no        -  "));

        let json = as_json(&asked);
        assert_eq!(json["engines"][1]["available"], false);
        assert_eq!(json["engines"][1]["default"], false);
        assert_eq!(json["engines"][1]["capabilities"], Value::Null);
    }
}
