//! Every test binary that makes clients runs under a subscriber that sees all there is, of this crate and of those below,
//! `log` included, and ends the process at the first credential that it is shown.
//!
//! What is seen at level `TRACE`: the spans and events of this crate; by `log`, those of reqwest, rustls, mio, tungstenite
//! and the like; by `tracing`, those of hyper-util's pool and connector, whose feature `tracing` the tests switch on, and of
//! h2. hyper itself traces only under `--cfg hyper_unstable_tracing`, which nobody has by chance. reqwest shows the bytes of
//! a connection only where a user asks for it (`connection_verbose`).

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// What else must never be shown: credentials without a form of their own.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());
/// Whose events and spans have come.
static TARGETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Starts the watch, once for the process.
pub(crate) fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // `log` is bridged by hand: what the subscriber wants is all of it.
        tracing_log::LogTracer::init().expect("nobody else logs");
        let watch = tracing_subscriber::registry().with(Watch);
        tracing::subscriber::set_global_default(watch).expect("nobody else traces");
    });
}

/// Adds a credential that has none of the known forms.
pub(crate) fn keep(secret: impl Into<String>) {
    let (secret, mut secrets) = (secret.into(), SECRETS.write().unwrap_or_else(PoisonError::into_inner));
    if !secrets.contains(&secret) {
        secrets.push(secret);
    }
}

/// The targets that have been heard of.
pub(crate) fn targets() -> BTreeSet<String> {
    TARGETS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The credential that a text shows, if it shows one.
pub(crate) fn shown(text: &str) -> Option<String> {
    let kept = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.iter().find(|secret| text.contains(secret.as_str())).cloned();
    kept.or_else(|| of_known_form(text).map(str::to_owned))
}

/// What comes before a credential: in queries, `X-Amz-Security-Token` among them, and in headers.
const STARTS: [&str; 4] = ["token=", "bearer ", "signature=", "x-amz-credential="];

/// How credentials with a form begin, and how long the rest of them is at least: an API key, an upload token, a personal
/// access token of file_storage.
const FORMS: [(&str, usize); 3] = [("cf4_", 41), ("cfu_", 48), ("smpat_", 43)];

fn of_known_form(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    // What follows these is a credential, unless it says that it was taken out.
    for start in STARTS {
        for (at, _) in lower.match_indices(start) {
            let value: &str = text.get(at + start.len()..).unwrap_or_default();
            let end = value.find(|c: char| !c.is_ascii_graphic() || "&\"'<>".contains(c)).unwrap_or(value.len());
            if !value[..end].is_empty() && !value.starts_with("REDACTED") && !value.starts_with("[redacted]") {
                return text.get(at..at + start.len() + end);
            }
        }
    }
    for (start, shortest) in FORMS {
        for (at, _) in lower.match_indices(start) {
            let rest = &lower[at + start.len()..];
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            if length >= shortest {
                return text.get(at..at + start.len() + length);
            }
        }
    }
    // The start of a JWT.
    text.find("eyJ").and_then(|at| text.get(at..at + 20)).filter(|jwt| jwt.bytes().all(|b| b.is_ascii_alphanumeric()))
}

struct Watch;

impl<S: Subscriber> Layer<S> for Watch {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        look(attributes.metadata().target(), &text.0);
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        look("a span", &text.0);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let bridged = event.normalized_metadata();
        look(bridged.as_ref().unwrap_or_else(|| event.metadata()).target(), &text.0);
    }
}

/// Servers of the tests that log what they are asked. In their place it is no leak.
const SERVERS: [&str; 1] = ["s3s"];

fn look(target: &str, text: &str) {
    if SERVERS.contains(&target.split("::").next().unwrap_or_default()) {
        return;
    }
    {
        let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
        if !targets.contains(target) {
            targets.insert(target.to_owned());
        }
    }
    if let Some(secret) = shown(text) {
        // Most of it comes from tasks whose panics nobody hears, and what is printed is kept until a test has ended.
        let _ = writeln!(std::io::stderr(), "\n{target} shows the credential {secret:?} in a log: {text}");
        std::process::abort();
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {}={value}", field.name());
    }
}

/// Everything that can be printed of an error.
pub(crate) fn printed(error: &carbonfiles::Error) -> String {
    let (hint, code, fields) = (error.hint(), error.code(), error.field_errors());
    let mut all =
        format!("{error} {error:?} {error:#?} {} {hint:?} {code:?} {fields:?} {:?}", error.message(), error.url());
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let _ = write!(all, " {cause} {cause:?}");
        next = cause.source();
    }
    all
}
