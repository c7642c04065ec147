//! `table.grow`, during which wasmi cannot be interrupted.

use antiphon::errors::{ErrorKind, Fate};
use antiphon::{Limits, Request, WapcHost, WapcHostAsync};
use antiphon_wasmi::WasmiEngineProviderBuilder;

/// Grows a table and moves memory about, as often as the payload says. Answers the size of the
/// table, how many of its elements are null, and a checksum of the memory.
const GUEST: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 4)
    (table $table 0 funcref)
    (elem declare func $random)
    (global $state (mut i64) (i64.const 1))
    (func $random (result i32)
        (global.set $state (i64.add (i64.mul (global.get $state) (i64.const 6364136223846793005))
                                    (i64.const 1442695040888963407)))
        (i32.wrap_i64 (i64.shr_u (global.get $state) (i64.const 33))))
    ;; A length up to 65535; short lengths are as frequent as long ones.
    (func $length (result i32)
        (i32.shr_u (i32.and (call $random) (i32.const 0xffff)) (i32.and (call $random) (i32.const 15))))
    (func $place (result i32) (i32.and (call $random) (i32.const 0xffff)))
    (func $work (param $turns i32) (result i32) (local $grown i32) (local $from i32)
        (loop $again
            (local.set $grown (i32.add (local.get $grown)
                (table.grow $table
                    (if (result funcref) (i32.and (call $random) (i32.const 1))
                        (then (ref.func $random)) (else (ref.null func)))
                    (i32.and (call $random) (i32.const 7)))))
            (memory.fill (i32.add (call $place) (i32.const 65536)) (call $random) (call $length))
            (local.set $from (i32.add (call $place) (i32.const 65536)))
            (memory.copy (i32.add (call $place) (i32.const 65536)) (local.get $from) (call $length))
            (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (local.get $grown))
    (func $nulls (result i32) (local $index i32) (local $nulls i32)
        (loop $again
            (local.set $nulls (i32.add (local.get $nulls) (ref.is_null (table.get $table (local.get $index)))))
            (br_if $again (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1)))
                                    (table.size $table))))
        (local.get $nulls))
    (func $checksum (result i64) (local $at i32) (local $sum i64)
        (loop $again
            (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31))
                                     (i64.load8_u (local.get $at))))
            (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1)))
                                    (i32.const 262144))))
        (local.get $sum))
    (func (export "__guest_call") (param i32 i32) (result i32)
        (call $request (i32.const 0) (i32.const 16))
        (i32.store (i32.const 32) (call $work (i32.load (i32.const 16))))
        (i32.store (i32.const 36) (table.size $table))
        (i32.store (i32.const 40) (call $nulls))
        ;; The checksum leaves itself out, because it is stored after it is computed.
        (i64.store (i32.const 48) (call $checksum))
        (call $response (i32.const 32) (i32.const 24))
        (i32.const 1)))"#;

/// Returns the answer that the guest has to give.
fn computed(turns: u32) -> Vec<u8> {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) & u64::from(u32::MAX)).unwrap()
    };
    let mut memory = vec![0_u8; 262_144];
    let (mut grown, mut size, mut nulls) = (0_u32, 0_u32, 0_u32);
    for _ in 0..turns {
        let null = random() & 1 == 0;
        let more = u32::try_from(random() & 7).unwrap();
        (grown, size, nulls) = (grown.wrapping_add(size), size + more, nulls + if null { more } else { 0 });
        let (to, value) = ((random() & 0xffff) + 65_536, random().to_le_bytes()[0]);
        let length = (random() & 0xffff) >> (random() & 15);
        memory[to..to + length].fill(value);
        let from = (random() & 0xffff) + 65_536;
        let to = (random() & 0xffff) + 65_536;
        let length = (random() & 0xffff) >> (random() & 15);
        memory.copy_within(from..from + length, to);
    }
    memory[..4].copy_from_slice(b"work");
    memory[16..20].copy_from_slice(&turns.to_le_bytes());
    let answer = [grown, size, nulls, 0].map(u32::to_le_bytes).concat();
    memory[32..48].copy_from_slice(&answer);
    let sum = memory.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    [answer.as_slice(), &sum.to_le_bytes()].concat()
}

