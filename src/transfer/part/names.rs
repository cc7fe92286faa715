//! The names of parts and of their records.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::transfer::sha256_of;

pub(super) fn part_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let digits = &sha256_of(name.as_encoded_bytes())[..16];
    target.with_file_name(part_name(name, digits, ""))
}

pub(super) fn record_path(target: &Path) -> PathBuf {
    let mut path = part_path(target).into_os_string();
    path.push(".json");
    path.into()
}

pub(super) fn random_path(target: &Path) -> PathBuf {
    target.with_file_name(once_name(target.file_name().unwrap_or_default()))
}

/// For what becomes a file of this name, or of one that is not known yet, in one go: marked as what it is, so that nobody
/// takes it for a part that can be gone on with.
pub(crate) fn once_name(name: &OsStr) -> OsString {
    part_name(name, &format!("{:016x}", fastrand::u64(..)), "-once")
}

/// A name beside the target that is not too long for a file system where the target's is not.
fn part_name(name: &OsStr, digits: &str, mark: &str) -> OsString {
    // The shortest limit in use is 143 bytes, where names are encrypted (eCryptfs, and with it many a network storage).
    const LONGEST: usize = 143 - ".0123456789abcdef-once.carbonfiles.part".len();
    let mut part = OsString::new();
    if (1..=LONGEST).contains(&name.len()) {
        part.push(name);
        part.push(".");
    }
    part.push(format!("{digits}{mark}.carbonfiles.part"));
    part
}

/// Is it a name that only this crate gives, to a part or to its record? In any letter case: there are file systems to which
/// that makes no difference.
pub(crate) fn is_part_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    let Some(stem) = name.strip_suffix(".json").unwrap_or(name).strip_suffix(".carbonfiles.part") else { return false };
    let stem = stem.strip_suffix("-once").unwrap_or(stem);
    let digits = stem.rsplit('.').next().unwrap_or(stem);
    digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        let target = Path::new("folder/photo ü.jpg");
        let long = Path::new(&"n".repeat(250)).to_owned();
        let nameless = once_name(OsStr::new("")).into();
        for path in [part_path(target), record_path(target), random_path(target), part_path(&long), nameless] {
            assert!(is_part_name(path.file_name().unwrap().to_str().unwrap()), "{path:?}");
        }
        assert!(is_part_name("PHOTO.JPG.0123456789ABCDEF.CarbonFiles.Part.JSON"));
        for other in ["x.carbonfiles.part", "photo.jpg", "0123456789abcdeg.carbonfiles.part", "x.json"] {
            assert!(!is_part_name(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn parts_of_any_name_are_known_and_fit_beside_it(
            name in "[^/\u{0}]{1,255}".prop_filter("a name", |name| name.len() <= 255 && name != "." && name != ".."),
        ) {
            let target = Path::new("folder").join(&name);
            let paths = [part_path(&target), record_path(&target), random_path(&target)];
            for path in &paths {
                let part = path.file_name().unwrap().to_str().unwrap();
                prop_assert!(is_part_name(part) && part.len() <= name.len().max(143), "{part}");
                prop_assert_eq!(path.parent(), target.parent());
            }
            prop_assert_eq!(&part_path(&target), &paths[0]);
            prop_assert!(paths[0] != paths[1] && paths[0] != paths[2]);
        }
    }
}
