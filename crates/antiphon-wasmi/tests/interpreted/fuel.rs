//! Fuel comes in slices. What is counted and limited is their sum, exact to the unit.

use antiphon::errors::{Error, ErrorKind, Fate};
use antiphon::{
    Bytes, HostCall, HostCallError, HostHandlerAsync, Limits, Request, Response, WapcHost, WapcHostAsync,
};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// Turns as often as the payload says. At every 256th turn it asks its host, fills and grows its
/// memory, and calls a function.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 3)
    (func $deed
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (memory.fill (i32.const 65536) (i32.const 1) (i32.const 50000))
        (drop (memory.grow (i32.const 1))))
    (func (export "__guest_call") (param i32 i32) (result i32) (local $turns i32)
        (call $request (i32.const 0) (i32.const 16))
        (local.set $turns (i32.load (i32.const 16)))
        (loop $again
            (if (i32.eqz (i32.and (local.get $turns) (i32.const 255))) (then (call $deed)))
            (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (call $response (i32.const 65536) (i32.const 1))
        (i32.const 1)))"#;

/// This guest, in a module whose bulk operations have a fixed price.
fn growing() -> String {
    let grow = "(table $table 0 funcref) (func (drop (table.grow $table (ref.null func) (i32.const 1))))";
    GUEST.replacen("(func $deed", &format!("{grow} (func $deed"), 1)
}

/// Answers without content.
struct Yes;

#[async_trait::async_trait]
impl HostHandlerAsync for Yes {
    async fn handle(&self, _call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        tokio::task::yield_now().await;
        Ok(Bytes::new())
    }
}

fn request(turns: u32) -> Request<'static> {
    Request::new("turn", turns.to_le_bytes().to_vec()).usage(true)
}

/// Calls the guest in both modes. An asynchronous guest is suspended at each of its host calls.
fn call(text: &str, limits: Limits, turns: u32) -> [Result<Response, Error>; 2] {
    let builder = WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).limits(limits);
    let host = WapcHost::builder(Box::new(builder.build().unwrap())).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let provider = builder.build_async().unwrap();
    let r#async = runtime.block_on(async {
        let host = WapcHostAsync::builder(Box::new(provider)).handler(Yes).build().await.unwrap();
        host.call_with(request(turns)).await
    });
    [host.call_with(request(turns)), r#async]
}

fn burnt(text: &str, limits: Limits, turns: u32) -> u64 {
    let [sync, r#async] =
        call(text, limits, turns).map(|response| response.unwrap().usage.unwrap().fuel.unwrap());
    assert_eq!(sync, r#async, "both modes burn the same");
    sync
}

#[test]
fn a_limit_in_the_middle_of_slices_is_exact() {
    for text in [GUEST.to_owned(), growing()] {
        // Less than a slice, a few slices, and hundreds.
        for turns in [1, 10, 255, 256, 300, 5_000, 40_000] {
            let used = burnt(&text, Limits::new(), turns);
            assert_eq!(burnt(&text, Limits::new().fuel(used), turns), used);
            for limit in [used - 1, used / 2, used / 3, 1, 0] {
                for response in call(&text, Limits::new().fuel(limit), turns) {
                    let error = response.unwrap_err();
                    assert_eq!((error.kind(), error.fate()), (ErrorKind::OutOfFuel, Fate::Discarded));
                    assert_eq!(
                        error.message(),
                        format!("the fuel ran out: the limit is {limit} units (raise it with Limits::fuel)")
                    );
                    let reported = error.usage().and_then(|usage| usage.fuel).unwrap();
                    assert!(reported <= limit, "{reported} units of {limit}");
                }
            }
        }
    }
}

#[test]
fn fuel_grows_with_the_work_and_with_nothing_else() {
    let per_turn = |turns| burnt(GUEST, Limits::new(), turns + 128) - burnt(GUEST, Limits::new(), turns);
    // 128 turns without a deed cost the same wherever the slices end.
    let expected = per_turn(1);
    for turns in [10, 100, 257, 1_025, 5_121, 20_481] {
        assert_eq!(per_turn(turns), expected, "after {turns} turns");
    }
    // What one call did not burn does not count for the next one.
    let provider = WasmiEngineProviderBuilder::new().module_bytes(GUEST.as_bytes()).build().unwrap();
    let host = WapcHost::new(Box::new(provider), None).unwrap();
    let fuel = || host.call_with(request(1_000)).unwrap().usage.unwrap().fuel.unwrap();
    assert_eq!([fuel(), fuel(), fuel()], [burnt(GUEST, Limits::new(), 1_000); 3]);
}

/// Compares a module with one function of many locals, or with a large body, which is translated as
/// a whole, with the same module without that function.
#[test]
fn a_module_that_is_translated_as_a_whole_does_and_burns_the_same() {
    let body = |extra: &str| GUEST.replacen("(func $deed", &format!("{extra} (func $deed"), 1);
    let locals = body(&format!("(func (local {}))", "i64 ".repeat(5_000)));
    let large = body(&format!("(func {})", "(drop (i64.const 0x123456789abcdef0))".repeat(4_000)));
    let turns = 3_000;
    let [sync, r#async] = call(GUEST, Limits::new(), turns).map(Result::unwrap);
    assert_eq!(sync.payload, r#async.payload);
    for text in [locals.as_str(), large.as_str()] {
        for response in call(text, Limits::new(), turns).map(Result::unwrap) {
            assert_eq!(response.payload, sync.payload);
            assert_eq!(response.usage.unwrap().memory_peak, sync.usage.as_ref().unwrap().memory_peak);
        }
    }
    // Only locals cost something, in the calls that clear them.
    assert_eq!(burnt(&large, Limits::new(), turns), burnt(GUEST, Limits::new(), turns));
    assert!(burnt(&locals, Limits::new(), turns) > burnt(GUEST, Limits::new(), turns));
}

#[test]
fn functions_too_large_for_wasmi_are_refused_when_the_provider_is_built() {
    // More values than wasmi can address. A lazy translation would notice that in the middle of a
    // call.
    let (deep, sums) = ("(i64.load (i32.const 8))".repeat(20_000), "i64.add ".repeat(19_999));
    let locals = "i64 ".repeat(49_990);
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func $deep (param i64) (result i64) (local {locals}) {deep} {sums})
            (func (export "__guest_call") (param i32 i32) (result i32) (drop (call $deep (i64.const 1))) (i32.const 1)))"#
    );
    let error =
        WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes()).build().map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::InvalidModule, Fate::NeverBorn), "{error:#?}");
    eprintln!("{error}");
}
