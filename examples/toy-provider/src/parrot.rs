//! The three required methods of a provider, with a guest that is not WebAssembly.

use std::sync::Arc;

use antiphon::errors::BoxError;
use antiphon::{ModuleState, WebAssemblyEngineProvider};

/// A guest that repeats its payload, and refuses the operation `sing`.
#[derive(Debug, Default)]
pub struct Parrot {
    state: Option<Arc<ModuleState>>,
}

impl WebAssemblyEngineProvider for Parrot {
    fn init(&mut self, state: Arc<ModuleState>) -> Result<(), BoxError> {
        self.state = Some(state);
        Ok(())
    }

    fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        let state = self.state.as_ref().ok_or("called before init")?;
        let request = state.get_guest_request().ok_or("called without a request")?;
        if request.operation == "sing" {
            state.set_guest_error("parrots do not sing".into());
            return Ok(0);
        }
        state.set_guest_response(request.msg);
        Ok(1)
    }

    fn replace(&mut self, _module: &[u8]) -> Result<(), BoxError> {
        Err("a parrot is not taught twice".into())
    }
}

#[cfg(test)]
mod tests {
    use antiphon::WapcHost;
    use antiphon::errors::{Error, ErrorKind};

    use super::Parrot;

    #[test]
    fn a_host_talks_to_a_parrot() -> Result<(), Error> {
        let host = WapcHost::new(Box::new(Parrot::default()), None)?;
        assert_eq!(host.call("say", b"hello")?, b"hello");

        let error = host.call("sing", b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GuestFailed);
        assert_eq!(error.guest_error(), Some("parrots do not sing"));
        assert_eq!(host.replace_module(b"").unwrap_err().kind(), ErrorKind::ReplaceFailed);
        Ok(())
    }
}
