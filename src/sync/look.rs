//! How the two sides of a sync are looked at, and which of their files are equal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures::{StreamExt, TryStreamExt, stream};

use super::compare::{Comparison, Side, Unfit};
use super::hashes::Hashes;
use super::plan::{Direction, SyncPlan};
use crate::Symlinks;
use crate::blocking::blocking;
use crate::error::Result;
use crate::files::{Files, Settings, check_length};
use crate::http::{CallOptions, within};
use crate::local::{
    LocalFile, Odd, Selection, Stamp, Walked, Why, fold, folder_prefix, is_part, local_path, still_inside, walk,
};
use crate::models::FileInfo;
use crate::transfer::{Hasher, PathCheck, Source, is_empty_folder};

/// The two folders, and what is looked at in them.
pub(super) struct Scope {
    pub(super) files: Files,
    pub(super) folder: PathBuf,
    pub(super) prefix: String,
    pub(super) selection: Selection,
    pub(super) delete_extra: bool,
    pub(super) case_sensitive: bool,
    pub(super) cache: Option<PathBuf>,
}

impl Scope {
    /// Looks at both sides. What was hashed is remembered also where that is ended before it is done.
    pub(super) async fn look(
        &self,
        direction: Direction,
        batch: &mut Settings<'_>,
        options: &CallOptions,
    ) -> Result<(SyncPlan, Memory)> {
        let mut hashes = Hashes::new(self.cache.clone(), &self.folder);
        let looked = {
            let compare = pin!(self.compare(direction, batch.concurrency, options, &mut hashes));
            batch.unless_cancelled(within(options.deadline(None), compare)).await
        };
        match looked {
            Ok((plan, stamps)) => Ok((plan, Memory { hashes, stamps })),
            Err(error) => {
                hashes.save_what_is_known().await;
                Err(error)
            }
        }
    }

    async fn compare(
        &self,
        direction: Direction,
        concurrency: usize,
        options: &CallOptions,
        hashes: &mut Hashes,
    ) -> Result<(SyncPlan, HashMap<String, Stamp>)> {
        self.selection.check()?;
        let prefix = folder_prefix(&self.prefix)?;
        hashes.load().await;
        let selection = self.without_cache().await?;
        let local = self.local(direction, selection.clone()).await?;
        let remote = self.remote(&prefix, &selection, options).await?;
        let like_parts = (direction == Direction::Down || self.delete_extra).then(|| remote.keys());
        let mut odd = odd(local.odd, like_parts.into_iter().flatten());
        let folders = if direction == Direction::Down { local.folders } else { Vec::new() };
        let check = still_inside(self.folder.clone(), selection.symlinks);
        let equal = equal(&local.files, &remote, hashes, &mut odd, concurrency, check).await;
        let sizes = local.files.iter().map(|file| (file.name.clone(), file.stamp.size)).collect::<Side>();
        hashes.retain(|name| sizes.contains_key(name));
        hashes.save().await?;
        let unfit = self.unfit(direction, &prefix);
        let mut comparison = Comparison {
            direction,
            prefix,
            local: sizes,
            remote: remote.into_iter().map(|(name, file)| (name, file.size)).collect(),
            equal,
            odd,
            unfit,
            delete_extra: self.delete_extra,
            case_sensitive: self.case_sensitive,
        };
        // Of a hundred thousand files it takes a while.
        let root = self.folder.clone();
        let plan = blocking(move || {
            report_folders_that_stay(&mut comparison, &root, folders);
            Ok(comparison.plan())
        });
        let plan = plan.await?;
        let stamps = local.files.into_iter().map(|file| (file.name, file.stamp)).collect();
        Ok((plan, stamps))
    }

    /// Why a name can't be one of a file on the other side, if it can't.
    fn unfit(&self, direction: Direction, prefix: &str) -> Unfit {
        let (bucket, folder, above) = (self.files.bucket().clone(), self.folder.clone(), prefix.to_owned());
        Box::new(move |name| {
            let unfit = match direction {
                Direction::Up => {
                    let path = crate::FilePath::try_from([&above, name].concat());
                    path.and_then(|path| check_length(&bucket, &path)).err()
                }
                Direction::Down => None,
            };
            unfit.or_else(|| local_path(&folder, name).err()).map(|error| error.message().to_owned())
        })
    }

    /// The hashes of a folder are no part of it, on neither side: a bucket does not say what they are.
    pub(super) async fn without_cache(&self) -> Result<Selection> {
        let mut selection = self.selection.clone();
        let Some(cache) = self.cache.clone() else { return Ok(selection) };
        let folder = self.folder.clone();
        if let Some(own) = blocking(move || Ok(name_below(&cache, &folder))).await? {
            selection.filter(move |name| name != own);
        }
        Ok(selection)
    }

    async fn local(&self, direction: Direction, mut selection: Selection) -> Result<Walked> {
        // A folder that is to be filled need not be there yet; an upload's must be, or all would look deleted.
        if direction == Direction::Down {
            let folder = self.folder.clone();
            if !blocking(move || Ok(folder.exists())).await? {
                return Ok(Walked::default());
            }
            // Nothing is written or deleted through a link, so what is behind one can't be compared either.
            if selection.symlinks == Symlinks::Follow {
                selection.symlinks = Symlinks::Skip;
            }
        }
        walk(self.folder.clone(), selection).await
    }

