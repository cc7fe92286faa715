//! SignalR's JSON protocol as far as clients speak it, with the answers the real server gives.

use serde_json::{Map, Value};

use super::event::SEPARATOR;

/// The largest record, with its separator.
const LARGEST: usize = 32 * 1024;

/// A record the real server ends the connection for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bytes of messages on their way to being records: messages and records need not meet.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether more has piled up than a record may have.
    pub(super) fn is_overfull(&self) -> bool {
        self.buffer.len() > LARGEST
    }

    /// The next whole record, without its separator.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        match memchr::memchr(SEPARATOR, &self.buffer) {
            Some(end) if end < LARGEST => {
                let rest = self.buffer.split_off(end + 1);
                let mut record = std::mem::replace(&mut self.buffer, rest);
                record.pop();
                Ok(Some(record))
            }
            None if self.buffer.len() <= LARGEST => Ok(None),
            _ => Err(Malformed),
        }
    }
}

/// What a client says after the handshake.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Call(Call),
    Ping,
    Close,
    /// Types that mean something, only not here: stream items, completions, cancellations, acknowledgements.
    Nothing,
    /// A type that does not exist: the real server reads on, and answers nothing for ever after.
    Unknown,
}

/// An invocation.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    /// Without one (or with an empty one) there is no answer.
    pub(super) id: Option<String>,
    pub(super) target: String,
    pub(super) arguments: Vec<Value>,
    /// Whether a stream is asked for.
    pub(super) streaming: bool,
}

/// The first JSON value of a record; what follows it is not looked at.
fn object(record: &[u8]) -> Result<Map<String, Value>, Malformed> {
    match serde_json::Deserializer::from_slice(record).into_iter().next() {
        Some(Ok(Value::Object(members))) => Ok(members),
        _ => Err(Malformed),
    }
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Malformed> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed),
    }
}

/// The members that mean the same in every record must be of their type in every record.
fn check_types(members: &Map<String, Value>) -> Result<(), Malformed> {
    let of_type = |name: &str, is: fn(&Value) -> bool| members.get(name).is_none_or(is);
    let headers = |value: &Value| value.as_object().is_some_and(|headers| headers.values().all(Value::is_string));
    let texts = |value: &Value| value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string));
    let fine = ["invocationId", "target", "error"].iter().all(|name| of_type(name, Value::is_string))
        && of_type("arguments", Value::is_array)
        && of_type("streamIds", texts)
        && of_type("allowReconnect", Value::is_boolean)
        && of_type("sequenceId", Value::is_i64)
        && of_type("headers", headers);
    if fine { Ok(()) } else { Err(Malformed) }
}

/// Reads a record that is not the handshake.
pub(super) fn parse(record: &[u8]) -> Result<Said, Malformed> {
    let mut members = object(record)?;
    let kind = members.get("type").and_then(Value::as_i64).ok_or(Malformed)?;
    check_types(&members)?;
    let id = text(&mut members, "invocationId")?.filter(|id| !id.is_empty());
    if matches!(kind, 2..=5) && id.is_none() {
        return Err(Malformed);
    }
    match kind {
        1 | 4 => {
            let target = text(&mut members, "target")?.ok_or(Malformed)?;
            let Some(Value::Array(arguments)) = members.remove("arguments") else {
                return Err(Malformed);
            };
            Ok(Said::Call(Call { id, target, arguments, streaming: kind == 4 }))
        }
        2 if !members.contains_key("item") => Err(Malformed),
        3 if members.contains_key("error") && members.contains_key("result") => Err(Malformed),
        8 | 9 if !members.contains_key("sequenceId") => Err(Malformed),
        2 | 3 | 5 | 8 | 9 => Ok(Said::Nothing),
        6 => Ok(Said::Ping),
        7 => Ok(Said::Close),
        _ => Ok(Said::Unknown),
    }
}

