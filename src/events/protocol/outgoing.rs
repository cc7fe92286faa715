//! What a client says.

use serde::Serialize;

use super::records::SEPARATOR;

/// The first record of a connection.
pub(in crate::events) const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\x1e";
/// A sign of life. From the first one on, the server wants one every 30 s.
pub(in crate::events) const PING: &str = "{\"type\":6}\x1e";

/// The longest record that the hub takes, with its separator (events description, section 9).
pub(in crate::events) const LONGEST: usize = 32_768;

/// The record that calls a method of the hub and asks for a completion. Appended to `out`.
pub(in crate::events) fn invocation(out: &mut Vec<u8>, id: u64, target: &str, arguments: &[&str]) {
    #[derive(Serialize)]
    struct Invocation<'a> {
        r#type: u8,
        #[serde(rename = "invocationId")]
        invocation_id: String,
        target: &'a str,
        arguments: &'a [&'a str],
    }
    let invocation = Invocation { r#type: 1, invocation_id: id.to_string(), target, arguments };
    // Strings and numbers are always JSON, and a Vec takes all that is written to it.
    let _ = serde_json::to_writer(&mut *out, &invocation);
    out.push(SEPARATOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocations_are_as_recorded() {
        let mut out = Vec::new();
        invocation(&mut out, 7, "SubscribeToFile", &["OPb4f1fdsX", "a \"ü\"\u{1e}.txt"]);
        let text = String::from_utf8(out).unwrap();
        // A separator inside a string is escaped, so that it ends no record.
        assert_eq!(
            text,
            "{\"type\":1,\"invocationId\":\"7\",\"target\":\"SubscribeToFile\",\
             \"arguments\":[\"OPb4f1fdsX\",\"a \\\"ü\\\"\\u001e.txt\"]}\u{1e}"
        );
    }
}
