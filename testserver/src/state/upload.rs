//! Storing an uploaded file, with the races the real server loses.

use chrono::{DateTime, Utc};

use super::State;
use super::bucket::{File, FileView};
use crate::content::{Blob, Hash};
use crate::http::refusal::Refusal;
use crate::mime;

/// An upload whose bytes are on their way; made before the first of them is read.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) bucket_id: String,
    pub(crate) path: String,
    /// Everything with a greater row happened after its last byte. Only then the server looks for equal contents, and for a
    /// file of this path.
    read: u64,
}

/// A file as it was stored.
pub(crate) struct Stored {
    pub(crate) view: FileView,
    /// Whether there was none of this path.
    pub(crate) new: bool,
}

impl State {
    pub(crate) fn arrive(&mut self, bucket_id: &str, path: String) -> Arrival {
        Arrival { bucket_id: bucket_id.to_owned(), path, read: self.next_row() }
    }

    /// Its last byte has come.
    pub(crate) fn has_read(&mut self, arrival: &mut Arrival) {
        arrival.read = self.next_row();
    }

    /// Stores what has arrived. Only a commit that nothing has overtaken succeeds.
    pub(crate) fn commit(
        &mut self,
        arrival: &Arrival,
        hash: Hash,
        blob: Blob,
        now: DateTime<Utc>,
    ) -> Result<Stored, Refusal> {
        let row = self.next_row();
        let old = self.buckets.get(&arrival.bucket_id).and_then(|bucket| bucket.file(&arrival.path)).cloned();
        if self.defects.upload_races {
            self.check_races(arrival, old.as_ref(), &hash, row)?;
        }
        let deduplicated = self.contents.known_since(&hash).is_some();
        let size = blob.length();
        self.contents.hold(row, hash, blob);
        let (created_at, short_code, file_row) = match &old {
            Some(old) => (old.created_at, old.short_code.clone(), old.row),
            None => (now, self.new_code(&arrival.bucket_id, &arrival.path), row),
        };
        match &old {
            Some(old) => {
                self.contents.release(&old.hash);
                self.forget_file(&arrival.bucket_id, old, now);
            }
            // One that is being deleted may be remembered.
            None => drop(self.caches.files.remove(&(arrival.bucket_id.clone(), arrival.path.clone()))),
        }
        let file = File {
            row: file_row,
            path: arrival.path.clone(),
            size,
            mime_type: mime::of_path(&arrival.path),
            short_code,
            hash,
            created_at,
            updated_at: now,
        };
        let view = FileView::uploaded(&file, old.is_some(), deduplicated);
        if let Some(bucket) = self.buckets.get_mut(&arrival.bucket_id) {
            bucket.put_file(file);
            bucket.last_used_at = Some(now);
        } else {
            // Deleted meanwhile, which nobody looks at again: the answer is the usual one, and the file nowhere.
            self.contents.release(&hash);
            self.remove_code(&file.short_code);
        }
        self.caches.forget_details(&arrival.bucket_id);
        Ok(Stored { view, new: old.is_none() })
    }

    /// The UNIQUE violations of the real server, made certain: who commits second to a new path, or second with
    /// new bytes, loses if its bytes had all come before the first was stored.
    fn check_races(&mut self, arrival: &Arrival, old: Option<&File>, hash: &Hash, row: u64) -> Result<(), Refusal> {
        if self.contents.is_poisoned(hash) {
            return Err(Refusal::Unhandled);
        }
        let known_since = self.contents.known_since(hash);
        if old.is_some_and(|old| old.row > arrival.read) {
            if known_since.is_none() {
                self.contents.poison(row, *hash);
            }
            return Err(Refusal::Unhandled);
        }
        if known_since.is_some_and(|since| since > arrival.read) {
            return Err(Refusal::Unhandled);
        }
        Ok(())
    }

    /// Gives a file the bytes of a PATCH. `base` is what the patch was applied to; `None` if the file has gone.
    pub(crate) fn commit_patch(
        &mut self,
        bucket_id: &str,
        path: &str,
        base: &Hash,
        patched: (Hash, Blob),
        now: DateTime<Utc>,
    ) -> Option<Patched> {
        let row = self.next_row();
        let mut file = self.buckets.get(bucket_id)?.file(path)?.clone();
        if file.hash != *base && !self.defects.lost_appends {
            return Some(Patched::Overtaken);
        }
        self.forget_file(bucket_id, &file, now);
        let (hash, blob) = patched;
        file.size = blob.length();
        let old = std::mem::replace(&mut file.hash, hash);
        file.updated_at = now;
        self.contents.hold(row, hash, blob);
        self.contents.release(&old);
        self.buckets.get_mut(bucket_id)?.put_file(file);
        self.caches.forget_details(bucket_id);
        Some(Patched::Stored)
    }
}

/// What has come of a patch.
pub(crate) enum Patched {
    Stored,
    /// The file has changed since; without the defect the patch is applied again.
    Overtaken,
}
