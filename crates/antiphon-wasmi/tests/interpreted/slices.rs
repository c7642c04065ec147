//! A guest is suspended and resumed at the end of every slice of fuel. Its results must equal those
//! of a run in one piece, on plain wasmi without fuel.

use std::thread;

use antiphon::{
    Bytes, HostCall, HostCallError, HostHandler, HostHandlerAsync, Limits, Request, Usage, WapcHost,
    WapcHostAsync,
};
use antiphon_wasmi::WasmiEngineProviderBuilder;
use antiphon_wasmi::wasmi::{Caller, Engine, Extern, Linker, Module, Store};

/// `mix` keeps locals of every type across everything that may end a slice. The payload holds its
/// seed and its number of turns.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wapc" "__host_response" (func $host_response (param i32)))
    (memory (export "memory") 2)
    (type $step (func (param i64) (result i64)))
    (table $steps 4 funcref)
    (elem (table $steps) (i32.const 0) func $scale $fold $late $later)
    (table $kept 8 funcref)
    (global $count (mut i64) (i64.const 0))

    (func $scale (type $step) (i64.mul (local.get 0) (i64.const 6364136223846793005)))
    (func $fold (type $step) (i64.xor (local.get 0) (i64.shr_u (local.get 0) (i64.const 29))))
    (func $late (type $step) (return_call $scale (i64.add (local.get 0) (i64.const 17))))
    (func $later (type $step)
        (return_call_indirect $steps (type $step) (i64.rotl (local.get 0) (i64.const 5)) (i32.const 1)))
    ;; As many tail calls as its argument says.
    (func $down (param $turns i32) (param $value i64) (result i64)
        (if (i32.eqz (local.get $turns)) (then (return (local.get $value))))
        (return_call $down (i32.sub (local.get $turns) (i32.const 1))
            (call $fold (i64.add (local.get $value) (i64.extend_i32_u (local.get $turns))))))
    ;; Nested calls, each with a value that is used after it.
    (func $nest (param $depth i32) (param $value i64) (result i64)
        (local $own i64)
        (local.set $own (i64.add (i64.mul (local.get $value) (i64.const 3)) (i64.extend_i32_u (local.get $depth))))
        (if (i32.eqz (local.get $depth)) (then (return (local.get $own))))
        (i64.xor (local.get $own)
            (call $nest (i32.sub (local.get $depth) (i32.const 1)) (call $scale (local.get $own)))))
    (func $several (param $value i64) (result i32 i64 f32 f64 v128)
        (i32.wrap_i64 (i64.shr_u (local.get $value) (i64.const 40)))
        (call $fold (local.get $value))
        (f32.convert_i32_u (i32.and (i32.wrap_i64 (local.get $value)) (i32.const 1023)))
        (f64.convert_i64_u (i64.and (local.get $value) (i64.const 65535)))
        (i64x2.splat (local.get $value)))
    (func $ask (param $value i64) (result i64)
        (i64.store (i32.const 64) (local.get $value))
        (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                               (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 8)))
        (call $host_response (i32.const 72))
        (i64.load (i32.const 72)))

    (func $mix (export "mix") (param $y i64) (param $turns i32) (result i64)
        (local $x i32) (local $f f32) (local $d f64) (local $v v128)
        (local $func funcref) (local $none externref) (local $from i32) (local $size i32)
        (local $x2 i32) (local $y2 i64) (local $f2 f32) (local $d2 f64) (local $v2 v128)
        (local.set $func (ref.func $late))
        (loop $again
            (local.set $y (i64.add (i64.mul (local.get $y) (i64.const 2862933555777941757)) (i64.const 3037000493)))
            (local.set $x (i32.xor (local.get $x) (i32.wrap_i64 (i64.shr_u (local.get $y) (i64.const 33)))))
            (global.set $count (i64.add (global.get $count) (i64.extend_i32_u (local.get $x))))
            ;; One branch of several.
            (block $done (block $way3 (block $way2 (block $way1 (block $way0
                (br_table $way0 $way1 $way2 $way3 (i32.and (local.get $x) (i32.const 3))))
                (local.set $y (call $nest (i32.and (local.get $x) (i32.const 63)) (local.get $y)))
                (br $done))
                (local.set $y (call $down (i32.and (local.get $x) (i32.const 127)) (local.get $y)))
                (br $done))
                (local.set $func (if (result funcref) (i32.and (local.get $x) (i32.const 4))
                    (then (ref.null func)) (else (ref.func $later))))
                (br $done))
                (local.set $y (call_indirect $steps (type $step) (local.get $y)
                    (i32.and (i32.shr_u (local.get $x) (i32.const 2)) (i32.const 3)))))
            ;; Several results at once.
            (call $several (local.get $y))
            (local.set $v2) (local.set $d2) (local.set $f2) (local.set $y2) (local.set $x2)
            (local.set $x (i32.add (local.get $x) (local.get $x2)))
            (local.set $y (i64.xor (local.get $y) (local.get $y2)))
            (local.set $f (f32.add (f32.mul (local.get $f) (f32.const 0.5)) (local.get $f2)))
            (local.set $d (f64.add (f64.mul (local.get $d) (f64.const 0.25)) (local.get $d2)))
            (local.set $v (i32x4.add (i8x16.shuffle 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 0
                (local.get $v) (local.get $v)) (local.get $v2)))
            ;; References.
            (local.set $y (i64.add (local.get $y) (i64.extend_i32_u (ref.is_null (local.get $none)))))
            (table.set $kept (i32.and (local.get $x) (i32.const 7)) (local.get $func))
            (if (i32.eqz (ref.is_null (local.get $func)))
                (then (local.set $y (call_indirect $kept (type $step) (local.get $y)
                    (i32.and (local.get $x) (i32.const 7))))))
            ;; Memory that grows.
            (if (i32.eqz (i32.and (local.get $turns) (i32.const 63)))
                (then (local.set $size (memory.grow (i32.const 1)))
                      (local.set $y (i64.add (local.get $y) (i64.extend_i32_u (local.get $size))))
                      (i64.store (i32.shl (local.get $size) (i32.const 16)) (local.get $y))))
            (local.set $from (i32.add (i32.const 128) (i32.and (local.get $x) (i32.const 0x7fff))))
            (i64.store (local.get $from) (local.get $y))
            (memory.copy (i32.add (local.get $from) (i32.const 13)) (local.get $from)
                (i32.and (i32.shr_u (local.get $x) (i32.const 8)) (i32.const 4095)))
            (memory.fill (i32.add (local.get $from) (i32.const 9000)) (local.get $x)
                (i32.and (i32.shr_u (local.get $x) (i32.const 5)) (i32.const 1023)))
            (local.set $y (i64.add (local.get $y) (i64.load (i32.add (local.get $from) (i32.const 17)))))
            (if (i32.eqz (i32.and (local.get $turns) (i32.const 15)))
                (then (local.set $y (i64.xor (local.get $y) (call $ask (local.get $y))))))
            (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (i64.xor (i64.xor (local.get $y) (i64.extend_i32_u (local.get $x)))
            (i64.xor (i64.extend_i32_u (i32.reinterpret_f32 (local.get $f)))
                (i64.xor (i64.reinterpret_f64 (local.get $d))
                    (i64.xor (global.get $count)
                        (i64.add (i64x2.extract_lane 0 (local.get $v)) (i64x2.extract_lane 1 (local.get $v))))))))

    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const 0) (i32.const 16))
        (i64.store (i32.const 32) (call $mix (i64.load (i32.const 16)) (i32.load (i32.const 24))))
        (call $response (i32.const 32) (i32.const 8))
        (i32.const 1)))"#;

