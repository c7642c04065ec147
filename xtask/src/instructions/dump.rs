//! Reads a dump of callgrind, by function. The format:
//! <https://valgrind.org/docs/manual/cl-format.html>.
//!
//! `callgrind_annotate` cannot do this. Calls that began before the dump have `calls=0` in it,
//! which it takes for no calls, and then it attributes their whole cost to the caller.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};

/// Code that is compiled while the program runs has an address and no name.
const NAMELESS: &str = "code without a name: the compiled guest, and its entries and exits";

/// Functions below this share, in thousandths, are merged into one line of a table.
const SHOWN: u64 = 5;

/// Instructions by function, without those of the functions that it calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dump {
    /// Sorted by instructions, the most first.
    functions: Vec<(String, u64)>,
    total: u64,
}

impl Dump {
    /// Reads a dump and adds up its costs.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut reader = Reader::default();
        for (number, line) in (1_usize..).zip(text.lines()) {
            reader.line(line.trim()).with_context(|| format!("line {number} of a dump: {line:?}"))?;
        }
        let Reader { summary, costs, .. } = reader;
        let total = summary.context("a dump without a summary")?;
        let sum: u64 = costs.values().sum();
        ensure!(sum == total, "a dump of {total} instructions has {sum} in its functions");
        let mut functions: Vec<_> = costs.into_iter().filter(|(_, cost)| *cost > 0).collect();
        // A stable sort: equal functions stay sorted by name.
        functions.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        Ok(Self { functions, total })
    }

    /// Returns the number of all instructions.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the functions as a Markdown table, per call of a batch with `calls` calls.
    pub(super) fn table(&self, calls: u64) -> String {
        let mut table = String::from("| instructions of a call | share | function |\n|---:|---:|---|\n");
        let mut row = |cost: u64, name: &str| {
            #[expect(clippy::cast_precision_loss, reason = "they are thousands")]
            let (cost, calls, total) = (cost as f64, calls as f64, self.total as f64);
            // A vertical bar would end the cell.
            let name = name.replace('|', "\\|");
            table.push_str(&format!("| {:.1} | {:.1} % | {name} |\n", cost / calls, 100.0 * cost / total));
        };
        let is_shown = |cost: u64| cost.saturating_mul(1000) >= self.total.saturating_mul(SHOWN);
        let shown = self.functions.iter().take_while(|(_, cost)| is_shown(*cost)).count();
        let (dear, cheap) = self.functions.split_at(shown);
        dear.iter().for_each(|(name, cost)| row(*cost, name));
        if !cheap.is_empty() {
            row(cheap.iter().map(|(_, cost)| cost).sum(), &format!("{} others", cheap.len()));
        }
        row(self.total, "all");
        table
    }
}

/// The state while a dump is read.
#[derive(Default)]
struct Reader {
    summary: Option<u64>,
    /// How many numbers of a line give its position, and which of the numbers after them counts
    /// instructions.
    positions: usize,
    event: usize,
    /// The names of functions by number. A dump gives a name once and the number afterwards.
    names: HashMap<String, String>,
    function: Option<String>,
    /// Whether the next cost is that of a call, which includes everything that was called.
    is_call: bool,
    costs: BTreeMap<String, u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*')) {
            return self.cost(line);
        }
        let Some((key, value)) = line.split_once([':', '=']) else { return Ok(()) };
        match key {
            "positions" => self.positions = value.split_whitespace().count(),
            "events" => {
                let event = value.split_whitespace().position(|event| event == "Ir");
                self.event = event.context("instructions (Ir) were not counted")?;
            }
            "summary" => {
                let counts =
                    value.split_whitespace().nth(self.event).context("a summary without instructions")?;
                self.summary = Some(counts.parse()?);
            }
            "fn" => self.function = Some(self.name(value)?),
            // The name may be defined here and nowhere else.
            "cfn" => _ = self.name(value)?,
            "calls" => self.is_call = true,
            // Objects, files, jumps, and facts about the run.
            _ => {}
        }
        Ok(())
    }

    /// Resolves a name: `(7) name` defines `(7)`, and `(7)` alone refers to it. Without compression
    /// there is only the name.
    fn name(&mut self, value: &str) -> Result<String> {
        let Some((number, name)) = value.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
            return Ok(function(value));
        };
        // A function may be named `(below main)`.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(function(value));
        }
        let name = name.trim();
        if !name.is_empty() {
            let known = self.names.insert(number.to_owned(), function(name));
            if known.is_some() {
                bail!("({number}) is named twice");
            }
        }
        self.names.get(number).cloned().with_context(|| format!("({number}) has no name"))
    }

    /// Reads a line of positions and costs. Costs of 0 at its end may be missing.
    fn cost(&mut self, line: &str) -> Result<()> {
        if std::mem::take(&mut self.is_call) {
            return Ok(());
        }
        let place = self.positions.max(1) + self.event;
        let Some(cost) = line.split_whitespace().nth(place) else { return Ok(()) };
        let function = self.function.as_ref().context("a cost of no function")?;
        *self.costs.entry(function.clone()).or_default() += cost.parse::<u64>()?;
        Ok(())
    }
}

