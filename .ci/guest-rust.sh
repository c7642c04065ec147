# A Rust that compiles guests for WebAssembly, for `cargo xtask guests` and `cargo xtask scaffolds`. Sourced by .ci/run.
# shellcheck shell=bash

# Debian's packages, whose versions the manifest of the guests has.
GUEST_RUST_PACKAGES=(rustc-web cargo-web rust-web-src lld-22 wasi-libc)

# The toolchain on the path serves where it has both targets. Otherwise a folder of Debian's programs is made at $1, and
# ANTIPHON_GUEST_RUST names it; they are installed first where they are missing and this may be done.
ensure_rust_for_guests() {
    if [[ -n "${ANTIPHON_GUEST_RUST:-}" ]]; then return; fi
    if [[ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" && -d "$(rustc --print target-libdir --target wasm32-wasip1)" ]]; then return; fi
    if ! has_guest_rust_packages; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then return 1; fi
        # Nothing is removed for it: where Debian's own rustc is in use it stays.
        apt-get update && apt-get install --yes --no-install-recommends --no-remove "${GUEST_RUST_PACKAGES[@]}" || return
    fi
    make_guest_rust "$1" || return
    export ANTIPHON_GUEST_RUST=$1
}

has_guest_rust_packages() {
    dpkg --status "${GUEST_RUST_PACKAGES[@]}" 2>/dev/null | grep -c '^Status: install ok installed$' \
        | grep -qx "${#GUEST_RUST_PACKAGES[@]}"
}

make_guest_rust() {
    # `set -e` does not hold where the caller asks whether this worked.
    mkdir -p "$1" || return
    ln -sf /usr/bin/rustc "$1/rustc" || return
    # Called by name: the rust-lld that rustc looks for is in a package that need not be there.
    ln -sf /usr/bin/lld-22 "$1/rust-lld" || return
    cat >"$1/cargo" <<'CARGO' || return
#!/usr/bin/env bash
# Debian has the standard library for wasm32 as source only, so it is built along, which stable Rust has to be told to do.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/lld-22 CARGO_TARGET_WASM32_WASIP1_LINKER=/usr/bin/lld-22
# The standard library for WASI is made of Debian's C library for it. rustc brings one of its own elsewhere.
if [[ " $* " == *" wasm32-wasip1 "* ]]; then
    flags=$'-Clink-self-contained=no\x1f-Lnative=/usr/lib/wasm32-wasi'
    export CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS:+$CARGO_ENCODED_RUSTFLAGS$'\x1f'}$flags"
fi
exec /usr/bin/cargo "$@"
CARGO
    chmod +x "$1/cargo"
}
