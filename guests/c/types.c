// A waPC guest with one operation, whose request and answer have a field of every type of MessagePack:
// guests/msgpack/cases.toml is run against it, and against its twins in the other languages.

#include "antiphon.h"

typedef struct {
    antiphon_bytes key;
    int64_t value;
} pair;

typedef struct {
    int32_t x, y;
} point;

typedef struct tree {
    uint32_t count;
    struct tree *children;
} tree;

typedef struct {
    uint32_t count;
    int16_t *values;
} row;

typedef struct {
    bool flag;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    antiphon_bytes text, bytes;
    int64_t *list;
    pair *map;
    point place;
    point *points;
    row *rows;
    tree tree;
    // The fields that may be nil or missing.
    bool has_maybe, has_maybe_text, has_maybe_point;
    int64_t maybe;
    antiphon_bytes maybe_text;
    point maybe_point;
    uint32_t list_count, map_count, points_count, rows_count;
} record;

// The fields, in the order of their names.
enum field {
    FLAG, U8, U16, U32, U64, I8, I16, I32, I64, F32, F64, TEXT, BYTES, LIST, MAP, POINT, POINTS, ROWS, TREE,
    MAYBE, MAYBE_TEXT, MAYBE_POINT, FIELDS
};

static const char *const NAMES[FIELDS] = {
    "flag", "u8",   "u16",  "u32", "u64",   "i8",     "i16",  "i32",  "i64",   "f32",        "f64",
    "text", "bytes", "list", "map", "point", "points", "rows", "tree", "maybe", "maybe_text", "maybe_point",
};

// The fields before MAYBE must be there.
static const uint32_t REQUIRED = (1u << MAYBE) - 1;

static point read_point(mp_reader *reader) {
    point point = {0, 0};
    bool has_x = false, has_y = false;
    for (uint32_t pairs = mp_map(reader); pairs > 0 && !reader->error; pairs--) {
        antiphon_bytes key = mp_str(reader);
        if (antiphon_equal(key, antiphon_text("x"))) {
            point.x = (int32_t)mp_int(reader, INT32_MIN, INT32_MAX);
            has_x = true;
        } else if (antiphon_equal(key, antiphon_text("y"))) {
            point.y = (int32_t)mp_int(reader, INT32_MIN, INT32_MAX);
            has_y = true;
        } else {
            mp_skip(reader);
        }
    }
    mp_require(reader, has_x && has_y);
    return point;
}

// A tree contains trees, so the reader counts how deep it is.
static tree read_tree(mp_reader *reader) {
    tree tree = {0, NULL};
    bool has_children = false;
    if (!mp_enter(reader)) return tree;
    for (uint32_t pairs = mp_map(reader); pairs > 0 && !reader->error; pairs--) {
        if (antiphon_equal(mp_str(reader), antiphon_text("children"))) {
            tree.count = mp_array(reader);
            tree.children = antiphon_alloc((uint64_t)tree.count * sizeof *tree.children);
            for (uint32_t i = 0; i < tree.count && !reader->error; i++) tree.children[i] = read_tree(reader);
            has_children = true;
        } else {
            mp_skip(reader);
        }
    }
    mp_require(reader, has_children);
    mp_leave(reader);
    return tree;
}

static void read_field(mp_reader *reader, record *record, uint32_t field) {
    switch (field) {
        case FLAG:
            record->flag = mp_bool(reader);
            break;
        case U8:
            record->u8 = (uint8_t)mp_uint(reader, UINT8_MAX);
            break;
        case U16:
            record->u16 = (uint16_t)mp_uint(reader, UINT16_MAX);
            break;
        case U32:
            record->u32 = (uint32_t)mp_uint(reader, UINT32_MAX);
            break;
        case U64:
            record->u64 = mp_uint(reader, UINT64_MAX);
            break;
        case I8:
            record->i8 = (int8_t)mp_int(reader, INT8_MIN, INT8_MAX);
            break;
        case I16:
            record->i16 = (int16_t)mp_int(reader, INT16_MIN, INT16_MAX);
            break;
        case I32:
            record->i32 = (int32_t)mp_int(reader, INT32_MIN, INT32_MAX);
            break;
        case I64:
            record->i64 = mp_int(reader, INT64_MIN, INT64_MAX);
            break;
        case F32:
            record->f32 = mp_f32(reader);
            break;
        case F64:
            record->f64 = mp_f64(reader);
            break;
        case TEXT:
            record->text = mp_str(reader);
            break;
        case BYTES:
            record->bytes = mp_bin(reader);
            break;
        case LIST:
            record->list_count = mp_array(reader);
            record->list = antiphon_alloc((uint64_t)record->list_count * sizeof *record->list);
            for (uint32_t i = 0; i < record->list_count && !reader->error; i++) {
                record->list[i] = mp_int(reader, INT64_MIN, INT64_MAX);
            }
            break;
        case MAP:
            record->map_count = mp_map(reader);
            record->map = antiphon_alloc((uint64_t)record->map_count * sizeof *record->map);
            for (uint32_t i = 0; i < record->map_count && !reader->error; i++) {
                record->map[i].key = mp_str(reader);
                record->map[i].value = mp_int(reader, INT64_MIN, INT64_MAX);
            }
            break;
        case POINT:
            record->place = read_point(reader);
            break;
        case POINTS:
            record->points_count = mp_array(reader);
            record->points = antiphon_alloc((uint64_t)record->points_count * sizeof *record->points);
            for (uint32_t i = 0; i < record->points_count && !reader->error; i++) {
                record->points[i] = read_point(reader);
            }
            break;
        case ROWS:
            record->rows_count = mp_array(reader);
            record->rows = antiphon_alloc((uint64_t)record->rows_count * sizeof *record->rows);
            for (uint32_t i = 0; i < record->rows_count && !reader->error; i++) {
                row *row = &record->rows[i];
                row->count = mp_array(reader);
                row->values = antiphon_alloc((uint64_t)row->count * sizeof *row->values);
                for (uint32_t j = 0; j < row->count && !reader->error; j++) {
                    row->values[j] = (int16_t)mp_int(reader, INT16_MIN, INT16_MAX);
                }
            }
            break;
        case TREE:
            record->tree = read_tree(reader);
            break;
        case MAYBE:
            record->has_maybe = !mp_nil(reader);
            if (record->has_maybe) record->maybe = mp_int(reader, INT64_MIN, INT64_MAX);
            break;
        case MAYBE_TEXT:
            record->has_maybe_text = !mp_nil(reader);
            if (record->has_maybe_text) record->maybe_text = mp_str(reader);
            break;
        case MAYBE_POINT:
            record->has_maybe_point = !mp_nil(reader);
            if (record->has_maybe_point) record->maybe_point = read_point(reader);
            break;
        default:
            mp_skip(reader);
    }
}