/// Merges the names of a function: callgrind numbers the levels of a recursion.
fn function(name: &str) -> String {
    if name.starts_with("0x") {
        return NAMELESS.to_owned();
    }
    match name.rsplit_once('\'') {
        Some((plain, level)) if !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()) => {
            plain.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut from a dump of the null call: fewer functions, an inlined file and a recursion.
    const DUMP: &str = include_str!("dump.callgrind");

    fn functions(dump: &Dump) -> Vec<(&str, u64)> {
        dump.functions.iter().map(|(name, cost)| (name.as_str(), *cost)).collect()
    }

    #[test]
    fn instructions_are_those_of_a_function_itself_under_its_name() {
        let dump = Dump::read(DUMP).unwrap();
        let expected = [
            ("wasmtime::runtime::func::HostFunc::array_call_trampoline", 12_032),
            ("antiphon::host::WapcHost::call", 11_200),
            ("antiphon_wasmtime::instance::Instance::run", 5_312),
            (NAMELESS, 4_672),
            ("memcpy@GLIBC_2.2.5", 1_536),
            ("core::ops::function::FnOnce::call_once{{vtable.shim}}", 30),
            ("(below main)", 3),
            ("instructions::batch", 2),
        ];
        assert_eq!(functions(&dump), expected);
        assert_eq!(dump.total(), 34_787);
    }

    #[test]
    fn a_table_has_what_one_call_spends_where_and_the_small_ones_in_one_line() {
        let table = Dump::read(DUMP).unwrap().table(64);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[..2], ["| instructions of a call | share | function |", "|---:|---:|---|"]);
        assert_eq!(lines[2], "| 188.0 | 34.6 % | wasmtime::runtime::func::HostFunc::array_call_trampoline |");
        assert_eq!(lines[7..], ["| 0.5 | 0.1 % | 3 others |", "| 543.5 | 100.0 % | all |"]);
    }

    #[test]
    fn the_counter_is_found_among_others_wherever_a_line_ends() {
        let text = "positions: instr line\nevents: Dr Ir\nsummary: 9 12\nfn=plain|name\ncfn=(below main)\ncalls=1 0\n1 1 70 70\n0x10 4 1 5\n+3 +1 8 7\n* * 1\n";
        let dump = Dump::read(&text.replace("0x10", "16")).unwrap();
        assert_eq!(functions(&dump), [("plain|name", 12)]);
        assert!(dump.table(1).contains("| 12.0 | 100.0 % | plain\\|name |"));
    }

    #[test]
    fn what_cannot_be_added_up_is_refused() {
        let refused = |text: &str| format!("{:#}", Dump::read(text).unwrap_err());
        let head = "positions: line\nevents: Ir\nsummary: 5\n";
        assert_eq!(refused("events: Ir\n"), "a dump without a summary");
        assert!(refused("events: Dr\n").contains("instructions (Ir) were not counted"));
        assert!(refused(&format!("{head}fn=(1) a\n0 4\n")).contains("of 5 instructions has 4"));
        assert!(
            refused(&format!("{head}fn=(1)\n0 5\n"))
                .contains("line 4 of a dump: \"fn=(1)\": (1) has no name")
        );
        assert!(refused(&format!("{head}0 5\n")).contains("a cost of no function"));
        assert!(refused(&format!("{head}fn=(1) a\nfn=(1) b\n")).contains("(1) is named twice"));
        assert!(refused(&format!("{head}fn=(1) a\n0 x\n")).contains("line 5"));
    }
}
