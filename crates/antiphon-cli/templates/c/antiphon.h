// antiphon.h: everything a waPC guest in C needs, without a C library.
//
//   static antiphon_result echo(antiphon_bytes payload) { return antiphon_ok(payload); }
//   ANTIPHON_OPERATIONS({"echo", echo})
//
// Include it in one file of the guest. Compile with
//   clang --target=wasm32 -mbulk-memory -ffreestanding -nostdlib -Wl,--no-entry
//
// All memory is that of the current call: it is reused when the next one begins, so
// nothing is freed by hand, and no pointer may be kept from one call to the next.

#ifndef ANTIPHON_H
#define ANTIPHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- bytes and results -----------------------------------------------------------------------

// Bytes that somebody else owns; text is bytes too, in UTF-8 and without a NUL at the end.
typedef struct {
    const uint8_t *ptr;
    size_t len;
} antiphon_bytes;

// What an operation ends with, and what a host call ends with: the answer, or a text that says
// why there is none.
typedef struct {
    bool ok;
    antiphon_bytes bytes;
} antiphon_result;

// An operation: gets the payload, gives back antiphon_ok or antiphon_fail.
typedef antiphon_result (*antiphon_handler)(antiphon_bytes payload);

// A line of the table of operations.
typedef struct {
    const char *name;
    antiphon_handler handler;
} antiphon_operation;

// The text of a C string, as bytes.
static inline antiphon_bytes antiphon_text(const char *text) {
    size_t len = 0;
    while (text[len] != 0) len++;
    return (antiphon_bytes){(const uint8_t *)text, len};
}

// The answer of an operation.
static inline antiphon_result antiphon_ok(antiphon_bytes answer) {
    return (antiphon_result){true, answer};
}

// The failure of an operation: the host gets the text.
static inline antiphon_result antiphon_fail(antiphon_bytes text) {
    return (antiphon_result){false, text};
}

static inline bool antiphon_equal(antiphon_bytes a, antiphon_bytes b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] != b.ptr[i]) return false;
    }
    return true;
}

// --- the host --------------------------------------------------------------------------------

#define ANTIPHON_IMPORT_(name) __attribute__((import_module("wapc"), import_name(name)))

ANTIPHON_IMPORT_("__guest_request") void antiphon_guest_request_(void *operation, void *payload);
ANTIPHON_IMPORT_("__guest_response") void antiphon_guest_response_(const void *ptr, size_t len);
ANTIPHON_IMPORT_("__guest_error") void antiphon_guest_error_(const void *ptr, size_t len);
ANTIPHON_IMPORT_("__host_call")
int32_t antiphon_host_call_(const void *binding, size_t binding_len, const void *namespace_,
                            size_t namespace_len, const void *operation, size_t operation_len,
                            const void *payload, size_t payload_len);
ANTIPHON_IMPORT_("__host_response_len") size_t antiphon_host_response_len_(void);
ANTIPHON_IMPORT_("__host_response") void antiphon_host_response_(void *ptr);
ANTIPHON_IMPORT_("__host_error_len") size_t antiphon_host_error_len_(void);
ANTIPHON_IMPORT_("__host_error") void antiphon_host_error_(void *ptr);
ANTIPHON_IMPORT_("__console_log") void antiphon_console_log_(const void *ptr, size_t len);

// Ends the call with a trap that carries the text. The instance is not used again.
static inline _Noreturn void antiphon_panic(antiphon_bytes text) {
    antiphon_guest_error_(text.ptr, text.len);
    __builtin_trap();
}

// Writes a line to the host's log.
static inline void antiphon_log(antiphon_bytes line) { antiphon_console_log_(line.ptr, line.len); }

// --- memory ----------------------------------------------------------------------------------

// Where the linker's data and the stack end, and memory that may be given out begins.
extern uint8_t __heap_base;
static uintptr_t antiphon_next_;

