//! Runs a real guest and answers its calls of the host.

use antiphon::{Bytes, HostCall, HostCallError, HostHandler, Limits, WapcHost};
use antiphon_wasmtime::WasmtimeEngineProviderBuilder;

struct Greeter;

impl HostHandler for Greeter {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        match (call.namespace, call.operation) {
            ("sample", "echo") => Ok([b"you said ", call.payload].concat().into()),
            (namespace, operation) => Err(format!("{namespace}/{operation} is not served here").into()),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let module = std::fs::read("guests/built/rust.wasm")?;
    let engine = WasmtimeEngineProviderBuilder::new().module_bytes(&module).build()?;
    let limits = Limits::new().with_memory(32 << 20).with_deadline(std::time::Duration::from_millis(100));
    let host = WapcHost::builder(Box::new(engine)).handler(Greeter).limits(limits).build()?;
    println!("{}", String::from_utf8_lossy(&host.call("host", b"hello")?));
    Ok(())
}
