//! The outcome of each function of WASI preview 1 for each of its arguments, in a world without
//! files and sockets.

/// The purpose of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A pointer to so many bytes, which are read or written. A wild one ends the call.
    Span(i64),
    /// The length of a span that begins at this address.
    Length(i64),
    /// An argument of 32 bits that is not read.
    Unread,
    /// An argument of 64 bits that is not read.
    Unread64,
    /// A descriptor, clock, or number of entries. A hostile value is answered with this error
    /// number before any pointer is used.
    Chosen(i32),
    /// The code of an exit.
    ExitCode,
}

impl Role {
    pub(super) fn ty(self) -> &'static str {
        if self == Self::Unread64 { "i64" } else { "i32" }
    }
}

/// A function: its name, its arguments with sound values, and the error number for those.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The argument's name, its purpose, and a sound value.
    pub(super) params: &'static [(&'static str, Role, i64)],
    pub(super) errno: i32,
}

/// Error numbers.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOTDIR: i32 = 54;
const NOTSOCK: i32 = 57;
const NOTSUP: i32 = 58;
const SPIPE: i32 = 70;

const fn function(name: &'static str, params: &'static [(&'static str, Role, i64)], errno: i32) -> Function {
    Function { name, params, errno }
}

use Role::{Chosen, ExitCode, Length, Span, Unread, Unread64};

/// Every function of preview 1. The world has the arguments `a` and `b` and the environment `K=v`.
/// Memory has two buffers at 1024 and a subscription to standard input at 1280.
pub(super) const FUNCTIONS: &[Function] = &[
    function("args_get", &[("pointers", Span(8), 3072), ("buffer", Span(4), 4096)], SUCCESS),
    function("args_sizes_get", &[("count", Span(4), 3072), ("size", Span(4), 3076)], SUCCESS),
    function("environ_get", &[("pointers", Span(4), 3072), ("buffer", Span(4), 4096)], SUCCESS),
    function("environ_sizes_get", &[("count", Span(4), 3072), ("size", Span(4), 3076)], SUCCESS),
    function("clock_res_get", &[("clock", Chosen(INVAL), 1), ("resolution", Span(8), 3072)], SUCCESS),
    function(
        "clock_time_get",
        &[("clock", Chosen(INVAL), 0), ("precision", Unread64, 1), ("time", Span(8), 3072)],
        SUCCESS,
    ),
    function(
        "fd_advise",
        &[("fd", Unread, 1), ("offset", Unread64, 0), ("length", Unread64, 1), ("advice", Unread, 0)],
        BADF,
    ),
    function("fd_allocate", &[("fd", Unread, 1), ("offset", Unread64, 0), ("length", Unread64, 1)], BADF),
    // A descriptor that is not open, because later calls need the open ones.
    function("fd_close", &[("fd", Unread, 3)], BADF),
    function("fd_datasync", &[("fd", Unread, 1)], BADF),
    function("fd_fdstat_get", &[("fd", Chosen(BADF), 1), ("stat", Span(24), 3072)], SUCCESS),
    function("fd_fdstat_set_flags", &[("fd", Unread, 1), ("flags", Unread, 0)], BADF),
    function(
        "fd_fdstat_set_rights",
        &[("fd", Unread, 1), ("base", Unread64, 0), ("inheriting", Unread64, 0)],
        BADF,
    ),
    // 56 bytes under the older name; memory ends at a multiple of 64.
    function("fd_filestat_get", &[("fd", Chosen(BADF), 1), ("stat", Span(56), 3072)], SUCCESS),
    function("fd_filestat_set_size", &[("fd", Unread, 1), ("size", Unread64, 0)], BADF),
    function(
        "fd_filestat_set_times",
        &[("fd", Unread, 1), ("access", Unread64, 0), ("modification", Unread64, 0), ("flags", Unread, 0)],
        BADF,
    ),
    function(
        "fd_pread",
        &[
            ("fd", Chosen(BADF), 0),
            ("buffers", Unread, 1024),
            ("count", Unread, 2),
            ("offset", Unread64, 0),
            ("read", Unread, 3072),
        ],
        SPIPE,
    ),
    function(
        "fd_prestat_dir_name",
        &[("fd", Chosen(BADF), 1), ("path", Unread, 4096), ("length", Unread, 8)],
        NOTDIR,
    ),
    function("fd_prestat_get", &[("fd", Unread, 3), ("stat", Unread, 3072)], BADF),
    function(
        "fd_pwrite",
        &[
            ("fd", Chosen(BADF), 1),
            ("buffers", Unread, 1024),
            ("count", Unread, 2),
            ("offset", Unread64, 0),
            ("written", Unread, 3072),
        ],
        SPIPE,
    ),
    function(
        "fd_read",
        &[
            ("fd", Chosen(BADF), 0),
            ("buffers", Span(16), 1024),
            ("count", Chosen(INVAL), 2),
            ("read", Span(4), 3072),
        ],
        SUCCESS,
    ),
    function(
        "fd_readdir",
        &[
            ("fd", Unread, 1),
            ("buffer", Unread, 4096),
            ("length", Unread, 64),
            ("cookie", Unread64, 0),
            ("used", Unread, 3072),
        ],
        BADF,
    ),
    function("fd_renumber", &[("from", Chosen(BADF), 1), ("to", Chosen(BADF), 1)], SUCCESS),
    function(
        "fd_seek",
        &[
            ("fd", Chosen(BADF), 1),
            ("offset", Unread64, 0),
            ("whence", Unread, 0),
            ("position", Unread, 3072),
        ],
        SPIPE,
    ),
    function("fd_sync", &[("fd", Unread, 1)], BADF),
    function("fd_tell", &[("fd", Chosen(BADF), 1), ("position", Unread, 3072)], SPIPE),
    function(
        "fd_write",
        &[
            ("fd", Chosen(BADF), 1),
            ("buffers", Span(16), 1024),
            ("count", Chosen(INVAL), 2),
            ("written", Span(4), 3072),
        ],
        SUCCESS,
    ),
    function(
        "path_create_directory",
        &[("fd", Unread, 3), ("path", Unread, 4096), ("length", Unread, 4)],
        BADF,
    ),
    function(
        "path_filestat_get",
        &[
            ("fd", Unread, 3),
            ("flags", Unread, 0),
            ("path", Unread, 4096),
            ("length", Unread, 4),
            ("stat", Unread, 3072),
        ],
        BADF,
    ),
    function(
        "path_filestat_set_times",
        &[
            ("fd", Unread, 3),
            ("flags", Unread, 0),
            ("path", Unread, 4096),
            ("length", Unread, 4),
            ("access", Unread64, 0),
            ("modification", Unread64, 0),
            ("which", Unread, 0),
        ],
        BADF,
    ),
    function(
        "path_link",
        &[
            ("old_fd", Unread, 3),
            ("flags", Unread, 0),
            ("old_path", Unread, 4096),
            ("old_length", Unread, 4),
            ("new_fd", Unread, 3),
            ("new_path", Unread, 4200),
            ("new_length", Unread, 4),
        ],
        BADF,
    ),
    function(
        "path_open",
        &[
            ("fd", Unread, 3),
            ("lookup", Unread, 0),
            ("path", Unread, 4096),
            ("length", Unread, 4),
            ("open", Unread, 0),
            ("base", Unread64, -1),
            ("inheriting", Unread64, -1),
            ("flags", Unread, 0),
            ("opened", Unread, 3072),
        ],
        BADF,
    ),
    function(
        "path_readlink",
        &[
            ("fd", Unread, 3),
            ("path", Unread, 4096),
            ("length", Unread, 4),
            ("buffer", Unread, 4200),
            ("capacity", Unread, 64),
            ("used", Unread, 3072),
        ],
        BADF,
    ),
    function(
        "path_remove_directory",
        &[("fd", Unread, 3), ("path", Unread, 4096), ("length", Unread, 4)],
        BADF,
    ),
    function(
        "path_rename",
        &[
            ("old_fd", Unread, 3),
            ("old_path", Unread, 4096),
            ("old_length", Unread, 4),
            ("new_fd", Unread, 3),
            ("new_path", Unread, 4200),
            ("new_length", Unread, 4),
        ],
        BADF,
    ),
    function(
        "path_symlink",
        &[
            ("old_path", Unread, 4096),
            ("old_length", Unread, 4),
            ("fd", Unread, 3),
            ("new_path", Unread, 4200),
            ("new_length", Unread, 4),
        ],
        BADF,
    ),
    function("path_unlink_file", &[("fd", Unread, 3), ("path", Unread, 4096), ("length", Unread, 4)], BADF),
    // A subscription has 48 bytes, 56 under the older name; memory ends at a multiple of 64.
    function(
        "poll_oneoff",
        &[
            ("subscriptions", Span(48), 1280),
            ("events", Span(32), 3072),
            ("count", Chosen(INVAL), 1),
            ("stored", Span(4), 3200),
        ],
        SUCCESS,
    ),
    function("proc_exit", &[("code", ExitCode, 0)], SUCCESS),
    function("proc_raise", &[("signal", Unread, 9)], NOTSUP),
    function("random_get", &[("buffer", Span(64), 3072), ("length", Length(3072), 64)], SUCCESS),
    function("sched_yield", &[], SUCCESS),
    function(
        "sock_accept",
        &[("fd", Chosen(BADF), 1), ("flags", Unread, 0), ("accepted", Unread, 3072)],
        NOTSOCK,
    ),
    function(
        "sock_recv",
        &[
            ("fd", Chosen(BADF), 1),
            ("buffers", Unread, 1024),
            ("count", Unread, 2),
            ("flags", Unread, 0),
            ("received", Unread, 3072),
            ("flags_out", Unread, 3080),
        ],
        NOTSOCK,
    ),
    function(
        "sock_send",
        &[
            ("fd", Chosen(BADF), 1),
            ("buffers", Unread, 1024),
            ("count", Unread, 2),
            ("flags", Unread, 0),
            ("sent", Unread, 3072),
        ],
        NOTSOCK,
    ),
    function("sock_shutdown", &[("fd", Chosen(BADF), 1), ("how", Unread, 0)], NOTSOCK),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FUNCTIONS;

    #[test]
    fn the_table_has_every_function_once() {
        let names: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        assert_eq!((names.len(), FUNCTIONS.len()), (46, 46));
    }
}
