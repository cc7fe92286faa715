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

impl State {
    /// Whether a token is good for a bucket. The verdict, either way, is remembered for a while.
    pub(crate) fn token_is_good(&mut self, token: &str, bucket_id: &str, now: DateTime<Utc>) -> bool {
        let name = (token.to_owned(), bucket_id.to_owned());
        if let Some(verdict) = self.caches.verdicts.get(&name).and_then(|cached| cached.at(now)) {
            return *verdict;
        }
        let good = self.tokens.get(token).is_some_and(|token| {
            let uploads_left = token.max_uploads.is_none_or(|max| token.uploads_used < i64::from(max));
            token.bucket_id == bucket_id && token.expires_at > now && uploads_left
        });
        if self.defects.stale_token_verdicts {
            self.caches.verdicts.insert(name, Cached::until(now + VERDICT, good));
        }
        good
    }

    /// Charges a token for the files of one successful request, and forgets the verdict on it.
    pub(crate) fn charge_token(&mut self, token: &str, files: usize) {
        if let Some(known) = self.tokens.get_mut(token) {
            known.uploads_used += i64::try_from(files).unwrap_or(i64::MAX);
        }
        self.caches.verdicts.retain(|(cached, _), _| cached != token);
    }
}
