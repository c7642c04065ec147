//! Errors of the system as error numbers of the guest.

use std::io::{self, ErrorKind};

use super::system;
use crate::abi::{Errno, Failure};

impl From<io::Error> for Failure {
    #[cold]
    fn from(error: io::Error) -> Failure {
        errno(&error).into()
    }
}

/// Returns the error number of an error of the system or of the sandbox.
pub(super) fn errno(error: &io::Error) -> Errno {
    if let Some(errno) = error.raw_os_error().and_then(system::errno) {
        return errno;
    }
    match error.kind() {
        ErrorKind::NotFound => Errno::Noent,
        // What the sandbox says of a path that leads out.
        ErrorKind::PermissionDenied => Errno::Perm,
        ErrorKind::AlreadyExists => Errno::Exist,
        ErrorKind::WouldBlock => Errno::Again,
        ErrorKind::NotADirectory => Errno::Notdir,
        ErrorKind::IsADirectory => Errno::Isdir,
        ErrorKind::DirectoryNotEmpty => Errno::Notempty,
        ErrorKind::ReadOnlyFilesystem => Errno::Rofs,
        ErrorKind::InvalidInput => Errno::Inval,
        ErrorKind::StorageFull => Errno::Nospc,
        ErrorKind::NotSeekable => Errno::Spipe,
        ErrorKind::QuotaExceeded => Errno::Dquot,
        ErrorKind::FileTooLarge => Errno::Fbig,
        ErrorKind::ResourceBusy => Errno::Busy,
        ErrorKind::CrossesDevices => Errno::Xdev,
        ErrorKind::TooManyLinks => Errno::Mlink,
        ErrorKind::InvalidFilename => Errno::Nametoolong,
        ErrorKind::Interrupted => Errno::Intr,
        ErrorKind::Unsupported => Errno::Notsup,
        ErrorKind::OutOfMemory => Errno::Nomem,
        _ => Errno::Io,
    }
}

/// Returns what the machine lacks, if that is why the system failed.
#[cfg(feature = "antiphon")]
pub(crate) fn lacked(error: &io::Error) -> Option<antiphon::errors::Resource> {
    match errno(error) {
        Errno::Mfile | Errno::Nfile => Some(antiphon::errors::Resource::Files),
        Errno::Nomem => Some(antiphon::errors::Resource::Memory),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "antiphon")]
    #[test]
    fn what_the_machine_lacks_is_told_from_what_the_embedder_named_wrong() {
        use antiphon::errors::Resource;

        assert_eq!(lacked(&ErrorKind::OutOfMemory.into()), Some(Resource::Memory));
        assert_eq!(lacked(&ErrorKind::NotFound.into()), None);
    }

    #[test]
    fn errors_without_a_number_of_the_system_go_by_their_kind() {
        assert_eq!(errno(&io::Error::new(ErrorKind::PermissionDenied, "outside")), Errno::Perm);
        assert_eq!(errno(&io::Error::new(ErrorKind::InvalidInput, "a NUL")), Errno::Inval);
        assert_eq!(errno(&io::Error::other("what")), Errno::Io);
    }
}
