//! What differs between a recorded answer and a live one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use serde_json::Value;

use crate::live::Live;
use crate::recording::{Exchange, Recorded};
use crate::wire::{self, Answer};

const IGNORED_HEADERS: [&str; 5] = ["date", "server", "connection", "keep-alive", "transfer-encoding"];
const COMPARED_HEADERS: [&str; 13] = [
    "content-type",
    "location",
    "etag",
    "content-range",
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "vary",
];

/// How every dashboard token begins.
const JWT: &str = "eyJ";

/// Sends a recorded request and says how the answer differs.
pub(crate) fn replay(live: &mut Live, exchange: &Exchange) -> Vec<String> {
    let answer = match wire::send(live.address, &live.request(exchange), &exchange.method) {
        Ok(answer) => answer,
        Err(failed) => return vec![format!("no answer: {failed}")],
    };
    let recorded = &exchange.response;
    let beginning = String::from_utf8_lossy(&answer.body[..answer.body.len().min(120)]).into_owned();
    if Some(answer.status) != recorded.status {
        return vec![format!("status {}, recorded {:?} ({beginning})", answer.status, recorded.status)];
    }
    if let (Some(old), Some(new)) = (recorded.header("last-modified"), answer.header("last-modified")) {
        live.learn_shift(&exchange.path, old, new);
    }
    let is_json = recorded.body_encoding.starts_with("json");
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if is_json && !answer.body.is_empty() {
        match &json {
            None => return vec![format!("not JSON: {beginning}")],
            Some(json) => live.learn(&recorded.body, json, ""),
        }
    }
    if let (Some(old), Some(new)) = (recorded.header("location"), answer.header("location")) {
        live.learn_location(old, new);
    }
    let mut differences = headers(live, recorded, &answer, is_json);
    if is_json {
        if let (Some(json), "json") = (&json, recorded.body_encoding.as_str()) {
            let comparison = Comparison { live, shape_only: exchange.is_shape_only() };
            comparison.json(&recorded.body, json, "$", &mut differences);
        }
    } else if let Some(entries) = &recorded.zip_entries {
        differences.extend(archive(entries, &answer.body));
    } else {
        differences.extend(other_body(live, recorded, &answer.body));
    }
    let json = json.unwrap_or_default();
    differences.extend(recorded.mime_types.as_ref().and_then(|types| media_types(types, &json)));
    differences.extend(recorded.files_count.and_then(|count| {
        let files = json["files"].as_array().map_or(0, Vec::len) as u64;
        (files != count).then(|| format!("{files} files, recorded {count}"))
    }));
    differences
}

fn headers(live: &Live, recorded: &Recorded, answer: &Answer, is_json: bool) -> Vec<String> {
    let names = |headers: &[(String, String)]| -> BTreeSet<String> {
        headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
    };
    let (old, new) = (names(&recorded.headers), names(&answer.headers));
    let mut differences = Vec::new();
    for name in old.symmetric_difference(&new) {
        // JSON may come chunked or with a length.
        let ignored = IGNORED_HEADERS.contains(&name.as_str()) || (is_json && name == "content-length");
        if !ignored {
            let kind = if old.contains(name) { "missing" } else { "not recorded" };
            differences.push(format!("header {name} {kind}"));
        }
    }
    let blankless = |text: &str| text.replace(' ', "");
    for name in COMPARED_HEADERS {
        if let (Some(old), Some(new)) = (recorded.header(name), answer.header(name)) {
            let wanted = live.text(old);
            // Long values are cut in the recordings.
            if !old.contains("...(") && blankless(&wanted) != blankless(new) {
                differences.push(format!("header {name}: {new:?}, recorded {wanted:?}"));
            }
        }
    }
    differences
}

/// Of uploaded files, by the extensions of their paths.
fn media_types(recorded: &BTreeMap<String, String>, answered: &Value) -> Option<String> {
    let text = |file: &Value, name: &str| file[name].as_str().unwrap_or_default().to_owned();
    let extension = |path: String| path.rsplit('.').next().unwrap_or_default().to_owned();
    let files = answered["uploaded"].as_array().into_iter().flatten();
    let found: BTreeMap<_, _> = files.map(|file| (extension(text(file, "path")), text(file, "mime_type"))).collect();
    let different = |(name, kind): &(&String, &String)| found.get(*name) != Some(*kind);
    let different: Vec<_> =
        recorded.iter().filter(different).map(|(name, kind)| (name, kind, found.get(name))).collect();
    let same = different.is_empty() && found.len() == recorded.len();
    (!same).then(|| format!("{} media types, recorded {}; differing: {different:?}", found.len(), recorded.len()))
}

