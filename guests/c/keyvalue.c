// A waPC guest with one operation, which uses what a host grants: a value that lasts between calls.

#include "antiphon.h"

// Keeps the payload in the host's store, and answers what it kept before.
static antiphon_result remember(antiphon_bytes payload) {
    mp_writer get = mp_write();
    mp_put_map(&get, 1);
    mp_put_str(&get, antiphon_text("key"));
    mp_put_str(&get, antiphon_text("last"));
    antiphon_result got = antiphon_host_call("", "keyvalue", "get", mp_message(&get));
    if (!got.ok) return got;

    // The answer has a value only if the key is there.
    antiphon_bytes before = {NULL, 0};
    mp_reader reader = mp_read(got.bytes);
    for (uint32_t pairs = mp_map(&reader); pairs > 0 && !reader.error; pairs--) {
        if (antiphon_equal(mp_str(&reader), antiphon_text("value"))) {
            before = mp_bin(&reader);
        } else {
            mp_skip(&reader);
        }
    }
    if (!mp_end(&reader)) return antiphon_fail(mp_error_text(reader.error));

    mp_writer put = mp_write();
    mp_put_map(&put, 2);
    mp_put_str(&put, antiphon_text("key"));
    mp_put_str(&put, antiphon_text("last"));
    mp_put_str(&put, antiphon_text("value"));
    mp_put_bin(&put, payload);
    antiphon_result written = antiphon_host_call("", "keyvalue", "put", mp_message(&put));
    return written.ok ? antiphon_ok(before) : written;
}

ANTIPHON_OPERATIONS({"remember", remember})
