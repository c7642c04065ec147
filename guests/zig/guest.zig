//! A waPC guest in Zig.

const std = @import("std");
const antiphon = @import("antiphon.zig");

pub const panic = antiphon.panic;

comptime {
    antiphon.operations(.{
        .echo = echo,
        .fail = fail,
        .panic = panics,
        .host = host,
        .log = log,
        .greet = greet,
    });
}

/// Answers the payload.
fn echo(_: *antiphon.Call, payload: []const u8) ![]const u8 {
    return payload;
}

/// Fails with a text that carries the payload.
fn fail(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    return call.fail("the guest refused: {s}", .{payload});
}

/// Panics: the host gets the text, and then the trap.
fn panics(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    @panic(try std.fmt.allocPrint(call.allocator, "the guest panicked: {s}", .{payload}));
}

/// Asks the host to echo the payload and passes on what it said, well or ill.
fn host(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    return call.host("binding", "sample", "echo", payload);
}

/// Writes the payload to the host's log and answers nothing.
fn log(_: *antiphon.Call, payload: []const u8) ![]const u8 {
    antiphon.log(payload);
    return "";
}

const GreetRequest = struct { name: []const u8, count: u32 };
const GreetResponse = struct { text: []const u8, length: u32 };

/// Takes a GreetRequest and answers a GreetResponse, both in MessagePack.
fn greet(call: *antiphon.Call, payload: []const u8) ![]const u8 {
    const request = antiphon.msgpack.decode(call.allocator, GreetRequest, payload) catch
        return call.fail("greet wants {{name: str, count: u32}} in MessagePack", .{});
    if (request.count > 1000) return call.fail("greet says hello 1000 times at most", .{});

    var text: std.ArrayList(u8) = .empty;
    for (0..request.count) |index| {
        try text.print(call.allocator, "{s}Hello, {s}!", .{ if (index > 0) " " else "", request.name });
    }
    const response: GreetResponse = .{ .text = text.items, .length = @intCast(text.items.len) };
    return antiphon.msgpack.encode(call.allocator, response);
}
