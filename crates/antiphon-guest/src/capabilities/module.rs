//! Calls of other modules that the host runs.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Refused;
use super::calls::call as host_call;
use crate::imports::Target;

/// Calls an operation of another module.
///
/// ```
/// use antiphon_guest::{module, testing};
///
/// testing::on_host_call(|_| Ok(b"\x81\xa7payload\xc4\x0219".to_vec()));
/// assert_eq!(module::call("tax", "compute", b"100")?, b"19");
/// # Ok::<(), antiphon_guest::Refused>(())
/// ```
///
/// # Errors
///
/// Those of [`Module::call`].
pub fn call(module: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>, Refused> {
    Module::new(module).call(operation, payload)
}

/// Another module, which the host knows by this name.
#[derive(Clone, Copy, Debug)]
#[must_use = "a module does nothing until an operation of it is called"]
pub struct Module<'a> {
    grant: &'a str,
    name: &'a str,
}

impl<'a> Module<'a> {
    /// Returns the module with this name.
    pub const fn new(name: &'a str) -> Self {
        Self { grant: "", name }
    }

    /// Makes calls go through the `module` grant with this name, instead of the only one or the one
    /// named `default`.
    pub const fn grant(self, name: &'a str) -> Self {
        Self { grant: name, ..self }
    }

    /// Calls an operation. The time that is left of this guest's own call is all that the other
    /// module has.
    ///
    /// # Errors
    ///
    /// The grant does not name the module ([`Code::NotGranted`](crate::Code::NotGranted)), there is
    /// none ([`Code::NotFound`](crate::Code::NotFound)), or its call failed: with an error of its
    /// own it is [`Code::GuestFailed`](crate::Code::GuestFailed).
    pub fn call(self, operation: &str, payload: &[u8]) -> Result<Vec<u8>, Refused> {
        #[derive(Serialize)]
        struct Call<'a> {
            module: &'a str,
            operation: &'a str,
            #[serde(with = "serde_bytes")]
            payload: &'a [u8],
        }
        #[derive(Deserialize)]
        struct Said {
            #[serde(with = "serde_bytes")]
            payload: Vec<u8>,
        }

        let target = Target { binding: self.grant, namespace: "module", operation: "call" };
        let request = Call { module: self.name, operation, payload };
        host_call(target, &request).map(|Said { payload }| payload)
    }
}
