//! A waPC guest.

const std = @import("std");
const antiphon = @import("antiphon.zig");

pub const panic = antiphon.panic;

comptime {
    // Each name that the host calls, and its function. OPERATIONS.md has more to copy.
    antiphon.operations(.{
        .hello = hello,
    });
}

/// Greets whom the payload names.
fn hello(call: *antiphon.Call, name: []const u8) ![]const u8 {
    if (name.len == 0) return call.fail("hello wants a name", .{});
    return std.fmt.allocPrint(call.allocator, "Hello, {s}!", .{name});
}
