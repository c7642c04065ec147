//! Functions that only sockets have. No descriptor is a socket.

use crate::abi::{Errno, Failure, Stop, settle};
use crate::call::Call;

impl Call<'_> {
    /// Accepts a connection: `ENOTSOCK` for a standard stream, `EBADF` for any other descriptor.
    /// Preview 0 lacks this function.
    pub fn sock_accept(&mut self, fd: i32, _flags: i32, _accepted: i32) -> Result<i32, Stop> {
        settle("sock_accept", self.no_socket(fd))
    }

    /// Receives a message: `ENOTSOCK` for a standard stream, `EBADF` for any other descriptor.
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

    /// Sends a message: `ENOTSOCK` for a standard stream, `EBADF` for any other descriptor.
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

    /// Shuts a connection down: `ENOTSOCK` for a standard stream, `EBADF` for any other descriptor.
    pub fn sock_shutdown(&mut self, fd: i32, _how: i32) -> Result<i32, Stop> {
        settle("sock_shutdown", self.no_socket(fd))
    }

    fn no_socket(&self, fd: i32) -> Result<(), Failure> {
        self.session.descriptors.get(fd)?;
        Err(Errno::Notsock.into())
    }
}
