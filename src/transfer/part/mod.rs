//! The file beside a target that a download is written into, and how a later download finds it again.
//!
//! `photo.jpg` gets `photo.jpg.<16 hex digits>.carbonfiles.part`, the digits being made from the name, and beside it
//! `….carbonfiles.part.json`, which says what the bytes are the beginning of. Whoever holds the lock of that second file
//! owns both; anybody else writes into a part with random digits, which is removed at the end. A part without a record of
//! its own is not ours, and left alone, as is whatever another user has put there.

mod discard;
mod dropped;
mod names;
mod record;
mod saving;
mod target;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result, reason};
use crate::transfer::positioned::write_all_at;
use crate::transfer::unusable::unusable;

pub use discard::discard_partial;
pub(super) use dropped::Dropped;
pub(crate) use names::{is_part_name, once_name};
use names::{part_path, random_path};
pub(super) use record::{Lock, Record, Taken};
use record::{is_at, open_own};
pub(crate) use saving::{Most, Saving};
pub(super) use target::check_target;
pub(crate) use target::give_mode;
#[cfg(feature = "zip")]
pub(crate) use target::is_special;
pub(crate) use target::options_beside;
pub(crate) use target::{Replaces, is_empty_folder};
use target::{exists, folder_of, is_folder, keep_private};

/// Smaller parts are not kept: to start over is as quick.
pub(super) const WORTH_KEEPING: u64 = 1 << 20;

/// A part file that is being written. Dropping it before it is committed keeps or removes it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    path: PathBuf,
    target: PathBuf,
    replaces: Replaces,
    kept: Option<(Arc<Lock>, Record)>,
    /// So many bytes are there, without gaps.
    pub(super) written: u64,
    dropped: Arc<Dropped>,
    /// Not to be kept: what is there is wrong, or perhaps not on the disk.
    condemned: bool,
    committed: bool,
}

impl Part {
    /// What an earlier download left. A record without a part is removed, and what it calls its part but is no file of
    /// that name alone: a link, or a target whose second name a crash has left. So is a part whose record a crash left empty, or
    /// is of no content. What another user has put there stays.
    pub(super) fn reopen(lock: Lock, target: &Path, replaces: Replaces, dropped: Arc<Dropped>) -> Option<Self> {
        let path = part_path(target);
        let file = open_own(&path).ok().filter(|file| lock.owns_open(file));
        let file = file.and_then(|file| file.metadata().map(|metadata| (file, metadata)).ok());
        let record = lock.record();
        let is_ours = (record.is_some() || file.is_some()) && lock.owns(&path);
        let Some((record, (file, metadata))) = record.filter(|record| record.length > 0).zip(file) else {
            if is_ours {
                let _ = std::fs::remove_file(&path);
            }
            let _ = lock.remove();
            return None;
        };
        keep_private(&file, target);
        let there = metadata.len().min(record.length);
        let written = if record.sparse || !record.hashed { record.written.min(there) } else { there };
        let kept = Some((Arc::new(lock), record));
        Some(Self::of(file, path, target, replaces, kept, written, dropped))
    }

    /// A new one: to be found again where there is a record for it, else with a name of its own.
    pub(super) fn create(
        target: &Path,
        replaces: Replaces,
        record: Option<Record>,
        dropped: Arc<Dropped>,
    ) -> Result<Self> {
        let open = |path: &Path| options_beside(target).open(path);
        let unwritable = |cause| unusable("target", format!("{} can't be written beside", target.display()), cause);
        let kept = record.and_then(|record| Some((record, Lock::create(target)?)));
        let found_again =
            kept.and_then(|(record, lock)| match lock.note(&record).and_then(|()| open(&part_path(target))) {
                Ok(file) => Some((file, part_path(target), Some((Arc::new(lock), record)))),
                // The disk is full, or there is a part that the record did not speak of: somebody's own.
                Err(_) => {
                    let _ = lock.remove();
                    None
                }
            });
        let (file, path, kept) = match found_again {
            Some(found) => found,
            None => {
                let path = random_path(target);
                (open(&path).map_err(unwritable)?, path, None)
            }
        };
        Ok(Self::of(file, path, target, replaces, kept, 0, dropped))
    }

