//! Runs a real guest and answers its calls of the host.

use antiphon_host::{Bytes, HostCall, HostCallError, HostHandler, Limits, Module, Result};

struct Greeter;

impl HostHandler for Greeter {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        match (call.namespace, call.operation) {
            ("sample", "echo") => Ok([b"you said ", call.payload].concat().into()),
            (namespace, operation) => Err(format!("{namespace}/{operation} is not served here").into()),
        }
    }
}

fn main() -> Result<()> {
    let module = Module::open("guests/built/rust.wasm")?;
    let limits = Limits::new().memory(32 << 20).deadline(std::time::Duration::from_millis(100));
    let host = module.host()?.handler(Greeter).limits(limits).build()?;
    println!("{}", String::from_utf8_lossy(&host.call("host", b"hello")?));
    Ok(())
}
