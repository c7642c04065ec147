//! Everything that a waPC guest in Zig needs.
//!
//!     const antiphon = @import("antiphon.zig");
//!     pub const panic = antiphon.panic;
//!     comptime {
//!         antiphon.operations(.{ .echo = echo });
//!     }
//!     fn echo(_: *antiphon.Call, payload: []const u8) ![]const u8 {
//!         return payload;
//!     }
//!
//! Build with zig build-exe guest.zig -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseSmall.

const std = @import("std");

/// Reading and writing MessagePack.
pub const msgpack = @import("msgpack.zig");

/// Memory that is kept for the next call, in bytes; what a call took beyond it goes back to the allocator.
const kept = 1 << 20;

var arena: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);

/// The current call. Its memory is that of this call alone: nothing is freed by hand, and nothing may be kept.
pub const Call = struct {
    /// Memory until the call ends.
    allocator: std.mem.Allocator,
    failure: ?[]const u8 = null,

    /// What an operation that failed with a text returns.
    pub const Failed = error{Failed};

    /// Ends the call with a text for the host: `return call.fail("no {s}", .{what})`.
    pub fn fail(call: *Call, comptime format: []const u8, arguments: anytype) (Failed || std.mem.Allocator.Error) {
        call.failure = try std.fmt.allocPrint(call.allocator, format, arguments);
        return error.Failed;
    }

    /// Calls the host. Where it has no answer, the call fails with the host's text; `hostError` is that text.
    pub fn host(
        call: *Call,
        binding: []const u8,
        namespace: []const u8,
        operation: []const u8,
        payload: []const u8,
    ) (Failed || std.mem.Allocator.Error)![]const u8 {
        const ok = wapc.__host_call(
            binding.ptr,
            binding.len,
            namespace.ptr,
            namespace.len,
            operation.ptr,
            operation.len,
            payload.ptr,
            payload.len,
        );
        if (ok == 0) {
            const text = try call.allocator.alloc(u8, wapc.__host_error_len());
            wapc.__host_error(text.ptr);
            call.failure = text;
            return error.Failed;
        }
        const answer = try call.allocator.alloc(u8, wapc.__host_response_len());
        wapc.__host_response(answer.ptr);
        return answer;
    }

    /// What the host said when it last had no answer, for a guest that goes on with `host(..) catch`.
    pub fn hostError(call: *const Call) []const u8 {
        return call.failure orelse "";
    }
};

/// Says which operations the guest has, by name: each a `fn (*Call, []const u8) ![]const u8`. Once, in a `comptime` block.
///
/// Of an error that is not `fail`'s, the host gets the name.
pub fn operations(comptime table: anytype) void {
    const Guest = struct {
        fn guestCall(operation_len: usize, payload_len: usize) callconv(.c) i32 {
            _ = arena.reset(.{ .retain_with_limit = kept });
            var call: Call = .{ .allocator = arena.allocator() };
            if (serve(&call, operation_len, payload_len)) |answer| {
                wapc.__guest_response(answer.ptr, answer.len);
                return 1;
            } else |err| {
                const text = if (err == error.Failed) call.failure orelse "" else @errorName(err);
                wapc.__guest_error(text.ptr, text.len);
                return 0;
            }
        }

        fn serve(call: *Call, operation_len: usize, payload_len: usize) anyerror![]const u8 {
            const operation = try call.allocator.alloc(u8, operation_len);
            const payload = try call.allocator.alloc(u8, payload_len);
            wapc.__guest_request(operation.ptr, payload.ptr);
            inline for (comptime std.meta.fieldNames(@TypeOf(table))) |name| {
                if (std.mem.eql(u8, name, operation)) return @field(table, name)(call, payload);
            }
            return call.fail("No handler registered for function {s}", .{operation});
        }
    };
    @export(&Guest.guestCall, .{ .name = "__guest_call" });
}

/// Writes a line to the host's log.
pub fn log(line: []const u8) void {
    wapc.__console_log(line.ptr, line.len);
}

/// Tells the host the text of a panic, then traps: `pub const panic = antiphon.panic;` in the root file.
pub const panic = std.debug.FullPanic(struct {
    fn call(text: []const u8, _: ?usize) noreturn {
        wapc.__guest_error(text.ptr, text.len);
        @trap();
    }
}.call);

/// What the host offers.
const wapc = struct {
    extern "wapc" fn __guest_request(operation: [*]u8, payload: [*]u8) void;
    extern "wapc" fn __guest_response(answer: [*]const u8, len: usize) void;
    extern "wapc" fn __guest_error(text: [*]const u8, len: usize) void;
    extern "wapc" fn __host_call(
        binding: [*]const u8,
        binding_len: usize,
        namespace: [*]const u8,
        namespace_len: usize,
        operation: [*]const u8,
        operation_len: usize,
        payload: [*]const u8,
        payload_len: usize,
    ) i32;
    extern "wapc" fn __host_response_len() usize;
    extern "wapc" fn __host_response(answer: [*]u8) void;
    extern "wapc" fn __host_error_len() usize;
    extern "wapc" fn __host_error(text: [*]u8) void;
    extern "wapc" fn __console_log(line: [*]const u8, len: usize) void;
};
