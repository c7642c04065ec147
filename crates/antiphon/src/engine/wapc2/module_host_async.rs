//! The host's side of a conversation as a trait, for asynchronous engines.

use std::error::Error as StdError;

use async_trait::async_trait;

use super::Invocation;
#[cfg(doc)]
use super::ModuleHost;

/// The asynchronous form of [`ModuleHost`]. Exported for users of `wapc` 2.x.
#[async_trait]
pub trait ModuleHostAsync {
    /// Returns the call that the guest is to serve.
    async fn get_guest_request(&self) -> Option<Invocation>;
    /// Returns the answer of the last host call.
    async fn get_host_response(&self) -> Option<Vec<u8>>;
    /// Sets the error of the guest call.
    async fn set_guest_error(&self, error: String);
    /// Sets the response of the guest call.
    async fn set_guest_response(&self, response: Vec<u8>);
    /// Returns the error of the last host call.
    async fn get_host_error(&self) -> Option<String>;
    /// Runs a host call. A value above 0 means success, 0 an error.
    ///
    /// # Errors
    /// The guest call has to end.
    async fn do_host_call(
        &self,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<i32, Box<dyn StdError>>;
    /// Logs a line.
    async fn do_console_log(&self, msg: &str);
}
