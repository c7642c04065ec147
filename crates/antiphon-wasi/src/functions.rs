//! The list of all functions, which engines expand.

/// Expands a macro of the caller with the list of all functions, so that an engine writes its
/// imports once.
///
/// The macro receives three groups: the 44 functions that return to the guest at once;
/// `poll_oneoff`, which may suspend ([`Call::begin_poll_oneoff`](crate::Call::begin_poll_oneoff));
/// and [`proc_exit`](crate::Call::proc_exit), which ends the call. The types are those of wasm,
/// `i32` and `i64`. Its pattern is:
///
/// ```
/// macro_rules! count {
///     (
///         plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
///         suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
///         ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
///     ) => {
///         [$(stringify!($name)),*].len()
///     };
/// }
/// assert_eq!(antiphon_wasi::for_each_function!(count), 44);
/// ```
///
/// The argument may be a path. A second argument, in brackets, is passed to the macro before the
/// list. Names in the macro's body are resolved where the macro is defined, so define it after the
/// variables that its body uses, for example a linker.
#[macro_export]
macro_rules! for_each_function {
    ($($callback:ident)::+ $(, $given:tt)?) => {
        $($callback)::+! {
            $($given)?
            plain {
                fn args_get(pointers: i32, buffer: i32) -> i32;
                fn args_sizes_get(count: i32, size: i32) -> i32;
                fn clock_res_get(clock: i32, resolution: i32) -> i32;
                fn clock_time_get(clock: i32, precision: i64, time: i32) -> i32;
                fn environ_get(pointers: i32, buffer: i32) -> i32;
                fn environ_sizes_get(count: i32, size: i32) -> i32;
                fn fd_advise(fd: i32, offset: i64, length: i64, advice: i32) -> i32;
                fn fd_allocate(fd: i32, offset: i64, length: i64) -> i32;
                fn fd_close(fd: i32) -> i32;
                fn fd_datasync(fd: i32) -> i32;
                fn fd_fdstat_get(fd: i32, stat: i32) -> i32;
                fn fd_fdstat_set_flags(fd: i32, flags: i32) -> i32;
                fn fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64) -> i32;
                fn fd_filestat_get(fd: i32, stat: i32) -> i32;
                fn fd_filestat_set_size(fd: i32, size: i64) -> i32;
                fn fd_filestat_set_times(fd: i32, access: i64, modification: i64, flags: i32) -> i32;
                fn fd_pread(fd: i32, buffers: i32, count: i32, offset: i64, read: i32) -> i32;
                fn fd_prestat_dir_name(fd: i32, path: i32, length: i32) -> i32;
                fn fd_prestat_get(fd: i32, stat: i32) -> i32;
                fn fd_pwrite(fd: i32, buffers: i32, count: i32, offset: i64, written: i32) -> i32;
                fn fd_read(fd: i32, buffers: i32, count: i32, read: i32) -> i32;
                fn fd_readdir(fd: i32, buffer: i32, length: i32, cookie: i64, used: i32) -> i32;
                fn fd_renumber(from: i32, to: i32) -> i32;
                fn fd_seek(fd: i32, offset: i64, whence: i32, position: i32) -> i32;
                fn fd_sync(fd: i32) -> i32;
                fn fd_tell(fd: i32, position: i32) -> i32;
                fn fd_write(fd: i32, buffers: i32, count: i32, written: i32) -> i32;
                fn path_create_directory(fd: i32, path: i32, length: i32) -> i32;
                fn path_filestat_get(fd: i32, flags: i32, path: i32, length: i32, stat: i32) -> i32;
                fn path_filestat_set_times(
                    fd: i32, flags: i32, path: i32, length: i32, access: i64, modification: i64, which: i32
                ) -> i32;
                fn path_link(
                    old_fd: i32, flags: i32, old_path: i32, old_length: i32,
                    new_fd: i32, new_path: i32, new_length: i32
                ) -> i32;
                fn path_open(
                    fd: i32, lookup: i32, path: i32, length: i32, open: i32,
                    base: i64, inheriting: i64, flags: i32, opened: i32
                ) -> i32;
                fn path_readlink(
                    fd: i32, path: i32, length: i32, buffer: i32, capacity: i32, used: i32
                ) -> i32;
                fn path_remove_directory(fd: i32, path: i32, length: i32) -> i32;
                fn path_rename(
                    old_fd: i32, old_path: i32, old_length: i32, new_fd: i32, new_path: i32, new_length: i32
                ) -> i32;
                fn path_symlink(
                    old_path: i32, old_length: i32, fd: i32, new_path: i32, new_length: i32
                ) -> i32;
                fn path_unlink_file(fd: i32, path: i32, length: i32) -> i32;
                fn proc_raise(signal: i32) -> i32;
                fn random_get(buffer: i32, length: i32) -> i32;
                fn sched_yield() -> i32;
                fn sock_accept(fd: i32, flags: i32, accepted: i32) -> i32;
                fn sock_recv(
                    fd: i32, buffers: i32, count: i32, flags: i32, received: i32, flags_out: i32
                ) -> i32;
                fn sock_send(fd: i32, buffers: i32, count: i32, flags: i32, sent: i32) -> i32;
                fn sock_shutdown(fd: i32, how: i32) -> i32;
            }
            suspending {
                fn poll_oneoff(subscriptions: i32, events: i32, count: i32, stored: i32) -> i32;
            }
            ending {
                fn proc_exit(code: i32);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    /// Lists every function in the form of a line of `tests/preview1.txt`.
    macro_rules! signatures {
        (
            plain { $(fn $name:ident($($arg:ident: $type:ty),*) -> i32;)* }
            suspending { fn $poll:ident($($poll_arg:ident: $poll_type:ty),*) -> i32; }
            ending { fn $exit:ident($($exit_arg:ident: $exit_type:ty),*); }
        ) => {{
            let plain: Vec<(&str, Vec<&str>, &str)> = vec![
                $((stringify!($name), vec![$(stringify!($type)),*], " -> i32"),)*
                (stringify!($poll), vec![$(stringify!($poll_type)),*], " -> i32"),
                (stringify!($exit), vec![$(stringify!($exit_type)),*], ""),
            ];
            let mut lines: Vec<String> = plain
                .into_iter()
                .map(|(name, params, result)| format!("{name}({}){result}", params.join(", ")))
                .collect();
            lines.sort();
            lines
        }};
    }

    #[test]
    fn the_list_is_that_of_the_official_description() {
        // Made from wasi_snapshot_preview1.witx.
        let official: Vec<&str> = include_str!("../tests/preview1.txt").lines().collect();
        assert_eq!(official.len(), 46);
        assert_eq!(for_each_function!(signatures), official);
    }
}
