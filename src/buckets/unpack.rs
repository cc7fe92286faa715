//! A bucket's archive, unpacked into a folder. The archive is taken for hostile.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use zip::ZipArchive;
use zip::result::ZipError;

use super::DownloadZip;
use super::zip_directory::Directory;
use crate::blocking::{GivenUp, blocking, blocking_while_waited_for};
use crate::error::{Error, ErrorKind, Result, reason};
use crate::http::{CallOptions, awaitable};
use crate::local::{Names, check_parents, is_part, local_folder, local_path};
use crate::transfer::{
    Beside, Work, give_mode, is_special, once_name, options_beside, reports_progress, starts, unusable,
};

impl<'a> DownloadZip<'a> {
    /// Unpacks the archive into a folder, which is made where it is missing. Files that are there are replaced, each as a
    /// whole, and keep their permissions (Unix).
    ///
    /// The archive goes through a temporary file in that folder, and is looked through before anything is unpacked. One
    /// with a name that leads outside, is absolute, comes twice, differs from another only in letter case or Unicode form,
    /// can't be a local file, or is what parts of downloads are called, with a link or a device, with entries that share
    /// bytes, or beyond a limit, is refused as a whole.
    ///
    /// The server takes file contents that it has lost for empty ones here; what has to be right file by file is better
    /// downloaded by [`download_dir`](crate::Files::download_dir), which compares hashes.
    ///
    /// ```no_run
    /// # async fn f(bucket: carbonfiles::Bucket) -> carbonfiles::Result<()> {
    /// let done = bucket.zip().unpack("site").max_bytes(1 << 30).await?;
    /// println!("{} files, {} bytes", done.files.len(), done.bytes);
    /// # Ok(()) }
    /// ```
    pub fn unpack(self, folder: impl AsRef<Path>) -> UnpackZip<'a> {
        let options = self.options.clone();
        UnpackZip {
            download: self,
            folder: local_folder(folder.as_ref()),
            limits: Limits::default(),
            exact: false,
            options,
        }
    }
}

/// Unpacks a bucket's archive into a folder. Made by [`DownloadZip::unpack`].
///
/// Progress counts the bytes of the archive, and is done when all of it is unpacked. Dropping it, its time limit, or an error
/// half way leaves each file as it was or complete, and no temporary file once the step under way has ended.
#[must_use = "nothing is sent until it is awaited"]
pub struct UnpackZip<'a> {
    download: DownloadZip<'a>,
    folder: PathBuf,
    limits: Limits,
    exact: bool,
    options: CallOptions,
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unpacked {
    /// The files, in the order of the archive.
    pub files: Vec<PathBuf>,
    /// Their bytes together.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    archive: u64,
    entries: usize,
    bytes: u64,
    ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { archive: 4 << 30, entries: 100_000, bytes: 16 << 30, ratio: 200 }
    }
}

/// So much may be unpacked from any archive, whatever its ratio: a small file of one letter is no bomb.
const HARMLESS: u64 = 16 << 20;

impl UnpackZip<'_> {
    /// The most bytes that the archive itself may have; 4 GiB by default.
    pub fn max_archive_bytes(mut self, bytes: u64) -> Self {
        self.limits.archive = bytes;
        self
    }

    /// The most entries, folders included, also those that are only in the names of others; 100,000 by default.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.limits.entries = entries;
        self
    }

    /// The most bytes of all files together; 16 GiB by default. They are counted while they are unpacked.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How many times as long as the archive its files may be together; 200 by default. Up to 16 MiB are allowed whatever
    /// the ratio.
    pub fn max_ratio(mut self, times: u64) -> Self {
        self.limits.ratio = times;
        self
    }

    /// Says that the local file system keeps names apart which differ only in letter case or Unicode form, so that they
    /// need not be refused.
    pub fn case_sensitive(mut self, case_sensitive: bool) -> Self {
        self.exact = case_sensitive;
        self
    }

    async fn run(self) -> Result<Unpacked> {
        let Self { download, folder, limits, exact, options } = self;
        let mut body = download.options(options).await?.into_body();
        body.done_later();
        body.in_chunks();
        let archive = blocking({
            let folder = folder.clone();
            move || Temporary::new(&folder, &folder)
        });
        let archive = Beside::new(Box::new(archive.await?));
        let mut length = 0u64;
        let received = async {
            while let Some(chunk) = body.next().await? {
                length += chunk.len() as u64;
                if length > limits.archive {
                    return Err(too_much(format!("the archive is longer than the limit of {} bytes", limits.archive)));
                }
                archive.push(chunk).await?;
            }
            Ok(())
        };
        let received = received.await;
        // Whatever came of it: with the error, nothing of the archive is left.
        let archive = archive.finish().await;
        if let Err(error) = received {
            // On a blocking thread, since it may be large; and waited for.
            let removed = blocking(move || {
                drop(archive);
                Ok(())
            });
            return removed.await.and(Err(error));
        }
        let archive = *archive?;
        // The rest of it takes up room among the client's downloads.
        let mut reporter = body.into_reporter();
        let unpack = move |given_up| Unpacking { root: folder, limits, exact, length, given_up }.run(archive);
        let done = blocking_while_waited_for(unpack).await?;
        reporter.done(length);
        Ok(done)
    }
}

