//! From the ids of the recordings to those of this run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::recording::Exchange;

/// Members whose values differ from run to run.
const ID_MEMBERS: [&str; 12] = [
    "id",
    "bucket_id",
    "short_code",
    "short_url",
    "key",
    "prefix",
    "token",
    // Of the hub.
    "arguments",
    "connectionId",
    "connectionToken",
    "shortCode",
    "shortUrl",
];

/// Anything shorter is no id.
const SHORTEST: usize = 6;

/// What was learnt so far.
pub(crate) struct Live {
    pub(crate) address: SocketAddr,
    /// By their first bytes, the longest first.
    ids: HashMap<Vec<u8>, Vec<(String, String)>>,
    /// How far `Last-Modified` has moved, by recorded path.
    shifts: HashMap<String, (bool, Duration)>,
}

impl Live {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, ids: HashMap::new(), shifts: HashMap::new() }
    }

    /// Recorded text with the ids of this run.
    pub(crate) fn text(&self, recorded: &str) -> String {
        let mut out = String::with_capacity(recorded.len());
        let mut rest = recorded;
        while let Some(first) = rest.chars().next() {
            let head = rest.as_bytes().get(..SHORTEST).and_then(|head| self.ids.get(head));
            match head.and_then(|known| known.iter().find(|(old, _)| rest.starts_with(old))) {
                Some((old, new)) => {
                    out.push_str(new);
                    rest = &rest[old.len()..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }

    pub(crate) fn learn(&mut self, old: &Value, new: &Value, member: &str) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for (name, value) in old {
                    if let Some(new) = new.get(name) {
                        self.learn(value, new, name);
                    }
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                for (old, new) in old.iter().zip(new) {
                    self.learn(old, new, member);
                }
            }
            (Value::String(old), Value::String(new)) if ID_MEMBERS.contains(&member) => self.remember(old, new),
            _ => {}
        }
    }

    /// The ids in a `Location`.
    pub(crate) fn learn_location(&mut self, old: &str, new: &str) {
        for (old, new) in old.split('/').zip(new.split('/')) {
            let alphanumeric = old.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if (alphanumeric && matches!(old.len(), 6 | 10)) || (old.starts_with("cf4_") && old.len() == 12) {
                self.remember(old, new);
            }
        }
    }

    fn remember(&mut self, old: &str, new: &str) {
        if old == new || old.len() < SHORTEST {
            return;
        }
        let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        for (old, new) in [(old.to_owned(), new.to_owned()), (percent(old), percent(new))] {
            let known = self.ids.entry(old.as_bytes()[..SHORTEST].to_vec()).or_default();
            if !known.iter().any(|(other, _)| *other == old) {
                known.push((old, new));
                known.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
            }
        }
    }

    pub(crate) fn learn_shift(&mut self, path: &str, old: &str, new: &str) {
        if let (Ok(old), Ok(new)) = (httpdate::parse_http_date(old), httpdate::parse_http_date(new)) {
            let shift = match new.duration_since(old) {
                Ok(later) => (true, later),
                Err(earlier) => (false, earlier.duration()),
            };
            self.shifts.insert(without_query(path).to_owned(), shift);
        }
    }

    /// An HTTP date in a request moves with the live `Last-Modified` of the same path.
    fn date(&self, path: &str, value: &str) -> String {
        let shift = self.shifts.get(without_query(path));
        let (Ok(date), Some((later, by))) = (httpdate::parse_http_date(value), shift) else {
            return value.to_owned();
        };
        let moved: SystemTime = if *later { date + *by } else { date - *by };
        httpdate::fmt_http_date(moved)
    }

    /// The bytes of a recorded request, for this run.
    pub(crate) fn request(&self, exchange: &Exchange) -> Vec<u8> {
        if let Some(raw) = exchange.by_hand() {
            return raw;
        }
        let mut body = exchange.body(|text| self.text(text));
        let has = |name: &str| exchange.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", exchange.method, self.text(&exchange.path));
        if !has("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in &exchange.headers {
            let value = match name.to_ascii_lowercase().as_str() {
                "content-length" => body.len().to_string(),
                "if-modified-since" | "if-unmodified-since" | "if-range" => self.date(&exchange.path, value),
                _ => value.clone(),
            };
            head.push_str(&format!("{name}: {}\r\n", self.text(&value)));
        }
        if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        if has("transfer-encoding") {
            body = chunked(&body);
        }
        let mut request = head.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend(body);
        request
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    if !body.is_empty() {
        chunks.extend(format!("{:x}\r\n", body.len()).into_bytes());
        chunks.extend_from_slice(body);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}
