//! The SHA-256 of local files, remembered by name, size and times.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::blocking::blocking;
use crate::error::{Error, ErrorKind, Result};
use crate::local::{LocalFile, Stamp};
use crate::transfer::{once_name, sha256_of};

/// Hashes of the files of one folder, kept in a file if the user names one. What is new when it is dropped is written by a
/// job that nobody waits for.
pub(super) struct Hashes {
    file: Option<PathBuf>,
    known: Arc<Known>,
    /// Before the folder was looked at.
    started: SystemTime,
    changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Known {
    version: u32,
    /// The SHA-256 of the path of the folder that the names are below: a path need not be text.
    root: String,
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Entry {
    size: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    changed: Option<i128>,
    sha256: String,
}

const VERSION: u32 = 2;

/// The coarsest time stamp of a common file system (FAT): a file that was written less than this before it was hashed may
/// be written again without its time changing.
const GRAIN: Duration = Duration::from_secs(2);

/// How long a sync that has been ended waits for its hashes to be written. The job goes on, but not if the program ends.
const PATIENCE: Duration = Duration::from_millis(500);

impl Hashes {
    /// Nothing yet of a folder that has not been looked at.
    pub(super) fn new(file: Option<PathBuf>, root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let root = sha256_of(root.as_os_str().as_encoded_bytes());
        let known = Arc::new(Known { version: VERSION, root, files: BTreeMap::new() });
        Self { file, known, started: SystemTime::now(), changed: false }
    }

    /// Reads what is remembered. What can't be read, or is of another folder, is forgotten.
    pub(super) async fn load(&mut self) {
        let Some(file) = self.file.clone() else { return };
        // On a blocking thread, also to parse it: of a hundred thousand files it takes a while.
        let read = blocking(move || Ok(serde_json::from_slice::<Known>(&std::fs::read(file).unwrap_or_default()).ok()));
        let read = read.await.ok().flatten();
        if let Some(known) = read.filter(|known| known.version == VERSION && known.root == self.known.root) {
            self.known = Arc::new(known);
        }
    }

    /// There is a file that they go into.
    pub(super) fn are_kept(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn known(&self, file: &LocalFile) -> Option<&str> {
        let entry = self.known.files.get(&file.name)?;
        let same = (entry.size, Some(entry.modified), entry.changed)
            == (file.stamp.size, file.stamp.modified.map(nanoseconds), file.stamp.changed);
        same.then_some(entry.sha256.as_str())
    }

    /// Remembers a hash, unless the file may yet change without its times telling.
    pub(super) fn learn(&mut self, name: &str, stamp: &Stamp, sha256: &str) {
        let Some(modified) = stamp.modified.map(nanoseconds) else { return };
        let settled = nanoseconds(self.started) - GRAIN.as_nanos() as i128;
        if self.file.is_none() || modified >= settled || stamp.changed.is_some_and(|changed| changed >= settled) {
            return;
        }
        let entry = Entry { size: stamp.size, modified, changed: stamp.changed, sha256: sha256.to_owned() };
        if self.known.files.get(name) != Some(&entry) {
            Arc::make_mut(&mut self.known).files.insert(name.to_owned(), entry);
            self.changed = true;
        }
    }

    /// Forgets files that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        if self.known.files.keys().any(|name| !is_there(name)) {
            Arc::make_mut(&mut self.known).files.retain(|name, _| is_there(name));
            self.changed = true;
        }
    }

    /// Writes what has changed: the file is the old one or the new one, never half of one.
    pub(super) async fn save(&mut self) -> Result<()> {
        match self.writing() {
            Some(write) => blocking(write).await,
            None => Ok(()),
        }
    }

    /// The same for a sync that has been ended: it must not be held up, nor say anything else than why it ended.
    pub(super) async fn save_what_is_known(&mut self) {
        let _ = timeout(PATIENCE, self.save()).await;
    }

    /// The job that writes what has changed.
    fn writing(&mut self) -> Option<impl FnOnce() -> Result<()> + Send + use<>> {
        let file = self.file.clone().filter(|_| std::mem::take(&mut self.changed))?;
        let known = self.known.clone();
        Some(move || {
            let json = serde_json::to_vec(&*known)
                .map_err(|cause| Error::new(ErrorKind::Io, "the hashes can't be written down").caused_by(cause))?;
            // Else the next one to be learned would be learned by a copy of all.
            drop(known);
            replace(&file, &json).map_err(|cause| Error::io(format!("{} can't be written", file.display()), cause))
        })
    }
}

impl Drop for Hashes {
    fn drop(&mut self) {
        if let (Some(write), Ok(runtime)) = (self.writing(), Handle::try_current()) {
            drop(runtime.spawn_blocking(write));
        }
    }
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(file);
    let replaced = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, file));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    replaced
}

