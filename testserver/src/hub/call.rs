//! Invocations: the six methods, and the texts of what is wrong with a call.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::event::SEPARATOR;
use super::protocol::Call;
use super::{Group, Hub};
use crate::http::reply::relaxed_json;

/// What a method does.
enum Method {
    Subscribe(Group),
    Unsubscribe(Group),
}

/// What is wrong with a call; the text goes into the completion.
enum Wrong {
    NoSuchMethod,
    Arguments,
    Streaming,
    NotAdmin,
}

impl Wrong {
    fn text(&self, target: &str) -> String {
        match self {
            Self::NoSuchMethod => format!(
                "Failed to invoke '{target}' due to an error on the server. HubException: Method does not exist."
            ),
            Self::Arguments => format!("Failed to invoke '{target}' due to an error on the server."),
            Self::Streaming => format!(
                "The client attempted to invoke the non-streaming '{target}' method with a streaming invocation."
            ),
            Self::NotAdmin => format!(
                "An unexpected error occurred invoking '{target}' on the server. HubException: Admin authentication \
                 required for global subscriptions"
            ),
        }
    }
}

/// Texts; null is one too, an empty one.
fn texts<const N: usize>(arguments: &[Value]) -> Result<[String; N], Wrong> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        _ => Err(Wrong::Arguments),
    };
    let texts = arguments.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    texts.try_into().map_err(|_| Wrong::Arguments)
}

fn method(call: &Call) -> Result<Method, Wrong> {
    use Method::{Subscribe, Unsubscribe};
    let arguments = &call.arguments;
    let all = || texts::<0>(arguments).map(|_| Group::All);
    let bucket = || texts(arguments).map(|[id]| Group::Bucket(id));
    // The group has both in one text, so what counts is the first colon: no bucket has one in its id.
    let file = || {
        texts(arguments).map(|[id, path]| {
            let name = format!("{id}:{path}");
            let (id, path) = name.split_once(':').unwrap_or((&id, &path));
            Group::File(id.to_owned(), path.to_owned())
        })
    };
    Ok(match call.target.to_ascii_lowercase().as_str() {
        "subscribetoall" => Subscribe(all()?),
        "subscribetobucket" => Subscribe(bucket()?),
        "subscribetofile" => Subscribe(file()?),
        "unsubscribefromall" => Unsubscribe(all()?),
        "unsubscribefrombucket" => Unsubscribe(bucket()?),
        "unsubscribefromfile" => Unsubscribe(file()?),
        _ => return Err(Wrong::NoSuchMethod),
    })
}

/// Carries a call out; `is_admin` is asked for what needs it only. Returns what its completion says.
pub(super) fn carry_out(hub: &Hub, number: u64, call: &Call, is_admin: impl FnOnce() -> bool) -> Result<(), String> {
    let done = method(call).and_then(|method| match method {
        _ if call.streaming => Err(Wrong::Streaming),
        Method::Subscribe(Group::All) if !is_admin() => Err(Wrong::NotAdmin),
        Method::Subscribe(group) => {
            hub.join(number, group);
            Ok(())
        }
        Method::Unsubscribe(group) => {
            hub.leave(number, &group);
            Ok(())
        }
    });
    done.map_err(|wrong| wrong.text(&call.target))
}

/// The answer to an invocation: an error, or a result that is always null.
pub(super) fn completion(id: &str, done: &Result<(), String>) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Completion<'a> {
        r#type: u8,
        invocation_id: &'a str,
        #[serde(flatten)]
        outcome: Outcome<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Outcome<'a> {
        Error(&'a str),
        Result(()),
    }
    let outcome = done.as_ref().map_or_else(|text| Outcome::Error(text), |()| Outcome::Result(()));
    let mut record = relaxed_json(&Completion { r#type: 3, invocation_id: id, outcome });
    record.push(SEPARATOR);
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_those_recorded() {
        assert_eq!(completion("1", &Ok(())), "{\"type\":3,\"invocationId\":\"1\",\"result\":null}\x1e");
        let refused = "{\"type\":3,\"invocationId\":\"é\",\"error\":\"no\"}\x1e";
        assert_eq!(completion("é", &Err("no".to_owned())), refused);
    }
}
