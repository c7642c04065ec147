//! The path of a call, taken apart strictly.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::outcome::Refusal;

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names<'a> {
    pub(super) module: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
}

/// Takes a path apart if it is that of a call: `/v1/modules/{module}/operations/{operation}`. Each
/// name is one segment, percent-encoded, and never empty. A slash of an operation is `%2F`. Nothing
/// is normalised: `..` and an empty segment are names like others, which no module has.
///
/// # Errors
/// A name is not percent-encoded UTF-8, or has control characters.
pub(super) fn call(path: &str) -> Option<Result<Names<'_>, Refusal>> {
    let (module, rest) = path.strip_prefix("/v1/modules/")?.split_once('/')?;
    let operation = rest.strip_prefix("operations/")?;
    if module.is_empty() || operation.is_empty() || operation.contains('/') {
        return None;
    }
    let names = || Ok(Names { module: decode(module)?, operation: decode(operation)? });
    Some(names())
}

/// Decodes a segment. One without a percent sign is not copied.
///
/// # Errors
/// As those of [`call`].
pub(super) fn decode(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    // The decoder leaves a percent sign as it is that begins no code.
    let mut rest = segment.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let code = rest.get(at + 1..at + 3).filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        if code.is_none() {
            return Err(Refusal::BadPath("a percent sign is not followed by two hexadecimal digits"));
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    let text = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Refusal::BadPath("the percent-encoded bytes are not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(Refusal::BadPath("a name has a control character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Option<Result<(String, String), Refusal>> {
        call(path).map(|names| names.map(|names| (names.module.into_owned(), names.operation.into_owned())))
    }

    #[test]
    fn a_path_names_a_module_and_an_operation() {
        for (path, module, operation) in [
            ("/v1/modules/pricing/operations/quote", "pricing", "quote"),
            ("/v1/modules/pricing/operations/a%2Fb%2fc", "pricing", "a/b/c"),
            ("/v1/modules/p/operations/%C3%A9%20%25", "p", "é %"),
            ("/v1/modules/../operations/x", "..", "x"),
            ("/v1/modules/%2e%2e/operations/%2E%2E%2F..", "..", "../.."),
            ("/v1/modules/operations/operations/operations", "operations", "operations"),
        ] {
            let expected = (module.to_owned(), operation.to_owned());
            assert_eq!(names(path), Some(Ok(expected)), "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_calls() {
        for path in [
            "/",
            "",
            "*",
            "/v1/modules",
            "/v1/modules/",
            "/v1/modules/pricing",
            "/v1/modules/pricing/operations",
            "/v1/modules/pricing/operations/",
            "/v1/modules//operations/x",
            "/v1/modules/pricing//operations/x",
            "/v1//modules/pricing/operations/x",
            "//v1/modules/pricing/operations/x",
            "/v1/modules/pricing/operations/x/",
            "/v1/modules/pricing/operations/a/b",
            "/v1/./modules/pricing/operations/x",
            "/v1/modules/pricing/operations/../x",
            "/v1/modules/a/../pricing/operations/x",
            "/V1/modules/pricing/operations/x",
            "/v1/modules/pricing%2Foperations%2Fx",
        ] {
            assert_eq!(names(path), None, "{path}");
        }
    }

    #[test]
    fn a_name_that_is_badly_encoded_is_refused() {
        for name in ["%", "%2", "%zz", "%2g", "a%", "%%41", "%u0041", "%ff", "%C3", "%00", "a%0d%0Ab", "%7F"]
        {
            for path in
                [format!("/v1/modules/{name}/operations/x"), format!("/v1/modules/x/operations/{name}")]
            {
                assert!(matches!(names(&path), Some(Err(Refusal::BadPath(_)))), "{path}");
            }
        }
    }
}
