//! The imports of a module that no engine serves: how they are listed, and what they tell of its
//! maker.

use std::collections::BTreeMap;

use super::info::Import;

/// The most unknown imports of one module that are listed one by one.
const FEW: usize = 8;
/// The names that stand for the others, where there are more.
const SHOWN: usize = 3;

/// The unknown imports, by the module that they are imported from.
#[derive(Debug, Default)]
pub(super) struct Unknown<'a>(BTreeMap<&'a str, Vec<&'a Import>>);

impl<'a> Unknown<'a> {
    pub(super) fn of(imports: impl Iterator<Item = &'a Import>) -> Self {
        let mut all = Self::default();
        for import in imports {
            all.0.entry(&import.module).or_default().push(import);
        }
        all
    }

    /// Returns the reason to refuse an unknown import. Of many from one module only the first one
    /// has a reason, which sums all of them up.
    pub(super) fn refusal(&self, import: &Import) -> Option<String> {
        let Import { module, name, kind } = import;
        match self.0.get(module.as_str()).map(Vec::as_slice) {
            // Compared as places in memory: a module may import one name a hundred thousand times.
            Some(all @ [first, ..]) if all.len() > FEW && !std::ptr::eq(*first, import) => None,
            Some(all) if all.len() > FEW => {
                let shown: Vec<_> =
                    all.iter().take(SHOWN).map(|import| format!("{module}.{}", import.name)).collect();
                let (all, more) = (all.len(), all.len().saturating_sub(SHOWN));
                Some(format!(
                    "{all} imports of {module} are unknown: {} and {more} more imports",
                    shown.join(", ")
                ))
            }
            _ => Some(format!("import {module}.{name} ({kind}) is unknown")),
        }
    }

    /// Returns what the imports tell of how the module was built, and how to build it instead.
    pub(super) fn hint(&self) -> Option<&'static str> {
        let modules = || self.0.keys();
        if modules().any(|module| *module == "wbg" || module.starts_with("__wbindgen")) {
            return Some(
                "the module was made for wasm-bindgen, whose imports only JavaScript serves: build it without wasm-bindgen \
                 (often a feature `js` of a dependency asks for it)",
            );
        }
        if modules().any(|module| *module == "gojs" || *module == "go") {
            return Some(
                "the module was made by Go for JavaScript (GOOS=js): build it with GOOS=wasip1 and -buildmode=c-shared",
            );
        }
        let emscripten = |Import { name, .. }: &&Import| {
            name.starts_with("emscripten_") || name.starts_with("_emscripten_") || name.starts_with("invoke_")
        };
        if self.0.get("env").is_some_and(|imports| imports.iter().any(emscripten)) {
            return Some(
                "the module was made by Emscripten, whose imports its JavaScript serves: build it with \
                 -sSTANDALONE_WASM, or with clang for wasm32-wasip1",
            );
        }
        if modules().any(|module| *module == "wasi_snapshot_preview1" || *module == "wasi_unstable") {
            return Some(
                "the module imports WASI, which is off here or lacks these functions: leave out `wasi(false)` \
                 (`--no-wasi`), or turn on the feature `wasi`",
            );
        }
        // Such as `wasi:io/streams@0.2.0`.
        if modules().any(|module| module.contains(':') && module.contains('/')) {
            return Some(
                "the module was made for the component model: build it for wasm32-wasip1 instead of wasip2",
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::info::ExternKind;

    fn hint(module: &str, name: &str) -> Option<&'static str> {
        let import = Import::new(module, name, ExternKind::Global);
        Unknown::of([&import].into_iter()).hint()
    }

    #[test]
    fn many_of_one_module_are_summed_up_once_also_under_one_name() {
        for name in ["", "x"] {
            let imports: Vec<_> = (0..20).map(|_| Import::new("env", name, ExternKind::Global)).collect();
            let unknown = Unknown::of(imports.iter());
            let refusals: Vec<_> = imports.iter().filter_map(|import| unknown.refusal(import)).collect();
            assert_eq!(
                refusals,
                [format!(
                    "20 imports of env are unknown: env.{name}, env.{name}, env.{name} and 17 more imports"
                )]
            );
        }
    }

    #[test]
    fn the_maker_of_a_module_is_known_by_its_imports() {
        for (module, name, maker) in [
            ("wbg", "__wbg_now", "wasm-bindgen"),
            ("__wbindgen_placeholder__", "x", "wasm-bindgen"),
            ("gojs", "runtime.wasmExit", "GOOS=wasip1"),
            ("env", "emscripten_resize_heap", "Emscripten"),
            ("env", "invoke_vii", "Emscripten"),
            ("wasi_snapshot_preview1", "fd_write", "--no-wasi"),
            ("wasi:io/streams@0.2.0", "read", "component model"),
        ] {
            assert!(hint(module, name).is_some_and(|hint| hint.contains(maker)), "{module}.{name}");
        }
        assert_eq!(hint("env", "sin"), None);
    }
}
