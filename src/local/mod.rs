//! Folders of the local file system beside the flat names of a bucket: which files there are, and which names fit.

mod names;
mod selection;
mod walk;

pub(crate) use names::{Clash, Names, check_parents, fold, local_path};
pub use selection::Symlinks;
pub(crate) use selection::{Selection, is_part, selection_setters};
pub(crate) use walk::{LocalFile, Odd, Stamp, Walked, Why, still_inside, walk};

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A local folder as its user means it: an empty path is the folder that the program is in, as it is before a file's name, but
/// the system has no such folder.
pub(crate) fn local_folder(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { Path::new(".").to_owned() } else { folder.to_owned() }
}

/// The folder of a bucket that a local folder stands for: empty, or its path with a slash at the end.
///
/// One slash at the end is allowed, as users write it.
pub(crate) fn folder_prefix(prefix: &str) -> Result<String> {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    if folder.is_empty() {
        return Ok(String::new());
    }
    match crate::FilePath::try_from(folder) {
        Ok(path) => Ok(format!("{path}/")),
        Err(error) => Err(Error::invalid_input("prefix", error.message())),
    }
}
