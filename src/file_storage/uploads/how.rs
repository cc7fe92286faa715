//! How an upload in parts goes: what is asked of its source before anything is sent, and of its parts.

use crate::error::{Error, ErrorKind, Result};
use crate::transfer::{Hasher, Phase, Reporter, Sections, Source, check_expected, spooled};

/// Parts under way at once, where the caller did not say.
const PARALLEL: usize = 4;

/// What the caller has said of it.
#[derive(Debug, Clone)]
pub(super) struct How {
    pub(super) parallel: usize,
    pub(super) verify: bool,
    /// The SHA-256 that the source must have.
    pub(super) expected: Option<String>,
    /// The source is read into a temporary file first, up to so many bytes.
    pub(super) spool: Option<u64>,
}

impl Default for How {
    fn default() -> Self {
        Self { parallel: PARALLEL, verify: true, expected: None, spool: None }
    }
}

impl How {
    pub(super) fn check(&self) -> Result<()> {
        match self.parallel {
            0 => Err(Error::invalid_input("parallel", "at least one part has to be under way")),
            _ => check_expected(self.expected.as_deref()),
        }
    }

    /// The content, once it is known to be the right one: parts go in any order, so it can't be hashed on its way.
    pub(super) async fn content(&self, source: Source<'_>, reporter: &mut Reporter<'_>) -> Result<Sections> {
        let source = match self.spool {
            Some(limit) => spooled(source, limit, reporter).await?,
            None => source,
        };
        let content = source.into_sections().await?;
        if let Some(expected) = &self.expected {
            let found = sha256(&content, reporter).await?;
            if !expected.eq_ignore_ascii_case(&found) {
                let message = format!("the source has the SHA-256 {found}, expected was {expected}; nothing was sent");
                return Err(Error::new(ErrorKind::IntegrityMismatch, message));
            }
        }
        Ok(content)
    }
}

async fn sha256(content: &Sections, reporter: &mut Reporter<'_>) -> Result<String> {
    let (mut reading, _) = content.section(0, content.size()).open().await?;
    let (mut hasher, mut hashed) = (Hasher::new(), 0);
    reporter.total = Some(content.size());
    loop {
        reporter.report(hashed, Phase::Hashing);
        let Some(chunk) = reporter.beside(reading.next()).await? else { break };
        hasher.update(&chunk).await;
        hashed += chunk.len() as u64;
    }
    hasher.finish().await
}

/// The setters of an upload in parts with a field `how: How`.
macro_rules! how_setters {
    ($builder:ident) => {
        impl $builder<'_> {
            /// How many parts are under way at once. Default 4; 0 is refused.
            pub fn parallel(mut self, parts: usize) -> Self {
                self.how.parallel = parts;
                self
            }

            /// Whether parts are compared with what arrived. They are, by default.
            pub fn verify(mut self, verify: bool) -> Self {
                self.how.verify = verify;
                self
            }

            /// The SHA-256 (64 hex digits) that the source must have. The whole source is read once for it before anything is
            /// sent; another one is `IntegrityMismatch`, and nothing is.
            pub fn expect_sha256(mut self, sha256: impl Into<String>) -> Self {
                self.how.expected = Some(sha256.into());
                self
            }

            /// Reads the source to its end, into a temporary file of at most so many bytes, before anything is sent: for
            /// readers, streams, pipes and what a factory makes, which can't be read in any order. A longer source is
            /// `PayloadTooLarge`, and nothing is sent. The file has no name and goes with the call; it is in the system's
            /// folder for temporary files.
            pub fn spool(mut self, limit: u64) -> Self {
                self.how.spool = Some(limit);
                self
            }
        }
    };
}

pub(super) use how_setters;
