//! MessagePack of structs, as maps by the names of their fields.
//!
//! | type | in the message |
//! | --- | --- |
//! | `bool` | true, false |
//! | `u8` to `u64`, `i8` to `i64`, and what is between | a whole number of any width |
//! | `f32`, `f64` | a number of any type: encoders write 2.0 as the whole number 2 |
//! | `[]const u8` | text, in UTF-8 |
//! | `Bytes` | bin |
//! | `[]const T` | an array |
//! | `Map(T)` | a map whose keys are text |
//! | a struct | a map by the names of its fields; all other keys are passed over |
//! | `?T` | the value, or nil; as a field it may be missing, as may every field that has a default |

const std = @import("std");
const Allocator = std.mem.Allocator;

/// Why a message could not be read.
pub const Error = error{
    /// The bytes end before the value does.
    Truncated,
    /// A byte that begins no value, or text that is not UTF-8.
    Malformed,
    /// A value of another type, a number out of range, or a field that is missing.
    Mismatch,
    /// Arrays and maps nest deeper than `max_depth`.
    TooDeep,
    /// Bytes follow the value.
    Trailing,
};

/// How deep arrays and maps may nest. What is passed over may nest deeper.
pub const max_depth = 127;

/// Bytes that are no text.
pub const Bytes = struct { bytes: []const u8 = "" };

/// A map of any keys, in the order of the message.
pub fn Map(comptime T: type) type {
    return struct {
        pairs: []const Pair = &.{},

        pub const Pair = struct { key: []const u8, value: T };
    };
}

/// Reads a `T` that takes up all of the message. Text and bytes point into the message, arrays and maps are in memory
/// of `allocator`.
pub fn decode(allocator: Allocator, comptime T: type, message: []const u8) (Error || Allocator.Error)!T {
    var reader: Reader = .{ .allocator = allocator, .rest = message };
    const value = try reader.value(T);
    if (reader.rest.len > 0) return error.Trailing;
    return value;
}

/// The text of an error, for the host.
pub fn describe(err: (Error || Allocator.Error)) []const u8 {
    return switch (err) {
        error.Truncated => "msgpack not decoded: the message ends before its value does",
        error.Malformed => "msgpack not decoded: a byte begins no value, or text is not UTF-8",
        error.Mismatch => "msgpack not decoded: a value is of another type, out of range, or missing",
        error.TooDeep => "msgpack not decoded: arrays and maps nest too deep",
        error.Trailing => "msgpack not decoded: bytes follow the value",
        error.OutOfMemory => "msgpack not decoded: out of memory",
    };
}

/// Writes a value, into memory of `allocator`.
pub fn encode(allocator: Allocator, value: anytype) Allocator.Error![]const u8 {
    var writer: Writer = .{ .allocator = allocator };
    try writer.value(value);
    return writer.message.items;
}

/// Whether a type is a `Map`.
fn isMap(comptime T: type) bool {
    return @hasDecl(T, "Pair") and @hasField(T.Pair, "value") and T == Map(@FieldType(T.Pair, "value"));
}

