//! `echo`: an echo through one guest call, and through one host call, by hand, by the incumbent, by
//! Antiphon.

use std::rc::Rc;

use anyhow::Result;
use tokio::runtime::{self, Runtime};

use crate::engine::Engine;
use crate::guest::Guest;
use crate::measure::{Family, Variant, measure};
use crate::report::table::Table;
use crate::rivals::{incumbent, limit, limit_wasmi};

/// Returns the two tables of an engine. With a filter they have the limit's rows, and the rows
/// whose label contains one of the texts.
///
/// # Errors
///
/// When a variant fails.
pub fn tables(engine: Engine, rounds: u32, filter: &[String]) -> Result<Vec<Table>> {
    let runtime = Rc::new(runtime::Builder::new_current_thread().build()?);
    let mut tables = Vec::new();
    for guest in [Guest::echo()?, Guest::host_call()?] {
        let mut variants = variants(engine, &guest, &runtime)?;
        variants.retain(|variant| {
            let label = variant.label.to_string();
            variant.label.family == Family::Limit
                || filter.is_empty()
                || filter.iter().any(|text| label.contains(text))
        });
        let mut table = measure(&guest, variants, rounds)?;
        table.title = format!("{} ({})", table.title, engine.name());
        tables.push(table);
    }
    Ok(tables)
}

/// Returns every variant of this build on `engine`, in the order of the rows.
fn variants(engine: Engine, guest: &Guest, runtime: &Rc<Runtime>) -> Result<Vec<Variant>> {
    let mut variants = match engine {
        Engine::Wasmtime => limit::variants(guest, runtime)?,
        Engine::Wasmi => limit_wasmi::variants(guest, runtime)?,
    };
    if engine == Engine::Wasmtime {
        variants.extend(incumbent::variants(guest, runtime)?);
    }
    #[cfg(feature = "antiphon")]
    variants.extend(crate::rivals::antiphon::variants(engine, guest, runtime)?);
    #[cfg(feature = "extism")]
    if engine == Engine::Wasmtime && !guest.calls_host {
        variants.push(crate::rivals::extism::variant()?);
    }
    variants.sort_by_key(|variant| (variant.label.mode, variant.label.family));
    Ok(variants)
}