// Memory of len bytes, until the call ends. Panics where there is no room for it.
static inline void *antiphon_alloc(uint64_t len) {
    const uintptr_t page = 65536;
    uint64_t start = ((uint64_t)antiphon_next_ + 15) & ~(uint64_t)15;
    // More than all memory is as good as no end: it does not fit, and the sum does not overflow.
    uint64_t end = start + (len <= UINT32_MAX ? len : (uint64_t)UINT32_MAX << 1);
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * page;
    if (end > have) {
        uint64_t pages = (end - have + page - 1) / page;
        if (end > UINT32_MAX || __builtin_wasm_memory_grow(0, (size_t)pages) == (size_t)-1) {
            antiphon_panic(antiphon_text("out of memory"));
        }
    }
    antiphon_next_ = (uintptr_t)end;
    return (void *)(uintptr_t)start;
}

// Copies bytes to `to`, and gives back where they end.
static inline uint8_t *antiphon_copy(uint8_t *to, antiphon_bytes bytes) {
    if (bytes.len > 0) __builtin_memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

// One text after the other.
static inline antiphon_bytes antiphon_concat(antiphon_bytes a, antiphon_bytes b) {
    uint8_t *ptr = antiphon_alloc((uint64_t)a.len + b.len);
    antiphon_copy(antiphon_copy(ptr, a), b);
    return (antiphon_bytes){ptr, a.len + b.len};
}

// --- calls, both ways ------------------------------------------------------------------------

// Calls the host. What it answers, or why it does not, is in the result.
static inline antiphon_result antiphon_host_call(const char *binding, const char *namespace_,
                                                 const char *operation, antiphon_bytes payload) {
    antiphon_bytes bd = antiphon_text(binding), ns = antiphon_text(namespace_), op = antiphon_text(operation);
    bool ok = antiphon_host_call_(bd.ptr, bd.len, ns.ptr, ns.len, op.ptr, op.len, payload.ptr, payload.len) != 0;
    size_t len = ok ? antiphon_host_response_len_() : antiphon_host_error_len_();
    void *ptr = antiphon_alloc(len);
    if (ok) {
        antiphon_host_response_(ptr);
    } else {
        antiphon_host_error_(ptr);
    }
    return (antiphon_result){ok, {ptr, len}};
}

// Serves one call from a table of operations.
static inline int32_t antiphon_serve_(const antiphon_operation *operations, size_t count, size_t operation_len,
                                      size_t payload_len) {
    antiphon_next_ = (uintptr_t)&__heap_base;
    uint8_t *operation = antiphon_alloc(operation_len), *payload = antiphon_alloc(payload_len);
    antiphon_guest_request_(operation, payload);
    antiphon_bytes name = {operation, operation_len};
    antiphon_result result =
        antiphon_fail(antiphon_concat(antiphon_text("No handler registered for function "), name));
    for (size_t i = 0; i < count; i++) {
        if (antiphon_equal(name, antiphon_text(operations[i].name))) {
            result = operations[i].handler((antiphon_bytes){payload, payload_len});
            break;
        }
    }
    if (result.ok) {
        antiphon_guest_response_(result.bytes.ptr, result.bytes.len);
    } else {
        antiphon_guest_error_(result.bytes.ptr, result.bytes.len);
    }
    return result.ok;
}

// Says which operations the guest has, as {"name", function}, ...; once, at the top level.
#define ANTIPHON_OPERATIONS(...)                                                                     \
    __attribute__((export_name("__guest_call"))) int32_t antiphon_guest_call_(size_t operation_len,  \
                                                                              size_t payload_len) {  \
        static const antiphon_operation operations[] = {__VA_ARGS__};                                \
        return antiphon_serve_(operations, sizeof operations / sizeof operations[0], operation_len,  \
                               payload_len);                                                         \
    }

// --- reading MessagePack ---------------------------------------------------------------------

// Reads a message from its start to its end. Whatever does not fit sets `bad`, after which every
// read gives 0 or nothing: look at it once, at the end, with mp_end.
typedef struct {
    antiphon_bytes rest;
    bool bad;
} mp_reader;

static inline mp_reader mp_read(antiphon_bytes message) { return (mp_reader){message, false}; }

// Whether all of the message was read, and all of it was as expected.
static inline bool mp_end(const mp_reader *reader) { return !reader->bad && reader->rest.len == 0; }

static inline antiphon_bytes mp_take_(mp_reader *reader, uint64_t len) {
    if (reader->bad || len > reader->rest.len) {
        *reader = (mp_reader){{reader->rest.ptr, 0}, true};
        return reader->rest;
    }
    antiphon_bytes taken = {reader->rest.ptr, (size_t)len};
    reader->rest = (antiphon_bytes){taken.ptr + taken.len, reader->rest.len - taken.len};
    return taken;
}

// A number of 1, 2, 4 or 8 bytes, most significant first.
static inline uint64_t mp_big_endian_(mp_reader *reader, size_t len) {
    antiphon_bytes bytes = mp_take_(reader, len);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) value = value << 8 | bytes.ptr[i];
    return value;
}

