//! What stands where a target is to be, and whether it may be replaced.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// What may stand where the target is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaces {
    Nothing,
    File,
    /// Also a folder, as long as nothing is in it.
    FileOrEmptyFolder,
}

/// Refuses a target that can't be written, before anything is asked for.
pub(in crate::transfer) fn check_target(target: &Path, replaces: Replaces) -> Result<()> {
    let unusable = |why: &str| Err(Error::invalid_input("target", format!("{} {why}", target.display())));
    if target.file_name().is_none() {
        return unusable("is not the name of a file");
    }
    if target.is_dir() {
        match replaces {
            Replaces::FileOrEmptyFolder if is_empty_folder(target) => return Ok(()),
            Replaces::FileOrEmptyFolder => return unusable("is a folder that is not empty"),
            Replaces::Nothing | Replaces::File => return unusable("is a directory"),
        }
    }
    if !folder_of(target).is_dir() {
        return unusable("is in a folder that does not exist");
    }
    // A link that leads nowhere is there too.
    let free = replaces != Replaces::Nothing || target.symlink_metadata().is_err();
    if free { Ok(()) } else { Err(exists(target)) }
}

/// And no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// Can a file be put in its place without a loss?
pub(crate) fn is_empty_folder(path: &Path) -> bool {
    is_folder(path) && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

pub(super) fn exists(target: &Path) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} exists, and overwriting was not asked for", target.display()))
}

pub(super) fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
