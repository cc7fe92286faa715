//! What a record says.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::form;
use crate::events::event::Event;

/// A record of the hub, as far as a client has to know it.
#[derive(Debug, PartialEq)]
pub(in crate::events) enum Message {
    /// Type 1.
    Event(Event),
    /// Type 3: an invocation was carried out, or refused with these words.
    Completion { id: Option<u64>, error: Option<String> },
    /// Type 6.
    Ping,
    /// Type 7: the hub ends the connection. What it says of coming back is not looked at: a client comes back.
    Close { error: Option<String> },
    /// Another type: for clients that do more than this one, or of a later protocol.
    Ignored,
}

/// A record that no hub of this protocol sends.
#[derive(Debug, thiserror::Error)]
#[error("what came is not a record of the SignalR JSON protocol: {reason}")]
pub(in crate::events) struct Malformed {
    reason: &'static str,
    source: Option<serde_json::Error>,
}

/// Reads a record without its separator.
pub(in crate::events) fn parse(record: &str) -> Result<Message, Malformed> {
    match form::read(record) {
        Some(event) => Ok(Message::Event(event)),
        None => parse_any(record),
    }
}

/// Whether a record that is read by its form says the same to the parser.
#[cfg(any(test, fuzzing))]
pub(in crate::events) fn reads_alike(record: &str) -> bool {
    let by_form = form::read(record).map(Message::Event);
    by_form.is_none_or(|event| parse_any(record).is_ok_and(|message| message == event))
}

/// In one pass where the members come in an order that makes it possible.
fn parse_any(text: &str) -> Result<Message, Malformed> {
    let mut json = serde_json::Deserializer::from_str(text);
    let record = DeserializeSeed::deserialize(Members, &mut json);
    match record.and_then(|record| json.end().map(|()| record)) {
        Ok(record) => record.message(),
        // A known event of an unknown shape, or garbage.
        Err(_) => {
            let value: Value = serde_json::from_str(text).map_err(|source| malformed("no JSON", Some(source)))?;
            from_value(value)
        }
    }
}

/// Whether an event of this name is one that this crate reads, whatever its shape.
pub(in crate::events) fn is_known(target: &str) -> bool {
    Known::of(target).is_some()
}

fn malformed(reason: &'static str, source: Option<serde_json::Error>) -> Malformed {
    Malformed { reason, source }
}

#[derive(Default)]
struct Record<'a> {
    r#type: Option<i64>,
    target: Option<Target<'a>>,
    arguments: Option<Arguments>,
    invocation_id: Option<Cow<'a, str>>,
    error: Option<String>,
}

enum Arguments {
    Decoded(Event),
    Raw(Value),
}

/// The name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    FileCreated,
    FileUpdated,
    FileDeleted,
    BucketCreated,
    BucketUpdated,
    BucketDeleted,
}

enum Target<'a> {
    Known(Known),
    Other(Cow<'a, str>),
}

impl Record<'_> {
    fn message(self) -> Result<Message, Malformed> {
        Ok(match self.r#type {
            Some(1) => match (self.target, self.arguments) {
                (Some(_), Some(Arguments::Decoded(event))) => Message::Event(event),
                // The arguments came first; as the server writes it, they never do.
                (Some(Target::Known(known)), Some(Arguments::Raw(arguments))) => {
                    Message::Event(decode_or_keep(known, arguments))
                }
                (Some(Target::Other(target)), Some(Arguments::Raw(arguments))) if arguments.is_array() => {
                    Message::Event(Event::Unknown { target: target.into_owned(), arguments })
                }
                (None, _) => return Err(malformed("an invocation without a target", None)),
                _ => return Err(malformed("an invocation without arguments", None)),
            },
            Some(3) => {
                let id = self.invocation_id.ok_or_else(|| malformed("a completion without invocationId", None))?;
                Message::Completion { id: id.parse().ok(), error: self.error }
            }
            Some(6) => Message::Ping,
            Some(7) => Message::Close { error: self.error },
            Some(_) => Message::Ignored,
            None => return Err(malformed("no type", None)),
        })
    }
}

