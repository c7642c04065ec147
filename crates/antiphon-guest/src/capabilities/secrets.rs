//! Secrets, which a `config` grant refers to.

use alloc::vec::Vec;

use serde::Deserialize;

use super::Refused;
use super::calls::call;
use super::config::Named;
use crate::imports::Target;

/// Returns a secret. Do not log it, and put it into no error text: both leave the guest.
///
/// ```
/// use antiphon_guest::{Code, secrets, testing};
///
/// testing::on_host_call(|call| match call.payload {
///     b"\x81\xa3key\xa7api_key" => Ok(b"\x81\xa5value\xc4\x03s3t".to_vec()),
///     _ => Err("not_found: the config grant of this module has no secret \"token\"".to_owned()),
/// });
/// assert_eq!(secrets::get("api_key")?, b"s3t");
/// assert_eq!(secrets::get("token").unwrap_err().code(), Code::NotFound);
/// # Ok::<(), antiphon_guest::Refused>(())
/// ```
///
/// # Errors
///
/// [`Code::NotFound`](crate::Code::NotFound) if the grant refers to no such secret.
pub fn get(key: &str) -> Result<Vec<u8>, Refused> {
    get_from("", key)
}

/// Returns a secret of the grant with this name, as [`get`] does of the only grant, or of that
/// named `default`.
///
/// # Errors
///
/// Those of [`get`].
pub fn get_from(grant: &str, key: &str) -> Result<Vec<u8>, Refused> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    }

    let target = Target { binding: grant, namespace: "secrets", operation: "get" };
    call(target, &Named { key }).map(|Said { value }| value)
}
