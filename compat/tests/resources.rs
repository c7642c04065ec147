//! Resource limits, as `wasmtime-provider` enforces them.

use compat::guests::{TOOLBOX, echo_with, number};
use wasmtime_provider::{ResourceLimits, WasmtimeEngineProviderBuilder};

use crate::hosts::Host;

const PAGE: usize = 64 * 1024;

fn limited(limits: ResourceLimits) -> [Host; 2] {
    Host::started(
        &WasmtimeEngineProviderBuilder::new().module_bytes(TOOLBOX.as_bytes()).enable_resource_limits(limits),
        None,
    )
}

#[test]
fn memory_grows_to_its_limit_and_no_further() {
    for host in limited(ResourceLimits { max_memory_size: Some(5 * PAGE), max_table_elements: None }) {
        assert_eq!(number(&host.call("grow", b"").unwrap()), 5);
        assert_eq!(
            host.call("echo", b"a refused growth is no error").unwrap(),
            b"a refused growth is no error"
        );
        assert_eq!(number(&host.call("table", b"").unwrap()), 2_000, "the table has no limit");
    }
    // A limit between two page sizes counts as the lower one.
    for host in limited(ResourceLimits { max_memory_size: Some(5 * PAGE - 1), ..Default::default() }) {
        assert_eq!(number(&host.call("grow", b"").unwrap()), 4);
    }
}

#[test]
fn a_table_grows_to_its_limit_and_no_further() {
    for host in limited(ResourceLimits { max_memory_size: None, max_table_elements: Some(100) }) {
        assert_eq!(number(&host.call("table", b"").unwrap()), 100);
        assert_eq!(number(&host.call("grow", b"").unwrap()), 64, "the memory has no limit but its own");
    }
}

#[test]
fn without_limits_a_guest_gets_what_it_declares() {
    for host in limited(ResourceLimits::default()).into_iter().chain(Host::of(TOOLBOX, None)) {
        assert_eq!(number(&host.call("grow", b"").unwrap()), 64);
        assert_eq!(number(&host.call("table", b"").unwrap()), 2_000);
    }
}

#[test]
fn a_guest_that_aborts_when_it_gets_no_memory_is_a_failed_call() {
    for host in limited(ResourceLimits { max_memory_size: Some(3 * PAGE), max_table_elements: None }) {
        assert_eq!(number(&host.call("greedy", b"").unwrap()), 3);
        let error = host.call("greedy", b"").unwrap_err();
        assert!(error.starts_with("Guest call failure: "), "{error}");
    }
}

#[test]
fn a_guest_that_starts_over_its_limit_does_not_start() {
    let large = echo_with("", "").replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 3)");
    let limits = |pages| ResourceLimits { max_memory_size: Some(pages * PAGE), max_table_elements: None };
    let builder = || WasmtimeEngineProviderBuilder::new().module_bytes(large.as_bytes());
    for text in Host::refused(&builder().enable_resource_limits(limits(2))) {
        assert!(text.contains("memory"), "{text}");
    }
    for host in Host::started(&builder().enable_resource_limits(limits(3)), None) {
        assert_eq!(host.call("op", b"fits").unwrap(), b"fits");
    }
}
