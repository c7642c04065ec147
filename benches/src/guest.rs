//! What every variant is given: the same guest, the same operation, the same payload.

use anyhow::Result;
use bytes::Bytes;

/// The operation of every guest call, in this program. The guests ignore it, but each host must deliver it.
pub const OPERATION: &str = "echo";

/// A guest module and what is measured with it.
pub struct Guest {
    /// Heading of its table.
    pub title: &'static str,
    /// The module, as a binary: no variant is charged for parsing text.
    pub wasm: Vec<u8>,
    /// Whether it calls its host.
    pub calls_host: bool,
    /// Payload sizes to measure, in bytes; none may be larger than the guest has room for.
    pub sizes: &'static [usize],
}

impl Guest {
    /// The guest that answers with its payload.
    ///
    /// # Errors
    ///
    /// When `guests/echo.wat` is no valid module text.
    pub fn echo() -> Result<Self> {
        Ok(Self {
            title: "Echo through one guest call",
            wasm: wat::parse_str(include_str!("../guests/echo.wat"))?,
            calls_host: false,
            sizes: &[0, 1 << 10, 64 << 10, 1 << 20],
        })
    }

    /// The guest that asks the host to echo its payload, and answers with the host's answer.
    ///
    /// # Errors
    ///
    /// When `guests/host.wat` is no valid module text.
    pub fn host_call() -> Result<Self> {
        Ok(Self {
            title: "Echo through one guest -> host call",
            wasm: wat::parse_str(include_str!("../guests/host.wat"))?,
            calls_host: true,
            sizes: &[0, 1 << 10, 64 << 10],
        })
    }
}

/// One payload, in the two shapes in which a caller may hold it.
pub struct Payload {
    /// For calls that borrow. Static, so that the limit needs neither a copy nor `unsafe` to keep it in its
    /// store.
    pub borrowed: &'static [u8],
    /// For calls that take ownership; they clone it, which counts a reference and copies nothing.
    pub owned: Bytes,
}

impl Payload {
    /// Makes (and leaks) a payload of `len` bytes; another `seed` makes other bytes.
    pub fn new(len: usize, seed: u8) -> Self {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8 ^ seed).collect();
        // At one place: how long a copy takes depends on where its bytes are.
        let borrowed: &'static [u8] = bytes.leak();
        Self { owned: Bytes::from_owner(borrowed), borrowed }
    }
}
