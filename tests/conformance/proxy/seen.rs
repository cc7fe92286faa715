//! What the proxy remembers of a request.

use std::time::Instant;

use super::Head;

/// A request and what became of it, as far as it has got.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// When its head was there.
    pub(crate) at: Instant,
    /// Bytes of its body that came, framing included.
    pub(crate) body: u64,
    /// What the client was answered, if anything.
    pub(crate) status: Option<u16>,
    /// Bytes of the answer's body that the client was sent, framing included.
    pub(crate) reply: u64,
    /// Nothing more will move.
    pub(crate) ended: bool,
}

impl Seen {
    pub(super) fn new(head: &Head) -> Self {
        Self {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            headers: head.headers.clone(),
            at: Instant::now(),
            body: 0,
            status: None,
            reply: 0,
            ended: false,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// It announces a body and sends none of it.
    pub(crate) fn is_probe(&self) -> bool {
        let announces = self.header("content-length").is_some_and(|length| length != "0")
            || self.header("transfer-encoding").is_some();
        announces && self.body == 0
    }
}
