//! `WasmtimeEngineProviderBuilder`: every setting, and everything that it builds.

use compat::differs;
use compat::guests::{self, TOOLBOX, number};
use wapc::{WapcHost, WapcHostAsync};
use wasmtime_provider::errors::Error;
use wasmtime_provider::wasmtime::{Config, Engine, Module};
use wasmtime_provider::{EpochDeadlines, WasmtimeEngineProviderBuilder};

use crate::hosts::{Host, parrot, runtime};

#[test]
fn guests_of_others_answer_fail_and_call_their_host() {
    for module in ["rust.wasm", "assemblyscript.wasm"] {
        let echo: crate::hosts::Answer = |id, bd, ns, op, payload| {
            assert_ne!(id, 0);
            assert_eq!((bd, ns, op), ("binding", "sample", "echo"));
            if payload == b"no" { Err("not today".into()) } else { Ok(payload.to_vec()) }
        };
        for host in Host::of(guests::built(module), Some(echo)) {
            assert_eq!(host.call("echo", b"payload").unwrap(), b"payload");
            assert_eq!(host.call("echo", b"").unwrap(), b"");
            assert_eq!(host.call("host", b"\x00\xff").unwrap(), b"\x00\xff");
            let failed = host.call("fail", b"nothing personal").unwrap_err();
            assert_eq!(failed, "Guest call failure: the guest refused: nothing personal");
            assert!(host.call("host", b"no").unwrap_err().contains("not today"));
            assert_eq!(host.call("echo", b"alive").unwrap(), b"alive");
        }
    }
}

#[test]
fn an_operation_that_the_guest_does_not_have() {
    for host in Host::of(guests::built("rust.wasm"), None) {
        let error = host.call("nope", b"").unwrap_err();
        assert_eq!(error, "Guest call failure: No handler registered for function nope");
        let error = host.call("host", b"").unwrap_err();
        assert_eq!(error, "Guest call failure: Missing host callback function!");
    }
}

#[test]
fn bytes_are_binary_or_text_and_a_module_comes_with_its_engine() {
    let engine = Engine::new(&Config::new()).unwrap();
    let module = Module::new(&engine, TOOLBOX).unwrap();
    let new = WasmtimeEngineProviderBuilder::new;
    let binary = guests::built("assemblyscript.wasm");
    let builders = [
        new().module_bytes(TOOLBOX.as_bytes()),
        new().module_bytes(&binary),
        new().module_bytes(&binary).engine(engine.clone()),
        new().module(module.clone()).engine(engine),
        WasmtimeEngineProviderBuilder::default().module_bytes(&binary),
    ];
    for builder in builders {
        for host in Host::started(&builder, None) {
            assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
        }
    }
}

#[test]
fn what_does_not_go_together_is_named() {
    let engine = Engine::default();
    let module = Module::new(&engine, TOOLBOX).unwrap();
    let neither = WasmtimeEngineProviderBuilder::new();
    let both = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).module(module);
    for (builder, what) in [
        (neither, "Neither `module_bytes` nor `module` have been provided"),
        (both, "`module_bytes` and `module` cannot be provided at the same time"),
    ] {
        let errors = [
            builder.build().err(),
            builder.build_pre().err(),
            builder.build_async().err(),
            builder.build_async_pre().err(),
        ];
        for error in errors {
            let error = error.unwrap();
            assert_eq!(
                error.to_string(),
                format!("Invalid WasmtimeEngineProviderBuilder configuration: {what}")
            );
            match &error {
                Error::BuilderInvalidConfig(text) => assert_eq!(text, what),
                other => panic!("{other:?}"),
            }
            let text = wapc::errors::Error::from(error).to_string();
            assert!(text.ends_with(what), "{text}");
        }
    }
}

#[test]
fn a_module_that_is_none_is_refused_by_its_build() {
    for bytes in [&b"garbage"[..], b"\0asm\x01\0\0\0\xff", b"(module (oops))"] {
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(bytes);
        assert!(builder.build().is_err() && builder.build_async().is_err(), "{bytes:?}");
    }
    let unknown = guests::echo_with(r#"(import "env" "sin" (func (param f64) (result f64)))"#, "");
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(unknown.as_bytes());
    let error = builder.build().err().unwrap().to_string();
    assert!(error.contains("sin"), "{error}");
}

#[test]
fn a_guest_without_its_entry_point() {
    let builder =
        WasmtimeEngineProviderBuilder::new().module_bytes(br#"(module (memory (export "memory") 1))"#);
    assert_eq!(
        builder.build().err().map(|error| error.to_string()),
        differs! {
            incumbent: None,
            antiphon: Some("Guest call function (__guest_call) not exported by wasm module.".to_owned()),
            because: "a missing `__guest_call` was an error of `WapcHost::new`",
        }
    );
    for text in Host::refused(&builder) {
        assert!(text.ends_with("Guest call function (__guest_call) not exported by wasm module."), "{text}");
    }
}

#[test]
fn a_pre_built_module_is_rehydrated_any_number_of_times() {
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes());
    let pre = builder.build_pre().unwrap().clone();
    for _ in 0..3 {
        let host = WapcHost::new(Box::new(pre.rehydrate(None).unwrap()), None).unwrap();
        assert_eq!(number(&host.call("count", b"").unwrap()), 1, "an instance of its own");
        assert_eq!(number(&host.call("count", b"").unwrap()), 2);
    }
    let pre = builder.build_async_pre().unwrap().clone();
    runtime().block_on(async {
        for _ in 0..3 {
            let engine = pre.rehydrate().unwrap();
            let host = WapcHostAsync::new(Box::new(engine), None).await.unwrap();
            assert_eq!(number(&host.call("count", b"").await.unwrap()), 1);
        }
    });
}

#[test]
fn a_clone_of_a_provider_is_an_instance_of_its_own() {
    let builder = WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes());
    let provider = builder.build().unwrap();
    for provider in [provider.clone(), provider] {
        let host = WapcHost::new(Box::new(provider), None).unwrap();
        assert_eq!(number(&host.call("count", b"").unwrap()), 1);
    }
    let provider = builder.build_async().unwrap();
    runtime().block_on(async {
        for provider in [provider.clone(), provider] {
            let host = WapcHostAsync::new(Box::new(provider), None).await.unwrap();
            assert_eq!(number(&host.call("count", b"").await.unwrap()), 1);
        }
    });
}