/// Returns the guest, with ordinary calls instead of tail calls, or with a table that might grow.
fn guest(tail_calls: bool, grows_tables: bool) -> String {
    let mut text = GUEST.to_owned();
    if !tail_calls {
        let pieces: Vec<_> = text.split("(return_call").collect();
        // Each stands at the end of its function.
        text = pieces.join("(call");
    }
    if grows_tables {
        let grow = "(func (result i32) (table.grow $kept (ref.null func) (i32.const 1))) (func $scale";
        text = text.replacen("(func $scale", grow, 1);
    }
    text
}

/// Returns the host's answer.
fn answer(payload: &[u8]) -> Vec<u8> {
    let value = i64::from_le_bytes(payload.try_into().unwrap());
    value.wrapping_mul(31).rotate_left(7).to_le_bytes().to_vec()
}

/// Runs this function in one piece, on as much native stack as it takes when no slice ends.
fn in_one_piece(text: &str, seed: i64, turns: i32) -> i64 {
    let text = text.to_owned();
    let thread = thread::Builder::new().stack_size(1 << 30);
    thread.spawn(move || plain(&text, seed, turns)).unwrap().join().unwrap()
}

fn plain(text: &str, seed: i64, turns: i32) -> i64 {
    let engine = Engine::default();
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut linker = Linker::<Vec<u8>>::new(&engine);
    linker.func_wrap("wapc", "__guest_request", |_: i32, _: i32| {}).unwrap();
    linker.func_wrap("wapc", "__guest_response", |_: i32, _: i32| {}).unwrap();
    let memory =
        |guest: &Caller<'_, Vec<u8>>| guest.get_export("memory").and_then(Extern::into_memory).unwrap();
    let host_call =
        move |mut guest: Caller<'_, Vec<u8>>,
              (_, _, _, _, _, _, ptr, len): (i32, i32, i32, i32, i32, i32, u32, u32)| {
            let (from, to) = (usize::try_from(ptr).unwrap(), usize::try_from(ptr + len).unwrap());
            *guest.data_mut() = answer(memory(&guest).data(&guest).get(from..to).unwrap());
            1
        };
    linker
        .func_wrap(
            "wapc",
            "__host_call",
            move |guest: Caller<'_, Vec<u8>>,
                  a: i32,
                  b: i32,
                  c: i32,
                  d: i32,
                  e: i32,
                  f: i32,
                  ptr: u32,
                  len: u32| { host_call(guest, (a, b, c, d, e, f, ptr, len)) },
        )
        .unwrap();
    linker
        .func_wrap("wapc", "__host_response", move |mut guest: Caller<'_, Vec<u8>>, ptr: u32| {
            let answer = guest.data().clone();
            memory(&guest).write(&mut guest, usize::try_from(ptr).unwrap(), &answer).unwrap();
        })
        .unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
    let mix = instance.get_typed_func::<(i64, i32), i64>(&store, "mix").unwrap();
    mix.call(&mut store, (seed, turns)).unwrap()
}

