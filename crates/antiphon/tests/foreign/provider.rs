// A provider as a stranger to this project wrote it against `wapc` 2.2. It names only `wapc`, and
// compiles against that crate and against this one alike. Its guest is a small bytecode instead of
// WebAssembly, which uses the imports that every waPC engine has.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use wapc::{
    HOST_NAMESPACE, ModuleState, ModuleStateAsync, WebAssemblyEngineProvider, WebAssemblyEngineProviderAsync,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// What a guest does in `__guest_call`, one step after the other.
#[derive(Clone, Copy, PartialEq)]
pub enum Step {
    /// Answers with the payload.
    Echo,
    /// Answers with the operation.
    Operation,
    /// Reports an error.
    Fail(&'static str),
    /// Calls the host with the payload and answers with its answer, or fails with its error.
    HostCall,
    /// Logs a line.
    Log(&'static str),
    /// Traps.
    Trap,
    /// Answers with the number of calls that this instance has served.
    Count,
    /// Answers with this many bytes.
    Answer(usize),
    /// Sets nothing.
    Nothing,
}

#[derive(Clone)]
pub struct ScriptProvider {
    script: Vec<Step>,
    host: Option<Arc<ModuleState>>,
    calls: u8,
}

impl ScriptProvider {
    pub fn new(script: &[Step]) -> Self {
        assert_eq!(HOST_NAMESPACE, "wapc");
        ScriptProvider { script: script.to_vec(), host: None, calls: 0 }
    }
}

impl WebAssemblyEngineProvider for ScriptProvider {
    fn init(&mut self, host: Arc<ModuleState>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.host = Some(host);
        self.calls = 0;
        Ok(())
    }

    fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, Box<dyn Error + Send + Sync>> {
        let host = self.host.clone().ok_or("not initialised")?;
        self.calls += 1;
        for step in &self.script {
            let request = host.get_guest_request().ok_or("no request")?;
            assert_eq!((request.operation.len() as i32, request.msg.len() as i32), (op_length, msg_length));
            match step {
                Step::Echo => host.set_guest_response(request.msg),
                Step::Operation => host.set_guest_response(request.operation.into_bytes()),
                Step::Fail(text) => {
                    host.set_guest_error((*text).to_owned());
                    return Ok(0);
                }
                Step::HostCall => {
                    let code = host
                        .do_host_call("binding", "sample", &request.operation, &request.msg)
                        .map_err(|e| e.to_string())?;
                    if code == 0 {
                        host.set_guest_error(host.get_host_error().unwrap_or_default());
                        return Ok(0);
                    }
                    let length = host.host_response_len();
                    let answer = host.with_host_response(|bytes| bytes.to_vec()).unwrap_or_default();
                    assert_eq!(answer.len(), length);
                    host.set_guest_response(answer);
                }
                Step::Log(line) => host.do_console_log(line),
                Step::Trap => return Err("wasm trap: unreachable".into()),
                Step::Count => host.set_guest_response(vec![self.calls]),
                Step::Answer(length) => host.set_guest_response(vec![0; *length]),
                Step::Nothing => {}
            }
        }
        Ok(1)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        match bytes {
            b"echo" => self.script = vec![Step::Echo],
            b"count" => self.script = vec![Step::Count],
            _ => return Err("unknown module".into()),
        }
        self.calls = 0;
        Ok(())
    }
}

#[derive(Clone)]
pub struct ScriptProviderAsync {
    script: Vec<Step>,
    host: Option<Arc<ModuleStateAsync>>,
    calls: u8,
}

impl ScriptProviderAsync {
    pub fn new(script: &[Step]) -> Self {
        ScriptProviderAsync { script: script.to_vec(), host: None, calls: 0 }
    }
}

#[async_trait]
impl WebAssemblyEngineProviderAsync for ScriptProviderAsync {
    async fn init(&mut self, host: Arc<ModuleStateAsync>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.host = Some(host);
        self.calls = 0;
        Ok(())
    }

    async fn call(&mut self, op_length: i32, msg_length: i32) -> Result<i32, Box<dyn Error + Send + Sync>> {
        let host = self.host.clone().ok_or("not initialised")?;
        self.calls += 1;
        for step in &self.script {
            let request = host.get_guest_request().await.ok_or("no request")?;
            assert_eq!((request.operation.len() as i32, request.msg.len() as i32), (op_length, msg_length));
            match step {
                Step::Echo => host.set_guest_response(request.msg).await,
                Step::Operation => host.set_guest_response(request.operation.into_bytes()).await,
                Step::Fail(text) => {
                    host.set_guest_error((*text).to_owned()).await;
                    return Ok(0);
                }
                Step::HostCall => {
                    let code = host
                        .do_host_call(
                            "binding".to_owned(),
                            "sample".to_owned(),
                            request.operation,
                            request.msg,
                        )
                        .await
                        .map_err(|e| BoxError::from(e.to_string()));
                    if code? == 0 {
                        let error = host.get_host_error().await.unwrap_or_default();
                        host.set_guest_error(error).await;
                        return Ok(0);
                    }
                    let length = host.host_response_len().await;
                    let answer = host.with_host_response(|bytes| bytes.to_vec()).await.unwrap_or_default();
                    assert_eq!(answer.len(), length);
                    host.set_guest_response(answer).await;
                }
                Step::Log(line) => host.do_console_log(line),
                Step::Trap => return Err("wasm trap: unreachable".into()),
                Step::Count => host.set_guest_response(vec![self.calls]).await,
                Step::Answer(length) => host.set_guest_response(vec![0; *length]).await,
                Step::Nothing => {}
            }
        }
        Ok(1)
    }

    async fn replace(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        match bytes {
            b"echo" => self.script = vec![Step::Echo],
            b"count" => self.script = vec![Step::Count],
            _ => return Err("unknown module".into()),
        }
        self.calls = 0;
        Ok(())
    }
}
