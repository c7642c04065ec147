//! The limits of a guest, as options.

use std::time::Duration;

use antiphon::Limits;
use clap::Args;

use super::values;

/// What a guest may use.
#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// End a call after this time, such as `500ms` or `2s`; 2s by default
    ///
    /// The limit applies to each call. The start of the guest has the larger of this time and 2 s.
    #[arg(long, value_name = "TIME", value_parser = values::deadline)]
    deadline: Option<Duration>,
    /// Most memory of the guest, such as `512KiB` or `64MiB`; 64MiB by default
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory: Option<u64>,
    /// Stack of the guest, such as `512KiB` or `8MiB`, up to 1GiB; 512KiB by default
    ///
    /// A guest that recurses deeper ends with the error `stack_overflow`.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    stack: Option<u64>,
    /// Most fuel of a call, and of a start; no limit by default
    ///
    /// Each engine counts fuel in its own units.
    #[arg(long, value_name = "N", value_parser = values::count)]
    fuel: Option<u64>,
    /// Largest payload and largest answer, of a call and of a host call; 4MiB by default
    // The field has another name than the argument PAYLOAD.
    #[arg(long = "payload", value_name = "SIZE", value_parser = values::size)]
    payload_size: Option<u64>,
    /// Most host calls in one call; 1000 by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    host_calls: Option<u64>,
    /// Most bytes that the host calls of one call carry together; 256MiB by default
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    host_call_bytes: Option<u64>,
    /// Most elements of each table of the guest; 20000 by default
    #[arg(long, value_name = "N", value_parser = values::count)]
    table_elements: Option<u64>,
    #[command(flatten)]
    module: ModuleLimitArgs,
}

/// How large a module may be.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModuleLimitArgs {
    /// Largest module, such as `32MiB`; 16MiB by default
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    module_size: Option<u64>,
}

impl ModuleLimitArgs {
    /// Returns limits with the given option applied.
    pub(crate) fn limits(&self, limits: Limits) -> Limits {
        self.module_size.map_or(limits, |size| limits.module(size))
    }
}

impl LimitArgs {
    /// Returns the default limits with the given options applied.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = self.module.limits(Limits::new());
        if let Some(deadline) = self.deadline {
            let init = deadline.max(limits.init_deadline_or_default());
            limits = limits.deadline(deadline).init_deadline(init);
        }
        if let Some(memory) = self.memory {
            limits = limits.memory(memory);
        }
        if let Some(stack) = self.stack {
            limits = limits.stack(stack);
        }
        if let Some(fuel) = self.fuel {
            limits = limits.fuel(fuel);
        }
        if let Some(payload) = self.payload_size {
            limits = limits.request(payload).response(payload).host_payload(payload);
        }
        if let Some(host_calls) = self.host_calls {
            limits = limits.host_calls(host_calls);
        }
        if let Some(bytes) = self.host_call_bytes {
            limits = limits.host_call_bytes(bytes);
        }
        if let Some(elements) = self.table_elements {
            limits = limits.table_elements(elements);
        }
        limits
    }
}

/// Returns the option that raises a limit, named as in [`antiphon::Exceeded`].
pub(crate) fn option_of(limit: &str) -> Option<&'static str> {
    Some(match limit {
        "deadline" | "init_deadline" => "--deadline",
        "memory" => "--memory",
        "stack" => "--stack",
        "fuel" => "--fuel",
        "request" | "response" | "host_payload" => "--payload",
        "host_calls" => "--host-calls",
        "host_call_bytes" => "--host-call-bytes",
        "table_elements" => "--table-elements",
        "module" => "--module-size",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn limits(arguments: &[&str]) -> Limits {
        Only::try_parse_from(["x"].iter().chain(arguments)).unwrap().limits.limits()
    }

    #[test]
    fn each_option_sets_the_limits_that_it_is_named_for() {
        assert_eq!(limits(&[]), Limits::new());
        assert_eq!(
            limits(&["--payload", "8MiB"]),
            Limits::new().request(8 << 20).response(8 << 20).host_payload(8 << 20)
        );
        for (option, expected) in [
            ("--memory", Limits::new().memory(1_000)),
            ("--stack", Limits::new().stack(1_000)),
            ("--fuel", Limits::new().fuel(1_000)),
            ("--host-calls", Limits::new().host_calls(1_000)),
            ("--host-call-bytes", Limits::new().host_call_bytes(1_000)),
            ("--table-elements", Limits::new().table_elements(1_000)),
            ("--module-size", Limits::new().module(1_000)),
        ] {
            assert_eq!(limits(&[option, "1_000"]), expected, "{option}");
            // The error names the option by the limit's field.
            let field = option.trim_start_matches("--").replace('-', "_").replace("module_size", "module");
            assert_eq!(option_of(&field), Some(option));
        }
    }

    #[test]
    fn an_option_that_an_error_names_is_one() {
        let command = Only::command();
        for limit in ["deadline", "init_deadline", "request", "response", "host_payload", "memory", "module"]
        {
            let option = option_of(limit).unwrap();
            assert!(
                command.get_arguments().any(|argument| argument.get_long() == option.strip_prefix("--")),
                "{option}"
            );
        }
        assert_eq!(option_of("name"), None);
    }
}