/// Named as a part of a download is: what a crash leaves in the folder is not taken for one of its files.
fn beside(file: &Path) -> PathBuf {
    file.with_file_name(once_name(file.file_name().unwrap_or_default()))
}

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, age: Duration) -> LocalFile {
        let stamp = Stamp { size: 5, modified: Some(SystemTime::now() - age), changed: None };
        LocalFile { name: name.into(), path: name.into(), stamp }
    }

    async fn opened(file: Option<PathBuf>, root: &Path) -> Hashes {
        let mut hashes = Hashes::new(file, root);
        hashes.load().await;
        hashes
    }

    #[tokio::test]
    async fn hashes_are_remembered_across_runs() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("hashes.json");
        let old = file("old", Duration::from_secs(60));
        let mut hashes = opened(Some(cache.clone()), folder.path()).await;
        assert_eq!(hashes.known(&old), None);
        hashes.learn("old", &old.stamp, "abc");
        hashes.save().await.unwrap();

        let again = opened(Some(cache.clone()), folder.path()).await;
        assert_eq!(again.known(&old), Some("abc"));
        for change in [
            |stamp: &mut Stamp| stamp.size = 6,
            |stamp: &mut Stamp| stamp.modified = stamp.modified.map(|at| at + Duration::from_nanos(1)),
            |stamp: &mut Stamp| stamp.changed = Some(1),
        ] {
            let mut other = old.clone();
            change(&mut other.stamp);
            assert_eq!(again.known(&other), None);
        }
        assert_eq!(opened(Some(cache.clone()), &folder.path().join("other")).await.known(&old), None);
        // It is replaced, not written over: a reader has the old one or the new one.
        let reader = folder.path().join("reader");
        std::fs::hard_link(&cache, &reader).unwrap();
        let mut more = opened(Some(cache.clone()), folder.path()).await;
        more.learn("other", &old.stamp, "def");
        more.save().await.unwrap();
        let (before, after) = (std::fs::read_to_string(&reader).unwrap(), std::fs::read_to_string(&cache).unwrap());
        assert!(!before.contains("def") && after.contains("def") && after.contains("abc"));
        std::fs::remove_file(reader).unwrap();

        for garbled in ["{ garbled".to_owned(), after.replace("\"version\":2", "\"version\":1")] {
            std::fs::write(&cache, garbled).unwrap();
            assert_eq!(opened(Some(cache.clone()), folder.path()).await.known(&old), None);
        }
        let left = beside(&cache).file_name().unwrap().to_str().unwrap().to_owned();
        assert!(crate::local::is_part(&left) && left.starts_with("hashes.json"), "{left}");
        // What can't be written leaves nothing either.
        std::fs::remove_file(&cache).unwrap();
        std::fs::create_dir(&cache).unwrap();
        more.learn("third", &old.stamp, "abc");
        assert_eq!(more.save().await.unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_folder_whose_path_is_no_text_has_hashes_too() {
        use std::os::unix::ffi::OsStrExt;
        let place = tempfile::tempdir().unwrap();
        let cache = place.path().join("hashes.json");
        let folder = |last: &[u8]| place.path().join(std::ffi::OsStr::from_bytes(last));
        let old = file("old", Duration::from_secs(60));
        let mut hashes = opened(Some(cache.clone()), &folder(b"bad\xff")).await;
        hashes.learn("old", &old.stamp, "abc");
        hashes.save().await.unwrap();
        assert_eq!(opened(Some(cache.clone()), &folder(b"bad\xff")).await.known(&old), Some("abc"));
        assert_eq!(opened(Some(cache), &folder(b"bad\xfe")).await.known(&old), None);
    }

    #[tokio::test]
    async fn a_file_that_was_just_written_is_not_trusted() {
        let mut hashes = opened(Some("unused".into()), Path::new("/")).await;
        for age in [Duration::ZERO, Duration::from_millis(1900)] {
            let young = file("young", age);
            hashes.learn("young", &young.stamp, "abc");
            assert_eq!(hashes.known(&young), None);
        }
        let mut moved = file("moved", Duration::from_secs(60));
        moved.stamp.changed = Some(nanoseconds(SystemTime::now()));
        hashes.learn("moved", &moved.stamp, "abc");
        assert_eq!(hashes.known(&moved), None, "its time was set back");
    }
}
