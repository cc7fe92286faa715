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
/// the content's. Its group too, where the system lets it: another group gets nothing. Of another user's file only what
/// new files here would have as well.
#[cfg(unix)]
pub(crate) fn give_mode(file: &File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let mode = |metadata: &std::fs::Metadata| metadata.permissions().mode() & 0o777;
    let Some(old) = target.symlink_metadata().ok().filter(std::fs::Metadata::is_file) else { return Ok(()) };
    let new = file.metadata()?;
    let mut wanted = mode(&old);
    if new.uid() != old.uid() {
        wanted &= mode(&new);
    } else if new.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
        wanted &= !0o070;
    }
    if wanted == mode(&new) {
        return Ok(());
    }
    match file.set_permissions(PermissionsExt::from_mode(wanted)) {
        // Where files have no permissions of their own, as long as others may not do more than before.
        Err(cause)
            if matches!(cause.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
                && mode(&new) & !wanted & 0o077 == 0 =>
        {
            Ok(())
        }
        set => set,
    }
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
