//! MessagePack of structs: whole numbers, booleans, text, and structs of them, as maps by the names of their fields.

const std = @import("std");

/// The message is cut short, has a value of another type than the struct, or lacks a field.
pub const Error = error{InvalidMessage};

/// Reads a `T` that takes up all of the message. Text points into the message.
///
/// Fields that have a default may be missing, and keys that are no field are passed over.
pub fn decode(comptime T: type, message: []const u8) Error!T {
    var reader: Reader = .{ .rest = message };
    const value = try reader.value(T);
    if (reader.rest.len > 0) return error.InvalidMessage;
    return value;
}

/// Writes a value, into memory of `allocator`.
pub fn encode(allocator: std.mem.Allocator, value: anytype) std.mem.Allocator.Error![]const u8 {
    var writer: Writer = .{ .allocator = allocator };
    try writer.value(value);
    return writer.message.items;
}

const Reader = struct {
    rest: []const u8,

    fn value(reader: *Reader, comptime T: type) Error!T {
        if (T == []const u8) return reader.take(try reader.length(0xa0, 0x1f, 0xd9, 1));
        return switch (@typeInfo(T)) {
            .bool => switch (try reader.number(u8)) {
                0xc2 => false,
                0xc3 => true,
                else => error.InvalidMessage,
            },
            .int => reader.int(T),
            .@"struct" => reader.structure(T),
            else => @compileError("no MessagePack for " ++ @typeName(T)),
        };
    }

    fn structure(reader: *Reader, comptime T: type) Error!T {
        const names = comptime std.meta.fieldNames(T);
        var found: [names.len]bool = @splat(false);
        var result: T = undefined;
        var pairs = try reader.length(0x80, 0x0f, 0xde, 2);
        next: while (pairs > 0) : (pairs -= 1) {
            const key = try reader.value([]const u8);
            inline for (names, 0..) |name, index| {
                if (std.mem.eql(u8, key, name)) {
                    @field(result, name) = try reader.value(@FieldType(T, name));
                    found[index] = true;
                    continue :next;
                }
            }
            try reader.skip();
        }
        inline for (names, @typeInfo(T).@"struct".field_attrs, 0..) |name, attributes, index| {
            if (!found[index]) {
                @field(result, name) = attributes.defaultValue(@FieldType(T, name)) orelse return error.InvalidMessage;
            }
        }
        return result;
    }

    fn int(reader: *Reader, comptime T: type) Error!T {
        const tag = try reader.number(u8);
        const whole: i128 = switch (tag) {
            0x00...0x7f => tag,
            0xe0...0xff => @as(i8, @bitCast(tag)),
            0xcc => try reader.number(u8),
            0xcd => try reader.number(u16),
            0xce => try reader.number(u32),
            0xcf => try reader.number(u64),
            0xd0 => try reader.number(i8),
            0xd1 => try reader.number(i16),
            0xd2 => try reader.number(i32),
            0xd3 => try reader.number(i64),
            else => return error.InvalidMessage,
        };
        return std.math.cast(T, whole) orelse error.InvalidMessage;
    }

    /// A length: in the tag itself if that is in `fix` (under `mask`), else in the 1, 2 or 4 bytes after it.
    fn length(reader: *Reader, fix: u8, mask: u8, first: u8, shortest: usize) Error!u32 {
        const tag = try reader.number(u8);
        if (tag & ~mask == fix) return tag & mask;
        if (tag < first) return error.InvalidMessage;
        return switch (std.math.shl(usize, shortest, tag - first)) {
            1 => try reader.number(u8),
            2 => try reader.number(u16),
            4 => try reader.number(u32),
            else => error.InvalidMessage,
        };
    }

    /// Passes over a value of any type, with all that is in it.
    fn skip(reader: *Reader) Error!void {
        // Counted, not recursive: no message makes the stack deep. A value takes a byte at least, so the loop ends
        // with the message.
        var left: u64 = 1;
        while (left > 0) : (left -= 1) {
            const tag = try reader.number(u8);
            switch (tag) {
                0x00...0x7f, 0xe0...0xff, 0xc0, 0xc2, 0xc3 => {},
                0x80...0x8f => left += @as(u64, tag & 0x0f) * 2,
                0x90...0x9f => left += tag & 0x0f,
                0xa0...0xbf => _ = try reader.take(tag & 0x1f),
                0xc1 => return error.InvalidMessage,
                0xc4, 0xd9 => _ = try reader.take(try reader.number(u8)),
                0xc5, 0xda => _ = try reader.take(try reader.number(u16)),
                0xc6, 0xdb => _ = try reader.take(try reader.number(u32)),
                0xc7 => _ = try reader.take(@as(u64, try reader.number(u8)) + 1),
                0xc8 => _ = try reader.take(@as(u64, try reader.number(u16)) + 1),
                0xc9 => _ = try reader.take(@as(u64, try reader.number(u32)) + 1),
                0xcc, 0xd0 => _ = try reader.take(1),
                0xcd, 0xd1, 0xd4 => _ = try reader.take(2),
                0xd5 => _ = try reader.take(3),
                0xca, 0xce, 0xd2 => _ = try reader.take(4),
                0xd6 => _ = try reader.take(5),
                0xcb, 0xcf, 0xd3 => _ = try reader.take(8),
                0xd7 => _ = try reader.take(9),
                0xd8 => _ = try reader.take(17),
                0xdc => left += try reader.number(u16),
                0xdd => left += try reader.number(u32),
                0xde => left += @as(u64, try reader.number(u16)) * 2,
                0xdf => left += @as(u64, try reader.number(u32)) * 2,
            }
        }
    }

    fn number(reader: *Reader, comptime T: type) Error!T {
        const bytes = try reader.take(@sizeOf(T));
        return std.mem.readInt(T, bytes[0..@sizeOf(T)], .big);
    }

    fn take(reader: *Reader, len: u64) Error![]const u8 {
        if (len > reader.rest.len) return error.InvalidMessage;
        const taken = reader.rest[0..@intCast(len)];
        reader.rest = reader.rest[@intCast(len)..];
        return taken;
    }
};

