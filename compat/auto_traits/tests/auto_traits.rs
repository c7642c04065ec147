//! The auto traits of each type of `wapc` 2.2 and `wasmtime-provider` 2.25, beside those of the type
//! that stands in for it. A program may rely on each of them without naming it: to move a host to
//! another thread, to hold an error across `catch_unwind`.

use std::panic::{RefUnwindSafe, UnwindSafe};

/// Tells whether a type has a trait. An inherent constant comes before one of a trait, and exists
/// only where its bound holds.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code, reason = "a type whose values nobody needs")]
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "one of the two constants is hidden by the other")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "not used for a type without the trait")]
        impl<T: ?Sized + $trait> Probe<T> {
            const HAS: bool = true;
        }
        Probe::<$type>::HAS
    }};
}

macro_rules! auto_traits {
    ($type:ty) => {
        [
            ("Send", has!($type: Send)),
            ("Sync", has!($type: Sync)),
            ("Unpin", has!($type: Unpin)),
            ("UnwindSafe", has!($type: UnwindSafe)),
            ("RefUnwindSafe", has!($type: RefUnwindSafe)),
        ]
    };
}

#[test]
fn the_probe_sees_what_is_there_and_what_is_not() {
    assert!(auto_traits!(String).iter().all(|(_, has)| *has));
    let cell = auto_traits!(&'static std::cell::Cell<u8>).map(|(_, has)| has);
    assert_eq!(cell, [false, false, true, false, false]);
    assert!(!has!(std::marker::PhantomPinned: Unpin));
}

#[test]
fn a_type_lacks_none_that_the_incumbents_type_has() {
    let mut lacking = Vec::new();
    macro_rules! compare {
        ($($theirs:ty => $ours:ty;)+) => {
            $(for ((name, theirs), (_, ours)) in auto_traits!($theirs).into_iter().zip(auto_traits!($ours)) {
                if theirs && !ours {
                    lacking.push(concat!(stringify!($ours), ": ").to_owned() + name);
                }
            })+
        };
    }
    compare! {
        wapc::WapcHost => antiphon::WapcHost;
        wapc::WapcHostAsync => antiphon::WapcHostAsync;
        wapc::ModuleState => antiphon::ModuleState;
        wapc::ModuleStateAsync => antiphon::ModuleStateAsync;
        wapc::Invocation => antiphon::Invocation;
        wapc::WasiParams => antiphon::WasiParams;
        wapc::errors::Error => antiphon::errors::Error;
        Box<wapc::HostCallback> => Box<antiphon::HostCallback>;
        Box<wapc::HostCallbackAsync> => Box<antiphon::HostCallbackAsync>;
        wasmtime_provider::WasmtimeEngineProviderBuilder<'static> =>
            antiphon_wasmtime::WasmtimeEngineProviderBuilder<'static>;
        wasmtime_provider::WasmtimeEngineProvider => antiphon_wasmtime::WasmtimeEngineProvider;
        wasmtime_provider::WasmtimeEngineProviderPre => antiphon_wasmtime::WasmtimeEngineProviderPre;
        wasmtime_provider::WasmtimeEngineProviderAsync => antiphon_wasmtime::WasmtimeEngineProviderAsync;
        wasmtime_provider::WasmtimeEngineProviderAsyncPre => antiphon_wasmtime::WasmtimeEngineProviderAsyncPre;
        wasmtime_provider::EpochDeadlines => antiphon_wasmtime::EpochDeadlines;
        wasmtime_provider::ResourceLimits => antiphon_wasmtime::ResourceLimits;
        wasmtime_provider::errors::Error => antiphon_wasmtime::errors::Error;
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}
