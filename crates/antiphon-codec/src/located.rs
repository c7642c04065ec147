//! Finds the field that a decoding failed in, by decoding once more.

use alloc::string::{String, ToString};

use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::bounded::bounded;

/// Decodes again with a deserializer that tracks the path, and returns the path of the field that
/// fails: bounded text, empty for the whole value.
///
/// Called only after a failure, because tracking the path costs an allocation per key.
pub(crate) fn failed_field<'de, T, D>(deserializer: D) -> String
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    // The second decoding succeeds only if the type's `Deserialize` behaves differently each time.
    let Err(error) = serde_path_to_error::deserialize::<D, T>(deserializer) else { return String::new() };
    let known = error.path().iter().any(|segment| !matches!(segment, Segment::Unknown));
    if known { bounded(&error.path().to_string()) } else { String::new() }
}
