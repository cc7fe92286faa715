//! A file that was sent whole, and whose answer leaves open what became of it.

use chrono::TimeDelta;
use tokio::time::Instant;

use super::alike::UnderWay;
use super::list::{ListFiles, MOST_ROWS, Query};
use crate::file_storage::Client;
use crate::file_storage::models::StoredFile;
use crate::http::CallOptions;
use crate::transfer::Digest;

/// What an upload would have stored, and until when it may be looked for.
pub(super) struct Sought<'u> {
    client: Client,
    name: &'u str,
    media_type: &'u str,
    public: bool,
    under_way: UnderWay,
    start: Instant,
    deadline: Option<Instant>,
    options: CallOptions,
}

/// Whether the service has it.
pub(super) enum Stored {
    Yes(Box<StoredFile>),
    No,
    /// It can't be told; a hint says why.
    Unknown(&'static str),
}

impl<'u> Sought<'u> {
    /// Of a call that begins now.
    pub(super) fn new(
        client: Client,
        name: &'u str,
        media_type: &'u str,
        public: bool,
        mut options: CallOptions,
    ) -> Self {
        let start = Instant::now();
        let deadline = client.transport().deadline(&options);
        options.end_by(deadline);
        let under_way = client.uploads_under_way().begin(name, media_type, public);
        Self { client, name, media_type, public, under_way, start, deadline, options }
    }

    /// This is the file, as the service says itself.
    pub(super) fn is(&self, file: &StoredFile) {
        self.under_way.takes(&file.id);
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The call's own, within what is left of its time.
    pub(super) fn options(&self) -> CallOptions {
        self.options.clone()
    }

    /// Whether the call's time has passed.
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Looks for it among the newest files of its name: all that the service tells of a file has to be the same.
    pub(super) async fn look(&self, sent: &[Digest]) -> Stored {
        const UNKNOWN: &str =
            "All was sent, and whether it is stored could not be told: look for the file before you send it again";
        let [Digest { size, sha256: Some(sha256) }] = sent else { return Stored::Unknown(UNKNOWN) };
        if self.is_over() {
            return Stored::Unknown(UNKNOWN);
        }
        let list = ListFiles::of(self.client.clone(), Query::named(self.name), self.options()).per_page(MOST_ROWS);
        let listed = list.with_date().await;
        // Taken with the service's clock: the listing may have been slow itself.
        let (Ok((page, Some(now))), Ok(took)) = (listed, TimeDelta::from_std(self.start.elapsed())) else {
            return Stored::Unknown(UNKNOWN);
        };
        // The clock of the `Date` header has whole seconds.
        let since = now - took - TimeDelta::seconds(2);
        let is_it = |file: &StoredFile| {
            file.filename == self.name
                && file.content_type == self.media_type
                && file.size_bytes == *size
                && file.checksum_sha256.as_ref() == Some(sha256)
                && file.public == self.public
                && file.created_at.is_some_and(|at| at >= since)
                && !self.under_way.is_taken(&file.id)
        };
        let mut found = page.into_iter().filter(is_it);
        match (found.next(), found.next()) {
            (Some(_), None) if self.under_way.has_rivals() => Stored::Unknown(
                "All was sent, and an equal file was stored: it may be that of another upload of this client, under way as well",
            ),
            (Some(file), None) => {
                self.is(&file);
                Stored::Yes(Box::new(file))
            }
            (None, _) => Stored::No,
            (Some(_), Some(_)) => Stored::Unknown(
                "All was sent, and several equal files were stored meanwhile: which one is this one's can't be told",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looking_is_a_part_of_the_call() {
        let client = Client::anonymous("http://127.0.0.1:9").unwrap();
        let seconds = Duration::from_secs;
        let mut limited = CallOptions::default();
        limited.set_total_timeout(seconds(10));
        let end = Instant::now() + seconds(10);
        let sought = Sought::new(client.clone(), "x", "a/b", false, limited);
        tokio::time::advance(seconds(4)).await;
        assert_eq!(sought.options().deadline(None), Some(end));
        assert!(!sought.is_over());
        tokio::time::advance(seconds(6)).await;
        assert!(sought.is_over());
        let sent = [Digest { size: 1, sha256: Some("0".repeat(64)) }];
        assert!(matches!(sought.look(&sent).await, Stored::Unknown(_)));

        let unlimited = Sought::new(client, "x", "a/b", false, CallOptions::default());
        assert!(unlimited.options().deadline(None).is_none() && !unlimited.is_over());
    }
}
