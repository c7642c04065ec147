//! The answer of every function in a world without files, by value, on every descriptor.

use antiphon_wasi::{Abi, Call, MODULES, Poll, Session, Stop, Stream, World};

/// Calls a function with all arguments zero except the first, which is a descriptor in most
/// functions.
fn answer(session: &mut Session, abi: Abi, name: &str, first: i32) -> Result<i32, Stop> {
    let mut memory = vec![0; 65_536];
    let mut log = |_: Stream, _: &str| {};
    let mut call = Call { session, memory: &mut memory, abi, log: &mut log };
    macro_rules! dispatch {
        (
            plain { $(fn $function:ident($($first:ident: $first_type:ty $(, $arg:ident: $type:ty)*)?) -> i32;)* }
            suspending { fn $poll:ident($($p:ident: $pt:ty),*) -> i32; }
            ending { fn $exit:ident($($e:ident: $et:ty),*); }
        ) => {
            match name {
                $(stringify!($function) => {
                    call.$function($({ let $first = first; $first } $(, { let $arg: $type = 0; $arg })*)?)
                })*
                stringify!($poll) => call.begin_poll_oneoff(first, 0, 1, 0).map(|poll| match poll {
                    Poll::Done(errno) => errno,
                    Poll::Wait(_) => -1,
                }),
                stringify!($exit) => call.proc_exit(first).map(|()| -1),
                unknown => panic!("{unknown} is no function"),
            }
        };
    }
    antiphon_wasi::for_each_function!(dispatch)
}

/// Each function with its answers for the descriptors 0, 1, 2, 3, and -1.
const ANSWERS: [(&str, [i32; 5]); 30] = [
    ("fd_advise", [8, 8, 8, 8, 8]),
    ("fd_allocate", [8, 8, 8, 8, 8]),
    ("fd_datasync", [8, 8, 8, 8, 8]),
    ("fd_fdstat_get", [0, 0, 0, 8, 8]),
    ("fd_fdstat_set_flags", [8, 8, 8, 8, 8]),
    ("fd_fdstat_set_rights", [8, 8, 8, 8, 8]),
    ("fd_filestat_get", [0, 0, 0, 8, 8]),
    ("fd_filestat_set_size", [8, 8, 8, 8, 8]),
    ("fd_filestat_set_times", [8, 8, 8, 8, 8]),
    ("fd_pread", [70, 8, 8, 8, 8]),
    ("fd_prestat_dir_name", [54, 54, 54, 8, 8]),
    ("fd_prestat_get", [8, 8, 8, 8, 8]),
    ("fd_pwrite", [8, 70, 70, 8, 8]),
    ("fd_read", [0, 8, 8, 8, 8]),
    ("fd_readdir", [8, 8, 8, 8, 8]),
    ("fd_seek", [70, 70, 70, 8, 8]),
    ("fd_sync", [8, 8, 8, 8, 8]),
    ("fd_tell", [70, 70, 70, 8, 8]),
    ("fd_write", [8, 0, 0, 8, 8]),
    ("path_create_directory", [8, 8, 8, 8, 8]),
    ("path_filestat_get", [8, 8, 8, 8, 8]),
    ("path_filestat_set_times", [8, 8, 8, 8, 8]),
    ("path_link", [8, 8, 8, 8, 8]),
    ("path_open", [8, 8, 8, 8, 8]),
    ("path_readlink", [8, 8, 8, 8, 8]),
    ("path_remove_directory", [8, 8, 8, 8, 8]),
    ("path_rename", [8, 8, 8, 8, 8]),
    ("path_symlink", [8, 8, 8, 8, 8]),
    ("path_unlink_file", [8, 8, 8, 8, 8]),
    ("sock_accept", [57, 57, 57, 8, 8]),
];

#[test]
fn every_function_of_a_descriptor_answers_as_in_a_world_without_files() {
    for (_, abi) in MODULES {
        let mut session = World::default().session();
        for (name, answers) in ANSWERS {
            for (fd, errno) in [0, 1, 2, 3, -1].into_iter().zip(answers) {
                assert_eq!(answer(&mut session, abi, name, fd), Ok(errno), "{name} on {fd}, {abi:?}");
            }
        }
        for name in ["sock_recv", "sock_send", "sock_shutdown"] {
            for (fd, errno) in [(0, 57), (1, 57), (2, 57), (3, 8), (-1, 8)] {
                assert_eq!(answer(&mut session, abi, name, fd), Ok(errno), "{name} on {fd}, {abi:?}");
            }
        }
    }
}

#[test]
fn every_other_function_answers_too() {
    for (_, abi) in MODULES {
        let mut session = World::default().session();
        let others = [
            ("args_get", 0, Ok(0)),
            ("args_sizes_get", 0, Ok(0)),
            ("clock_res_get", 0, Ok(0)),
            ("clock_res_get", 1, Ok(0)),
            ("clock_res_get", 2, Ok(28)),
            ("clock_time_get", 0, Ok(0)),
            ("clock_time_get", 1, Ok(0)),
            ("clock_time_get", 3, Ok(28)),
            ("environ_get", 0, Ok(0)),
            ("environ_sizes_get", 0, Ok(0)),
            ("poll_oneoff", 0, Ok(0)),
            ("proc_exit", 9, Err(Stop::Exit(9))),
            ("proc_raise", 0, Ok(58)),
            ("random_get", 0, Ok(0)),
            ("sched_yield", 0, Ok(0)),
            ("fd_close", 3, Ok(8)),
            ("fd_renumber", 3, Ok(8)),
            ("fd_renumber", 1, Ok(0)),
            ("fd_close", 0, Ok(0)),
            ("fd_close", 0, Ok(8)),
            ("fd_close", 1, Ok(8)),
        ];
        for (name, first, expected) in others {
            assert_eq!(answer(&mut session, abi, name, first), expected, "{name} of {first}, {abi:?}");
        }
    }
}