/// The slow way, for what did not fit: no event of a known name is lost for having changed.
fn from_value(value: Value) -> Result<Message, Malformed> {
    let Value::Object(mut members) = value else { return Err(malformed("no object", None)) };
    let Some(kind) = members.get("type").and_then(Value::as_i64) else {
        return Err(malformed("no type, or one that is no number", None));
    };
    if kind != 1 {
        // Types that carry nothing a client needs may have any other members.
        return match kind {
            3 | 7 => Err(malformed("a completion or close message of another shape", None)),
            6 => Ok(Message::Ping),
            _ => Ok(Message::Ignored),
        };
    }
    let (Some(Value::String(target)), Some(arguments @ Value::Array(_))) =
        (members.remove("target"), members.remove("arguments"))
    else {
        return Err(malformed("an invocation without target or arguments", None));
    };
    Ok(Message::Event(match Known::of(&target) {
        Some(known) => decode_or_keep(known, arguments),
        None => Event::Unknown { target, arguments },
    }))
}

fn decode_or_keep(known: Known, arguments: Value) -> Event {
    match known.deserialize(&arguments) {
        Ok(event) => event,
        Err(_) => Event::Unknown { target: known.name().to_owned(), arguments },
    }
}

impl Known {
    const ALL: [(&'static str, Self); 6] = [
        ("FileCreated", Self::FileCreated),
        ("FileUpdated", Self::FileUpdated),
        ("FileDeleted", Self::FileDeleted),
        ("BucketCreated", Self::BucketCreated),
        ("BucketUpdated", Self::BucketUpdated),
        ("BucketDeleted", Self::BucketDeleted),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, known)| known)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// Decodes the array of arguments into the event it belongs to.
impl<'de> DeserializeSeed<'de> for Known {
    type Value = Event;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the arguments of {}", self.name())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Event, A::Error> {
        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
            seq.next_element()?.ok_or_else(|| A::Error::custom("too few arguments"))
        }
        let event = match self {
            Self::FileCreated => Event::FileCreated { bucket_id: next(&mut seq)?, file: next(&mut seq)? },
            Self::FileUpdated => Event::FileUpdated { bucket_id: next(&mut seq)?, file: next(&mut seq)? },
            Self::FileDeleted => Event::FileDeleted { bucket_id: next(&mut seq)?, path: next(&mut seq)? },
            Self::BucketCreated => Event::BucketCreated { bucket: next(&mut seq)? },
            Self::BucketUpdated => Event::BucketUpdated { bucket_id: next(&mut seq)?, changes: next(&mut seq)? },
            Self::BucketDeleted => Event::BucketDeleted { bucket_id: next(&mut seq)? },
        };
        // A later server may say more.
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(event)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Target<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Target<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an event")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Target<'de>, E> {
                Ok(Known::of(name).map_or(Target::Other(Cow::Borrowed(name)), Target::Known))
            }

            fn visit_str<E>(self, name: &str) -> Result<Target<'de>, E> {
                Ok(Known::of(name).map_or_else(|| Target::Other(Cow::Owned(name.to_owned())), Target::Known))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Type,
    Target,
    Arguments,
    InvocationId,
    Error,
    #[serde(other)]
    Other,
}