static inline uint8_t mp_tag_(mp_reader *reader) { return (uint8_t)mp_big_endian_(reader, 1); }

static inline uint64_t mp_no_(mp_reader *reader) {
    mp_take_(reader, UINT64_MAX);
    return 0;
}

// A whole number that is not negative and at most `max`.
static inline uint64_t mp_uint(mp_reader *reader, uint64_t max) {
    uint8_t tag = mp_tag_(reader);
    uint64_t value;
    if (tag <= 0x7f) {
        value = tag;
    } else if (tag >= 0xcc && tag <= 0xcf) {
        value = mp_big_endian_(reader, (size_t)1 << (tag - 0xcc));
    } else if (tag >= 0xd0 && tag <= 0xd3) {
        size_t len = (size_t)1 << (tag - 0xd0);
        value = mp_big_endian_(reader, len);
        // The sign bit of a number of that length.
        if (value >> (8 * len - 1)) return mp_no_(reader);
    } else {
        return mp_no_(reader);
    }
    return value <= max ? value : mp_no_(reader);
}

// A length: in the tag itself if that is in `fix` (under `mask`), else in the 1, 2 or 4 bytes after it.
static inline uint64_t mp_len_(mp_reader *reader, uint8_t fix, uint8_t mask, uint8_t first, size_t shortest) {
    uint8_t tag = mp_tag_(reader);
    if ((tag & ~mask & 0xff) == fix) return tag & mask;
    for (size_t len = shortest; len <= 4; len *= 2, first++) {
        if (tag == first) return mp_big_endian_(reader, len);
    }
    return mp_no_(reader);
}

// Text; it points into the message.
static inline antiphon_bytes mp_str(mp_reader *reader) {
    return mp_take_(reader, mp_len_(reader, 0xa0, 0x1f, 0xd9, 1));
}

// The number of pairs of a map; a key and a value follow for each.
static inline uint32_t mp_map(mp_reader *reader) { return (uint32_t)mp_len_(reader, 0x80, 0x0f, 0xde, 2); }

