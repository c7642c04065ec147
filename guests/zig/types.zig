//! A waPC guest with one operation, whose request and answer have a field of every type of MessagePack:
//! guests/msgpack/cases.toml is run against it, and against its twins in the other languages.

const antiphon = @import("antiphon.zig");
const msgpack = antiphon.msgpack;

pub const panic = antiphon.panic;

comptime {
    antiphon.operations(.{ .types = types });
}

const Point = struct { x: i32, y: i32 };
const Tree = struct { children: []const Tree };

const Record = struct {
    flag: bool,
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    f32: f32,
    f64: f64,
    text: []const u8,
    bytes: msgpack.Bytes,
    list: []const i64,
    map: msgpack.Map(i64),
    point: Point,
    points: []const Point,
    rows: []const []const i16,
    tree: Tree,
    maybe: ?i64,
    maybe_text: ?[]const u8,
    maybe_point: ?Point,
};

/// Takes a record and answers it.
fn types(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    const record = msgpack.decode(call.allocator, Record, payload) catch |err|
        return call.fail("{s}", .{msgpack.describe(err)});
    return msgpack.encode(call.allocator, record);
}
