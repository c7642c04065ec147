//! A waPC guest with one operation, which uses what a host grants: a value that lasts between calls.

const antiphon = @import("antiphon.zig");
const msgpack = antiphon.msgpack;

pub const panic = antiphon.panic;

comptime {
    antiphon.operations(.{ .remember = remember });
}

const Get = struct { key: []const u8 };
const Got = struct { value: ?msgpack.Bytes = null };
const Put = struct { key: []const u8, value: msgpack.Bytes };

/// Keeps the payload in the host's store, and answers what it kept before.
fn remember(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    const get = try msgpack.encode(call.allocator, Get{ .key = "last" });
    const answer = try call.host("", "keyvalue", "get", get);
    const got = msgpack.decode(call.allocator, Got, answer) catch |err|
        return call.fail("{s}", .{msgpack.describe(err)});

    const put = try msgpack.encode(call.allocator, Put{ .key = "last", .value = .{ .bytes = payload } });
    _ = try call.host("", "keyvalue", "put", put);
    // The answer has a value only if the key is there.
    return if (got.value) |before| before.bytes else "";
}