// Passes over a value of any type, with all that is in it.
static inline void mp_skip(mp_reader *reader) {
    // Counted, not recursive: no message makes the stack deep. A value takes a byte at least, so
    // the loop ends with the message.
    for (uint64_t left = 1; left > 0 && !reader->bad; left--) {
        uint8_t tag = mp_tag_(reader);
        if (tag >= 0x80 && tag <= 0x8f) {
            left += (uint64_t)(tag & 0x0f) * 2;
        } else if (tag >= 0x90 && tag <= 0x9f) {
            left += tag & 0x0f;
        } else if (tag >= 0xa0 && tag <= 0xbf) {
            mp_take_(reader, tag & 0x1f);
        } else if (tag == 0xc1) {
            mp_no_(reader);
        } else if (tag >= 0xc4 && tag <= 0xc6) {
            mp_take_(reader, mp_big_endian_(reader, (size_t)1 << (tag - 0xc4)));
        } else if (tag >= 0xc7 && tag <= 0xc9) {
            mp_take_(reader, mp_big_endian_(reader, (size_t)1 << (tag - 0xc7)) + 1);
        } else if (tag == 0xca || tag == 0xcb) {
            mp_take_(reader, tag == 0xca ? 4 : 8);
        } else if (tag >= 0xcc && tag <= 0xd3) {
            mp_take_(reader, 1u << ((tag - 0xcc) & 3));
        } else if (tag >= 0xd4 && tag <= 0xd8) {
            mp_take_(reader, (1u << (tag - 0xd4)) + 1);
        } else if (tag >= 0xd9 && tag <= 0xdb) {
            mp_take_(reader, mp_big_endian_(reader, (size_t)1 << (tag - 0xd9)));
        } else if (tag == 0xdc || tag == 0xdd) {
            left += mp_big_endian_(reader, tag == 0xdc ? 2 : 4);
        } else if (tag == 0xde || tag == 0xdf) {
            left += mp_big_endian_(reader, tag == 0xde ? 2 : 4) * 2;
        }
    }
}

// --- writing MessagePack ---------------------------------------------------------------------

// Writes a message into memory of the call that grows with it.
typedef struct {
    uint8_t *ptr;
    size_t len, capacity;
} mp_writer;

static inline mp_writer mp_write(void) { return (mp_writer){NULL, 0, 0}; }

static inline antiphon_bytes mp_message(const mp_writer *writer) {
    return (antiphon_bytes){writer->ptr, writer->len};
}

static inline void mp_put_(mp_writer *writer, antiphon_bytes bytes) {
    if (bytes.len > writer->capacity - writer->len) {
        uint64_t capacity = (uint64_t)writer->capacity * 2 + bytes.len + 64;
        uint8_t *ptr = antiphon_alloc(capacity);
        antiphon_copy(ptr, mp_message(writer));
        *writer = (mp_writer){ptr, writer->len, (size_t)capacity};
    }
    antiphon_copy(writer->ptr + writer->len, bytes);
    writer->len += bytes.len;
}

// A tag, then a number of `len` bytes, most significant first.
static inline void mp_tagged_(mp_writer *writer, uint8_t tag, uint64_t value, size_t len) {
    uint8_t bytes[9] = {tag};
    for (size_t i = len; i > 0; i--, value >>= 8) bytes[i] = (uint8_t)value;
    mp_put_(writer, (antiphon_bytes){bytes, len + 1});
}

static inline void mp_put_uint(mp_writer *writer, uint64_t value) {
    if (value <= 0x7f) {
        mp_tagged_(writer, (uint8_t)value, 0, 0);
    } else if (value <= 0xff) {
        mp_tagged_(writer, 0xcc, value, 1);
    } else if (value <= 0xffff) {
        mp_tagged_(writer, 0xcd, value, 2);
    } else if (value <= 0xffffffff) {
        mp_tagged_(writer, 0xce, value, 4);
    } else {
        mp_tagged_(writer, 0xcf, value, 8);
    }
}

static inline void mp_put_str(mp_writer *writer, antiphon_bytes text) {
    if (text.len <= 0x1f) {
        mp_tagged_(writer, (uint8_t)(0xa0 | text.len), 0, 0);
    } else if (text.len <= 0xff) {
        mp_tagged_(writer, 0xd9, text.len, 1);
    } else if (text.len <= 0xffff) {
        mp_tagged_(writer, 0xda, text.len, 2);
    } else {
        mp_tagged_(writer, 0xdb, text.len, 4);
    }
    mp_put_(writer, text);
}

// Begins a map of so many pairs; a key and a value have to follow for each.
static inline void mp_put_map(mp_writer *writer, uint32_t pairs) {
    if (pairs <= 0x0f) {
        mp_tagged_(writer, (uint8_t)(0x80 | pairs), 0, 0);
    } else if (pairs <= 0xffff) {
        mp_tagged_(writer, 0xde, pairs, 2);
    } else {
        mp_tagged_(writer, 0xdf, pairs, 4);
    }
}

#endif
