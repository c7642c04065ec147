//! Guests in every language, each with the operation that its guide shows: it keeps the payload in
//! the host's store, and answers what it kept before.

use antiphon::{WapcHost, block_on};
use antiphon_capabilities::{Backends, MemoryStore, Store};

use crate::guest::{compiled, grants};

const GUESTS: [&str; 5] = [
    "rust-capabilities.wasm",
    "c-keyvalue.wasm",
    "zig-keyvalue.wasm",
    "assemblyscript-keyvalue.wasm",
    "go.wasm",
];

#[test]
fn a_guest_in_every_language_keeps_a_value_in_the_hosts_store() {
    for (engine, guest, factory) in GUESTS
        .iter()
        .flat_map(|guest| compiled(guest).into_iter().map(move |(engine, made)| (engine, guest, made)))
    {
        let host = |toml: &str, store: &MemoryStore| {
            let backends = Backends::new().store("default", store.clone());
            let router = grants(toml).router("shop", &backends).unwrap();
            WapcHost::builder(factory.provider().unwrap()).handler(router).build().unwrap()
        };
        let store = MemoryStore::new();
        let granted = host("[[grant]]\nkeyvalue = {}", &store);
        let long = vec![0xfe; 70_000];
        let mut before = Vec::new();
        for value in [&b"tea"[..], b"", b"\xff\0", &long, b"\x80"] {
            assert_eq!(granted.call("remember", value).unwrap(), before, "{guest} on {engine}");
            before = value.to_vec();
        }
        // Another instance of the guest.
        let other = host("[[grant]]\nkeyvalue = { read_only = true }", &store);
        let refused = other.call("remember", b"coffee").unwrap_err();
        let expected = "not_granted: the keyvalue grant of this module is read-only; \
                        set read_only = false in it";
        assert_eq!(refused.guest_error(), Some(expected), "{guest} on {engine}");
        let kept = block_on(store.get("shop/last")).unwrap().unwrap();
        assert_eq!((&*kept.value, kept.revision), (&b"\x80"[..], 5), "{guest} on {engine}");

        let refused = host("", &store).call("remember", b"x").unwrap_err();
        let expected = "not_granted: this module has no grant for keyvalue; \
                        add a [[modules.shop.grant]] table with keyvalue = { ... }";
        assert_eq!(refused.guest_error(), Some(expected), "{guest} on {engine}");
    }
}