/// Decodes a record.
struct Members;

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Record<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut record = Record::default();
        while let Some(member) = map.next_key()? {
            match member {
                Member::Type => record.r#type = Some(map.next_value()?),
                Member::Target => record.target = Some(map.next_value()?),
                Member::Arguments => {
                    record.arguments = Some(match record.target {
                        Some(Target::Known(known)) => Arguments::Decoded(map.next_value_seed(known)?),
                        _ => Arguments::Raw(map.next_value()?),
                    });
                }
                Member::InvocationId => record.invocation_id = map.next_value::<Option<Text<'_>>>()?.map(|t| t.0),
                Member::Error => record.error = map.next_value()?,
                Member::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(record)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a hub answers to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::events) enum Handshake {
    Accepted,
    /// Final, in the hub's words.
    Refused(String),
}

/// Reads the first record of a hub.
pub(in crate::events) fn parse_handshake(record: &str) -> Result<Handshake, Malformed> {
    let value: Value = serde_json::from_str(record).map_err(|source| malformed("no JSON", Some(source)))?;
    let Value::Object(mut members) = value else { return Err(malformed("no object", None)) };
    match members.remove("error") {
        Some(Value::String(error)) => Ok(Handshake::Refused(error)),
        Some(Value::Null) | None if !members.contains_key("type") => Ok(Handshake::Accepted),
        _ => Err(malformed("no answer to a handshake", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event::BucketChanges;
    use proptest::prelude::*;

    const CREATED: &str = r#"{"type":1,"target":"FileCreated","arguments":["OPb4f1fdsX",{"path":"a.txt","name":"a.txt","size":5,"mimeType":"text/plain","shortCode":"GpEvLM","shortUrl":"/s/GpEvLM","sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","createdAt":"2026-11-21T09:34:42.9660793","updatedAt":"2026-11-21T09:34:43.2205684Z"}]}"#;

    #[test]
    fn events_as_the_server_writes_them() {
        let Ok(Message::Event(Event::FileCreated { bucket_id, file })) = parse(CREATED) else { panic!() };
        assert_eq!((bucket_id.as_str(), file.path.as_str(), file.size), ("OPb4f1fdsX", "a.txt", 5));
        // Without a zone it is UTC too.
        assert_eq!((file.updated_at - file.created_at).num_milliseconds(), 254);
        assert!(file.extra.is_empty());
        let updated = parse(
            r#"{"type":1,"target":"BucketUpdated","arguments":["x",{"name":"ev2","description":null,"expiresAt":null}]}"#,
        );
        let changes = BucketChanges { name: Some("ev2".into()), ..BucketChanges::default() };
        assert_eq!(updated.unwrap(), Message::Event(Event::BucketUpdated { bucket_id: "x".into(), changes }));
        let deleted =
            parse(r#"{"type":1,"target":"FileDeleted","arguments":["x","dir/b é\u00a0\uD83D\uDE00.bin"]}"#).unwrap();
        let Message::Event(Event::FileDeleted { path, .. }) = deleted else { panic!() };
        assert_eq!(path, "dir/b é\u{a0}😀.bin");
    }

    /// As recorded, the form is met; that what is read by it is the same as by the parser, the property test sees.
    #[test]
    fn the_servers_form_is_known() {
        let bare = CREATED.replace("Created\"", "Updated\"").replace("\"sha256\":\"2cf2", "\"sha256\":\"\u{e4}");
        let nulls = CREATED.replace("\"GpEvLM\"", "null").replace("\"/s/GpEvLM\"", "null");
        for record in [CREATED, &bare, &nulls] {
            let event = form::read(record).expect(record);
            assert_eq!(parse_any(record).unwrap(), Message::Event(event));
        }
        for (old, new) in [
            ("a.txt", "\\u00e4.txt"),
            (":5,", ":05,"),
            (":5,", ":-5,"),
            (":5,", ":,"),
            (":5,", ":99999999999999999999,"),
            ("text/plain", "text\n"),
            ("}]}", "},1]}"),
            ("}]}", "}]} "),
            ("Z\"}", "Q\"}"),
        ] {
            let changed = CREATED.replace(old, new);
            assert!(changed != CREATED || old.starts_with('Z'), "{old}");
            assert!(changed == CREATED || form::read(&changed).is_none(), "{changed}");
        }
    }

    #[test]
    fn members_in_any_order_and_in_the_spelling_of_the_rest() {
        let Ok(Message::Event(first)) = parse(CREATED) else { panic!() };
        let mut value: Value = serde_json::from_str(CREATED).unwrap();
        let arguments = value["arguments"].take();
        let turned =
            format!(r#"{{"x":[{{}}],"arguments":{arguments},"target":"FileCreated","headers":{{}},"type":1}}"#);
        assert_eq!(parse(&turned).unwrap(), Message::Event(first.clone()));
        let snake = CREATED.replace("mimeType", "mime_type").replace("shortCode", "short_code");
        let snake = snake
            .replace("createdAt", "created_at")
            .replace("updatedAt", "updated_at")
            .replace("shortUrl", "short_url");
        assert_eq!(parse(&snake).unwrap(), Message::Event(first));
    }

    #[test]
    fn what_is_new_is_kept_or_skipped() {
        let unknown = parse(r#"{"type":1,"target":"FileMoved","arguments":["b",1]}"#).unwrap();
        assert!(matches!(unknown, Message::Event(Event::Unknown { target, .. }) if target == "FileMoved"));
        for changed in [r#"["b"]"#, r#"[{"id":1},2]"#, "[]", r#"["b",{"path":"a"}]"#] {
            let event = parse(&format!(r#"{{"type":1,"target":"FileCreated","arguments":{changed}}}"#)).unwrap();
            assert!(
                matches!(event, Message::Event(Event::Unknown { target, .. }) if target == "FileCreated"),
                "{changed}"
            );
        }
        let more = parse(r#"{"type":1,"target":"FileDeleted","arguments":["b","p",{"by":"me"}]}"#).unwrap();
        assert!(matches!(more, Message::Event(Event::FileDeleted { .. })));
        for ignored in [r#"{"type":99}"#, r#"{"type":-1,"target":7}"#, r#"{"type":2,"error":{}}"#] {
            assert_eq!(parse(ignored).unwrap(), Message::Ignored, "{ignored}");
        }
    }

    #[test]
    fn completions_pings_and_ends() {
        assert_eq!(parse(r#"{"type":6}"#).unwrap(), Message::Ping);
        assert_eq!(
            parse(r#"{"type":3,"invocationId":"12","result":null}"#).unwrap(),
            Message::Completion { id: Some(12), error: None }
        );
        let refused = parse(r#"{"type":3,"invocationId":"é","error":"no"}"#).unwrap();
        assert_eq!(refused, Message::Completion { id: None, error: Some("no".into()) });
        let close = parse(r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#).unwrap();
        assert!(matches!(close, Message::Close { error: Some(_) }));
        assert_eq!(parse(r#"{"type":7}"#).unwrap(), Message::Close { error: None });
    }

    #[test]
    fn garbage_is_named() {
        for garbage in [
            "",
            " ",
            "{",
            "<html>",
            "[]",
            "null",
            "7",
            r#"{"type":"1"}"#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":1,"target":"FileDeleted"}"#,
            r#"{"type":1,"target":"FileDeleted","arguments":{}}"#,
            r#"{"type":1,"target":"X","arguments":"x"}"#,
            r#"{"type":1,"target":7,"arguments":[]}"#,
            r#"{"type":3}"#,
            r#"{"type":6}{"type":6}"#,
            r#"{"type":1.5}"#,
            r#"{"type":3,"invocationId":3}"#,
        ] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn answers_to_a_handshake() {
        assert_eq!(parse_handshake("{}").unwrap(), Handshake::Accepted);
        assert_eq!(parse_handshake("{\"error\":null,\"minorVersion\":0}").unwrap(), Handshake::Accepted);
        assert_eq!(parse_handshake("{\"error\":\"no\"}").unwrap(), Handshake::Refused("no".into()));
        for other in ["", "[]", "<html>", r#"{"type":6}"#, r#"{"error":7}"#] {
            assert!(parse_handshake(other).is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            let _ = parse(&text);
            let _ = parse_handshake(&text);
        }

        /// The same for bytes that are nearly right.
        #[test]
        fn no_change_of_a_record_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = CREATED.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // Whether read by its form or by the parser, it says the same.
            prop_assert!(reads_alike(&String::from_utf8_lossy(&bytes)));
            bytes.truncate(cut.index(bytes.len()));
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