const Reader = struct {
    const Fault = Error || Allocator.Error;

    allocator: Allocator,
    rest: []const u8,
    depth: u32 = 0,
    /// The values that have to follow: those of the arrays and maps that are not read to their end.
    pending: u64 = 1,

    fn value(reader: *Reader, comptime T: type) Fault!T {
        if (T == []const u8) {
            const text = try reader.take(try reader.length(0xa0, 0x1f, 0xd9, 1));
            return if (std.unicode.utf8ValidateSlice(text)) text else error.Malformed;
        }
        if (T == Bytes) return .{ .bytes = try reader.take(try reader.length(0, 0, 0xc4, 1)) };
        switch (@typeInfo(T)) {
            .bool => {
                const tag = try reader.begin();
                return if (tag == 0xc2 or tag == 0xc3) tag == 0xc3 else no(tag);
            },
            .int => return std.math.cast(T, try reader.whole()) orelse error.Mismatch,
            .float => return reader.float(T),
            .optional => |optional| return if (reader.is(0xc0)) null else try reader.value(optional.child),
            .pointer => |pointer| {
                if (pointer.size != .slice) @compileError("no MessagePack for " ++ @typeName(T));
                return reader.array(pointer.child);
            },
            .@"struct" => {
                if (comptime isMap(T)) return .{ .pairs = try reader.pairs(T.Pair) };
                return reader.structure(T);
            },
            else => @compileError("no MessagePack for " ++ @typeName(T)),
        }
    }

    fn array(reader: *Reader, comptime T: type) Fault![]const T {
        var left = try reader.claim(try reader.length(0x90, 0x0f, 0xdc, 2), 1);
        try reader.enter();
        // Grown with what was read, not made for what was claimed: an item may be larger than its bytes.
        var items: std.ArrayList(T) = .empty;
        while (left > 0) : (left -= 1) try items.append(reader.allocator, try reader.value(T));
        reader.depth -= 1;
        return items.items;
    }

    fn pairs(reader: *Reader, comptime Pair: type) Fault![]const Pair {
        var left = try reader.claim(try reader.length(0x80, 0x0f, 0xde, 2), 2);
        try reader.enter();
        var found: std.ArrayList(Pair) = .empty;
        while (left > 0) : (left -= 1) {
            const key = try reader.value([]const u8);
            try found.append(reader.allocator, .{ .key = key, .value = try reader.value(@FieldType(Pair, "value")) });
        }
        reader.depth -= 1;
        return found.items;
    }

    fn structure(reader: *Reader, comptime T: type) Fault!T {
        const names = comptime std.meta.fieldNames(T);
        var found: [names.len]bool = @splat(false);
        var result: T = undefined;
        var left = try reader.claim(try reader.length(0x80, 0x0f, 0xde, 2), 2);
        try reader.enter();
        next: while (left > 0) : (left -= 1) {
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
        reader.depth -= 1;
        inline for (names, @typeInfo(T).@"struct".field_attrs, 0..) |name, attributes, index| {
            if (!found[index]) {
                const Field = @FieldType(T, name);
                const default: ?Field = attributes.defaultValue(Field);
                @field(result, name) = default orelse
                    if (@typeInfo(Field) == .optional) null else return error.Mismatch;
            }
        }
        return result;
    }

    /// Goes into an array, a map or a struct: types may contain themselves, and no message takes the stack to its end.
    fn enter(reader: *Reader) Error!void {
        if (reader.depth >= max_depth) return error.TooDeep;
        reader.depth += 1;
    }

    fn whole(reader: *Reader) Error!i128 {
        const tag = try reader.begin();
        return switch (tag) {
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
            else => no(tag),
        };
    }

    fn float(reader: *Reader, comptime T: type) Error!T {
        if (reader.is(0xca)) return @floatCast(@as(f32, @bitCast(try reader.number(u32))));
        if (reader.is(0xcb)) return @floatCast(@as(f64, @bitCast(try reader.number(u64))));
        // Of 64 bits, for which there are instructions.
        const number128 = try reader.whole();
        if (number128 < 0) return @floatFromInt(@as(i64, @intCast(number128)));
        return @floatFromInt(@as(u64, @intCast(number128)));
    }

    /// A length: in the tag itself if that is in `fix` (under `mask`, unless that is 0), else in the 1, 2 or 4 bytes
    /// after it.
    fn length(reader: *Reader, fix: u8, mask: u8, first: u8, shortest: usize) Error!u32 {
        const tag = try reader.begin();
        if (mask > 0 and tag & ~mask == fix) return tag & mask;
        if (tag < first) return no(tag);
        return switch (std.math.shl(usize, shortest, tag - first)) {
            1 => try reader.number(u8),
            2 => try reader.number(u16),
            4 => try reader.number(u32),
            else => no(tag),
        };
    }

    /// So many entries follow, of 1 or 2 values each. A value takes a byte at least: all arrays and maps of a message
    /// together claim no more than it has.
    fn claim(reader: *Reader, entries: u32, values: u64) Error!u32 {
        reader.pending += values * entries;
        return if (reader.pending <= reader.rest.len) entries else error.Truncated;
    }

    /// Passes over a value of any type, with all that is in it.
    fn skip(reader: *Reader) Error!void {
        // Counted, not recursive: no message makes the stack deep.
        const after = reader.pending - 1;
        while (reader.pending > after) {
            const tag = try reader.begin();
            switch (tag) {
                0x00...0x7f, 0xe0...0xff, 0xc0, 0xc2, 0xc3 => {},
                0x80...0x8f => _ = try reader.claim(tag & 0x0f, 2),
                0x90...0x9f => _ = try reader.claim(tag & 0x0f, 1),
                0xa0...0xbf => _ = try reader.take(tag & 0x1f),
                0xc1 => return no(tag),
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
                0xdc => _ = try reader.claim(try reader.number(u16), 1),
                0xdd => _ = try reader.claim(try reader.number(u32), 1),
                0xde => _ = try reader.claim(try reader.number(u16), 2),
                0xdf => _ = try reader.claim(try reader.number(u32), 2),
            }
        }
    }

    /// The byte that a value begins with.
    fn begin(reader: *Reader) Error!u8 {
        reader.pending -= 1;
        return reader.number(u8);
    }

    /// Whether the next value begins with this tag, which is then behind us.
    fn is(reader: *Reader, expected: u8) bool {
        if (reader.rest.len == 0 or reader.rest[0] != expected) return false;
        reader.pending -= 1;
        reader.rest = reader.rest[1..];
        return true;
    }

    fn number(reader: *Reader, comptime T: type) Error!T {
        const bytes = try reader.take(@sizeOf(T));
        return std.mem.readInt(T, bytes[0..@sizeOf(T)], .big);
    }

    fn take(reader: *Reader, len: u64) Error![]const u8 {
        if (len > reader.rest.len) return error.Truncated;
        const taken = reader.rest[0..@intCast(len)];
        reader.rest = reader.rest[@intCast(len)..];
        return taken;
    }

    /// Fails because of a tag that is none of those expected.
    fn no(tag: u8) Error {
        return if (tag == 0xc1) error.Malformed else error.Mismatch;
    }
};

const Writer = struct {
    allocator: Allocator,
    message: std.ArrayList(u8) = .empty,

    fn value(writer: *Writer, any: anytype) Allocator.Error!void {
        const T = @TypeOf(any);
        if (T == []const u8 or T == []u8) return writer.bytes(any, 0xa0, 0x1f, 0xd9);
        if (T == Bytes) return writer.bytes(any.bytes, 0, 0, 0xc4);
        switch (@typeInfo(T)) {
            .bool => try writer.tagged(if (any) 0xc3 else 0xc2, {}),
            .int, .comptime_int => try writer.int(any),
            .float => |float| switch (float.bits) {
                32 => try writer.tagged(0xca, @as(u32, @bitCast(any))),
                64 => try writer.tagged(0xcb, @as(u64, @bitCast(any))),
                else => @compileError("no MessagePack for " ++ @typeName(T)),
            },
            .optional => if (any) |there| try writer.value(there) else try writer.tagged(0xc0, {}),
            .pointer => |pointer| {
                if (pointer.size != .slice) @compileError("no MessagePack for " ++ @typeName(T));
                try writer.length(any.len, 0x90, 0x0f, 0xdc, 2);
                for (any) |item| try writer.value(item);
            },
            .@"struct" => if (comptime isMap(T)) {
                try writer.length(any.pairs.len, 0x80, 0x0f, 0xde, 2);
                for (any.pairs) |pair| {
                    try writer.value(pair.key);
                    try writer.value(pair.value);
                }
            } else {
                const names = comptime std.meta.fieldNames(T);
                try writer.length(names.len, 0x80, 0x0f, 0xde, 2);
                inline for (names) |name| {
                    try writer.value(@as([]const u8, name));
                    try writer.value(@field(any, name));
                }
            },
            else => @compileError("no MessagePack for " ++ @typeName(T)),
        }
    }

    /// A whole number, as short as it can be.
    fn int(writer: *Writer, whole: i128) Allocator.Error!void {
        if (whole < 0) {
            if (whole >= -32) return writer.tagged(@bitCast(@as(i8, @intCast(whole))), {});
            if (whole >= std.math.minInt(i8)) return writer.tagged(0xd0, @as(i8, @intCast(whole)));
            if (whole >= std.math.minInt(i16)) return writer.tagged(0xd1, @as(i16, @intCast(whole)));
            if (whole >= std.math.minInt(i32)) return writer.tagged(0xd2, @as(i32, @intCast(whole)));
            return writer.tagged(0xd3, @as(i64, @intCast(whole)));
        }
        if (whole <= 0x7f) return writer.tagged(@intCast(whole), {});
        if (whole <= 0xff) return writer.tagged(0xcc, @as(u8, @intCast(whole)));
        if (whole <= 0xffff) return writer.tagged(0xcd, @as(u16, @intCast(whole)));
        if (whole <= 0xffff_ffff) return writer.tagged(0xce, @as(u32, @intCast(whole)));
        return writer.tagged(0xcf, @as(u64, @intCast(whole)));
    }

    fn bytes(writer: *Writer, any: []const u8, fix: u8, mask: u8, first: u8) Allocator.Error!void {
        try writer.length(any.len, fix, mask, first, 1);
        try writer.message.appendSlice(writer.allocator, any);
    }

    /// A length, as the reader's `length` reads it.
    fn length(writer: *Writer, len: usize, fix: u8, mask: u8, first: u8, shortest: u8) Allocator.Error!void {
        if (mask > 0 and len <= mask) return writer.tagged(fix | @as(u8, @intCast(len)), {});
        if (shortest == 1 and len <= 0xff) return writer.tagged(first, @as(u8, @intCast(len)));
        if (len <= 0xffff) return writer.tagged(first + 2 - shortest, @as(u16, @intCast(len)));
        return writer.tagged(first + 3 - shortest, @as(u32, @intCast(len)));
    }

    /// A tag, then a number, most significant byte first.
    fn tagged(writer: *Writer, tag: u8, after: anytype) Allocator.Error!void {
        try writer.message.append(writer.allocator, tag);
        if (@TypeOf(after) == void) return;
        var digits: [@sizeOf(@TypeOf(after))]u8 = undefined;
        std.mem.writeInt(@TypeOf(after), &digits, after, .big);
        try writer.message.appendSlice(writer.allocator, &digits);
    }
};
