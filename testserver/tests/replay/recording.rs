//! The recordings.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A request and what the real server answered.
pub(crate) struct Exchange {
    /// `None` for the requests in between, which are sent but not compared.
    pub(crate) number: Option<u32>,
    pub(crate) section: String,
    pub(crate) note: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    body: Value,
    body_encoding: String,
    pub(crate) response: Recorded,
}

/// A recorded answer.
pub(crate) struct Recorded {
    pub(crate) status: Option<u64>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) body_encoding: String,
    pub(crate) zip_entries: Option<Vec<String>>,
    /// Of an answer of which only a part is kept: the media type of each file, by the extension of its path.
    pub(crate) mime_types: Option<BTreeMap<String, String>>,
    /// And how many files it lists.
    pub(crate) files_count: Option<u64>,
    transport_error: bool,
}

const LEFT_OUT_SECTIONS: [&str; 9] =
    ["limits", "cors (", "cleanup", "shutdown", "timeouts", "cache lifetimes", "concurrency", "extra", "hub"];
/// HTTP parser limits, HTTP/2, pipelining, long waits, steps "not shown", lifetimes of the original's caches.
const LEFT_OUT: [u32; 10] = [43, 44, 45, 51, 52, 56, 417, 419, 893, 894];
/// Statistics that also count steps which are not shown.
const SHAPE_ONLY: [u32; 5] = [839, 840, 843, 844, 845];

impl Exchange {
    pub(crate) fn is_left_out(&self) -> bool {
        LEFT_OUT_SECTIONS.iter().any(|section| self.section.starts_with(section))
            || self.section == "keys.revoke (later)"
            || self.number.is_some_and(|number| LEFT_OUT.contains(&number))
            || self.response.transport_error
    }

    /// An expiry has to pass.
    pub(crate) fn pause_before(&self) -> Duration {
        match self.number {
            Some(789) => Duration::from_millis(2600),
            Some(897) => Duration::from_millis(3400),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn is_shape_only(&self) -> bool {
        self.number.is_some_and(|number| SHAPE_ONLY.contains(&number))
    }

    /// The bytes of a request that was written by hand, head and all.
    pub(crate) fn by_hand(&self) -> Option<Vec<u8>> {
        let raw = (self.body_encoding == "described").then(|| self.body["raw"].as_str().expect("raw text"));
        // One character, one byte.
        raw.map(|raw| raw.chars().map(|character| u8::try_from(u32::from(character)).expect("a byte")).collect())
    }

    /// The body, with ids mapped by `live` where it is text.
    pub(crate) fn body(&self, live: impl Fn(&str) -> String) -> Vec<u8> {
        let text = || self.body.as_str().expect("a text");
        match self.body_encoding.as_str() {
            "" | "empty" => Vec::new(),
            "json" => live(&self.body.to_string()).into_bytes(),
            "utf-8" => live(text()).into_bytes(),
            "base64" => STANDARD.decode(text()).expect("base64"),
            "gzip+base64" => {
                let packed = STANDARD.decode(text()).expect("base64");
                let mut body = Vec::new();
                flate2::read::GzDecoder::new(&*packed).read_to_end(&mut body).expect("gzip");
                body
            }
            other => panic!("unknown encoding {other}"),
        }
    }
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn load() -> Vec<Exchange> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/carbonfiles/recordings.json");
    let text = std::fs::read_to_string(path).expect("the recordings");
    let recordings: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    recordings.iter().map(exchange).collect()
}

fn exchange(recorded: &Value) -> Exchange {
    let (request, response) = (&recorded["request"], &recorded["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Exchange {
        number: recorded["n"].as_u64().map(|number| u32::try_from(number).expect("a small number")),
        section: text(&recorded["section"]),
        note: text(&recorded["note"]),
        method: text(&request["method"]),
        path: text(&request["path"]),
        headers: headers(&request["headers"]),
        body: request["body"].clone(),
        body_encoding: text(&request["body_encoding"]),
        response: Recorded {
            status: response["status"].as_u64(),
            headers: headers(&response["headers"]),
            body: response["body"].clone(),
            body_encoding: text(&response["body_encoding"]),
            zip_entries: response["zip_entries"].as_array().map(|entries| {
                let name = |entry: &Value| text(if entry.is_string() { entry } else { &entry["name"] });
                entries.iter().map(name).collect()
            }),
            mime_types: response["mime_types"]
                .as_object()
                .map(|types| types.iter().map(|(extension, kind)| (extension.clone(), text(kind))).collect()),
            files_count: response["files_count"].as_u64(),
            transport_error: response.get("transport_error").is_some(),
        },
    }
}

/// An object, or pairs where a name comes twice.
fn headers(recorded: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a header value").to_owned();
    match recorded {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Array(pairs) => pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        _ => Vec::new(),
    }
}
