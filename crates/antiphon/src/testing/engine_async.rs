//! The test engine for asynchronous hosts.

use std::sync::Arc;

use super::{TestEngine, finish};
use crate::BoxFuture;
use crate::conversation::Conversation;
use crate::engine::WebAssemblyEngineProviderAsync;
use crate::engine::wapc2::ModuleStateAsync;
use crate::errors::{BoxError, Error, ErrorKind};

#[async_trait::async_trait]
impl WebAssemblyEngineProviderAsync for TestEngine {
    async fn init(&mut self, _host: Arc<ModuleStateAsync>) -> Result<(), BoxError> {
        self.run_start()
    }

    async fn call(&mut self, _op_length: i32, _msg_length: i32) -> Result<i32, BoxError> {
        Err("the host calls `converse_async`".into())
    }

    async fn replace(&mut self, _bytes: &[u8]) -> Result<(), BoxError> {
        Err(Error::new(ErrorKind::Unsupported, "the in-memory engine has no modules to replace").into())
    }

    fn converse_async<'a>(
        &'a mut self,
        conversation: &'a mut Box<Conversation>,
    ) -> Option<BoxFuture<'a, Result<i32, BoxError>>> {
        Some(Box::pin(async move {
            let mut call = self.guest_call(conversation)?;
            loop {
                match call.next().await? {
                    Ok(answer) => return Ok(finish(conversation, answer)?),
                    Err(wanted) => {
                        let returned = conversation.host_call_async(&wanted.memory, wanted.args).await?;
                        call.port.put_answer(conversation, returned)?;
                    }
                }
            }
        }))
    }
}
