//! The cases, a file for each topic and a folder for those that belong together. A case is a
//! function; its guest is WebAssembly text beside it.

use crate::suite::Case;

mod confinement;
mod engine;
mod hostile;
mod hosts;
mod protocol;

pub(crate) use confinement::SPIN;
pub(crate) use protocol::ECHO;
use protocol::{RELAY, echo};

/// Returns every case, topic by topic.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [protocol::TOPICS, confinement::TOPICS, hosts::TOPICS, engine::TOPICS]
        .into_iter()
        .chain(hostile::FOLDERS)
        .flatten()
        .copied()
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::suite::Mode;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: BTreeSet<_> = cases().map(|case| format!("{case:?}")).collect();
        assert_eq!(names.len(), cases().count());
    }

    #[test]
    fn whatever_is_in_the_hostile_folder_runs_alone_and_under_its_bound() {
        for case in cases() {
            assert_eq!(case.topic().starts_with("hostile_"), case.is_hostile(), "{case:?}");
            assert!(case.is_alone() || !case.is_hostile(), "{case:?}");
        }
    }

    #[test]
    fn the_hostile_corpus_does_not_shrink() {
        let hostile = cases().filter(|case| case.is_hostile()).count();
        assert!(hostile >= 350, "{hostile} hostile cases");
    }

    #[test]
    fn a_capability_that_is_missing_skips_the_cases_that_need_it_and_no_others() {
        let none = antiphon::Capabilities::none();
        let skipped = cases().filter(|case| case.missing(Mode::Async, &none).is_some()).count();
        assert!(skipped > 0 && cases().count() - skipped >= 60, "{skipped} of {} skipped", cases().count());
    }

    #[test]
    fn the_readme_names_the_topics_that_are_skipped_for_each_need() {
        let readme = include_str!("../../README.md");
        let rows = readme.lines().filter_map(|line| {
            let mut columns = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
            let need = columns.next()?.strip_suffix('`')?;
            Some((need, columns.last()?))
        });
        let named: BTreeMap<_, _> = rows.filter(|(need, _)| need.starts_with(char::is_uppercase)).collect();
        let mut found = BTreeMap::<_, Vec<String>>::new();
        for case in cases() {
            for need in case.needed() {
                let (topics, topic) =
                    (found.entry(format!("{need:?}")).or_default(), format!("`{}`", case.topic()));
                if !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
        }
        for (need, topics) in &found {
            assert_eq!(named.get(need.as_str()), Some(&topics.join(", ").as_str()), "{need}");
        }
        assert_eq!(named.len(), found.len(), "{named:?}");
    }
}