/// Answers at once.
struct Now;

impl HostHandler for Now {
    fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        Ok(answer(call.payload).into())
    }
}

/// Answers after a wait.
struct Later;

#[async_trait::async_trait]
impl HostHandlerAsync for Later {
    async fn handle(&self, call: HostCall<'_>) -> Result<Bytes, HostCallError> {
        tokio::task::yield_now().await;
        Ok(answer(call.payload).into())
    }
}

const TURNS: i32 = 1_500;

fn request(seed: i64) -> Vec<u8> {
    [seed.to_le_bytes().as_slice(), &TURNS.to_le_bytes()].concat()
}

fn builder(text: &str) -> WasmiEngineProviderBuilder<'_> {
    WasmiEngineProviderBuilder::new().module_bytes(text.as_bytes())
}

fn sync(builder: &WasmiEngineProviderBuilder<'_>, limits: Limits, seed: i64) -> (i64, Usage) {
    let host = WapcHost::builder(Box::new(builder.build().unwrap())).limits(limits).handler(Now);
    let response = host.build().unwrap().call_with(Request::new("mix", request(seed)).usage(true)).unwrap();
    (i64::from_le_bytes(response.payload.try_into().unwrap()), response.usage.unwrap())
}

fn r#async(
    builder: &WasmiEngineProviderBuilder<'_>,
    handler: impl HostHandlerAsync + 'static,
    seed: i64,
) -> (i64, Usage) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let host = WapcHostAsync::builder(Box::new(builder.build_async().unwrap())).handler(handler);
        let host = host.build().await.unwrap();
        let response = host.call_with(Request::new("mix", request(seed)).usage(true)).await.unwrap();
        (i64::from_le_bytes(response.payload.try_into().unwrap()), response.usage.unwrap())
    })
}

#[test]
fn every_kind_of_value_survives_hundreds_of_slices() {
    for (tail_calls, grows_tables) in [(true, false), (true, true), (false, false), (false, true)] {
        let text = guest(tail_calls, grows_tables);
        for seed in [1, -7_777_777_777] {
            let expected = in_one_piece(&text, seed, TURNS);
            let (value, usage) = sync(&builder(&text), Limits::new(), seed);
            assert_eq!(value, expected, "{tail_calls} {grows_tables}");
            // A slice has at most 4096 units.
            let burnt = usage.fuel.unwrap();
            assert!(burnt / 4096 > 100, "{burnt} units");
            for cooperative in [true, false] {
                let builder = builder(&text).cooperative(cooperative);
                let (value, usage) = r#async(&builder, Later, seed);
                assert_eq!((value, usage.host_calls), (expected, 93), "{tail_calls} {grows_tables}");
                // In a module with tail calls, host calls go through functions of the shim.
                let more = usage.fuel.unwrap() - burnt;
                assert!(if tail_calls { more > 0 && more < 93 * 20 } else { more == 0 }, "{more} units more");
            }
        }
    }
}
