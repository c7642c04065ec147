//! The sections and their keys. The doc comments are the reference page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::grants::Grants;
use super::kinds::{
    Address, BackendName, Bytes, Context, Count, Digest, Engine, Filter, Flag, Format, Isolation, Number,
    PathOf, Source, Time, Tokens,
};
use super::section::section;

section! {
    /// `[server]`: the server itself.
    #[derive(Clone, Debug)]
    pub struct Server {
        /// The folder of modules: `NAME.wasm` serves as `NAME`, and `NAME.toml` beside it may hold
        /// the table `[modules.NAME]`. A path of one file serves that module alone.
        modules: PathBuf as PathOf = "./modules".into(), Default "\"./modules\"";
        /// The folder for compiled code, the last good version of each module, and the embedded
        /// store. Two servers cannot share it.
        state: PathBuf as PathOf = "./state".into(), Default "\"./state\"";
        /// The longest time from SIGTERM to the end of the process. Calls that still run then are
        /// cut off.
        drain: Duration as Time = Duration::from_secs(20), Default "\"20s\"";
    }
}

section! {
    /// `[http]`: the two ports.
    #[derive(Clone, Debug)]
    pub struct Http {
        /// The address for calls: an IP address and a port. Port 0 takes a free one. An address
        /// beyond loopback needs `[auth]`, or `insecure = true`.
        listen: SocketAddr as Address = ([127, 0, 0, 1], 7470).into(), Default "\"127.0.0.1:7470\"";
        /// The address for operators: the admin API, `/metrics`, `/healthz` and `/readyz`. Port 0
        /// takes a free one.
        admin: SocketAddr as Address = ([127, 0, 0, 1], 7471).into(), Default "\"127.0.0.1:7471\"";
        /// The largest body of a call.
        body: u64 as Bytes = 1 << 20, Default "\"1MiB\"";
        /// The longest wait for the first byte of a connection, and for all headers of a request.
        header_timeout: Duration as Time = Duration::from_secs(5), Default "\"5s\"";
        /// The longest silence of a connection between two requests.
        idle_timeout: Duration as Time = Duration::from_secs(60), Default "\"60s\"";
        /// The most connections of each port at the same time. Further ones wait in the system's
        /// queue.
        connections: usize as Count = 1024, Default "1024";
        /// Whether an address beyond loopback may be listened on without tokens. Then everybody who
        /// reaches it may call every module, and change them.
        insecure: bool as Flag = false, Default "false";
    }
    sections {
        /// Certificate, key and the authority of clients.
        tls: Option<Tls>;
    }
}

section! {
    /// `[http.tls]`: TLS for both ports. The files are PEM, and are read again when they change.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Tls {
        /// The file of the certificate, with its chain.
        cert: PathBuf as PathOf = PathBuf::new(), Example "\"tls.crt\"";
        /// The file of the private key.
        key: PathBuf as PathOf = PathBuf::new(), Example "\"tls.key\"";
        /// The file of the authorities of client certificates. If it is set, every client needs
        /// one.
        client_ca: Option<PathBuf> as PathOf = None, Example "\"clients.pem\"";
    }
}

section! {
    /// `[auth]`: callers and operators that may enter. Without it, everybody may.
    #[derive(Clone, Debug)]
    pub struct Auth {
        /// The tokens: `name` in logs, `sha256` of the token in 64 hexadecimal digits, `role`
        /// (`call` calls modules; `admin` also reads and changes everything), and `modules`, the
        /// names that it may call, where `*` at the end stands for any rest; without `modules`, all
        /// of them.
        tokens: Vec<Token> as Tokens = Vec::new(), Example
            "[{ name = \"shop\", sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\", role = \"call\", modules = [\"pricing\", \"tax*\"] }]";
    }
}

/// A token: its hash, and what its bearer may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The name in logs.
    pub name: String,
    /// The SHA-256 of the token, in 32 bytes.
    pub sha256: [u8; 32],
    /// What the bearer may do.
    pub role: Role,
    /// The modules that the bearer may call, as names with `*` at their ends. Empty means all.
    pub modules: Vec<String>,
}

/// What a bearer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Call modules.
    Call,
    /// Read and change everything, and call modules.
    Admin,
}