fn archive(recorded: &[String], body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let archive = match zip::ZipArchive::new(Cursor::new(body)) {
        Ok(archive) => archive,
        Err(broken) => return Some(format!("no archive: {broken}")),
    };
    let entries: Vec<&str> = archive.file_names().collect();
    (entries != recorded).then(|| format!("zip entries {entries:?}, recorded {recorded:?}"))
}

fn other_body(live: &Live, recorded: &Recorded, body: &[u8]) -> Option<String> {
    match recorded.body_encoding.as_str() {
        "utf-8" | "empty" => {
            let wanted = without_days(&live.text(recorded.body.as_str().unwrap_or_default()));
            let got = without_days(&String::from_utf8_lossy(body));
            (wanted != got).then(|| format!("body {got:?}, recorded {wanted:?}"))
        }
        "summary" => {
            let length = recorded.body["length"].as_u64()?;
            (length != body.len() as u64).then(|| format!("length {}, recorded {length}", body.len()))
        }
        _ => None,
    }
}

/// Text in which every `2026-11-21` is a `DAY`.
fn without_days(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let day = rest.as_bytes().get(..10).is_some_and(|ten| {
            ten.iter()
                .enumerate()
                .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
        });
        let (length, replacement) = if day { (10, "DAY") } else { (first.len_utf8(), &rest[..first.len_utf8()]) };
        out.push_str(replacement);
        rest = &rest[length..];
    }
    out
}

/// Compares JSON with what was recorded.
pub(crate) fn compare_json(live: &Live, recorded: &Value, answered: &Value, differences: &mut Vec<String>) {
    Comparison { live, shape_only: false }.json(recorded, answered, "$", differences);
}

struct Comparison<'a> {
    live: &'a Live,
    /// Only what there is, not how much.
    shape_only: bool,
}

impl Comparison<'_> {
    fn json(&self, old: &Value, new: &Value, place: &str, differences: &mut Vec<String>) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                for name in old.keys().filter(|name| !new.contains_key(*name)) {
                    differences.push(format!("{place}.{name} missing"));
                }
                for name in new.keys().filter(|name| !old.contains_key(*name)) {
                    differences.push(format!("{place}.{name} not recorded"));
                }
                for (name, value) in old.iter().filter(|(name, _)| *name != "uptime_seconds") {
                    if let Some(new) = new.get(name) {
                        self.json(value, new, &format!("{place}.{name}"), differences);
                    }
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                if old.len() != new.len() {
                    differences.push(format!("{place} has {} items, recorded {}", new.len(), old.len()));
                }
                for (at, (old, new)) in old.iter().zip(new).enumerate() {
                    self.json(old, new, &format!("{place}[{at}]"), differences);
                }
            }
            (Value::String(old), Value::String(new)) if stamp_form(old).is_some() => {
                if stamp_form(old) != stamp_form(new) {
                    differences.push(format!("{place} = {new:?}, recorded the form of {old:?}"));
                }
            }
            // Dashboard tokens name whole seconds: two of one second are the same text, and here a second may pass.
            (Value::String(old), Value::String(new)) if old.starts_with(JWT) && new.starts_with(JWT) => {}
            (Value::String(old), Value::String(new)) => {
                let wanted = self.live.text(old);
                if wanted != *new && !self.shape_only {
                    differences.push(format!("{place} = {new:?}, recorded {wanted:?}"));
                }
            }
            _ => {
                let same_kind = std::mem::discriminant(old) == std::mem::discriminant(new);
                if !same_kind || (old != new && !self.shape_only) {
                    differences.push(format!("{place} = {new}, recorded {old}"));
                }
            }
        }
    }
}

/// `Some` for a time stamp; inside, whether it has a zone.
fn stamp_form(text: &str) -> Option<bool> {
    let bare = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = bare.split_once('T')?;
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let dated = date.len() == 10 && date.split('-').map(str::len).eq([4, 2, 2]);
    let timed = seconds.split(':').all(|part| digits(part, 2)) && seconds.len() == 8;
    let fits = dated && timed && (1..=7).any(|length| digits(fraction, length));
    fits.then_some(text.ends_with('Z'))
}
