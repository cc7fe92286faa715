//! When two JSON values mean the same, decided without the crate under test.

use chrono::NaiveDateTime;
use serde_json::Value;

/// Where `again` differs from `recorded`: a missing member and `null` are equal, times are equal as instants, and
/// everything else has to be equal exactly.
pub(crate) fn difference(recorded: &Value, again: &Value) -> Option<String> {
    compare("$", recorded, again)
}

fn compare(place: &str, recorded: &Value, again: &Value) -> Option<String> {
    match (recorded, again) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let side = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                compare(&format!("{place}.{name}"), &side(a), &side(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(i, (a, b))| compare(&format!("{place}[{i}]"), a, b))
        }
        (Value::String(a), Value::String(b)) if place.ends_with("_at") => match (nanos(a), nanos(b)) {
            (Some(x), Some(y)) if x == y => None,
            _ => Some(format!("{place}: {a} became {b}")),
        },
        _ if recorded == again => None,
        _ => Some(format!("{place}: {recorded} became {again}")),
    }
}

fn nanos(time: &str) -> Option<i64> {
    let bare = time.strip_suffix('Z').unwrap_or(time);
    let bare = NaiveDateTime::parse_from_str(bare, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    bare.and_utc().timestamp_nanos_opt()
}

#[test]
fn differences_are_found() {
    use serde_json::json;
    let same = |a: Value, b: Value| difference(&a, &b).is_none();
    assert!(same(json!({"a": null, "b": [1]}), json!({"b": [1]})));
    assert!(same(json!({"x_at": "2026-01-01T00:00:00.50"}), json!({"x_at": "2026-01-01T00:00:00.5Z"})));
    assert!(!same(json!({"x_at": "2026-01-01T00:00:00.5"}), json!({"x_at": "2026-01-01T00:00:00.5000001Z"})));
    assert!(!same(json!({"x_at": "2026-01-01T00:00:00"}), json!({})));
    assert!(!same(json!({"name": "2026-01-01T00:00:00"}), json!({"name": "2026-01-01T00:00:00Z"})));
    assert!(!same(json!({"a": ""}), json!({})));
    assert!(!same(json!({}), json!({"a": 0})));
    assert!(!same(json!([1, 2]), json!([1])));
    assert!(!same(json!({"a": {"b": [{"c": 1}]}}), json!({"a": {"b": [{"c": 1.0}]}})));
}
