//! The results of the tables in one line each: ratios of two cells of one table.

use super::table::Table;

/// A ratio of two medians of one run.
pub struct Bar {
    /// The two that are compared.
    pub name: String,
    /// The first median over the second. For two times, less is better.
    pub ratio: f64,
}

/// A cell: the beginning of its row's label, and its column.
type Place = (&'static str, usize);

/// The beginning of a table's title, what is compared, and the two cells.
type Rule = (&'static str, &'static str, Place, Place);

const ECHO: &str = "Echo through one guest call (wasmtime)";
const HOST: &str = "Echo through one guest -> host call (wasmtime)";
const FRESH: &str = "A fresh instance for every call";
const THREADS: &str = "A fresh instance for every call, on threads";
const LOAD: &str = "Loading a module";

const LIMIT: &str = "sync limit: hand-written wasmtime, fresh";
const FIBER: &str = "async limit: hand-written wasmtime, fresh";
const COPY: &str = "sync limit: one memcpy";
const CALL: &str = "sync antiphon: `call`";
const OWNED: &str = "sync antiphon: `call_with`";
const SINK: &str = "sync antiphon: `call_ref`, owned";
const STRAIGHT: &str = "async antiphon: `call`, straight";
const COOPERATIVE: &str = "async antiphon: `call`, cooperative";
const POOLED: &str = "async antiphon: `HostPool::call`, cooperative";
const POOLED_STRAIGHT: &str = "async antiphon: `HostPool::call`, straight";
const FEW_ROUTES: &str = "sync antiphon: `call`, `HostRouter` of 8 routes";
const MANY_ROUTES: &str = "sync antiphon: `call`, `HostRouter` of 1,000 routes";
const FEW_ROUTES_ASYNC: &str = "async antiphon: `call`, `HostRouter` of 8 routes";
const MANY_ROUTES_ASYNC: &str = "async antiphon: `call`, `HostRouter` of 1,000 routes";
const INCUMBENT: &str = "sync incumbent";
const INCUMBENT_ASYNC: &str = "async incumbent";

const RULES: &[Rule] = &[
    (ECHO, "sync `call`, 0 B / limit", (CALL, 0), (LIMIT, 0)),
    (ECHO, "sync `call`, 1 KiB / limit", (CALL, 1), (LIMIT, 1)),
    (ECHO, "incumbent / sync `call`, 0 B", (INCUMBENT, 0), (CALL, 0)),
    (ECHO, "incumbent / sync `call`, 1 KiB", (INCUMBENT, 1), (CALL, 1)),
    (ECHO, "sync owned, 64 KiB / limit", (OWNED, 2), (LIMIT, 2)),
    (ECHO, "sync owned, 1 MiB / limit", (OWNED, 3), (LIMIT, 3)),
    (ECHO, "sync borrowed, 64 KiB / limit", (CALL, 2), (LIMIT, 2)),
    (ECHO, "sync borrowed, 1 MiB / limit", (CALL, 3), (LIMIT, 3)),
    (ECHO, "sync sink, owned payload, 64 KiB / one memcpy", (SINK, 2), (COPY, 2)),
    (ECHO, "sync sink, owned payload, 1 MiB / one memcpy", (SINK, 3), (COPY, 3)),
    (ECHO, "async straight, 0 B / sync limit", (STRAIGHT, 0), (LIMIT, 0)),
    (ECHO, "async cooperative, 0 B / raw `call_async`", (COOPERATIVE, 0), (FIBER, 0)),
    (ECHO, "async cooperative, 1 KiB / raw `call_async`", (COOPERATIVE, 1), (FIBER, 1)),
    (ECHO, "async incumbent / async straight, 0 B", (INCUMBENT_ASYNC, 0), (STRAIGHT, 0)),
    (ECHO, "async incumbent / async cooperative, 0 B", (INCUMBENT_ASYNC, 0), (COOPERATIVE, 0)),
    (ECHO, "pool / bare host, cooperative, 0 B", (POOLED, 0), (COOPERATIVE, 0)),
    (ECHO, "pool / bare host, straight, 0 B", (POOLED_STRAIGHT, 0), (STRAIGHT, 0)),
    (HOST, "sync host call, 0 B / limit", (CALL, 0), (LIMIT, 0)),
    (HOST, "async with one awaited host call, 0 B / raw async", (COOPERATIVE, 0), (FIBER, 0)),
    (HOST, "async with one awaited host call, 1 KiB / raw async", (COOPERATIVE, 1), (FIBER, 1)),
    (HOST, "async incumbent / async with one awaited host call, 0 B", (INCUMBENT_ASYNC, 0), (COOPERATIVE, 0)),
    (HOST, "sync host call through 8 routes, 0 B / one handler", (FEW_ROUTES, 0), (CALL, 0)),
    (HOST, "sync host call through 1,000 routes, 0 B / 8 routes", (MANY_ROUTES, 0), (FEW_ROUTES, 0)),
    (HOST, "async host call through 8 routes, 0 B / one handler", (FEW_ROUTES_ASYNC, 0), (COOPERATIVE, 0)),
    (
        HOST,
        "async host call through 1,000 routes, 0 B / 8 routes",
        (MANY_ROUTES_ASYNC, 0),
        (FEW_ROUTES_ASYNC, 0),
    ),
];

/// The beginning of the labels of rows that use Antiphon's own isolation per call.
const PER_CALL: &str = "antiphon on wasmtime, isolation per call";

/// Returns every ratio of which both cells were measured.
pub fn bars(tables: &[Table]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = RULES
        .iter()
        .filter_map(|&(title, name, over, under)| {
            let table = tables.iter().find(|table| table.title.starts_with(title))?;
            Some(Bar { name: name.into(), ratio: cell(table, over)? / cell(table, under)? })
        })
        .collect();
    for (title, prefix) in [(FRESH, "fresh instance"), (THREADS, "fresh instance, on threads")] {
        bars.extend(
            tables
                .iter()
                .find(|table| table.title == title)
                .into_iter()
                .flat_map(|table| fresh(table, prefix)),
        );
    }
    if let Some(table) = tables.iter().find(|table| table.title.starts_with(LOAD)) {
        let ratio = |over: &'static str, under: &'static str| {
            Some(cell(table, (over, 0))? / cell(table, (under, 0))?)
        };
        let kept = "kept, antiphon";
        let pairs = [
            (
                "module from the cache / `deserialize_file` and a pass of BLAKE3",
                ratio(kept, crate::topics::load::HASHED),
            ),
            ("compiling / module from the cache", ratio("source, antiphon on wasmtime", kept)),
        ];
        bars.extend(
            pairs.into_iter().filter_map(|(name, ratio)| Some(Bar { name: name.into(), ratio: ratio? })),
        );
    }
    for table in tables.iter().filter(|table| table.title.starts_with("Idle instances")) {
        let last = table.columns.len().saturating_sub(1);
        for (peer, name) in [("wasmtime by hand", "by hand"), ("incumbent", "incumbent")] {
            let ratio = cell(table, ("antiphon on wasmtime", last)).zip(cell(table, (peer, last)));
            bars.extend(ratio.map(|(over, under)| Bar {
                name: format!("{}, {}: antiphon / {name}", table.title, table.columns[last].name),
                ratio: over / under,
            }));
        }
    }
    bars
}

/// Compares Antiphon's own isolation with the best row by hand, and the incumbent with Antiphon's.
fn fresh(table: &Table, prefix: &str) -> Vec<Bar> {
    let mut bars = Vec::new();
    let Some(ours) = table.rows.iter().find(|row| row.label.starts_with(PER_CALL)) else { return bars };
    for (index, column) in table.columns.iter().enumerate() {
        if column.unit != crate::report::table::Unit::Time {
            continue;
        }
        let median = |row: Option<usize>| Some((*table.rows.get(row?)?.cells.get(index)?)?.median);
        let Some(Some(mine)) = ours.cells.get(index).map(|cell| cell.map(|cell| cell.median)) else {
            continue;
        };
        let mut push = |name: &str, ratio: Option<f64>| {
            bars.extend(ratio.map(|ratio| Bar { name: format!("{prefix}, {}: {name}", column.name), ratio }));
        };
        push("antiphon / best by hand", median(ours.limit).map(|limit| mine / limit));
        let pooled = median(table.find("antiphon on wasmtime, `HostPool`"));
        push("pool / best by hand", pooled.zip(median(ours.limit)).map(|(pool, limit)| pool / limit));
        push("incumbent, its default / antiphon", median(ours.incumbent).map(|peer| peer / mine));
        push(
            "incumbent, the same pool / antiphon",
            median(table.find("incumbent, pooling")).map(|peer| peer / mine),
        );
    }
    bars
}

fn cell(table: &Table, (row, column): Place) -> Option<f64> {
    Some((*table.rows.get(table.find(row)?)?.cells.get(column)?)?.median)
}
