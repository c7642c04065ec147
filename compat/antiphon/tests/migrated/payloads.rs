//! The switches for input and output of a guest.

use compat::guests::{TOOLBOX, built, echo_with};
use wapc::errors::ErrorKind;
use wapc::{Limits, Request, WapcHost};
use wasmtime_provider::WasmtimeEngineProviderBuilder;

use crate::{Echo, host_of, limited, on_record};

const MIB: usize = 1 << 20;

#[test]
fn payloads() {
    on_record("payloads end at 4 MiB: request, response, and both ways of a host call");
    let echo =
        echo_with("", "").replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 200)");
    let large = vec![7; 4 * MIB + 1];
    let call = |limits: Limits, payload: &[u8]| {
        host_of(&echo).limits(limits).build().unwrap().call("op", payload).map_err(|error| error.kind())
    };
    let too_large = Err(ErrorKind::TooLarge);
    assert!(call(Limits::new(), &large[1..]).is_ok());
    assert_eq!(call(Limits::new().response(5 << 20), &large), too_large);
    assert_eq!(call(Limits::new().request(5 << 20), &large), too_large);
    let both = Limits::new().request(5 << 20).response(u64::MAX);
    assert!(call(both, &large).unwrap() == large);

    let host_call = |limits: Limits| {
        let host = host_of(built("rust.wasm")).limits(limits).handler(Echo).build().unwrap();
        host.call("host", &large).map(|answer| answer == large).map_err(|error| error.kind())
    };
    assert_eq!(host_call(both), Err(ErrorKind::GuestFailed), "the guest reports what its host call came to");
    assert_eq!(host_call(both.host_payload(5 << 20)), Ok(true));
}

#[test]
fn names() {
    on_record("operation, binding and namespace end at 1 KiB each");
    let long = "e".repeat(1025);
    assert_eq!(limited(Limits::new()).call(&long[1..], b"hi").unwrap(), b"hi");
    assert_eq!(limited(Limits::new()).call(&long, b"hi").unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(limited(Limits::new().name(1025)).call(&long, b"hi").unwrap(), b"hi");
}

#[test]
fn host_calls() {
    on_record("a call may make 1,000 host calls, of 256 MiB together");
    // Makes 1,001 host calls of one byte each.
    let asks = echo_with(
        r#"(import "wapc" "__host_call" (func $ask (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func $all (local $n i32)
            (loop $again
                (drop (call $ask (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 1001)))))"#,
    )
    .replace("(call $request ", "(call $all) (call $request ");
    let call = |limits: Limits| {
        let host = host_of(&asks).limits(limits).handler(Echo).build().unwrap();
        host.call("op", b"hi").map_err(|error| error.kind())
    };
    assert_eq!(call(Limits::new()), Err(ErrorKind::HostCallLimit));
    let enough = Limits::new().host_calls(1001);
    assert_eq!(call(enough).unwrap(), b"hi");
    assert_eq!(call(enough.host_call_bytes(2001)), Err(ErrorKind::HostCallLimit));
    assert_eq!(call(enough.host_call_bytes(2002)).unwrap(), b"hi");
}

#[test]
fn modules() {
    on_record("a module ends at 16 MiB");
    // A custom section of 16 MiB at the end of a module.
    let mut large = built("rust.wasm");
    let size = 16 * MIB as u32;
    let leb = [
        (size as u8 & 0x7f) | 0x80,
        (size >> 7) as u8 & 0x7f | 0x80,
        (size >> 14) as u8 & 0x7f | 0x80,
        (size >> 21) as u8,
    ];
    large.push(0);
    large.extend(leb);
    large.extend([1, b'x']);
    large.resize(large.len() + 16 * MIB - 2, 0);
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(&large);
    assert_eq!(wapc::errors::Error::from(builder().build().unwrap_err()).kind(), ErrorKind::InvalidModule);
    let engine = builder().limits(Limits::new().module(32 << 20)).build().unwrap();
    assert_eq!(WapcHost::new(Box::new(engine), None).unwrap().call("echo", b"hi").unwrap(), b"hi");

    on_record("a module in the text format ends at 1 MiB");
    let text = format!("{TOOLBOX}{}", " ".repeat(MIB));
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(text.as_bytes());
    assert_eq!(wapc::errors::Error::from(builder.build().unwrap_err()).kind(), ErrorKind::InvalidModule);
}

#[test]
fn error_texts_and_logs() {
    on_record("error texts are cut at 64 KiB, log lines at 4 KiB; the log of a call ends at 64 KiB");
    let text = vec![b'x'; 70_000];
    let error_text = |limits: Limits| {
        let error = limited(limits).call("fail", &text).unwrap_err();
        error.guest_error().unwrap().matches('x').count()
    };
    assert!((65_000..=65_536).contains(&error_text(Limits::new())));
    assert_eq!(error_text(Limits::new().error_text(70_000)), 70_000);

    let logged = |limits: Limits| {
        let lines = std::sync::Arc::new(std::sync::Mutex::new(0));
        let sink = std::sync::Arc::clone(&lines);
        let host = host_of(TOOLBOX)
            .limits(limits)
            .log(move |line| *sink.lock().unwrap() += line.text.matches('x').count());
        host.build().unwrap().call("log", &text).unwrap();
        *lines.lock().unwrap()
    };
    assert!((4_000..=4_096).contains(&logged(Limits::new())));
    assert!(logged(Limits::new().log_line(70_000)) < 70_000, "the log of the call is full");
    assert_eq!(logged(Limits::new().log_line(70_000).log(80_000)), 70_000);
}

#[test]
fn the_largest_value_is_no_limit_and_the_stricter_side_wins() {
    on_record("where both set one, the stricter wins. The largest value of a limit's type means 'no limit'.");
    let engine = |limits| {
        WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).limits(limits).build().unwrap()
    };
    for (provider, host) in [(10, 20), (20, 10)] {
        let (provider, host) = (Limits::new().request(provider), Limits::new().request(host));
        let host = WapcHost::builder(Box::new(engine(provider))).limits(host).build().unwrap();
        assert_eq!(host.call("echo", &[1; 10]).unwrap(), [1; 10]);
        assert_eq!(
            host.call_with(Request::new("echo", vec![1; 11])).unwrap_err().kind(),
            ErrorKind::TooLarge
        );
    }
}
