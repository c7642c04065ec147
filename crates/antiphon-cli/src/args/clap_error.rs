//! Changes to clap's errors: they repeat just enough of the command line to find the place, and may
//! name another command.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};

/// The most characters of one argument that an error repeats.
const MOST: usize = 200;

/// Shortens the arguments that a clap error repeats. Clap would repeat them whole, and a payload
/// can fill many screens.
pub(crate) fn shorten(error: &mut clap::Error) {
    let long = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) => Some((kind, cut(text)?)),
        _ => None,
    };
    let shortened: Vec<_> = error.context().filter_map(long).collect();
    for (kind, text) in shortened {
        error.insert(kind, ContextValue::String(text));
        // The suggestion repeats the whole argument too.
        error.remove(ContextKind::Suggested);
    }
}

/// Names `bench` to users of `call` who want many calls.
pub(crate) fn suggest_bench(error: &mut clap::Error, arguments: &[OsString]) {
    let is_call = arguments.get(1).is_some_and(|command| command == "call");
    let of_bench = |value: &ContextValue| match value {
        ContextValue::String(option) => ["--repeat", "--concurrency"].contains(&option.as_str()),
        _ => false,
    };
    if is_call && error.get(ContextKind::InvalidArg).is_some_and(of_bench) {
        let tip = "to call many times, use 'antiphon bench'";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Names `--format` to users of the commands where `--json` once was the format of the report, and
/// is the payload now.
pub(crate) fn suggest_format(error: &mut clap::Error, arguments: &[OsString]) {
    let reports = arguments.get(1).is_some_and(|command| command == "bench" || command == "compare");
    let of_json = |value: &ContextValue| match value {
        ContextValue::String(option) => option.starts_with("--json"),
        ContextValue::Strings(options) => options.iter().any(|option| option.starts_with("--json")),
        _ => false,
    };
    if reports
        && [ContextKind::InvalidArg, ContextKind::PriorArg]
            .into_iter()
            .filter_map(|kind| error.get(kind))
            .any(of_json)
    {
        let tip = "'--json' is the payload; for a report in JSON, use '--format json'";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Returns the beginning of a text that is too long; `None` for one that is not.
fn cut(text: &str) -> Option<String> {
    let (end, _) = text.char_indices().nth(MOST)?;
    Some(format!("{}..", text.get(..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_cut_and_never_within_a_character() {
        assert_eq!(cut(&"é".repeat(MOST)), None);
        assert_eq!(cut(&"é".repeat(MOST + 1)), Some("é".repeat(MOST) + ".."));
    }
}
