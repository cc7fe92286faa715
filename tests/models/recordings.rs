//! Every recorded JSON body, by route.

use std::any::type_name;
use std::collections::BTreeMap;

use carbonfiles::models::{
    BucketDetails, BucketInfo, DashboardUser, DirectoryListing, Extra, FileInfo, Health, KeyInfo, KeyUsage,
    NewDashboardToken, NewKey, NewUploadToken, Stats, TreePage, UploadedFile, Verification,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::semantic::difference;

/// The bodies around items; the crate's own are not public, or of another module.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page<T> {
    items: Vec<T>,
    total: u64,
    limit: i64,
    offset: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Uploaded {
    uploaded: Vec<UploadedFile>,
}

/// What stands in a recorded answer.
enum Body {
    /// A model: how to check it.
    Model(&'static str, fn(&Value) -> Result<(), String>),
    /// Not a model, for this reason.
    Other(&'static str),
    Unknown,
}

fn model<T: Serialize + DeserializeOwned + Extras>() -> Body {
    let name = type_name::<T>();
    Body::Model(name, |body| {
        let read: T = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        let mut extras = Vec::new();
        read.extras(&mut extras);
        if extras.is_empty() || extras.iter().any(|extra| !extra.is_empty()) {
            return Err(format!("members that the model does not know: {extras:?}"));
        }
        let again = serde_json::to_value(&read).map_err(|error| error.to_string())?;
        if let Some(difference) = difference(body, &again) {
            return Err(difference);
        }
        // The text form takes another way through serde than the value does.
        let text = body.to_string();
        let from_text: T = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let text = serde_json::to_string(&from_text).map_err(|error| error.to_string())?;
        let again = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if let Some(difference) = difference(body, &again) {
            return Err(format!("by text: {difference}"));
        }
        // A later server adds a member to every object of the model.
        let mut later = body.clone();
        let added = add_members(&mut later);
        let read: T = serde_json::from_value(later.clone()).map_err(|error| error.to_string())?;
        let again = serde_json::to_value(&read).map_err(|error| error.to_string())?;
        if let Some(difference) = difference(&later, &again) {
            return Err(format!("with unknown members: {difference}"));
        }
        let mut extras = Vec::new();
        read.extras(&mut extras);
        let kept = extras.iter().filter(|extra| extra.get::<Value>("laterMember_at2").is_some()).count();
        if kept != added {
            return Err(format!("{added} unknown members added, {kept} kept"));
        }
        Ok(())
    })
}

/// Adds an unknown member to each object, other than the frames around items; returns to how many.
fn add_members(value: &mut Value) -> usize {
    match value {
        Value::Object(members) => {
            let inner: usize = members.values_mut().map(add_members).sum();
            if members.contains_key("items") || members.contains_key("uploaded") {
                return inner;
            }
            members.insert("laterMember_at2".to_owned(), json!({"deep": [1, -2, 2.5, null, "ü"]}));
            inner + 1
        }
        Value::Array(items) => items.iter_mut().map(add_members).sum(),
        _ => 0,
    }
}

/// All `extra` members of a model and of what it contains. A frame with no item adds an empty one.
trait Extras {
    fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>);
}

static NONE: std::sync::LazyLock<Extra> = std::sync::LazyLock::new(Extra::default);

macro_rules! extras {
    ($($Model:ty: $($part:ident),*;)*) => {$(
        impl Extras for $Model {
            fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>) {
                found.push(&self.extra);
                $( self.$part.extras(found); )*
            }
        }
    )*};
}

extras! {
    Health: ;
    BucketInfo: ;
    BucketDetails: files;
    FileInfo: ;
    UploadedFile: ;
    TreePage: directories, files;
    carbonfiles::models::DirectoryInfo: ;
    DirectoryListing: files;
    Verification: ;
    NewKey: ;
    KeyInfo: ;
    KeyUsage: buckets;
    NewUploadToken: ;
    NewDashboardToken: ;
    DashboardUser: ;
    Stats: storage_by_owner;
    carbonfiles::models::OwnerStats: ;
}

impl<T: Extras> Extras for Vec<T> {
    fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>) {
        self.iter().for_each(|item| item.extras(found));
    }
}

impl<T: Extras> Extras for Option<T> {
    fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>) {
        self.iter().for_each(|item| item.extras(found));
    }
}

impl<T: Extras> Extras for Page<T> {
    fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>) {
        found.push(&NONE);
        self.items.extras(found);
    }
}

impl Extras for Uploaded {
    fn extras<'a>(&'a self, found: &mut Vec<&'a Extra>) {
        found.push(&NONE);
        self.uploaded.extras(found);
    }
}

