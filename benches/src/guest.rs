//! What every variant gets: one guest, one operation, one payload.

use anyhow::Result;
use bytes::Bytes;

/// The operation of every guest call in this program. The guests ignore it, but each host must
/// deliver it.
pub const OPERATION: &str = "echo";

/// A guest module and what is measured with it.
pub struct Guest {
    /// Heading of its table.
    pub title: &'static str,
    /// The module in the binary format, so that no variant pays for parsing text.
    pub wasm: Vec<u8>,
    /// Whether it calls its host.
    pub calls_host: bool,
    /// Payload sizes to measure, in bytes; none may be larger than the guest has room for.
    pub sizes: &'static [usize],
}

impl Guest {
    /// Returns the guest that answers with its payload.
    ///
    /// # Errors
    ///
    /// When `guests/echo.wat` is not a valid module text.
    pub fn echo() -> Result<Self> {
        Ok(Self {
            title: "Echo through one guest call",
            wasm: wat::parse_str(include_str!("../guests/echo.wat"))?,
            calls_host: false,
            sizes: &[0, 1 << 10, 64 << 10, 1 << 20],
        })
    }

    /// Returns the guest that asks the host to echo its payload, and answers with the host's
    /// answer.
    ///
    /// # Errors
    ///
    /// When `guests/host.wat` is not a valid module text.
    pub fn host_call() -> Result<Self> {
        Ok(Self {
            title: "Echo through one guest -> host call",
            wasm: wat::parse_str(include_str!("../guests/host.wat"))?,
            calls_host: true,
            sizes: &[0, 1 << 10, 64 << 10],
        })
    }
}

/// One payload, in the two forms in which a caller may hold it.
pub struct Payload {
    /// For calls that borrow. It is static, so that the limit needs neither a copy nor `unsafe` to
    /// keep it in its store.
    pub borrowed: &'static [u8],
    /// For calls that take ownership. They clone it, which counts a reference and copies nothing.
    pub owned: Bytes,
}

impl Payload {
    /// Makes and leaks a payload of `len` bytes; another `seed` makes other bytes.
    pub fn new(len: usize, seed: u8) -> Self {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8 ^ seed).collect();
        // Both forms share one place in memory, because the place affects how long a copy takes.
        let borrowed: &'static [u8] = bytes.leak();
        Self { owned: Bytes::from_owner(borrowed), borrowed }
    }
}