/// Reads the handshake; the text is that of the refusal.
pub(super) fn handshake(record: &[u8]) -> Result<(), String> {
    const UNEXPECTED: &str = "An unexpected error occurred during connection handshake.";
    let read = || {
        let mut members = object(record)?;
        let protocol = text(&mut members, "protocol")?.ok_or(Malformed)?;
        let version = members.get("version").and_then(Value::as_i64).ok_or(Malformed)?;
        let version = i32::try_from(version).map_err(|_| Malformed)?;
        Ok::<_, Malformed>((protocol, version))
    };
    let (protocol, version) = read().map_err(|Malformed| UNEXPECTED.to_owned())?;
    if !protocol.eq_ignore_ascii_case("json") {
        return Err(format!("The protocol '{protocol}' is not supported."));
    }
    if version > 2 {
        return Err(format!("The server does not support version {version} of the 'json' protocol."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_messages_need_not_meet() {
        let mut splitter = Splitter::default();
        splitter.add(b"a\x1eb");
        assert_eq!(splitter.next(), Ok(Some(b"a".to_vec())));
        assert_eq!(splitter.next(), Ok(None));
        splitter.add(b"c\x1e\x1e");
        assert_eq!(splitter.next(), Ok(Some(b"bc".to_vec())));
        assert_eq!(splitter.next(), Ok(Some(Vec::new())));
        assert_eq!(splitter.next(), Ok(None));
    }

    #[test]
    fn a_record_has_32_kilobytes_with_its_separator() {
        let mut splitter = Splitter::default();
        splitter.add(&[b'x'; LARGEST - 1]);
        splitter.add(&[SEPARATOR]);
        assert!(matches!(splitter.next(), Ok(Some(_))));
        splitter.add(&[b'x'; LARGEST]);
        assert_eq!(splitter.next(), Ok(None));
        splitter.add(&[SEPARATOR]);
        assert_eq!(splitter.next(), Err(Malformed));
    }

    #[test]
    fn only_the_first_of_two_glued_objects_counts() {
        let record = br#"{"type":6}{"type":99}"#;
        assert_eq!(parse(record), Ok(Said::Ping));
        assert_eq!(parse(br#"{"type":99}"#), Ok(Said::Unknown));
        for wrong in ["", "[]", "x", r#"{"type":"1"}"#, "{}", r#"{"type":1,"target":"a","arguments":null}"#] {
            assert_eq!(parse(wrong.as_bytes()), Err(Malformed), "{wrong}");
        }
    }

    #[test]
    fn records_must_have_what_their_type_needs() {
        for (members, said) in [
            (r#""type":2,"invocationId":"1","item":1"#, Ok(Said::Nothing)),
            (r#""type":3,"invocationId":"1","result":null"#, Ok(Said::Nothing)),
            (r#""type":3,"invocationId":"1","error":"e""#, Ok(Said::Nothing)),
            (r#""type":5,"invocationId":"1""#, Ok(Said::Nothing)),
            (r#""type":7,"error":"e","allowReconnect":true"#, Ok(Said::Close)),
            (r#""type":5"#, Err(Malformed)),
            (r#""type":5,"invocationId":"""#, Err(Malformed)),
            (r#""type":2,"invocationId":"1""#, Err(Malformed)),
            (r#""type":3,"invocationId":"1","result":1,"error":"e""#, Err(Malformed)),
            (r#""type":4,"target":"t","arguments":[]"#, Err(Malformed)),
            (r#""type":8,"sequenceId":1"#, Ok(Said::Nothing)),
            (r#""type":8"#, Err(Malformed)),
            (r#""type":9,"sequenceId":"1""#, Err(Malformed)),
            (r#""type":6,"streamIds":[1]"#, Err(Malformed)),
            (r#""type":6,"headers":{"a":1}"#, Err(Malformed)),
            (r#""type":6,"streamIds":null"#, Err(Malformed)),
            (r#""type":7,"allowReconnect":"yes""#, Err(Malformed)),
            (r#""type":7,"error":null"#, Err(Malformed)),
        ] {
            assert_eq!(parse(format!("{{{members}}}").as_bytes()), said, "{members}");
        }
    }
}
