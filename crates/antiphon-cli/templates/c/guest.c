// A waPC guest in C.

#include "antiphon.h"

// Answers the payload.
static antiphon_result echo(antiphon_bytes payload) { return antiphon_ok(payload); }

// Fails with a text that carries the payload.
static antiphon_result fail(antiphon_bytes payload) {
    return antiphon_fail(antiphon_concat(antiphon_text("the guest refused: "), payload));
}

// Panics: the host gets the text, and then the trap.
static antiphon_result panic(antiphon_bytes payload) {
    antiphon_panic(antiphon_concat(antiphon_text("the guest panicked: "), payload));
}

// Asks the host to echo the payload and passes on what it said, well or ill.
static antiphon_result host(antiphon_bytes payload) {
    return antiphon_host_call("binding", "sample", "echo", payload);
}

// Writes the payload to the host's log and answers nothing.
static antiphon_result log_(antiphon_bytes payload) {
    antiphon_log(payload);
    return antiphon_ok((antiphon_bytes){NULL, 0});
}

// Takes {name: str, count: u32} and answers {text: str, length: u32}, both in MessagePack.
static antiphon_result greet(antiphon_bytes payload) {
    mp_reader reader = mp_read(payload);
    antiphon_bytes name = {NULL, 0};
    uint64_t count = 0;
    bool has_name = false, has_count = false;
    for (uint32_t pairs = mp_map(&reader); pairs > 0 && !reader.error; pairs--) {
        antiphon_bytes key = mp_str(&reader);
        if (antiphon_equal(key, antiphon_text("name"))) {
            name = mp_str(&reader);
            has_name = true;
        } else if (antiphon_equal(key, antiphon_text("count"))) {
            count = mp_uint(&reader, UINT32_MAX);
            has_count = true;
        } else {
            mp_skip(&reader);
        }
    }
    mp_require(&reader, has_name && has_count);
    if (!mp_end(&reader)) {
        return antiphon_fail(antiphon_text("greet wants {name: str, count: u32} in MessagePack"));
    }
    if (count > 1000) return antiphon_fail(antiphon_text("greet says hello 1000 times at most"));

    antiphon_bytes hello = antiphon_concat(antiphon_concat(antiphon_text("Hello, "), name), antiphon_text("! "));
    uint8_t *text = antiphon_alloc(count * hello.len), *end = text;
    for (uint64_t i = 0; i < count; i++) end = antiphon_copy(end, hello);
    // The last one is followed by nothing.
    antiphon_bytes greeting = {text, count > 0 ? (size_t)(end - text) - 1 : 0};

    mp_writer writer = mp_write();
    mp_put_map(&writer, 2);
    mp_put_str(&writer, antiphon_text("text"));
    mp_put_str(&writer, greeting);
    mp_put_str(&writer, antiphon_text("length"));
    mp_put_uint(&writer, greeting.len);
    return antiphon_ok(mp_message(&writer));
}

ANTIPHON_OPERATIONS({"echo", echo}, {"fail", fail}, {"panic", panic}, {"host", host}, {"log", log_},
                    {"greet", greet})
