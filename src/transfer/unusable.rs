//! Paths that can't be opened or made.

use std::io;

use crate::error::{Error, reason};

/// The argument's fault where there is no such place, or not for this user; else the system's, such as a lack of
/// descriptors or of room. `what` says what could not be done, to which path.
pub(crate) fn unusable(argument: &'static str, what: impl Into<String>, cause: io::Error) -> Error {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
    };
    let message = format!("{}: {}", what.into(), reason(&cause));
    match cause.kind() {
        NotFound | PermissionDenied | ReadOnlyFilesystem | NotADirectory | AlreadyExists | InvalidFilename
        | InvalidInput => Error::invalid_input(argument, message).caused_by(cause),
        _ => Error::io(message, cause),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_lack_of_descriptors_or_room_is_not_the_arguments_fault() {
        // EMFILE, ENOSPC, EIO: the path is right. The first has no name but the system's.
        for (code, kind) in [(24, ErrorKind::Io), (28, ErrorKind::Io), (5, ErrorKind::Io)] {
            assert_eq!(
                unusable("target", "x can't be written", io::Error::from_raw_os_error(code)).kind(),
                kind,
                "{code}"
            );
        }
        // ENOENT, EACCES, ENOTDIR, EROFS, EEXIST, ENAMETOOLONG.
        for code in [2, 13, 20, 30, 17, if cfg!(target_os = "linux") { 36 } else { 63 }] {
            assert!(unusable("target", "x", io::Error::from_raw_os_error(code)).is_invalid_input(), "{code}");
        }
        let error = unusable("source", "x can't be opened", io::Error::from_raw_os_error(24));
        assert!(error.to_string().contains("x can't be opened: Too many open files (os error 24)"), "{error}");
    }
}