fn route(method: &str, target: &str) -> Body {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.to_ascii_lowercase();
    // the absolute form of a request target, which servers accept as well
    let path = path.strip_prefix("http://other.example").unwrap_or(&path);
    let mut words = Vec::new();
    for word in path.strip_suffix('/').unwrap_or(path).split('/').skip(1) {
        match word {
            // resolved by the server before routing
            ".." | "%2e%2e" => drop(words.pop()),
            "." | "%2e" => {}
            word => words.push(word),
        }
    }
    let tree = query.to_ascii_lowercase().split('&').any(|pair| pair.starts_with("delimiter="));
    match (method, words.as_slice()) {
        ("HEAD", _) => Body::Other("no body (HEAD)"),
        ("GET", ["healthz"]) => model::<Health>(),
        ("GET", ["api", "stats"]) => model::<Stats>(),
        ("POST", ["api", "keys"]) => model::<NewKey>(),
        ("GET", ["api", "keys"]) => model::<Page<KeyInfo>>(),
        ("GET", ["api", "keys", _, "usage"]) => model::<KeyUsage>(),
        ("POST", ["api", "tokens", "dashboard"]) => model::<NewDashboardToken>(),
        ("GET", ["api", "tokens", "dashboard", "me"]) => model::<DashboardUser>(),
        ("POST", ["api", "buckets"]) => model::<BucketInfo>(),
        ("GET", ["api", "buckets"]) => model::<Page<BucketInfo>>(),
        ("GET", ["api", "buckets", _]) => model::<BucketDetails>(),
        ("PATCH", ["api", "buckets", _]) => model::<BucketInfo>(),
        ("POST", ["api", "buckets", _, "tokens"]) => model::<NewUploadToken>(),
        ("POST", ["api", "buckets", _, "upload"]) => model::<Uploaded>(),
        ("PUT", ["api", "buckets", _, "upload", "stream"]) => model::<Uploaded>(),
        ("GET", ["api", "buckets", _, "ls"]) => model::<DirectoryListing>(),
        ("GET", ["api", "buckets", _, "files"]) if tree => model::<TreePage>(),
        ("GET", ["api", "buckets", _, "files"]) => model::<Page<FileInfo>>(),
        ("PATCH", ["api", "buckets", _, "files", _, .., "content"]) => model::<FileInfo>(),
        ("GET", ["api", "buckets", _, "files", _, .., "content"]) => Body::Other("content of a file that is JSON"),
        ("GET", ["api", "buckets", _, "files", _, .., "verify"]) => model::<Verification>(),
        ("GET", ["api", "buckets", _, "files", _, ..]) => model::<FileInfo>(),
        ("POST", ["hub", "files", "negotiate"]) => Body::Other("hub negotiation"),
        _ => Body::Unknown,
    }
}

fn is_error(body: &Value) -> bool {
    let Some(members) = body.as_object() else {
        return false;
    };
    members.get("error").is_some_and(Value::is_string)
        && members.iter().all(|(name, value)| matches!(name.as_str(), "error" | "hint") && value.is_string())
}

#[test]
fn every_recorded_json_body_survives_its_model() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/carbonfiles/recordings.json");
    let exchanges: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut counts = BTreeMap::<String, usize>::new();
    let mut problems = Vec::new();
    let mut bodies = 0;
    for exchange in &exchanges {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        // "json, cut": long texts are shortened, so what is left is still a body of that route
        if !matches!(response["body_encoding"].as_str(), Some("json" | "json, cut")) {
            continue;
        }
        bodies += 1;
        let (n, status) = (&exchange["n"], response["status"].as_u64().unwrap());
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let body = &response["body"];
        let kind = if !(200..300).contains(&status) {
            if is_error(body) { Body::Other("error body") } else { Body::Unknown }
        } else if body.get("...").is_some() {
            Body::Other("cut out of the recordings")
        } else {
            route(method, path)
        };
        let name = match kind {
            Body::Other(name) => name,
            Body::Model(name, check) => {
                if let Err(problem) = check(body) {
                    problems.push(format!("[{n}] {method} {path}: {problem}"));
                }
                name
            }
            Body::Unknown => {
                problems.push(format!("[{n}] {method} {path}: {status} of no known route: {body}"));
                "unknown"
            }
        };
        *counts.entry(short(name)).or_default() += 1;
    }
    for (name, count) in &counts {
        println!("{count:4} {name}");
    }
    println!("{bodies:4} JSON bodies of {} exchanges", exchanges.len());
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    for model in [
        "Health",
        "Stats",
        "NewKey",
        "Page<KeyInfo>",
        "KeyUsage",
        "NewDashboardToken",
        "DashboardUser",
        "BucketInfo",
        "Page<BucketInfo>",
        "BucketDetails",
        "NewUploadToken",
        "Uploaded",
        "DirectoryListing",
        "TreePage",
        "Page<FileInfo>",
        "FileInfo",
        "Verification",
    ] {
        assert!(counts.contains_key(model), "no {model} in the recordings: {counts:?}");
    }
}

/// `a::Page<b::Info>` as `Page<Info>`.
fn short(name: &str) -> String {
    let last = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    name.split('<').map(last).collect::<Vec<_>>().join("<")
}
