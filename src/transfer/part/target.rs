//! What stands where a target is to be, and whether it may be replaced.

use std::fs::{File, OpenOptions};
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
    if names_folder(target) {
        return unusable("is the name of a folder, and there is none");
    }
    if !folder_of(target).is_dir() {
        return unusable("is in a folder that does not exist");
    }
    // A link that leads nowhere is there too.
    match target.symlink_metadata() {
        Ok(_) if replaces == Replaces::Nothing => Err(exists(target)),
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(super::unusable("target", format!("{} can't be written", target.display()), cause))
        }
        _ => Ok(()),
    }
}

/// Whether it ends as only the path of a folder may. `Path` takes no notice of that, the system does: at the rename, when
/// all has come.
fn names_folder(target: &Path) -> bool {
    let path = target.as_os_str().as_encoded_bytes();
    let path = path.strip_suffix(b".").unwrap_or(path);
    path.last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

/// How a file is created that is to replace the target: whom the target is no concern of, it is neither until then.
pub(crate) fn options_beside(target: &Path) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    if is_private(target) {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
}

/// Does the same to one that was created before the target became private.
#[cfg(unix)]
pub(super) fn keep_private(file: &File, target: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if is_private(target) {
        // Where files have no permissions of their own there is nothing to take away.
        let _ = file.set_permissions(PermissionsExt::from_mode(0o600));
    }
}

#[cfg(not(unix))]
pub(super) fn keep_private(_: &File, _: &Path) {}

/// A file that not everybody may read.
#[cfg(unix)]
fn is_private(target: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    target.symlink_metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o004 == 0)
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
