//! Configuration values, which a `config` grant lists.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::Refused;
use super::calls::call;
use crate::imports::Target;

/// The name of a value or of a secret.
#[derive(Serialize)]
pub(super) struct Named<'a> {
    pub(super) key: &'a str,
}

/// Returns a value as text; `None` if the grant does not list it. A number or a boolean of the
/// host's configuration is its text.
///
/// ```
/// use antiphon_guest::{config, testing};
///
/// testing::on_host_call(|call| match call.payload {
///     b"\x81\xa3key\xa8currency" => Ok(b"\x81\xa5value\xa3EUR".to_vec()),
///     _ => Ok(b"\x80".to_vec()),
/// });
/// assert_eq!(config::get("currency")?.as_deref(), Some("EUR"));
/// assert_eq!(config::get("region")?, None);
/// # Ok::<(), antiphon_guest::Refused>(())
/// ```
///
/// # Errors
///
/// The module has no such grant, or the value is a secret: `secrets::get` reads it.
pub fn get(key: &str) -> Result<Option<String>, Refused> {
    get_from("", key)
}

/// Returns a value of the grant with this name, as [`get`] does of the only grant, or of that named
/// `default`.
///
/// # Errors
///
/// Those of [`get`].
pub fn get_from(grant: &str, key: &str) -> Result<Option<String>, Refused> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        value: Option<String>,
    }

    let target = Target { binding: grant, namespace: "config", operation: "get" };
    call(target, &Named { key }).map(|Said { value }| value)
}
