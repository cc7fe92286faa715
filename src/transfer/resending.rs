//! A body that is sent once more within one call.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::UploadBody;
use crate::error::{Error, Result};
use crate::http::{Request, RequestBody, Response, RetryPolicy, Transport};

/// Sends a body, and again where its caller finds that it may: after an answer that no transport can judge. All of it is one
/// call: its limits on time and attempts are not begun anew, and the client's budget of retries counts.
pub(crate) struct Resending<'r> {
    transport: &'r Transport,
    request: &'r Request,
    policy: &'r RetryPolicy,
    deadline: Option<Instant>,
    /// What follows the first sending, and why there is one.
    again: Option<(Request, Error)>,
    /// Attempts that no failure was the reason for.
    afresh: u32,
}

impl<'r> Resending<'r> {
    /// Of a call that begins now.
    pub(crate) fn new(transport: &'r Transport, request: &'r Request) -> Self {
        let policy = request.options.retry().unwrap_or(&transport.config().retry);
        let deadline = transport.deadline(&request.options);
        Self { transport, request, policy, deadline, again: None, afresh: 0 }
    }

    /// When the call has to be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it has been sent more than once.
    pub(crate) fn is_again(&self) -> bool {
        self.again.is_some()
    }

    /// Sends it. An error tells of the sendings before it as well.
    pub(crate) async fn send(&self, body: &mut UploadBody<'_>) -> Result<Response> {
        let (request, earlier) = match &self.again {
            Some((request, earlier)) => (request, Some(earlier)),
            None => (self.request, None),
        };
        self.transport.send_body(request, body).await.map_err(|error| error.after(earlier))
    }

    /// Waits until it may be sent again after this failure.
    ///
    /// # Errors
    /// The same one, where it may not be.
    pub(crate) async fn retry(&mut self, error: Error, body: &mut UploadBody<'_>) -> Result<()> {
        if !body.is_replayable() {
            return Err(error);
        }
        let tries = error.attempts().saturating_sub(self.afresh);
        let pause = self.transport.pause(self.policy, tries, error.retry_after(), self.deadline);
        let Some(delay) = pause else { return Err(error) };
        body.again_after(error.attempts(), delay);
        Box::pin(sleep(delay)).await;
        self.follows(error);
        Ok(())
    }

    /// It is sent again after an answer that is no failure: that is no retry, so it neither waits nor counts.
    pub(crate) fn afresh(&mut self, error: Error, body: &mut UploadBody<'_>) {
        body.again_after(error.attempts(), Duration::ZERO);
        self.afresh += 1;
        self.follows(error);
    }

    fn follows(&mut self, error: Error) {
        let tried = error.attempts().saturating_sub(self.afresh);
        // The transport has attempts, too, that no failure was the reason for.
        let left = self.policy.max_attempts.saturating_sub(tried).max(1);
        let mut request = self.request.clone();
        request.options.end_by(self.deadline);
        request.options.set_retry(self.policy.clone().max_attempts(left));
        self.again = Some((request, error));
    }
}
