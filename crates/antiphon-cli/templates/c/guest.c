// A waPC guest.

#include "antiphon.h"

// Greets whom the payload names.
static antiphon_result hello(antiphon_bytes name) {
    if (name.len == 0) return antiphon_fail(antiphon_text("hello wants a name"));
    antiphon_bytes greeting = antiphon_concat(antiphon_text("Hello, "), name);
    return antiphon_ok(antiphon_concat(greeting, antiphon_text("!")));
}

// Each name that the host calls, and its function. OPERATIONS.md has more to copy.
ANTIPHON_OPERATIONS({"hello", hello})
