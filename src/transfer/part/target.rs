//! What stands where a target is to be, and whether it may be replaced.

use std::fs::File;
use std::io;
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
    if is_special(target) {
        return unusable("is no file");
    }
    if !folder_of(target).is_dir() {
        return unusable("is in a folder that does not exist");
    }
    // A link that leads nowhere is there too.
    let free = replaces != Replaces::Nothing || target.symlink_metadata().is_err();
    if free { Ok(()) } else { Err(exists(target)) }
}

/// A device, a pipe or a socket, or a link to one: to replace it is never meant.
pub(crate) fn is_special(target: &Path) -> bool {
    target.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Gives a file the permissions of the one that it is about to replace, if there is one: they are the owner's choice, not
/// the content's.
#[cfg(unix)]
pub(crate) fn give_mode(file: &File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = |metadata: &std::fs::Metadata| metadata.permissions().mode() & 0o777;
    let Ok(old) = target.symlink_metadata() else { return Ok(()) };
    // Where all files have the same permissions, they can't be set.
    if !old.is_file() || mode(&old) == mode(&file.metadata()?) {
        return Ok(());
    }
    file.set_permissions(PermissionsExt::from_mode(mode(&old)))
}

#[cfg(not(unix))]
pub(crate) fn give_mode(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
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
