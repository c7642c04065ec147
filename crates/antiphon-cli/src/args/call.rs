//! The arguments of `antiphon call`.

use antiphon_host::EngineKind;
use clap::Args;

use super::cache::CacheArgs;
use super::guest::{GuestArgs, WasiArgs};
use super::values::{self, Mode};

/// Call an operation of a guest
///
/// Standard output gets the bytes of the response and nothing else (on a terminal, control
/// characters in it are escaped). Standard error gets the lines
/// that the guest logs and the program's own messages. Unless options say otherwise, a call ends
/// after 2 s and a guest gets at most 64 MiB of memory.
///
/// Compiled code is cached, sealed with a key that only this user can read, and loaded the next
/// time.
#[derive(Debug, Args)]
#[command(after_help = CALL_EXAMPLES)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Write the answer as it is, even to a terminal: its control characters are otherwise escaped
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Run the guest on an asynchronous or a synchronous host; the outcome is the same
    #[arg(long, value_enum, default_value_t = Mode::Async)]
    pub(crate) mode: Mode,
    /// The engine that runs the guest
    #[arg(long, value_name = "ENGINE", value_parser = values::engine(), default_value_t)]
    pub(crate) engine: EngineKind,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    // Last, because its heading applies to every option after it.
    #[command(flatten)]
    pub(crate) wasi: WasiArgs,
}

const CALL_EXAMPLES: &str = r#"EXAMPLES:
  # payloads and answers
  antiphon call guests/built/rust.wasm echo hello
  echo '{"a":1}' | antiphon call guests/built/rust.wasm echo -
  antiphon call guests/built/rust.wasm echo --payload-file guests/README.md --raw
  antiphon call guests/built/c.wasm greet --json '{"name":"Ada","count":2}'
  echo '[1, 2]' | antiphon call guests/built/rust.wasm echo --json - --codec json
  antiphon call guests/built/rust.wasm echo --error-format json -- --a-payload-with-dashes
  # host calls
  antiphon call guests/built/rust.wasm host hi --host-call 'binding/sample/echo=hello back'
  antiphon call guests/built/rust.wasm host hi --host-call '*=@guests/README.md'
  antiphon call guests/built/c.wasm host --json 1 --host-call '*=json:{"a":[1,true]}'
  # modules and engines
  antiphon call - echo hello --no-cache --verbose < guests/built/rust.wasm
  antiphon compile guests/built/rust.wasm -o rust.sealed && antiphon call rust.sealed echo hello
  antiphon call guests/built/rust.wasm echo hello --cache-dir compiled
  antiphon call guests/built/rust.wasm echo hi --mode sync --engine wasmtime --isolation per-call
  # limits
  antiphon call guests/built/assemblyscript.wasm echo hello --deadline 500ms --memory 16MiB
  antiphon call guests/built/rust.wasm echo hello --fuel 1_000_000 --stack 2MiB
  antiphon call guests/built/c.wasm host --host-call '*=y' --host-calls 5000 --host-call-bytes 1GiB
  antiphon call guests/built/go.wasm echo --module-size 64MiB --table-elements 50000 --payload 8MiB
  # the guest's system (WASI)
  antiphon call guests/built/go.wasm echo hello --env LANG=C --arg --fast --arg twice
  antiphon call guests/built/go.wasm echo hello --dir guests::/data:ro --dir guests/built::/built
  antiphon call guests/built/c.wasm echo hello --no-wasi
  antiphon call guests/built/rust.wasm echo hello --deterministic 7 --clock 2026-01-01T00:00:00Z

EXIT CODES:
  0  the guest answered
  1  the guest reported a failure
  2  wrong usage, an unreadable file, or an option that the engine lacks
  3  the call failed in another way: a trap, a deadline, a limit, an answer that is not in the codec of --json
  4  the module is not a waPC guest, or did not start"#;
