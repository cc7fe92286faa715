//! An error as one of reading or writing.

use std::error::Error as _;
use std::io;

use super::{Error, ErrorKind};

/// For code that reads and writes: the error is inside, to be had by [`io::Error::get_ref`] and `downcast_ref`, and the kind
/// is the nearest. One that would make a reader try again at once (`Interrupted`, `WouldBlock`) is never given.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(kind(&error), error)
    }
}

fn kind(error: &Error) -> io::ErrorKind {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::RangeNotSatisfiable => io::ErrorKind::InvalidInput,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        ErrorKind::NotFound => io::ErrorKind::NotFound,
        ErrorKind::Conflict => io::ErrorKind::AlreadyExists,
        ErrorKind::PayloadTooLarge => io::ErrorKind::FileTooLarge,
        ErrorKind::QuotaExceeded => io::ErrorKind::QuotaExceeded,
        ErrorKind::RateLimited => io::ErrorKind::ResourceBusy,
        ErrorKind::Timeout(_) => io::ErrorKind::TimedOut,
        ErrorKind::Connect => io::ErrorKind::NotConnected,
        ErrorKind::Interrupted => io::ErrorKind::ConnectionAborted,
        ErrorKind::Decode | ErrorKind::IntegrityMismatch | ErrorKind::ContentChanged => io::ErrorKind::InvalidData,
        ErrorKind::Unsupported => io::ErrorKind::Unsupported,
        ErrorKind::Io => local(error),
        ErrorKind::PreconditionFailed | ErrorKind::Server | ErrorKind::BodyNotReplayable | ErrorKind::Cancelled => {
            io::ErrorKind::Other
        }
    }
}

/// That of the file, reader or stream that failed.
fn local(error: &Error) -> io::ErrorKind {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind) {
        None | Some(io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => io::ErrorKind::Other,
        Some(kind) => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::tests::{KINDS, PHASES};
    use super::*;

    #[test]
    fn a_reader_finds_the_error_inside() {
        for kind in KINDS.into_iter().chain(PHASES.map(ErrorKind::Timeout)) {
            let error = io::Error::from(Error::new(kind, "broken").with_hint("look"));
            assert!(!matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock), "{kind}");
            assert_eq!(error.to_string(), "broken. look");
            let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<Error>()).unwrap();
            assert_eq!((inside.kind(), inside.hint()), (kind, Some("look")));
        }
        let failed = |cause: io::ErrorKind| io::Error::from(Error::io("broken", cause.into())).kind();
        assert_eq!(failed(io::ErrorKind::StorageFull), io::ErrorKind::StorageFull);
        assert_eq!(failed(io::ErrorKind::Interrupted), io::ErrorKind::Other);
        assert_eq!(io::Error::from(Error::new(ErrorKind::Io, "broken")).kind(), io::ErrorKind::Other);
    }
}
