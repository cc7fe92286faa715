//! `POST /files/bulk-delete`

use http::Method;
use serde_json::json;

use super::Files;
use crate::error::Result;
use crate::file_storage::Client;
use crate::file_storage::client::api;
use crate::file_storage::id::canonical;
use crate::file_storage::models::BulkDeleted;
use crate::http::{CallOptions, Replay, awaitable};
use crate::models::Extra;

/// The most ids that the service takes at once.
const AT_ONCE: usize = 200;

impl Files {
    /// Deletes many files (`file_storage.delete`), 200 in a request. Ids that are unknown, others' or come twice are passed
    /// over; one that is none is refused before anything is deleted. Where a request fails, those before it have deleted
    /// theirs.
    ///
    /// ```no_run
    /// # async fn f(files: carbonfiles::file_storage::Files, old: Vec<String>) -> carbonfiles::Result<()> {
    /// let gone = files.bulk_delete(&old).await?;
    /// println!("{} of {}", gone.deleted, old.len());
    /// # Ok(()) }
    /// ```
    pub fn bulk_delete<I>(&self, ids: I) -> BulkDelete
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        BulkDelete {
            client: self.client.clone(),
            ids: ids.into_iter().map(|id| canonical(id.as_ref())).collect(),
            options: CallOptions::default(),
        }
    }
}

/// Deletes many files. Made by [`Files::bulk_delete`].
///
/// An attempt whose answer is lost is repeated; what that one had deleted is then not in the result.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct BulkDelete {
    client: Client,
    ids: Result<Vec<String>>,
    options: CallOptions,
}

impl BulkDelete {
    async fn run(mut self) -> Result<BulkDeleted> {
        // Of all requests together.
        self.client.transport().start(&mut self.options);
        let mut gone = BulkDeleted { deleted: 0, ids: Vec::new(), extra: Extra::default() };
        for ids in self.ids?.chunks(AT_ONCE) {
            let request = api(Method::POST, "/files/bulk-delete")
                .rows(ids.len() as u64)
                .json(&json!({ "ids": ids }))?
                .replay(Replay::Safe)
                .options(self.options.clone());
            let sent = self.client.transport().send(request).await;
            let answer: BulkDeleted = sent.map_err(|error| error.unless_done(gone.deleted > 0))?.json()?;
            gone.deleted = gone.deleted.saturating_add(answer.deleted);
            gone.ids.extend(answer.ids);
            gone.extra = answer.extra;
        }
        Ok(gone)
    }
}

awaitable!(BulkDelete => BulkDeleted);
