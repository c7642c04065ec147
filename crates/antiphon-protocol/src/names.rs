//! The names of the functions in a waPC conversation.

/// The import module of every waPC function.
pub const HOST_NAMESPACE: &str = "wapc";

/// Import: the guest writes a log line.
pub const HOST_CONSOLE_LOG: &str = "__console_log";
/// Import: the guest calls the host.
pub const HOST_CALL: &str = "__host_call";
/// Import: the guest asks for the operation and the payload of its call.
pub const GUEST_REQUEST_FN: &str = "__guest_request";
/// Import: the guest reads the answer of its last host call.
pub const HOST_RESPONSE_FN: &str = "__host_response";
/// Import: the length in bytes of the answer of the last host call.
pub const HOST_RESPONSE_LEN_FN: &str = "__host_response_len";
/// Import: the guest passes its answer to the host.
pub const GUEST_RESPONSE_FN: &str = "__guest_response";
/// Import: the guest passes its error text to the host.
pub const GUEST_ERROR_FN: &str = "__guest_error";
/// Import: the guest reads the error of its last host call.
pub const HOST_ERROR_FN: &str = "__host_error";
/// Import: the length in bytes of the error of the last host call.
pub const HOST_ERROR_LEN_FN: &str = "__host_error_len";

/// The import module of AssemblyScript's own functions.
pub const ABORT_NAMESPACE: &str = "env";
/// Import: AssemblyScript's abort, in [`ABORT_NAMESPACE`].
pub const ABORT_FN: &str = "abort";
/// Import: AssemblyScript's trace, in [`ABORT_NAMESPACE`]: a text and up to five numbers for the
/// log.
pub const TRACE_FN: &str = "trace";
/// Import: AssemblyScript's seed, in [`ABORT_NAMESPACE`]: a random number, which `Math.random`
/// begins with. Engines serve it with the sealed world of WASI.
pub const SEED_FN: &str = "seed";

/// Export: the guest's one entry point.
pub const GUEST_CALL: &str = "__guest_call";
/// Export: the guest's linear memory.
pub const MEMORY: &str = "memory";
/// Export: the initialiser of a WASI reactor (TinyGo, Go).
pub const REACTOR_INITIALIZE: &str = "_initialize";
/// Export: waPC's own initialiser.
pub const WAPC_INIT: &str = "wapc_init";
/// Export: the entry point of a WASI command, which older TinyGo guests use as their initialiser.
pub const TINYGO_START: &str = "_start";

/// The exports that are called once after instantiation, in this order, if a guest has them. Each
/// takes and returns nothing.
pub const INIT_EXPORTS: [&str; 3] = [REACTOR_INITIALIZE, TINYGO_START, WAPC_INIT];
