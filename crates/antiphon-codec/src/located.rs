//! A decoding that failed is done again, to learn in which field.

use alloc::string::{String, ToString};

use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::bounded::bounded;

/// The field in which `T` is not decoded, as text of bounded length; empty where it is the value as a whole.
///
/// Only called after a failure: to keep the path costs an allocation for each key.
pub(crate) fn failed_field<'de, T, D>(deserializer: D) -> String
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    // It succeeds now only for a type whose `Deserialize` does not do the same thing twice.
    let Err(error) = serde_path_to_error::deserialize::<D, T>(deserializer) else { return String::new() };
    let known = error.path().iter().any(|segment| !matches!(segment, Segment::Unknown));
    if known { bounded(&error.path().to_string()) } else { String::new() }
}
