//! The body of a request: its limit, its minimum rate, and the faults on its way in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::link::{Cut, Link};
use super::refusal::Refusal;
use crate::fault::{Action, Firing};
use crate::seen::Sighting;

/// Kestrel's minimum rate of a request body, bytes a second.
const MINIMUM_RATE: f64 = 240.0;

/// How long an unread body is read on after the answer.
const DRAIN: Duration = Duration::from_secs(5);

/// Bytes of chunk framing apart from the size itself: two line ends; and the last chunk.
const CHUNK_LINE_ENDS: u64 = 4;
const LAST_CHUNK: u64 = 5;

/// What a body is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules {
    /// `MaxUploadSize`; 0 is no limit.
    pub(crate) limit: u64,
    /// The time before the minimum rate counts; `None` for no minimum.
    pub(crate) grace: Option<Duration>,
}

/// A request body, read piece by piece.
pub(crate) struct RequestBody {
    incoming: Incoming,
    link: Arc<Link>,
    sighting: Arc<Sighting>,
    firing: Option<Firing>,
    rules: BodyRules,
    declared: Option<u64>,
    read: u64,
    /// What chunked framing has cost so far. hyper hides the exact number; one size line per piece is close.
    framing: u64,
    waited: Duration,
    ended: bool,
    refused: Option<Refusal>,
}

impl RequestBody {
    pub(crate) fn new(
        incoming: Incoming,
        link: Arc<Link>,
        sighting: Arc<Sighting>,
        firing: Option<Firing>,
        rules: BodyRules,
    ) -> Self {
        let declared = incoming.size_hint().exact();
        let ended = incoming.is_end_stream();
        Self {
            incoming,
            link,
            sighting,
            firing,
            rules,
            declared,
            read: 0,
            framing: if declared.is_some() { 0 } else { LAST_CHUNK },
            waited: Duration::ZERO,
            ended,
            refused: None,
        }
    }

    /// Whether there can be a body at all: a length over zero, or chunked.
    pub(crate) fn can_have_bytes(&self) -> bool {
        self.declared != Some(0)
    }

    /// How much of it has been read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let chunk = self.read_chunk().await;
        if let Err(refusal) = &chunk {
            self.refused = Some(refusal.clone());
        }
        chunk
    }

    async fn read_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.strike().await;
        if self.over_limit() {
            return Err(Refusal::TooLarge);
        }
        let Some(bytes) = self.next_piece().await? else {
            self.ended = true;
            return Ok(None);
        };
        let length = bytes.len() as u64;
        self.read += length;
        self.sighting.body_read(length);
        // Before a handler sees these bytes: it may not ask for more.
        self.strike().await;
        if self.declared.is_none() {
            self.framing += u64::from(length.max(1).ilog2() / 4 + 1) + CHUNK_LINE_ENDS;
        }
        if self.over_limit() {
            return Err(Refusal::TooLarge);
        }
        self.slow_down(length).await;
        Ok(Some(bytes))
    }

    fn over_limit(&self) -> bool {
        let size = self.declared.unwrap_or(self.read + self.framing);
        // Framing of an empty body does not count: nothing was read yet.
        self.rules.limit > 0 && size > self.rules.limit && (self.declared.is_some() || self.read > 0)
    }

    /// The next piece off the connection, within the time the minimum rate leaves.
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = match self.rules.grace {
                None => self.incoming.frame().await,
                Some(grace) => {
                    let allowed = grace.max(Duration::from_secs_f64(self.read as f64 / MINIMUM_RATE));
                    let since = Instant::now();
                    let left = allowed.saturating_sub(self.waited);
                    let frame = timeout(left, self.incoming.frame()).await.map_err(|_| Refusal::TooSlow)?;
                    self.waited += since.elapsed();
                    frame
                }
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(broken)) => return Err(classify(&broken)),
            }
        }
    }

    /// Everything, for routes that read JSON.
    pub(crate) async fn collect(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    async fn strike(&mut self) {
        let Some(firing) = self.firing.clone() else {
            return;
        };
        match *firing.action() {
            Action::ResetRequestAfter(after) if self.read >= after => {
                firing.fire();
                self.link.cut_and_vanish(Cut::Reset).await;
            }
            Action::StallRequestAfter(after) if self.read >= after => {
                firing.fire();
                self.firing = None;
                firing.released().await;
            }
            _ => {}
        }
    }

    async fn slow_down(&mut self, length: u64) {
        let Some(firing) = &self.firing else {
            return;
        };
        if let Action::Slow(rate) = *firing.action() {
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate as f64)).await;
        }
    }

    /// What happens to a body that the answer did not wait for: read on for a while, so that the connection
    /// can be used again, then reset. `handed_over` tells when the answer is out: reading earlier would ask
    /// an expecting client to continue.
    pub(crate) fn drain(mut self, handed_over: oneshot::Receiver<()>) {
        let over = self.rules.limit > 0 && self.declared.is_some_and(|declared| declared > self.rules.limit);
        if self.ended || self.refused.is_some() || over {
            return;
        }
        tokio::spawn(async move {
            let _ = handed_over.await;
            let rest = async {
                while let Some(Ok(frame)) = self.incoming.frame().await {
                    let bytes = frame.into_data().map_or(0, |bytes| bytes.len() as u64);
                    self.sighting.body_read(bytes);
                }
            };
            if timeout(DRAIN, rest).await.is_err() {
                self.link.cut_now(Cut::Reset);
            }
        });
    }
}

/// Tells a body that breaks the rules of chunking from a peer that went away.
fn classify(broken: &hyper::Error) -> Refusal {
    use std::error::Error;
    use std::io::{Error as IoError, ErrorKind};

    let kind = broken.source().and_then(|source| source.downcast_ref::<IoError>()).map(IoError::kind);
    match kind {
        Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => Refusal::Malformed,
        _ => Refusal::PeerGone,
    }
}
