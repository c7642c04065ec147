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

// Why a message could not be read.
typedef enum {
    MP_OK = 0,
    // The bytes end before the value does.
    MP_TRUNCATED,
    // A byte that begins no value, or text that is not UTF-8.
    MP_MALFORMED,
    // A value of another type, a number out of range, or a field that is missing.
    MP_MISMATCH,
    // Arrays and maps nest deeper than MP_MAX_DEPTH.
    MP_TOO_DEEP,
    // Bytes follow the value.
    MP_TRAILING,
} mp_error;

// How deep mp_enter goes.
#define MP_MAX_DEPTH 127

// Reads a message from its start to its end. The first error stays, and every read after it gives
// 0 or nothing: look at it once, at the end, with mp_end.
typedef struct {
    antiphon_bytes rest;
    mp_error error;
    uint32_t depth;
    // The values that have to follow: those of the arrays and maps that are not read to their end.
    uint64_t pending;
} mp_reader;

static inline mp_reader mp_read(antiphon_bytes message) { return (mp_reader){message, MP_OK, 0, 1}; }

// Makes the reader fail, unless it has failed before. Gives back 0.
static inline uint64_t mp_fail(mp_reader *reader, mp_error error) {
    if (!reader->error) reader->error = error;
    reader->rest.len = 0;
    return 0;
}

// Fails unless a field that must be there was found.
static inline void mp_require(mp_reader *reader, bool found) {
    if (!found) mp_fail(reader, MP_MISMATCH);
}

// Whether all of the message was read, and all of it was as expected.
static inline bool mp_end(mp_reader *reader) {
    if (reader->rest.len > 0) mp_fail(reader, MP_TRAILING);
    return !reader->error;
}

// The text of an error, for the host.
static inline antiphon_bytes mp_error_text(mp_error error) {
    switch (error) {
        case MP_OK:
            break;
        case MP_TRUNCATED:
            return antiphon_text("msgpack not decoded: the message ends before its value does");
        case MP_MALFORMED:
            return antiphon_text("msgpack not decoded: a byte begins no value, or text is not UTF-8");
        case MP_MISMATCH:
            return antiphon_text("msgpack not decoded: a value is of another type, out of range, or missing");
        case MP_TOO_DEEP:
            return antiphon_text("msgpack not decoded: arrays and maps nest too deep");
        case MP_TRAILING:
            return antiphon_text("msgpack not decoded: bytes follow the value");
    }
    return (antiphon_bytes){NULL, 0};
}