#[test]
fn compiled_modules_are_kept_in_a_directory_or_in_wasmtime_s_own() {
    let directory = tempfile::tempdir().unwrap();
    for cache in [Some(directory.path()), None] {
        let builder =
            WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).enable_cache(cache);
        for host in Host::started(&builder, None) {
            assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
        }
    }
    assert!(directory.path().read_dir().unwrap().count() > 0, "nothing was kept");
}

#[test]
fn ids_are_of_one_host_each_and_handed_to_its_callback() {
    let tell: crate::hosts::Answer = |id, _, _, _, _| Ok(id.to_le_bytes().to_vec());
    let hosts: Vec<_> = (0..3).flat_map(|_| Host::of(TOOLBOX, Some(tell))).collect();
    let mut ids: Vec<_> = hosts.iter().map(Host::id).collect();
    for host in &hosts {
        assert_eq!(host.call("host", b"").unwrap(), host.id().to_le_bytes());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), hosts.len());
}

#[test]
fn outcomes_of_a_guest() {
    for host in Host::of(TOOLBOX, Some(parrot)) {
        assert_eq!(host.call("echo", &[7; 40_000]).unwrap(), [7; 40_000]);
        assert_eq!(host.call("host", b"payload").unwrap(), b"binding/sample/host:payload");
        assert_eq!(host.call("host", b"no").unwrap_err(), "Guest call failure: not today");
        assert_eq!(host.call("fail", b"because").unwrap_err(), "Guest call failure: because");
        assert_eq!(
            host.call("zero", b"").unwrap_err(),
            "Guest call failure: No error message set for call failure"
        );
        assert_eq!(
            host.call("none", b"").unwrap_err(),
            "Guest call failure: No error message OR response set for call success"
        );
        let trapped = host.call("break", b"").unwrap_err();
        assert!(trapped.starts_with("Guest call failure: "), "{trapped}");
    }
}

#[test]
fn a_module_is_replaced() {
    let other = guests::echo_with("", "");
    for host in Host::of(TOOLBOX, None) {
        assert_eq!(number(&host.call("count", b"").unwrap()), 1);
        host.replace(other.as_bytes()).unwrap();
        assert_eq!(host.call("count", b"an echo now").unwrap(), b"an echo now");
        let error = host.replace(b"garbage").unwrap_err();
        assert!(error.starts_with("Module replacement failed: "), "{error}");
        assert_eq!(host.call("count", b"serves on").unwrap(), b"serves on");
    }
}

#[test]
fn init_exports_run_in_their_order_and_their_failure_is_one_of_the_start() {
    let ordered = guests::echo_with(
        "",
        r#"(global $started (mut i32) (i32.const 0))
        (func (export "_start") (global.set $started (i32.const 1)))
        (func (export "wapc_init") (if (i32.eqz (global.get $started)) (then (unreachable))))"#,
    );
    for host in Host::of(&ordered, None) {
        assert_eq!(host.call("op", b"started").unwrap(), b"started");
    }
    for name in ["_start", "wapc_init"] {
        let broken = guests::echo_with("", &format!(r#"(func (export "{name}") (unreachable))"#));
        let builder = WasmtimeEngineProviderBuilder::new().module_bytes(broken.as_bytes());
        for text in Host::refused(&builder) {
            assert!(text.starts_with("Initialization failed: "), "{text}");
        }
    }
}

#[test]
fn deadlines_are_part_of_the_builder() {
    // The epochs never advance in this test, so the deadlines never pass.
    let deadlines = EpochDeadlines { wapc_init: 1_000, wapc_func: 1_000 };
    let builder = WasmtimeEngineProviderBuilder::new()
        .module_bytes(TOOLBOX.as_bytes())
        .enable_epoch_interruptions(deadlines);
    for host in Host::started(&builder, None) {
        assert_eq!(host.call("echo", b"hi").unwrap(), b"hi");
    }
    let host =
        WapcHost::new(Box::new(builder.build_pre().unwrap().rehydrate(Some(deadlines)).unwrap()), None);
    assert_eq!(host.unwrap().call("echo", b"hi").unwrap(), b"hi");
}