const Writer = struct {
    allocator: std.mem.Allocator,
    message: std.ArrayList(u8) = .empty,

    fn value(writer: *Writer, any: anytype) std.mem.Allocator.Error!void {
        const T = @TypeOf(any);
        if (T == []const u8 or T == []u8) return writer.text(any);
        switch (@typeInfo(T)) {
            .bool => try writer.tagged(if (any) 0xc3 else 0xc2, {}),
            .int, .comptime_int => try writer.int(any),
            .@"struct" => {
                const names = comptime std.meta.fieldNames(T);
                // So many fields that a map needs a length of its own are no message but a mistake.
                if (names.len > 15) @compileError("too many fields for a message: " ++ @typeName(T));
                try writer.tagged(0x80 | @as(u8, names.len), {});
                inline for (names) |name| {
                    try writer.text(name);
                    try writer.value(@field(any, name));
                }
            },
            else => @compileError("no MessagePack for " ++ @typeName(T)),
        }
    }

    fn int(writer: *Writer, whole: i128) std.mem.Allocator.Error!void {
        if (whole < 0) return writer.tagged(0xd3, @as(i64, @intCast(whole)));
        if (whole <= 0x7f) return writer.tagged(@intCast(whole), {});
        if (whole <= 0xff) return writer.tagged(0xcc, @as(u8, @intCast(whole)));
        if (whole <= 0xffff) return writer.tagged(0xcd, @as(u16, @intCast(whole)));
        if (whole <= 0xffff_ffff) return writer.tagged(0xce, @as(u32, @intCast(whole)));
        return writer.tagged(0xcf, @as(u64, @intCast(whole)));
    }

    fn text(writer: *Writer, bytes: []const u8) std.mem.Allocator.Error!void {
        switch (bytes.len) {
            0...0x1f => try writer.tagged(0xa0 | @as(u8, @intCast(bytes.len)), {}),
            0x20...0xff => try writer.tagged(0xd9, @as(u8, @intCast(bytes.len))),
            0x100...0xffff => try writer.tagged(0xda, @as(u16, @intCast(bytes.len))),
            else => try writer.tagged(0xdb, @as(u32, @intCast(bytes.len))),
        }
        try writer.message.appendSlice(writer.allocator, bytes);
    }

    /// A tag, then a number, most significant byte first.
    fn tagged(writer: *Writer, tag: u8, after: anytype) std.mem.Allocator.Error!void {
        try writer.message.append(writer.allocator, tag);
        if (@TypeOf(after) == void) return;
        var bytes: [@sizeOf(@TypeOf(after))]u8 = undefined;
        std.mem.writeInt(@TypeOf(after), &bytes, after, .big);
        try writer.message.appendSlice(writer.allocator, &bytes);
    }
};