    async fn remote(
        &self,
        prefix: &str,
        selection: &Selection,
        options: &CallOptions,
    ) -> Result<BTreeMap<String, FileInfo>> {
        let mut found = BTreeMap::new();
        let mut listing = self.files.list_all().stable().prefix(prefix).options(options.clone()).items();
        while let Some(file) = listing.try_next().await? {
            let name = file.path[prefix.len()..].to_owned();
            if selection.means(&name) {
                found.insert(name, file);
            }
        }
        Ok(found)
    }
}

/// What is left alone, and why: what the walk could not take, and files of the bucket that are named like parts.
fn odd<'n>(walked: Vec<Odd>, like_parts: impl Iterator<Item = &'n String>) -> BTreeMap<String, String> {
    let why = |found: Odd| {
        let why = match found.why {
            Why::Symlink => "it is a symbolic link".to_owned(),
            Why::NotAFile => "it is neither a file nor a folder".to_owned(),
            Why::Failed(error) => error.to_string(),
            // They come and go with the downloads into the folder.
            Why::Part => return None,
        };
        Some((found.name, why))
    };
    let parts = like_parts.filter(|name| is_part(name)).map(|name| (name.clone(), LIKE_A_PART.to_owned()));
    walked.into_iter().filter_map(why).chain(parts).collect()
}

/// Local folders that can't make way for the file of the bucket of that name: something is in them, even if it is nothing that
/// is meant.
fn report_folders_that_stay(comparison: &mut Comparison, root: &Path, folders: Vec<String>) {
    if folders.is_empty() {
        return;
    }
    let exact = comparison.case_sensitive;
    let form = |name: &String| if exact { name.clone() } else { fold(name) };
    let files: HashSet<String> = comparison.remote.keys().map(form).collect();
    for name in folders.into_iter().filter(|name| files.contains(&form(name))) {
        if !local_path(root, &name).is_ok_and(|path| is_empty_folder(&path)) {
            let why = format!("{name:?} is both a file and a folder that is not empty");
            comparison.odd.entry(name).or_insert(why);
        }
    }
}

/// The path of a file below a folder, however both are written, if that is where it is.
fn name_below(file: &Path, folder: &Path) -> Option<String> {
    /// As far as it is there, links resolved.
    fn real(path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => real(parent).join(name),
            _ => path.to_owned(),
        })
    }
    let (file, folder) = (std::path::absolute(file).ok()?, std::path::absolute(folder).ok()?);
    let file = real(file.parent()?).join(file.file_name()?);
    let below = file.strip_prefix(real(&folder)).ok()?.to_str()?;
    Some(below.replace(std::path::MAIN_SEPARATOR, "/"))
}

/// Of a file of the bucket: what of that name the local folder has is not looked at.
const LIKE_A_PART: &str = "it is named as parts of downloads are, which belong to neither side";

/// The names of both sides that have the same content. Only files of equal length are read.
async fn equal(
    local: &[LocalFile],
    remote: &BTreeMap<String, FileInfo>,
    hashes: &mut Hashes,
    odd: &mut BTreeMap<String, String>,
    concurrency: usize,
    check: PathCheck,
) -> HashSet<String> {
    let alike = local.iter().filter_map(|file| {
        let twin = remote.get(&file.name).filter(|twin| twin.size == file.stamp.size)?;
        Some((file, twin.sha256.as_deref()?))
    });
    let (mut equal, mut unknown) = (HashSet::new(), Vec::new());
    for (file, theirs) in alike {
        match hashes.known(file) {
            Some(ours) if ours == theirs => drop(equal.insert(file.name.clone())),
            Some(_) => {}
            None => unknown.push((file, theirs)),
        }
    }
    let hash = |(file, theirs): (&LocalFile, &str)| {
        let (file, theirs, check) = (file.clone(), theirs.to_owned(), check.clone());
        async move { (<Hasher>::of_source(Source::path_if(file.path.clone(), check)).await, file, theirs) }
    };
    let mut hashed = stream::iter(unknown).map(hash).buffer_unordered(concurrency);
    while let Some((ours, file, theirs)) = hashed.next().await {
        match ours {
            Ok(ours) => {
                hashes.learn(&file.name, &file.stamp, &ours);
                if ours == theirs {
                    equal.insert(file.name);
                }
            }
            Err(error) => drop(odd.insert(file.name, error.to_string())),
        }
    }
    equal
}

/// What was seen of the local files, for the sync after this one.
pub(super) struct Memory {
    hashes: Hashes,
    stamps: HashMap<String, Stamp>,
}

impl Memory {
    /// A file had this content when it was read, which is remembered if it is still as it was when the folder was looked at.
    pub(super) async fn learn(&mut self, name: &str, local: Option<&Path>, sha256: &str) {
        let (Some(stamp), Some(path)) = (self.stamps.get(name), local.filter(|_| self.hashes.are_kept())) else {
            return;
        };
        let path = path.to_owned();
        let now = blocking(move || Ok(path.metadata().ok().map(|metadata| Stamp::of(&metadata))));
        if now.await.is_ok_and(|now| now == Some(*stamp)) {
            self.hashes.learn(name, stamp, sha256);
        }
    }

    pub(super) async fn save(&mut self) -> Result<()> {
        self.hashes.save().await
    }

    /// The same for a sync that has failed or was stopped.
    pub(super) async fn save_what_is_known(&mut self) {
        self.hashes.save_what_is_known().await;
    }
}