#[test]
fn between_thousands_of_slices_it_keeps_every_value() {
    const TURNS: u32 = 4_000;

    let builder = || WasmiEngineProviderBuilder::new().module_bytes(GUEST.as_bytes());
    let expected = computed(TURNS);
    let request = || Request::new("work", TURNS.to_le_bytes().to_vec()).usage(true);
    let host = WapcHost::new(Box::new(builder().build().unwrap()), None).unwrap();
    let response = host.call_with(request()).unwrap();
    assert_eq!(response.payload, expected);
    // A slice has at most 1024 units.
    let slices = response.usage.unwrap().fuel.unwrap() / 1024;
    assert!(slices > 1_000, "{slices} slices");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let host = WapcHostAsync::new(Box::new(builder().build_async().unwrap()), None).await.unwrap();
        assert_eq!(host.call_with(request()).await.unwrap().payload, expected);
    });
}

/// Turns as often as the payload says, and then grows a table by 19,000 elements. Answers the
/// table's size before and after.
const GROWER: &str = r#"(module
    (import "wapc" "__guest_request" (func $request (param i32 i32)))
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1)
    (table $table 10 funcref)
    (func (export "__guest_call") (param i32 i32) (result i32) (local $turns i32)
        (call $request (i32.const 0) (i32.const 16))
        (local.set $turns (i32.load (i32.const 16)))
        (loop $again
            (br_if $again (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (i32.store (i32.const 32) (table.grow $table (ref.null func) (i32.const 19000)))
        (i32.store (i32.const 36) (table.size $table))
        (call $response (i32.const 32) (i32.const 8))
        (i32.const 1)))"#;

const GROWN: [u8; 8] = [10, 0, 0, 0, 0x42, 0x4a, 0, 0];

#[test]
fn no_slice_ends_in_it() {
    let host = || {
        let builder = WasmiEngineProviderBuilder::new().module_bytes(GROWER.as_bytes());
        WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap()
    };
    for turns in (1..2_000_u32).step_by(97) {
        assert_eq!(host().call("grow", &turns.to_le_bytes()).unwrap(), GROWN, "{turns} turns");
    }
}

#[test]
fn a_limit_of_elements_that_the_host_alone_raises_is_priced_or_refused() {
    let large = GROWER.replace("(i32.const 19000)", "(i32.const 9000000)");
    let raised = Limits::new().table_elements(10_000_000);
    let builder = || WasmiEngineProviderBuilder::new().module_bytes(large.as_bytes());
    let provider = builder().build().unwrap();
    let error = WapcHost::builder(Box::new(provider)).limits(raised).build().unwrap_err();
    assert_eq!((error.kind(), error.fate()), (ErrorKind::Unsupported, Fate::NeverBorn), "{error:#?}");
    // A limit that is set on the builder is known in time.
    let host = WapcHost::new(Box::new(builder().limits(raised).build().unwrap()), None).unwrap();
    let grown = [10_u32, 9_000_010].map(u32::to_le_bytes).concat();
    assert_eq!(host.call("grow", &3_u32.to_le_bytes()).unwrap(), grown);
    // A host may set less than the builder.
    let host = WapcHost::builder(Box::new(builder().limits(raised).build().unwrap()));
    let host = host.limits(Limits::new().table_elements(1_000)).build().unwrap();
    let refused = [u32::MAX, 10].map(u32::to_le_bytes).concat();
    assert_eq!(host.call("grow", &3_u32.to_le_bytes()).unwrap(), refused);
}

/// Fills half of its memory at once. It also contains a `table.grow`.
const FILLER: &str = r#"(module
    (import "wapc" "__guest_response" (func $response (param i32 i32)))
    (memory (export "memory") 1024)
    (table $table 10 funcref)
    (func (result i32) (table.grow $table (ref.null func) (i32.const 1)))
    (func (export "__guest_call") (param i32 i32) (result i32)
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x2000000))
        (call $response (i32.const 0x1fffffe) (i32.const 4))
        (i32.const 1)))"#;

#[test]
fn beside_it_memory_may_be_filled() {
    let builder = WasmiEngineProviderBuilder::new().module_bytes(FILLER.as_bytes());
    let host = WapcHost::new(Box::new(builder.build().unwrap()), None).unwrap();
    assert_eq!(host.call("fill", b"").unwrap(), [7, 7, 0, 0]);
}