/// A file in a folder that is removed again unless it is renamed.
struct Temporary {
    file: File,
    path: PathBuf,
    keep: bool,
}

impl Work for Temporary {
    const STOPPED: &'static str = "the runtime stopped writing an archive";

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.file.write_all(chunk).map_err(|e| self.failed(e))
    }
}

impl Temporary {
    /// As private as the file that it is to become.
    fn new(folder: &Path, target: &Path) -> Result<Self> {
        let path = folder.join(once_name(OsStr::new("")));
        let create = || options_beside(target).open(&path);
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| create())
            .map_err(|cause| unusable("folder", format!("{} can't be written to", folder.display()), cause))?;
        Ok(Self { file, path, keep: false })
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::io(format!("{} could not be written: {}", self.path.display(), reason(&cause)), cause)
    }

    fn rename(mut self, target: &Path) -> Result<()> {
        let replaces = target.symlink_metadata().is_ok();
        // After a power cut the name could lead to an empty file, and the old one would be gone.
        let synced = if replaces { self.file.sync_data() } else { Ok(()) };
        synced
            .and_then(|()| give_mode(&self.file, target))
            .and_then(|()| std::fs::rename(&self.path, target))
            .map_err(|e| self.failed(e))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

struct Unpacking {
    root: PathBuf,
    limits: Limits,
    exact: bool,
    /// Bytes of the archive.
    length: u64,
    given_up: GivenUp,
}

/// A file of the archive that passed.
struct Entry {
    index: usize,
    target: PathBuf,
}

impl Unpacking {
    fn run(&self, mut archive: Temporary) -> Result<Unpacked> {
        self.check_directory(&archive.file)?;
        archive.file.seek(SeekFrom::Start(0)).map_err(|e| archive.failed(e))?;
        let mut zip = ZipArchive::new(&archive.file).map_err(broken)?;
        let entries = self.check(&mut zip)?;
        let mut done = Unpacked { files: Vec::with_capacity(entries.len()), bytes: 0 };
        for entry in entries {
            done.bytes += self.unpack(&mut zip, &entry)?;
            done.files.push(entry.target);
        }
        Ok(done)
    }

    fn most(&self) -> u64 {
        self.limits.bytes.min(self.length.saturating_mul(self.limits.ratio).max(HARMLESS))
    }

    /// Looks at what the archive says of its directory before any of it is in memory.
    fn check_directory(&self, archive: &File) -> Result<()> {
        let directory = Directory::find(archive, self.length).map_err(|e| broken(ZipError::Io(e)))?;
        let directory = directory.ok_or_else(|| refused("its directory is not where its end says"))?;
        // The names and all else that is said of an entry.
        const ENTRY: u64 = 1 << 10;
        let entries = self.limits.entries as u64;
        if directory.entries > entries || directory.length > entries.saturating_mul(ENTRY) {
            return Err(too_much(format!(
                "the archive has more than {entries} entries, or a directory too long for them"
            )));
        }
        if !directory.is_exact(archive).map_err(|e| broken(ZipError::Io(e)))? {
            return Err(refused("its directory has other entries than its end says"));
        }
        Ok(())
    }

    /// Looks at every entry before anything is written.
    fn check(&self, zip: &mut ZipArchive<&File>) -> Result<Vec<Entry>> {
        if zip.has_duplicate_names() {
            return Err(refused("a name comes twice"));
        }
        if zip.has_overlapping_files().map_err(broken)? {
            return Err(refused("entries share bytes"));
        }
        let mut found = Vec::new();
        let mut bytes = 0u64;
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(broken)?;
            let name = entry.name().map_err(broken)?.into_owned();
            let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
            if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
                return Err(refused(&format!("{name:?} is a link or a device")));
            }
            if entry.encrypted() {
                return Err(refused(&format!("{name:?} is encrypted")));
            }
            if entry.is_dir() && entry.size() > 0 {
                return Err(refused(&format!("{name:?} is a folder and has content")));
            }
            bytes = bytes.saturating_add(entry.size());
            found.push((index, name, entry.is_dir()));
        }
        if bytes > self.most() {
            return Err(too_much(format!("{bytes} bytes would be unpacked, {} are allowed", self.most())));
        }
        // Bytes that differ can be one name, in two encodings.
        let mut seen = HashSet::new();
        if let Some((_, twice, _)) = found.iter().find(|(_, name, _)| !seen.insert(name)) {
            return Err(refused(&format!("{twice:?} comes twice")));
        }
        let mut names = Names::new(self.exact);
        // That of a folder ends with a slash, and so makes one of what is before it.
        for (_, name, _) in &found {
            names.add(name);
            if names.count() > self.limits.entries {
                return Err(too_much(format!("the archive has more than {} files and folders", self.limits.entries)));
            }
        }
        let mut entries = Vec::new();
        for (index, name, is_folder) in &found {
            let name = if *is_folder { name.trim_end_matches('/') } else { name };
            if name.contains('\\') {
                return Err(refused(&format!("{name:?} contains a backslash")));
            }
            let target = local_path(&self.root, name).map_err(|error| refused(error.message()))?;
            if is_part(name) {
                return Err(refused(&format!("{name:?} is what parts of downloads are called")));
            }
            if let Some(clash) = names.clash(name) {
                return Err(refused(&clash.to_string()));
            }
            if !is_folder {
                entries.push(Entry { index: *index, target });
            }
        }
        Ok(entries)
    }

    /// Unpacks one file, and no more of it than was looked at.
    fn unpack(&self, zip: &mut ZipArchive<&File>, entry: &Entry) -> Result<u64> {
        let target = &entry.target;
        let failed = |cause: io::Error| Error::io(format!("{} could not be unpacked", target.display()), cause);
        check_parents(&self.root, target).map_err(failed)?;
        let mut file = Temporary::new(target.parent().unwrap_or(&self.root), target)?;
        let content = zip.by_index(entry.index).map_err(broken)?;
        let said = content.size();
        let mut content = content.take(said.saturating_add(1));
        let (mut bytes, mut buffer) = (0u64, vec![0; 64 << 10]);
        loop {
            if self.given_up.yet() {
                return Err(Error::new(ErrorKind::Interrupted, "cancelled while the archive was being unpacked"));
            }
            // Also the end of a content is checked here, against its CRC.
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(ZipError::Io(error))),
            };
            bytes += read as u64;
            file.file.write_all(&buffer[..read]).map_err(|e| file.failed(e))?;
        }
        if bytes != said {
            let message = format!("{} has not the {said} bytes that the archive says", target.display());
            return Err(Error::new(ErrorKind::Decode, message));
        }
        if target.is_dir() {
            return Err(failed(io::Error::other("it is a folder")));
        }
        if is_special(target) {
            return Err(failed(io::Error::other("it is no file")));
        }
        file.rename(target)?;
        Ok(bytes)
    }
}

fn broken(cause: ZipError) -> Error {
    Error::new(ErrorKind::Decode, "the archive can't be read").caused_by(cause)
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("the archive is refused, and nothing was unpacked: {why}"))
}

fn too_much(message: String) -> Error {
    Error::new(ErrorKind::PayloadTooLarge, message).with_hint("Raise the limit, if the archive can be trusted")
}

reports_progress!(['a] UnpackZip<'a>, download.reporter);
awaitable!(UnpackZip<'a> => Unpacked);
starts!(UnpackZip => Unpacked, download.reporter);

impl fmt::Debug for UnpackZip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnpackZip").field("folder", &self.folder).field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_synced_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x");
        // Syncing a pipe fails, like a file on a broken disk.
        let unpacked = || {
            let (_, pipe) = io::pipe().unwrap();
            let mut unpacked = Temporary::new(folder.path(), &target).unwrap();
            unpacked.file = std::os::fd::OwnedFd::from(pipe).into();
            unpacked
        };
        std::fs::write(&target, "old").unwrap();
        assert_eq!(unpacked().rename(&target).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        std::fs::remove_file(&target).unwrap();
        unpacked().rename(&target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"", "where nothing is lost there is no sync");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
