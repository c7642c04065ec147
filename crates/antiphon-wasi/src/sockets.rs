//! Functions that only sockets have. No descriptor is a socket.

use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

impl Call<'_> {
    /// Accepts a connection: `ENOTSOCK` for an open descriptor, `EBADF` for any other.
    /// Preview 0 lacks this function.
    pub fn sock_accept(&mut self, fd: i32, _flags: i32, _accepted: i32) -> Result<i32, Stop> {
        settle("sock_accept", self.no_socket(fd))
    }

    /// Receives a message: `ENOTSOCK` for an open descriptor, `EBADF` for any other.
    pub fn sock_recv(
        &mut self,
        fd: i32,
        _buffers: i32,
        _count: i32,
        _flags: i32,
        _received: i32,
        _flags_out: i32,
    ) -> Result<i32, Stop> {
        settle("sock_recv", self.no_socket(fd))
    }

    /// Sends a message: `ENOTSOCK` for an open descriptor, `EBADF` for any other.
    pub fn sock_send(
        &mut self,
        fd: i32,
        _buffers: i32,
        _count: i32,
        _flags: i32,
        _sent: i32,
    ) -> Result<i32, Stop> {
        settle("sock_send", self.no_socket(fd))
    }

    /// Shuts a connection down: `ENOTSOCK` for an open descriptor, `EBADF` for any other.
    pub fn sock_shutdown(&mut self, fd: i32, _how: i32) -> Result<i32, Stop> {
        settle("sock_shutdown", self.no_socket(fd))
    }

    fn no_socket(&self, fd: i32) -> Result<(), Failure> {
        Err(if self.session.is_open(fd) { Errno::Notsock } else { Errno::Badf }.into())
    }
}
