//! Upload tokens, and the verdicts on them.

use chrono::{DateTime, Utc};

use super::State;
use super::cache::{Cached, VERDICT};

/// A token that lets anybody upload into one bucket.
#[derive(Clone, Debug)]
pub(crate) struct UploadToken {
    pub(crate) bucket_id: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) max_uploads: Option<i32>,
    pub(crate) uploads_used: i64,
}

/// Whether a token that exists is good, and for which bucket.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) bucket_id: String,
    good: bool,
}

impl State {
    /// Whether a token is good for a bucket. The verdict, either way and whatever the bucket, is remembered for a while.
    pub(crate) fn token_is_good(&mut self, token: &str, bucket_id: &str, now: DateTime<Utc>) -> bool {
        self.verdict(token, now).is_some_and(|verdict| verdict.good && verdict.bucket_id == bucket_id)
    }

    fn verdict(&mut self, token: &str, now: DateTime<Utc>) -> Option<Verdict> {
        if let Some(verdict) = self.caches.verdicts.get(token).and_then(|cached| cached.at(now)) {
            return Some(verdict.clone());
        }
        let known = self.tokens.get(token)?;
        let uploads_left = known.max_uploads.is_none_or(|max| known.uploads_used < i64::from(max));
        let verdict = Verdict { bucket_id: known.bucket_id.clone(), good: known.expires_at > now && uploads_left };
        if self.defects.stale_token_verdicts {
            self.caches.verdicts.insert(token.to_owned(), Cached::until(now + VERDICT, verdict.clone()));
        }
        Some(verdict)
    }

    /// Charges a token for the files of one successful request, and forgets the verdict on it.
    pub(crate) fn charge_token(&mut self, token: &str, files: usize) {
        if let Some(known) = self.tokens.get_mut(token) {
            known.uploads_used += i64::try_from(files).unwrap_or(i64::MAX);
        }
        self.caches.verdicts.remove(token);
    }
}
