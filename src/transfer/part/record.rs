//! The record beside a part, and its lock: whoever holds it owns both. Another user's is never taken: its name can be told
//! beforehand, and what becomes the target must be ours.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::names::{random_path, record_path};
use crate::transfer::positioned::{read_at, write_all_at};

/// What the bytes of a part are the beginning of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Which version of this record it is.
    carbonfiles_part: u32,
    /// The URL, without what may be a secret.
    pub(crate) source: String,
    pub(crate) etag: String,
    pub(crate) length: u64,
    /// The ETag is a SHA-256, which the whole is compared with: it tells of bytes that a crash kept from the disk.
    #[serde(default)]
    pub(crate) hashed: bool,
    /// So many bytes are there, without gaps, and on the disk where no hash would tell.
    pub(crate) written: u64,
    /// Bytes behind `written` may be there too, with gaps, so the length of the file says nothing.
    pub(crate) sparse: bool,
}

impl Record {
    pub(crate) fn new(source: &str, etag: &str, length: u64, hashed: bool, sparse: bool) -> Self {
        Self { carbonfiles_part: 1, source: source.into(), etag: etag.into(), length, hashed, written: 0, sparse }
    }

    /// Of the same source, for what can't be gone on with.
    pub(super) fn of_no_content(&self) -> Self {
        Self::new(&self.source, "", 0, false, false)
    }

    /// A later download would read as much, however far the number of its bytes grows.
    pub(crate) fn can_be_noted(&self) -> bool {
        const DIGITS: usize = 20;
        serde_json::to_vec(self).is_ok_and(|line| line.len() + DIGITS < LONGEST)
    }
}

/// So much of a record is read.
const LONGEST: usize = 64 << 10;

/// The record's file, locked: it is ours as long as this exists.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// What [`Lock::take`] found.
pub(crate) enum Taken {
    Ours(Lock),
    /// Another download has it.
    Busy,
    /// It is something else or another user's, or can't be locked here.
    Unusable,
}

impl Lock {
    /// Takes what an earlier download left; `None` where it left nothing.
    ///
    /// # Errors
    /// Where it can't be told whose it is.
    pub(crate) fn find(target: &Path) -> io::Result<Option<Taken>> {
        let path = record_path(target);
        let Ok(file) = open_own(&path) else { return Ok(None) };
        Ok(Some(match Self::take(file, path) {
            Taken::Ours(lock) if !made_by_us(&lock.file, target)? => Taken::Unusable,
            taken => taken,
        }))
    }

    /// Makes the record of a first download.
    pub(super) fn create(target: &Path) -> Option<Self> {
        let path = record_path(target);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).ok()?;
        match Self::take(file, path.clone()) {
            Taken::Ours(lock) => Some(lock),
            Taken::Busy => None,
            Taken::Unusable => {
                let _ = std::fs::remove_file(path);
                None
            }
        }
    }

    fn take(file: File, path: PathBuf) -> Taken {
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Taken::Busy,
            Err(std::fs::TryLockError::Error(_)) => return Taken::Unusable,
        }
        let lock = Self { file, path };
        // It may have been removed, and even made anew by another, between the opening and the locking.
        if !lock.is_in_place() {
            return Taken::Busy;
        }
        // Not a record, and not one that a crash left empty: then it is not ours to write into.
        if lock.record().is_none() && !lock.is_blank() { Taken::Unusable } else { Taken::Ours(lock) }
    }

    fn is_in_place(&self) -> bool {
        is_own(&self.file, &self.path).unwrap_or(false)
    }

    fn content(&self) -> Option<Vec<u8>> {
        let mut content = vec![0; LONGEST];
        let read = read_at(&self.file, &mut content, 0).ok()?;
        content.truncate(read);
        Some(content)
    }

    fn is_blank(&self) -> bool {
        self.content().is_some_and(|content| content.iter().all(|byte| *byte == 0))
    }

    pub(crate) fn record(&self) -> Option<Record> {
        let record: Record = serde_json::from_slice(&self.content()?).ok()?;
        (record.carbonfiles_part == 1).then_some(record)
    }

    pub(super) fn note(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        // Padded, so that one write replaces it: a process that is killed leaves the one or the other.
        let before = self.file.metadata()?.len() as usize;
        line.resize(line.len().max(before.saturating_sub(1)), b' ');
        line.push(b'\n');
        write_all_at(&self.file, &line, 0)
    }

    /// Does what has this name belong to the user whose the record is? What isn't there could be anybody's.
    pub(super) fn owns(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok_and(|found| self.is_of_one_user(&found))
    }

    /// The same for what is open.
    pub(super) fn owns_open(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|found| self.is_of_one_user(&found))
    }

    fn is_of_one_user(&self, found: &Metadata) -> bool {
        self.file.metadata().is_ok_and(|ours| is_of_one_user(&ours, found))
    }

    /// Removes it, unless another file has its name by now.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.is_in_place() { std::fs::remove_file(&self.path) } else { Ok(()) }
    }

    /// Makes it last through a crash of the system.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Opens a file that has been left here. In a folder that others may write to, its name can lead to another file: such a
/// one is refused before anything of it is changed.
pub(super) fn open_own(path: &Path) -> io::Result<File> {
    let refused = || io::Error::other("it is a link, or no file");
    if !path.symlink_metadata()?.is_file() {
        return Err(refused());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if is_own(&file, path)? { Ok(file) } else { Err(refused()) }
}

/// Does it belong to whoever new files here do? The system says who we are only by that, and here it is what counts.
fn made_by_us(file: &File, target: &Path) -> io::Result<bool> {
    if cfg!(not(unix)) {
        return Ok(true);
    }
    let path = random_path(target);
    let new = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let is_ours = new.metadata().and_then(|new| Ok(is_of_one_user(&new, &file.metadata()?)));
    let _ = std::fs::remove_file(path);
    is_ours
}

#[cfg(unix)]
fn is_of_one_user(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    one.uid() == other.uid()
}

#[cfg(not(unix))]
fn is_of_one_user(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Is it the file of this name, and has it no other?
fn is_own(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    let is_shared = std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) != 1;
    #[cfg(not(unix))]
    let is_shared = false;
    Ok(!is_shared && is_at(file, path)?)
}

/// Is it the file of this name? Where files can't be told apart, any file is.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (opened, named) = (file.metadata()?, path.symlink_metadata()?);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Ok(false);
        }
    }
    Ok(opened.is_file() && named.is_file())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let (text, etag) = ("\\PC{0,300}", "\\PC{0,80}");
        let numbers = (any::<u64>(), any::<u64>(), any::<bool>(), any::<bool>());
        (text, etag, numbers).prop_map(|(source, etag, (length, written, hashed, sparse))| Record {
            written,
            ..Record::new(&source, &etag, length, hashed, sparse)
        })
    }

    proptest! {
        // Each of them writes files.
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// One that is shorter than the one before leaves nothing of it.
        #[test]
        fn the_last_record_is_what_is_read(records in prop::collection::vec(any_record(), 1..4)) {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("film.mkv");
            let lock = Lock::create(&target).unwrap();
            for record in &records {
                lock.note(record).unwrap();
                prop_assert_eq!(lock.record(), Some(record.clone()));
            }
            drop(lock);
            let Some(Taken::Ours(found)) = Lock::find(&target).unwrap() else { panic!("it was left for the next one") };
            prop_assert_eq!(found.record(), records.last().cloned());
        }
    }
}
