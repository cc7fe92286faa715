//! `GET /api/buckets/{id}/files/{path}/verify`

use super::File;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable};
use crate::models::Verification;

impl File {
    /// Makes the server hash the stored bytes and compare them with what it noted (public). It takes as long as reading
    /// the file; bytes that are gone give `valid: false` and an empty `computed_hash`.
    pub fn verify(&self) -> VerifyFile {
        VerifyFile { file: self.clone(), options: CallOptions::default() }
    }
}

/// Makes the server check a file. Made by [`File::verify`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct VerifyFile {
    file: File,
    options: CallOptions,
}

impl VerifyFile {
    async fn run(self) -> Result<Verification> {
        let request = Request::get(self.file.route("/verify")?).slow().options(self.options);
        self.file.client().transport.send(request).await?.json()
    }
}

awaitable!(VerifyFile => Verification);
