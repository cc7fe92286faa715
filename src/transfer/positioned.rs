//! Reads and writes of files at a place, wherever they stand.

use std::fs::File;
use std::io;

pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    #[cfg(unix)]
    let read = || std::os::unix::fs::FileExt::read_at(file, buffer, position);
    #[cfg(windows)]
    let read = || std::os::windows::fs::FileExt::seek_read(file, buffer, position);
    uninterrupted(read)
}

/// Does it again where a signal came in between.
pub(super) fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            told => return told,
        }
    }
}

#[cfg(unix)]
pub(super) fn write_all_at(file: &File, data: &[u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, position)
}

#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut data: &[u8], mut position: u64) -> io::Result<()> {
    while !data.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, data, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (data, position) = (&data[written..], position + written as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_no_error_and_what_is_one_is_told() {
        let mut told =
            vec![Err(io::ErrorKind::NotFound), Ok(7), Err(io::ErrorKind::Interrupted), Err(io::ErrorKind::Interrupted)];
        let mut next = || uninterrupted(|| told.pop().unwrap().map_err(io::Error::from));
        assert_eq!(next().unwrap(), 7);
        assert_eq!(next().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