section! {
    /// `[limits]` for all modules, and `[modules.NAME.limits]` for one, which stands before it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ModuleLimits {
        /// The longest time of a call, with its wait for an instance and its host calls. A caller
        /// can ask for less.
        deadline: Option<Duration> as Time = None, Default "\"2s\"";
        /// The longest time of an instance's start.
        start: Option<Duration> as Time = None, Default "\"2s\"";
        /// The most memory of an instance.
        memory: Option<u64> as Bytes = None, Default "\"64MiB\"";
        /// The stack of an instance.
        stack: Option<u64> as Bytes = None, Default "\"512KiB\"";
        /// The most fuel of a call and of a start. Each engine counts in its own units.
        fuel: Option<u64> as Number = None, Example "100000000";
        /// The largest request that a module gets. `http.body` bounds what comes over HTTP as well.
        request: Option<u64> as Bytes = None, Default "\"1MiB\"";
        /// The largest response of a module.
        response: Option<u64> as Bytes = None, Default "\"4MiB\"";
        /// The most host calls of one call.
        host_calls: Option<u64> as Number = None, Default "1000";
        /// The most bytes that all host calls of one call carry together.
        host_call_bytes: Option<u64> as Bytes = None, Default "\"256MiB\"";
        /// The most elements of each table of an instance.
        table_elements: Option<u64> as Number = None, Default "20000";
        /// The largest module.
        module: Option<u64> as Bytes = None, Default "\"16MiB\"";
        /// The instances that are always there. With 0, the first call starts one.
        @"instances.min" min: Option<usize> as Number = None, Default "1";
        /// The most instances, and so the most calls of a module that run at the same time.
        @"instances.max" max: Option<usize> as Count = None, Default "8";
        /// The most calls that wait for an instance. Further ones are refused as `overloaded`.
        queue: Option<usize> as Number = None, Default "64";
    }
}

section! {
    /// `[modules.NAME]`: one module. A module of the folder needs no table. A name has 1 to 128
    /// letters, digits, `.`, `_` and `-` of ASCII, and begins with a letter or a digit.
    #[derive(Clone, Debug)]
    pub struct Module {
        /// Where the bytes come from: a path, or `file:` and a path. By default `NAME.wasm` of the
        /// folder.
        source: Option<String> as Source = None, Example "\"./builds/pricing.wasm\"";
        /// The SHA-256 that the bytes have to have: `sha256:` and 64 hexadecimal digits.
        digest: Option<String> as Digest = None, Example
            "\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"";
        /// The engine: `wasmtime` compiles, `wasmi` interprets.
        engine: Option<String> as Engine = None, Default "\"wasmtime\"";
        /// Whether calls share an instance as long as they end well (`reuse`), or each call gets an
        /// instance of its own (`per-call`).
        isolation: antiphon::Isolation as Isolation = antiphon::Isolation::default(), Default "\"reuse\"";
        /// Values that every call of the module carries.
        context: BTreeMap<String, String> as Context = BTreeMap::new(), Default "{}";
        /// How long the version before stays warm after a replacement.
        keep: Option<Duration> as Time = None, Default "\"10m\"";
        /// What the module may ask of the server, one table a grant, as docs/capabilities.md
        /// describes them. Nothing is granted by default.
        @"grant" grants: Vec<serde_json::Value> as Grants = Vec::new(), Example "[]";
    }
    sections {
        /// What differs from `[limits]`.
        limits: ModuleLimits;
    }
}

section! {
    /// `[keyvalue.NAME]`: a store of values, for guests that are granted `keyvalue`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Keyvalue {
        /// What keeps the values: `redb`, a file in the folder of the state, or `memory`, which
        /// forgets them when the server ends.
        backend: Backend as BackendName = Backend::Redb, Default "\"redb\"";
    }
}

/// What keeps the values of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file in the folder of the state.
    Redb,
    /// The process.
    Memory,
}

section! {
    /// `[telemetry]`: what the server says about itself.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Telemetry {
        /// The least level that is logged: `error`, `warn`, `info`, `debug`, `trace`, `off`; or a
        /// list for parts of the program, such as `info,antiphon::pool=debug`.
        log: String as Filter = "info".into(), Default "\"info\"";
        /// The format of log lines on standard error: `text` or `json`.
        log_format: LogFormat as Format = LogFormat::Text, Default "\"text\"";
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for humans.
    Text,
    /// One object a line.
    Json,
}