static inline antiphon_bytes mp_take_(mp_reader *reader, uint64_t len) {
    if (len > reader->rest.len) {
        mp_fail(reader, MP_TRUNCATED);
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

// The byte that a value begins with.
static inline uint8_t mp_tag_(mp_reader *reader) {
    if (reader->pending > 0) reader->pending--;
    return (uint8_t)mp_big_endian_(reader, 1);
}

// Whether the next value begins with this tag, which is then behind us.
static inline bool mp_is_(mp_reader *reader, uint8_t tag) {
    return reader->rest.len > 0 && reader->rest.ptr[0] == tag && mp_tag_(reader) == tag;
}

// Fails because of a tag that is none of those expected.
static inline uint64_t mp_no_(mp_reader *reader, uint8_t tag) {
    return mp_fail(reader, tag == 0xc1 ? MP_MALFORMED : MP_MISMATCH);
}

// Whether the next value is nil, which is then behind us: for a field that may be nil.
static inline bool mp_nil(mp_reader *reader) { return mp_is_(reader, 0xc0); }

static inline bool mp_bool(mp_reader *reader) {
    uint8_t tag = mp_tag_(reader);
    if (tag != 0xc2 && tag != 0xc3) mp_no_(reader, tag);
    return tag == 0xc3;
}

// A whole number of any width, in two's complement.
static inline uint64_t mp_whole_(mp_reader *reader, bool *negative) {
    uint8_t tag = mp_tag_(reader);
    int64_t number;
    *negative = false;
    if (tag <= 0x7f) return tag;
    if (tag >= 0xcc && tag <= 0xcf) return mp_big_endian_(reader, (size_t)1 << (tag - 0xcc));
    if (tag >= 0xd0 && tag <= 0xd3) {
        size_t len = (size_t)1 << (tag - 0xd0);
        number = (int64_t)(mp_big_endian_(reader, len) << (64 - 8 * len)) >> (64 - 8 * len);
    } else if (tag >= 0xe0) {
        number = (int8_t)tag;
    } else {
        return mp_no_(reader, tag);
    }
    *negative = number < 0;
    return (uint64_t)number;
}

// A whole number that is not negative and at most `max`.
static inline uint64_t mp_uint(mp_reader *reader, uint64_t max) {
    bool negative;
    uint64_t value = mp_whole_(reader, &negative);
    return negative || value > max ? mp_fail(reader, MP_MISMATCH) : value;
}

// A whole number from `min` to `max`.
static inline int64_t mp_int(mp_reader *reader, int64_t min, int64_t max) {
    bool negative;
    uint64_t value = mp_whole_(reader, &negative);
    bool fits = (negative || value <= INT64_MAX) && (int64_t)value >= min && (int64_t)value <= max;
    return fits ? (int64_t)value : (int64_t)mp_fail(reader, MP_MISMATCH);
}

static inline float mp_float_(mp_reader *reader) {
    uint32_t bits = (uint32_t)mp_big_endian_(reader, 4);
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double mp_double_(mp_reader *reader) {
    uint64_t bits = mp_big_endian_(reader, 8);
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

// A number of any type, rounded where it has to be: encoders write 2.0 as the whole number 2.
static inline float mp_f32(mp_reader *reader) {
    bool negative;
    if (mp_is_(reader, 0xca)) return mp_float_(reader);
    if (mp_is_(reader, 0xcb)) return (float)mp_double_(reader);
    uint64_t value = mp_whole_(reader, &negative);
    return negative ? (float)(int64_t)value : (float)value;
}

// A number of any type, rounded where it has to be.
static inline double mp_f64(mp_reader *reader) {
    bool negative;
    if (mp_is_(reader, 0xca)) return mp_float_(reader);
    if (mp_is_(reader, 0xcb)) return mp_double_(reader);
    uint64_t value = mp_whole_(reader, &negative);
    return negative ? (double)(int64_t)value : (double)value;
}

// A length: in the tag itself if that is in `fix` (under `mask`, unless that is 0), else in the 1, 2 or 4
// bytes after it.
static inline uint32_t mp_len_(mp_reader *reader, uint8_t fix, uint8_t mask, uint8_t first, size_t shortest) {
    uint8_t tag = mp_tag_(reader);
    if (mask > 0 && (tag & ~mask & 0xff) == fix) return tag & mask;
    for (size_t len = shortest; len <= 4; len *= 2, first++) {
        if (tag == first) return (uint32_t)mp_big_endian_(reader, len);
    }
    return (uint32_t)mp_no_(reader, tag);
}

static inline bool antiphon_is_utf8(antiphon_bytes text) {
    for (size_t i = 0; i < text.len;) {
        uint8_t lead = text.ptr[i++];
        if (lead < 0x80) continue;
        size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || more > text.len - i) return false;
        // The second byte tells what is written longer than it needs, a surrogate, or beyond U+10FFFF.
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (text.ptr[i] < low || text.ptr[i] > high) return false;
        for (size_t end = i + more; ++i < end;) {
            if ((text.ptr[i] & 0xc0) != 0x80) return false;
        }
    }
    return true;
}

// Text, in UTF-8; it points into the message.
static inline antiphon_bytes mp_str(mp_reader *reader) {
    antiphon_bytes text = mp_take_(reader, mp_len_(reader, 0xa0, 0x1f, 0xd9, 1));
    if (antiphon_is_utf8(text)) return text;
    mp_fail(reader, MP_MALFORMED);
    return reader->rest;
}

// Bytes (bin); they point into the message.
static inline antiphon_bytes mp_bin(mp_reader *reader) {
    return mp_take_(reader, mp_len_(reader, 0, 0, 0xc4, 1));
}

// So many entries follow, of 1 or 2 values each. A value takes a byte at least: all arrays and maps of a
// message together claim no more than it has, and a guest may ask for memory for what they claim.
static inline uint32_t mp_claim_(mp_reader *reader, uint64_t entries, uint64_t values) {
    reader->pending += entries * values;
    return (uint32_t)(reader->pending <= reader->rest.len ? entries : mp_fail(reader, MP_TRUNCATED));
}

// The number of values in an array, which follow.
static inline uint32_t mp_array(mp_reader *reader) {
    return mp_claim_(reader, mp_len_(reader, 0x90, 0x0f, 0xdc, 2), 1);
}

// The number of pairs of a map; a key and a value follow for each.
static inline uint32_t mp_map(mp_reader *reader) {
    return mp_claim_(reader, mp_len_(reader, 0x80, 0x0f, 0xde, 2), 2);
}

// For a function that calls itself for what is inside an array or a map: call mp_enter first, go in only
// if it says so, and call mp_leave after. No message then takes the stack to its end.
static inline bool mp_enter(mp_reader *reader) {
    if (reader->depth >= MP_MAX_DEPTH) mp_fail(reader, MP_TOO_DEEP);
    if (reader->error) return false;
    reader->depth++;
    return true;
}

static inline void mp_leave(mp_reader *reader) { reader->depth--; }

// Passes over a value of any type, with all that is in it.
static inline void mp_skip(mp_reader *reader) {
    // Counted, not recursive: no message makes the stack deep.
    uint64_t after = reader->pending > 0 ? reader->pending - 1 : 0;
    do {
        uint8_t tag = mp_tag_(reader);
        if (tag >= 0x80 && tag <= 0x8f) {
            mp_claim_(reader, tag & 0x0f, 2);
        } else if (tag >= 0x90 && tag <= 0x9f) {
            mp_claim_(reader, tag & 0x0f, 1);
        } else if (tag >= 0xa0 && tag <= 0xbf) {
            mp_take_(reader, tag & 0x1f);
        } else if (tag == 0xc1) {
            mp_no_(reader, tag);
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
            mp_claim_(reader, mp_big_endian_(reader, tag == 0xdc ? 2 : 4), 1);
        } else if (tag == 0xde || tag == 0xdf) {
            mp_claim_(reader, mp_big_endian_(reader, tag == 0xde ? 2 : 4), 2);
        }
    } while (reader->pending > after && !reader->error);
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

static inline void mp_put_nil(mp_writer *writer) { mp_tagged_(writer, 0xc0, 0, 0); }

static inline void mp_put_bool(mp_writer *writer, bool value) { mp_tagged_(writer, value ? 0xc3 : 0xc2, 0, 0); }

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

static inline void mp_put_int(mp_writer *writer, int64_t value) {
    if (value >= 0) {
        mp_put_uint(writer, (uint64_t)value);
    } else if (value >= -32) {
        mp_tagged_(writer, (uint8_t)value, 0, 0);
    } else if (value >= INT8_MIN) {
        mp_tagged_(writer, 0xd0, (uint64_t)value, 1);
    } else if (value >= INT16_MIN) {
        mp_tagged_(writer, 0xd1, (uint64_t)value, 2);
    } else if (value >= INT32_MIN) {
        mp_tagged_(writer, 0xd2, (uint64_t)value, 4);
    } else {
        mp_tagged_(writer, 0xd3, (uint64_t)value, 8);
    }
}

static inline void mp_put_f32(mp_writer *writer, float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    mp_tagged_(writer, 0xca, bits, 4);
}

static inline void mp_put_f64(mp_writer *writer, double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    mp_tagged_(writer, 0xcb, bits, 8);
}

// A length, as mp_len_ reads it.
static inline void mp_put_len_(mp_writer *writer, size_t length, uint8_t fix, uint8_t mask, uint8_t first,
                               size_t shortest) {
    if (mask > 0 && length <= mask) {
        mp_tagged_(writer, (uint8_t)(fix | length), 0, 0);
        return;
    }
    size_t len = shortest;
    for (; len < 4 && length >> (8 * len) > 0; len *= 2) first++;
    mp_tagged_(writer, first, length, len);
}

static inline void mp_put_str(mp_writer *writer, antiphon_bytes text) {
    mp_put_len_(writer, text.len, 0xa0, 0x1f, 0xd9, 1);
    mp_put_(writer, text);
}

static inline void mp_put_bin(mp_writer *writer, antiphon_bytes bytes) {
    mp_put_len_(writer, bytes.len, 0, 0, 0xc4, 1);
    mp_put_(writer, bytes);
}

// Begins an array of so many values, which have to follow.
static inline void mp_put_array(mp_writer *writer, uint32_t values) {
    mp_put_len_(writer, values, 0x90, 0x0f, 0xdc, 2);
}

// Begins a map of so many pairs; a key and a value have to follow for each.
static inline void mp_put_map(mp_writer *writer, uint32_t pairs) {
    mp_put_len_(writer, pairs, 0x80, 0x0f, 0xde, 2);
}

#endif