    fn of(
        file: File,
        path: PathBuf,
        target: &Path,
        replaces: Replaces,
        kept: Option<(Arc<Lock>, Record)>,
        written: u64,
        dropped: Arc<Dropped>,
    ) -> Self {
        let (file, target) = (Arc::new(file), target.into());
        Self { file, path, target, replaces, kept, written, dropped, condemned: false, committed: false }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.kept.as_ref().map(|(_, record)| record)
    }

    /// Held by writes that are on their way, so that nobody else takes the part before they are over.
    pub(super) fn lock(&self) -> Option<Arc<Lock>> {
        self.kept.as_ref().map(|(lock, _)| lock.clone())
    }

    /// Goes on at this place, with or without gaps behind it.
    pub(super) fn go_on(&mut self, at: u64, sparse: bool) -> Result<()> {
        self.file.set_len(at).map_err(|e| self.failed(e))?;
        self.written = at;
        if let Some((_, record)) = &mut self.kept {
            record.sparse = sparse;
        }
        self.note()
    }

    /// Forgets what is there; from now on it is the beginning of another content.
    pub(super) fn restart(&mut self, record: Option<Record>) -> Result<()> {
        self.written = 0;
        self.file.set_len(0).map_err(|e| self.failed(e))?;
        if let Some((lock, old)) = &mut self.kept {
            // It can't be gone on with by what is not known of it, nor by what it was of before.
            self.condemned = record.is_none();
            let new = record.unwrap_or_else(|| old.of_no_content());
            let unhashed = !(old.hashed && new.hashed);
            *old = new;
            // What comes would be taken for the other content after a crash of the system, where no hash would tell.
            let noted = lock.note(old).and_then(|()| if unhashed { lock.sync() } else { Ok(()) });
            noted.map_err(|e| Error::io("a download's record could not be written", e))?;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, data: &[u8]) -> Result<()> {
        write_all_at(&self.file, data, self.written).map_err(|e| self.failed(e))?;
        self.written += data.len() as u64;
        let unnoted = self.record().filter(|record| !record.hashed).map(|record| record.written);
        if unnoted.is_some_and(|noted| self.written - noted >= NOTE_EVERY) { self.note() } else { Ok(()) }
    }

    /// Everything before this is there.
    pub(super) fn reached(&mut self, written: u64) -> Result<()> {
        self.written = written;
        self.note()
    }

    /// Makes the record say how much is there. What no hash would check has to be on the disk first: after a crash of
    /// the system a file may have the length, but not the bytes.
    fn note(&mut self) -> Result<()> {
        let Some((lock, record)) = self.kept.as_mut().filter(|_| !self.condemned) else { return Ok(()) };
        record.written = self.written;
        let synced = if record.hashed { Ok(()) } else { self.file.sync_data() };
        // A system says once that bytes could not be written, and takes them for written from then on.
        self.condemned = synced.is_err();
        synced.and_then(|()| lock.note(record)).map_err(|e| self.failed(e))
    }

    /// Syncs it and makes it the target, unless it is not accepted or nobody waits for that any more.
    pub(super) fn commit(
        &mut self,
        accept: Option<fn(&File, u64) -> Result<()>>,
        modified: Option<DateTime<Utc>>,
    ) -> Result<()> {
        accept.map_or(Ok(()), |accept| accept(&self.file, self.written))?;
        if let Some(modified) = modified {
            self.file.set_modified(modified.into()).map_err(|e| self.failed(e))?;
        }
        if let Err(cause) = self.file.sync_all() {
            self.condemned = true;
            return Err(self.failed(cause));
        }
        let dropped = self.dropped.clone();
        if dropped.unless(|| self.become_target()).transpose()?.is_none() {
            return Ok(());
        }
        self.committed = true;
        self.forget();
        // Makes the rename last through a power cut, where folders can be synced.
        if let Ok(folder) = File::open(folder_of(&self.target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Removes the record, unless the part still has its own name beside the target's: then a later download removes both.
    fn forget(&self) {
        let is_left = self.replaces == Replaces::Nothing && self.path.symlink_metadata().is_ok();
        if let Some((lock, _)) = self.kept.as_ref().filter(|_| !is_left) {
            let _ = lock.remove();
        }
    }

    fn become_target(&self) -> Result<()> {
        if !is_at(&self.file, &self.path).map_err(|e| self.failed(e))? {
            return Err(self.failed(io::Error::other("another file has taken the name of its part")));
        }
        if self.replaces != Replaces::Nothing {
            // Only now: a part that is kept has to be opened again, whatever its target allows.
            let own = self.file.metadata().map_err(|e| self.failed(e))?.permissions();
            return give_mode(&self.file, &self.target).and_then(|()| self.rename_onto_target()).map_err(|cause| {
                let _ = self.file.set_permissions(own);
                self.failed(cause)
            });
        }
        self.link_onto_nothing(|part| std::fs::remove_file(part))
    }

    fn link_onto_nothing(&self, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        // Where a crash leaves both names, the part is the target, and must not be gone on with. If there is no link, the
        // record is written anew when this is dropped.
        if let Some((lock, record)) = &self.kept {
            lock.note(&record.of_no_content()).map_err(|e| self.failed(e))?;
        }
        // Unlike a rename, a link does not replace what has appeared there meanwhile.
        match std::fs::hard_link(&self.path, &self.target) {
            Ok(()) => {
                // The target is there, whatever becomes of the other name.
                let _ = remove(&self.path);
                Ok(())
            }
            // A file system without links: the name is taken first.
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => self.rename_onto_nothing(),
            Err(_) => Err(exists(&self.target)),
        }
    }

    fn rename_onto_target(&self) -> io::Result<()> {
        let renamed = std::fs::rename(&self.path, &self.target);
        if renamed.is_err() && self.replaces == Replaces::FileOrEmptyFolder && is_folder(&self.target) {
            // It fails where something is in the folder by now.
            std::fs::remove_dir(&self.target)?;
            return std::fs::rename(&self.path, &self.target);
        }
        renamed
    }

    fn rename_onto_nothing(&self) -> Result<()> {
        match OpenOptions::new().write(true).create_new(true).open(&self.target) {
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&self.target)),
            Err(cause) => return Err(self.failed(cause)),
        }
        std::fs::rename(&self.path, &self.target).map_err(|cause| {
            let _ = std::fs::remove_file(&self.target);
            self.failed(cause)
        })
    }

    /// Not to be kept: what is there is wrong.
    pub(super) fn condemn(&mut self) {
        self.condemned = true;
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::io(format!("{} could not be written: {}", self.target.display(), reason(&cause)), cause)
    }
}

/// How many bytes without a hash go by before they are made to last.
const NOTE_EVERY: u64 = 16 << 20;

impl Drop for Part {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let keep = !self.condemned && self.written >= WORTH_KEEPING && self.kept.is_some();
        if keep && self.note().is_ok() {
            return;
        }
        if is_at(&self.file, &self.path).unwrap_or(true) {
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some((lock, _)) = &self.kept {
            let _ = lock.remove();
        }
    }
}

/// How long a lock is waited for: the last write of a download that was just cancelled, or its sync, may still hold it.
pub(super) const TRIES: u32 = 100;
pub(super) const BETWEEN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn record(etag: &str) -> Record {
        Record::new("http://host/x", etag, 4 << 20, etag.len() == 66, false)
    }

    fn reopen(target: &Path) -> Option<Part> {
        match Lock::find(target).unwrap()? {
            Taken::Ours(lock) => Part::reopen(lock, target, Replaces::File, Arc::default()),
            Taken::Busy | Taken::Unusable => panic!("it is ours"),
        }
    }

    #[test]
    fn a_part_of_what_has_no_name_is_not_gone_on_with_as_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let mut part = Part::create(&target, Replaces::File, Some(record("\"v1\"")), Arc::default()).unwrap();
        part.append(&[1; 2 << 20]).unwrap();
        drop(part);
        let mut part = reopen(&target).unwrap();
        assert_eq!(part.written, 2 << 20);
        part.restart(None).unwrap();
        part.append(&[2; 3 << 20]).unwrap();
        part.reached(3 << 20).unwrap();
        // As if it were killed: nothing is tidied, and the lock is let go.
        part.committed = true;
        drop(part);
        assert!(reopen(&target).is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_makes_way_only_while_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        std::fs::create_dir(&target).unwrap();
        let part = |replaces| {
            check_target(&target, replaces)?;
            Part::create(&target, replaces, None, Arc::default())
        };
        assert!(part(Replaces::File).unwrap_err().is_invalid_input());
        let mut late = part(Replaces::FileOrEmptyFolder).unwrap();
        late.append(b"new").unwrap();
        std::fs::write(target.join("old"), "old").unwrap();
        assert_eq!(late.commit(None, None).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(std::fs::read(target.join("old")).unwrap(), b"old");
        assert!(part(Replaces::FileOrEmptyFolder).unwrap_err().is_invalid_input());
        std::fs::remove_file(target.join("old")).unwrap();
        late.commit(None, None).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_part_that_can_not_be_synced_is_not_kept() {
        for etag in ["\"v1\"", &format!("\"{}\"", "a".repeat(64))] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("x");
            let mut part = Part::create(&target, Replaces::File, Some(record(etag)), Arc::default()).unwrap();
            part.append(&[1; 2 << 20]).unwrap();
            // Syncing a pipe fails, like a file on a broken disk, and what comes after might succeed.
            let (_, pipe) = io::pipe().unwrap();
            let file = std::mem::replace(&mut part.file, Arc::new(std::os::fd::OwnedFd::from(pipe).into()));
            assert_eq!(part.commit(None, None).unwrap_err().kind(), ErrorKind::Io);
            part.file = file;
            drop(part);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{etag}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_another_that_has_the_name_of_a_part_does_not_become_the_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        for replaces in [Replaces::File, Replaces::Nothing] {
            let mut part = Part::create(&target, replaces, Some(record("\"v1\"")), Arc::default()).unwrap();
            part.append(b"ours").unwrap();
            std::fs::write(folder.path().join("other"), "theirs").unwrap();
            std::fs::rename(folder.path().join("other"), &part.path).unwrap();
            assert_eq!(part.commit(None, None).unwrap_err().kind(), ErrorKind::Io);
            let path = part.path.clone();
            drop(part);
            assert!(!target.exists());
            assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
            std::fs::remove_file(path).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_name_of_the_part_that_is_left_beside_the_target_is_nobodys_and_goes_with_the_next_download() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        for killed in [false, true] {
            let mut part = Part::create(&target, Replaces::Nothing, Some(record("\"v1\"")), Arc::default()).unwrap();
            part.append(&[1; 2 << 20]).unwrap();
            let mut noted = None;
            part.link_onto_nothing(|_| {
                noted = part.lock().and_then(|lock| lock.record());
                Err(io::ErrorKind::PermissionDenied.into())
            })
            .unwrap();
            assert_eq!(noted.unwrap().length, 0, "whoever finds it has nothing to go on with");
            part.committed = true;
            if !killed {
                part.forget();
            }
            drop(part);
            assert!(reopen(&target).is_none());
            let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|left| left.unwrap().path()).collect();
            assert_eq!(left, std::slice::from_ref(&target));
            assert_eq!(std::fs::metadata(&target).unwrap().len(), 2 << 20);
            std::fs::remove_file(&target).unwrap();
        }
    }

    #[test]
    fn a_part_whose_target_has_appeared_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let mut part = Part::create(&target, Replaces::Nothing, Some(record("\"v1\"")), Arc::default()).unwrap();
        part.append(&[1; 2 << 20]).unwrap();
        std::fs::write(&target, "old").unwrap();
        assert_eq!(part.commit(None, None).unwrap_err().kind(), ErrorKind::Conflict);
        drop(part);
        assert_eq!(reopen(&target).unwrap().written, 2 << 20);
    }

    #[test]
    fn where_there_are_no_links_nothing_is_replaced_either() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        let mut part = Part::create(&target, Replaces::Nothing, None, Arc::default()).unwrap();
        part.append(b"new").unwrap();
        std::fs::write(&target, "old").unwrap();
        assert_eq!(part.rename_onto_nothing().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        std::fs::remove_file(&target).unwrap();
        part.rename_onto_nothing().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
    }
}
