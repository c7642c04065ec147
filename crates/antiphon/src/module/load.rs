//! Reads a module as it is handed in, in either format, within its limits.

use std::borrow::Cow;

use antiphon_protocol::Limits;

use super::info::ModuleInfo;
use crate::errors::{Error, ErrorKind, Exceeded, Result};

/// The most bytes of a module in the text format. Text is for humans and tests, and parsing it
/// costs a thousand times its size.
const MAX_TEXT: u64 = 1024 * 1024;

/// The first bytes of files that are taken for modules, and what to do with such a file.
const OTHERS: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "it is compressed by gzip: decompress it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd: decompress it first"),
    (b"PK\x03\x04", "it is a zip archive: take the module out of it first"),
    (
        b"\0asm\x0d\0\x01\0",
        "it is a component: build a module, in Rust for wasm32-unknown-unknown or wasm32-wasip1 instead of wasm32-wasip2",
    ),
    (b"!<arch>\n", "it is a static library: link it to a module first"),
];

impl ModuleInfo {
    /// Reads a module in the binary or the text format, and returns it in the binary one. Every
    /// provider begins with this, before its engine sees any of the bytes.
    ///
    /// The bytes are hostile. A module over its limit is refused, and so is text over 1 MiB.
    ///
    /// ```
    /// use antiphon::{Limits, ModuleInfo};
    ///
    /// let (binary, info) = ModuleInfo::load(br#"(module (memory (export "memory") 2))"#, &Limits::new())?;
    /// assert!(binary.starts_with(b"\0asm"));
    /// assert_eq!(info.needs.memory, 2 * 65_536);
    /// # Ok::<(), antiphon::errors::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: over a limit, neither of the formats, or what
    /// [`parse`](Self::parse) refuses.
    pub fn load<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Cow<'a, [u8]>, Self)> {
        Self::check_size(bytes, limits)?;
        // The error's text quotes the line, which may be all of the input.
        let binary = wat::parse_bytes(bytes)
            .map_err(|error| refused(format!("not a WebAssembly module: {:.1000}", error.to_string())))?;
        let info = Self::parse(&binary)?;
        Ok((binary, info))
    }

    /// Creates the error of a module of `size` bytes, which is more than the limits allow.
    #[cold]
    #[must_use]
    pub fn too_large(size: u64, limits: &Limits) -> Error {
        let limit = limits.module_or_default();
        let message = format!(
            "the module has {size} bytes, over the limit of {limit} bytes (raise it with Limits::module)"
        );
        refused(message).with_exceeded(Exceeded::new("module", limit, size, "bytes"))
    }

    /// Refuses a module by its size and its first bytes alone. [`load`](Self::load) does so first;
    /// on its own it is for code that already knows the rest of the module.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidModule`]: over the limit, neither of the formats, or text over 1 MiB.
    pub fn check_size(bytes: &[u8], limits: &Limits) -> Result<()> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > limits.module_or_default() {
            return Err(Self::too_large(size, limits));
        }
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Err(refused(format!("not a WebAssembly module: {what}")));
        }
        if bytes.starts_with(b"\0asm") {
            return Ok(());
        }
        if bytes.is_empty() {
            return Err(refused("not a WebAssembly module: there are no bytes".to_owned()));
        }
        if std::str::from_utf8(bytes).is_err() {
            let what =
                "not a WebAssembly module: neither the binary format, which begins with \\0asm, nor text";
            return Err(refused(what.to_owned()));
        }
        if size > MAX_TEXT {
            return Err(refused(format!(
                "the module's text has {size} bytes, over the limit of {MAX_TEXT} bytes (which is fixed: pass it in the \
                 binary format)"
            )));
        }
        Ok(())
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidModule, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], limits: &Limits) -> String {
        let error = ModuleInfo::load(bytes, limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModule);
        error.message().to_owned()
    }

    #[test]
    fn text_becomes_binary_and_binary_stays_as_and_where_it_is() {
        let text = b"(module (memory 3) (memory 1) (table 5 funcref) (table 7 8 funcref))";
        let (binary, info) = ModuleInfo::load(text, &Limits::new()).unwrap();
        assert!(matches!(binary, Cow::Owned(_)) && binary.starts_with(b"\0asm"));
        assert_eq!(info.size, u64::try_from(binary.len()).unwrap());

        let (same, again) = ModuleInfo::load(&binary, &Limits::new()).unwrap();
        assert!(matches!(same, Cow::Borrowed(bytes) if bytes == &*binary));
        assert_eq!(again, info);
    }

    #[test]
    fn a_module_at_its_limit_is_read_and_one_byte_more_is_not() {
        let text = b"(module)";
        let exceeded = ModuleInfo::load(text, &Limits::new().module(7)).unwrap_err().exceeded().unwrap();
        assert_eq!((exceeded.limit, exceeded.allowed, exceeded.used), ("module", 7, 8));
        assert!(ModuleInfo::load(text, &Limits::new().module(8)).is_ok());
        assert_eq!(
            said(text, &Limits::new().module(7)),
            "the module has 8 bytes, over the limit of 7 bytes (raise it with Limits::module)"
        );
    }

    #[test]
    fn text_has_a_limit_of_its_own() {
        let text = |bytes: usize| [b"(module)".to_vec(), vec![b' '; bytes - 8]].concat();
        assert!(ModuleInfo::load(&text(1 << 20), &Limits::new()).is_ok());
        assert_eq!(
            said(&text((1 << 20) + 1), &Limits::new()),
            "the module's text has 1048577 bytes, over the limit of 1048576 bytes (which is fixed: pass it in the \
             binary format)"
        );
        // The same bytes behind a binary's first four: now the sections are refused.
        let binary = [b"\0asm\x01\0\0\0".to_vec(), vec![b' '; 1 << 20]].concat();
        assert!(said(&binary, &Limits::new()).starts_with("not a WebAssembly module: "));
    }

    #[test]
    fn what_is_neither_binary_nor_text_is_not_called_either() {
        let limits = Limits::new();
        assert_eq!(said(b"", &limits), "not a WebAssembly module: there are no bytes");
        for junk in [&b"\x7fELF\x80"[..], &[0xff; 3 << 20]] {
            assert_eq!(
                said(junk, &limits),
                "not a WebAssembly module: neither the binary format, which begins with \\0asm, nor text"
            );
        }
    }

    #[test]
    fn a_file_that_is_taken_for_a_module_is_named() {
        let limits = Limits::new();
        let component = said(b"\0asm\x0d\0\x01\0\0", &limits);
        assert!(component.contains("it is a component: build a module"), "{component}");
        assert_eq!(
            said(b"\x1f\x8b\x08\x00\xff", &limits),
            "not a WebAssembly module: it is compressed by gzip: decompress it first"
        );
        assert!(
            said(b"PK\x03\x04", &limits).ends_with("it is a zip archive: take the module out of it first")
        );
    }

    #[test]
    fn what_is_said_of_text_that_is_none_does_not_quote_all_of_it() {
        let said = said("(module (é".repeat(50_000).as_bytes(), &Limits::new());
        assert!(said.starts_with("not a WebAssembly module: "), "{said:.100}");
        assert!(said.chars().count() < 1_100, "{}", said.len());
    }
}
