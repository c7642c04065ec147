//! The host's side of a conversation as a trait.

use std::error::Error as StdError;

use super::Invocation;

/// The host's side of a conversation, under the names of `wapc` 2.x. Exported for its users.
pub trait ModuleHost {
    /// Returns the call that the guest is to serve.
    fn get_guest_request(&self) -> Option<Invocation>;
    /// Returns the answer of the last host call.
    fn get_host_response(&self) -> Option<Vec<u8>>;
    /// Sets the error of the guest call.
    fn set_guest_error(&self, error: String);
    /// Sets the response of the guest call.
    fn set_guest_response(&self, response: Vec<u8>);
    /// Returns the error of the last host call.
    fn get_host_error(&self) -> Option<String>;
    /// Runs a host call. A value above 0 means success, 0 an error.
    ///
    /// # Errors
    /// The guest call has to end.
    fn do_host_call(
        &self,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<i32, Box<dyn StdError>>;
    /// Logs a line.
    fn do_console_log(&self, msg: &str);
}