static record read_record(mp_reader *reader) {
    record record;
    __builtin_memset(&record, 0, sizeof record);
    uint32_t found = 0;
    for (uint32_t pairs = mp_map(reader); pairs > 0 && !reader->error; pairs--) {
        antiphon_bytes key = mp_str(reader);
        uint32_t field = 0;
        while (field < FIELDS && !antiphon_equal(key, antiphon_text(NAMES[field]))) field++;
        read_field(reader, &record, field);
        if (field < FIELDS) found |= 1u << field;
    }
    mp_require(reader, (found & REQUIRED) == REQUIRED);
    return record;
}

static void write_point(mp_writer *writer, point point) {
    mp_put_map(writer, 2);
    mp_put_str(writer, antiphon_text("x"));
    mp_put_int(writer, point.x);
    mp_put_str(writer, antiphon_text("y"));
    mp_put_int(writer, point.y);
}

static void write_tree(mp_writer *writer, tree tree) {
    mp_put_map(writer, 1);
    mp_put_str(writer, antiphon_text("children"));
    mp_put_array(writer, tree.count);
    for (uint32_t i = 0; i < tree.count; i++) write_tree(writer, tree.children[i]);
}

static void write_record(mp_writer *writer, const record *record) {
    mp_put_map(writer, FIELDS);
    for (uint32_t field = 0; field < FIELDS; field++) {
        mp_put_str(writer, antiphon_text(NAMES[field]));
        switch (field) {
            case FLAG:
                mp_put_bool(writer, record->flag);
                break;
            case U8:
                mp_put_uint(writer, record->u8);
                break;
            case U16:
                mp_put_uint(writer, record->u16);
                break;
            case U32:
                mp_put_uint(writer, record->u32);
                break;
            case U64:
                mp_put_uint(writer, record->u64);
                break;
            case I8:
                mp_put_int(writer, record->i8);
                break;
            case I16:
                mp_put_int(writer, record->i16);
                break;
            case I32:
                mp_put_int(writer, record->i32);
                break;
            case I64:
                mp_put_int(writer, record->i64);
                break;
            case F32:
                mp_put_f32(writer, record->f32);
                break;
            case F64:
                mp_put_f64(writer, record->f64);
                break;
            case TEXT:
                mp_put_str(writer, record->text);
                break;
            case BYTES:
                mp_put_bin(writer, record->bytes);
                break;
            case LIST:
                mp_put_array(writer, record->list_count);
                for (uint32_t i = 0; i < record->list_count; i++) mp_put_int(writer, record->list[i]);
                break;
            case MAP:
                mp_put_map(writer, record->map_count);
                for (uint32_t i = 0; i < record->map_count; i++) {
                    mp_put_str(writer, record->map[i].key);
                    mp_put_int(writer, record->map[i].value);
                }
                break;
            case POINT:
                write_point(writer, record->place);
                break;
            case POINTS:
                mp_put_array(writer, record->points_count);
                for (uint32_t i = 0; i < record->points_count; i++) write_point(writer, record->points[i]);
                break;
            case ROWS:
                mp_put_array(writer, record->rows_count);
                for (uint32_t i = 0; i < record->rows_count; i++) {
                    const row *row = &record->rows[i];
                    mp_put_array(writer, row->count);
                    for (uint32_t j = 0; j < row->count; j++) mp_put_int(writer, row->values[j]);
                }
                break;
            case TREE:
                write_tree(writer, record->tree);
                break;
            case MAYBE:
                record->has_maybe ? mp_put_int(writer, record->maybe) : mp_put_nil(writer);
                break;
            case MAYBE_TEXT:
                record->has_maybe_text ? mp_put_str(writer, record->maybe_text) : mp_put_nil(writer);
                break;
            case MAYBE_POINT:
                record->has_maybe_point ? write_point(writer, record->maybe_point) : mp_put_nil(writer);
                break;
        }
    }
}

// Takes a record and answers it.
static antiphon_result types(antiphon_bytes payload) {
    mp_reader reader = mp_read(payload);
    record record = read_record(&reader);
    if (!mp_end(&reader)) return antiphon_fail(mp_error_text(reader.error));
    mp_writer writer = mp_write();
    write_record(&writer, &record);
    return antiphon_ok(mp_message(&writer));
}

ANTIPHON_OPERATIONS({"types", types})
