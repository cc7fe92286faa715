//! The files below a folder.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

use super::{Selection, Symlinks, check_parents, is_part};
use crate::blocking::{GivenUp, blocking_while_waited_for};
use crate::error::{Error, Result, reason};
use crate::transfer::PathCheck;

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// In the order of their names.
    pub(crate) files: Vec<LocalFile>,
    /// What is no file that can be taken.
    pub(crate) odd: Vec<Odd>,
    /// The folders that were entered, or would have been.
    pub(crate) folders: Vec<String>,
}

/// A file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFile {
    /// Its path below the folder, with `/` between segments.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// By what a file that has changed is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
    /// Nanoseconds of the inode's change time; `None` where there is none.
    pub(crate) changed: Option<i128>,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok(), changed: changed(metadata) }
    }
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<i128> {
    use std::os::unix::fs::MetadataExt;
    Some(i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> Option<i128> {
    None
}

/// Something below a folder that can't be taken.
#[derive(Debug)]
pub(crate) struct Odd {
    /// As well as it can be written.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) why: Why,
}

#[derive(Debug)]
pub(crate) enum Why {
    Symlink,
    NotAFile,
    /// What a download has left to go on with.
    Part,
    Failed(Error),
}

/// Finds the files below `root` that are selected.
///
/// # Errors
/// `InvalidInput` where `root` is no folder that can be read. What is wrong further down is told beside the files.
pub(crate) async fn walk(root: PathBuf, selection: Selection) -> Result<Walked> {
    selection.check()?;
    let walk = |given_up| Walk { root, selection, given_up, found: Walked::default(), inside: Vec::new() }.run();
    blocking_while_waited_for(walk).await
}

/// Refuses a file that has become something else since the folder was looked through: a link, or behind one, or no file at
/// all. It is asked just before the file is opened, which would wait for a writer where it is a pipe.
pub(crate) fn still_inside(root: PathBuf, symlinks: Symlinks) -> PathCheck {
    let real_root = OnceLock::new();
    Arc::new(move |path| {
        let refused = |why: &str| Err(Error::invalid_input("source", format!("{} {why}", path.display())));
        let found = match symlinks {
            Symlinks::Follow => match is_below(path, &root, &real_root) {
                Ok(true) => path.metadata(),
                Ok(false) => return refused("leads out of the folder by a symbolic link"),
                // Where it leads to can't be told, so it could be anywhere.
                Err(cause) => Err(cause),
            },
            Symlinks::Skip | Symlinks::Refuse => check_parents(&root, path).and_then(|()| path.symlink_metadata()),
        };
        match found {
            Ok(found) if found.is_file() => Ok(()),
            Ok(found) if found.is_symlink() => refused("is a symbolic link"),
            Ok(_) => refused("is no file"),
            Err(cause) => {
                let why = format!("{} can't be read: {}", path.display(), reason(&cause));
                Err(Error::invalid_input("source", why).caused_by(cause))
            }
        }
    })
}

/// Is it below the folder, when all links are followed? Where that one really is is asked until it is told.
fn is_below(path: &Path, root: &Path, real_root: &OnceLock<PathBuf>) -> io::Result<bool> {
    let root = match real_root.get() {
        Some(root) => root,
        None => {
            let real = root.canonicalize()?;
            real_root.get_or_init(|| real)
        }
    };
    Ok(path.canonicalize()?.starts_with(root))
}

struct Walk {
    root: PathBuf,
    selection: Selection,
    given_up: GivenUp,
    found: Walked,
    /// The names of the folders that the walk is in, the outermost first.
    inside: Vec<Name>,
}

/// A path below the root.
#[derive(Debug, Clone)]
struct Name {
    /// As well as it can be written, with `/` between segments.
    text: String,
    /// It could not be written exactly.
    lossy: bool,
}

impl Name {
    const ROOT: Self = Self { text: String::new(), lossy: false };

    fn below(&self, segment: &OsStr) -> Self {
        let (segment, above) = (segment.to_string_lossy(), &self.text);
        let text = match above.is_empty() {
            true => segment.to_string(),
            false => [above, "/", &segment].concat(),
        };
        Self { text, lossy: self.lossy || matches!(segment, Cow::Owned(_)) }
    }
}

impl Walk {
    fn run(mut self) -> Result<Walked> {
        let shown = self.root.display();
        let unusable = |cause: io::Error| {
            Error::invalid_input("folder", format!("{shown} can't be read: {}", reason(&cause))).caused_by(cause)
        };
        // Also tells a folder that is there but must not be read.
        std::fs::read_dir(&self.root).map_err(unusable)?;
        let real_root = self.root.canonicalize().map_err(unusable)?;
        let follow = self.selection.symlinks == Symlinks::Follow;
        let mut entries = WalkDir::new(&self.root).min_depth(1).follow_links(follow).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            if self.given_up.yet() {
                break;
            }
            match entry {
                Ok(entry) => {
                    let is_folder = entry.file_type().is_dir();
                    if !self.take(&entry, &real_root) && is_folder {
                        entries.skip_current_dir();
                    }
                }
                Err(error) => self.failed(error),
            }
        }
        Ok(self.found)
    }

    /// Takes an entry in; `false` for a folder that is not to be entered.
    fn take(&mut self, entry: &DirEntry, real_root: &Path) -> bool {
        let (kind, link) = (entry.file_type(), entry.path_is_symlink());
        // Folders come before what is in them: the names of those around it are known, and need not be taken apart again.
        self.inside.truncate(entry.depth().saturating_sub(1));
        let name = self.inside.last().unwrap_or(&Name::ROOT).below(entry.file_name());
        if kind.is_dir() {
            self.inside.push(name.clone());
        }
        let Name { text: name, lossy } = name;
        // A link that is not followed may stand for a folder, so it counts if it would as one.
        let maybe_folder = kind.is_dir() || kind.is_symlink();
        let wanted = if maybe_folder { self.selection.enters(&name) } else { self.selection.takes(&name) };
        if !wanted {
            return false;
        }
        let path = entry.path().to_owned();
        let why = if lossy {
            Why::Failed(Error::invalid_input("name", format!("the name of {} is not UTF-8", path.display())))
        } else if link && self.selection.symlinks == Symlinks::Skip {
            Why::Symlink
        } else if link && self.selection.symlinks == Symlinks::Refuse {
            Why::Failed(Error::invalid_input("folder", format!("{} is a symbolic link", path.display())))
        } else if link && !path.canonicalize().is_ok_and(|real| real.starts_with(real_root)) {
            let message = format!("{} is a symbolic link that leads out of the folder", path.display());
            Why::Failed(Error::invalid_input("folder", message))
        } else if kind.is_dir() {
            self.found.folders.push(name);
            return true;
        } else if !kind.is_file() {
            Why::NotAFile
        } else if is_part(&name) {
            Why::Part
        } else {
            match entry.metadata() {
                Ok(metadata) => {
                    self.found.files.push(LocalFile { name, path, stamp: Stamp::of(&metadata) });
                    return true;
                }
                Err(error) => Why::Failed(unreadable(&path, error)),
            }
        };
        self.found.odd.push(Odd { name, path, why });
        false
    }

    fn failed(&mut self, error: walkdir::Error) {
        let path = error.path().unwrap_or(&self.root).to_owned();
        let below = path.strip_prefix(&self.root).unwrap_or(&path);
        let name = below.iter().fold(Name::ROOT, |above, segment| above.below(segment)).text;
        // What it is can't be known, so it counts if it would as either.
        if self.selection.enters(&name) {
            self.found.odd.push(Odd { name, why: Why::Failed(unreadable(&path, error)), path });
        }
    }
}

fn unreadable(path: &Path, cause: walkdir::Error) -> Error {
    let why = match cause.io_error() {
        _ if cause.loop_ancestor().is_some() => "it leads to a folder that it is in".to_owned(),
        Some(error) => reason(error),
        None => cause.to_string(),
    };
    Error::invalid_input("folder", format!("{} can't be read: {why}", path.display())).caused_by(cause)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn names(walked: &Walked) -> Vec<&str> {
        walked.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[tokio::test]
    async fn files_are_found_in_order_and_excluded_folders_are_not_entered() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["b/deep", "target/x", ".git"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["z", "b/deep/ü %+#?", "b/a", "target/x/y", ".git/config", "a"] {
            fs::write(root.path().join(file), file).unwrap();
        }
        let mut selection = Selection::default();
        selection.exclude("target");
        let walked = walk(root.path().into(), selection.clone()).await.unwrap();
        assert_eq!(names(&walked), [".git/config", "a", "b/a", "b/deep/ü %+#?", "z"]);
        assert_eq!(walked.files[1].stamp.size, 1);
        assert_eq!(walked.folders, [".git", "b", "b/deep"]);
        selection.hidden = false;
        assert_eq!(names(&walk(root.path().into(), selection).await.unwrap()).len(), 4);
        for bad in [root.path().join("a"), root.path().join("missing")] {
            assert!(walk(bad, Selection::default()).await.unwrap_err().is_invalid_input());
        }
    }

    #[tokio::test]
    async fn links_are_skipped_followed_inside_or_refused() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "x").unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::write(root.path().join("dir/file"), "x").unwrap();
        symlink("dir/file", root.path().join("to-file")).unwrap();
        symlink("dir", root.path().join("to-dir")).unwrap();
        symlink("..", root.path().join("dir/loop")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        symlink(outside.path(), root.path().join("out-dir")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("out-file")).unwrap();
        let walk = async |symlinks| {
            let mut selection = Selection::default();
            selection.symlinks = symlinks;
            let walked = walk(root.path().into(), selection).await.unwrap();
            let failed = walked.odd.iter().filter(|odd| matches!(odd.why, Why::Failed(_))).count();
            let names = walked.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
            (names, walked.odd.len(), failed)
        };
        assert_eq!(walk(Symlinks::Skip).await, (vec!["dir/file".into()], 6, 0));
        assert_eq!(walk(Symlinks::Refuse).await, (vec!["dir/file".into()], 6, 6));
        let (names, odd, failed) = walk(Symlinks::Follow).await;
        assert_eq!(names, ["dir/file", "to-dir/file", "to-file"]);
        // dangling, both outs, and the loop on either way to it.
        assert_eq!((odd, failed), (5, 5));
        let mut selection = Selection::default();
        selection.symlinks = Symlinks::Follow;
        ["dangling", "**/loop", "out-*"].iter().for_each(|glob| selection.exclude(glob));
        let walked = super::walk(root.path().into(), selection).await.unwrap();
        assert!(walked.odd.is_empty(), "{:?}", walked.odd);
    }

    #[test]
    fn what_leads_nobody_knows_where_is_refused() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Each leg is short enough for the system, but not the real path of both.
        let leg = |letter: &str| vec![letter.repeat(200); 11].join("/");
        fs::create_dir_all(outside.path().join(leg("a"))).unwrap();
        symlink(outside.path().join(leg("a")), root.path().join("out")).unwrap();
        let far = root.path().join("out").join(leg("b"));
        fs::create_dir_all(&far).unwrap();
        fs::write(far.join("secret"), "x").unwrap();
        let path = far.join("secret");
        assert!(path.metadata().unwrap().is_file() && path.canonicalize().is_err());
        let error = still_inside(root.path().into(), Symlinks::Follow)(&path).unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
    }

    #[test]
    fn a_folder_that_appears_later_is_where_it_is_then() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        let check = still_inside(root.clone(), Symlinks::Follow);
        let error = check(&root.join("x")).unwrap_err();
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::NotFound);
        fs::create_dir(around.path().join("real")).unwrap();
        fs::write(around.path().join("real/x"), "x").unwrap();
        symlink("real", &root).unwrap();
        check(&root.join("x")).unwrap();
    }

    #[tokio::test]
    async fn a_walk_that_is_dropped_looks_no_further() {
        let root = tempfile::tempdir().unwrap();
        (0..100).for_each(|n| fs::write(root.path().join(format!("{n}")), "").unwrap());
        let (entered, wait_entered) = std::sync::mpsc::channel();
        let (release, wait_release) = std::sync::mpsc::channel::<()>();
        // Owned by the walk alone: it has ended when nobody else has it.
        let channels = Arc::new(std::sync::Mutex::new((entered, wait_release)));
        let ended = Arc::downgrade(&channels);
        let mut selection = Selection::default();
        selection.filter(move |name| {
            let channels = channels.lock().unwrap();
            channels.0.send(name.to_owned()).unwrap();
            channels.1.recv().is_ok()
        });
        let walking = tokio::spawn(walk(root.path().into(), selection));
        let first = tokio::task::spawn_blocking(move || (wait_entered.recv().unwrap(), wait_entered)).await.unwrap();
        walking.abort();
        assert!(walking.await.unwrap_err().is_cancelled());
        drop(release);
        crate::waiting::until(|| ended.strong_count() == 0).await;
        assert_eq!((first.0.as_str(), first.1.try_iter().count()), ("0", 0));
    }

    #[tokio::test]
    async fn what_can_not_be_named_is_told() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        let walked = walk(root.path().into(), Selection::default()).await.unwrap();
        assert!(walked.files.is_empty());
        assert!(matches!(&walked.odd[0].why, Why::Failed(error) if error.is_invalid_input()));
    }
}
