use chrono::FixedOffset;
use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    time::parse("2026-11-21T10:21:58.3411107Z").unwrap()
}

fn wire(expiry: impl Into<Expiry>) -> Result<String> {
    expiry.into().to_wire_at(ExpiryOf::Bucket, now())
}

fn refusal(expiry: impl Into<Expiry>) -> String {
    wire(expiry).unwrap_err().to_string()
}

#[test]
fn texts_that_the_server_takes() {
    // wire description, section 4, with the exchange numbers of the recordings
    for (text, sent) in [
        ("30s", "30s"), // 166
        ("15m", "15m"), // 167
        ("2h", "2h"),   // 168
        ("7d", "7d"),   // 169
        ("2w", "2w"),   // 170
        ("0030d", "0030d"),
        ("never", "never"),                                       // 171
        ("1795342918", "1795342918"),                             // 183
        ("+1795342918", "1795342918"),                            // 187
        (" 1795342918 ", "1795342918"),                           // 188
        ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z"),         // 190
        ("2030-01-02T03:04:05.120Z", "2030-01-02T03:04:05.120Z"), // 191
        ("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05Z"),    // 192
        ("2030-01-02T03:04:05", "2030-01-02T03:04:05Z"),          // 193
        ("2030-01-02T03:04Z", "2030-01-02T03:04:00Z"),            // 194
        ("2030-01-02T03:04-05:30", "2030-01-02T08:34:00Z"),
        ("2030-01-02T03:04", "2030-01-02T03:04:00Z"),
        ("2030-01-02T03:04:05.1234567Z", "2030-01-02T03:04:05.123456Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(wire(text).unwrap(), sent, "{text:?}");
        assert_eq!(wire(text.to_owned()).unwrap(), sent, "{text:?}");
    }
}

#[test]
fn texts_that_the_server_refuses_are_refused_with_what_is_accepted() {
    for text in [
        "",
        "Never",
        "NEVER",
        "soon",
        "-1d",
        "+1d",
        "1D",
        "1 d",
        "1.5h",
        "1y",
        "1h30m",
        " 1h",
        "1h ",
        "1h\n",
        "d",
        "1.5",
        "2030-01-02",
        "2030-01-02 03:04:05Z",
        "2030-01-02t03:04:05z",
        "2030-01-02T03:04:05z",
        "20300102T030405Z",
        "2030-02-30T00:00:00Z",
        "2030-06-30T23:59:60Z",
        "1/2/2030T03:04",
        "T",
        "T03:04",
        "2030-01-02T",
        "2030-01-02T03",
        "\u{663}d",
        "\u{663}",
        "s\u{f6}<n>&+\"",
        "+",
        "-",
        "0x10",
        "1e9",
    ] {
        let message = refusal(text);
        assert!(message.contains("accepted are"), "{text:?}: {message}");
        assert!(message.contains("expires"), "names the argument: {message}");
    }
}

#[test]
fn zero_durations_are_refused() {
    for text in ["0d", "0s", "000w"] {
        assert!(refusal(text).contains("zero"), "{text}");
    }
    assert!(refusal(Duration::ZERO).contains("zero"));
}

#[test]
fn past_times_need_allow_past() {
    let past = time::parse("2020-01-01T00:00:00Z").unwrap();
    let system = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    for (expiry, sent) in [
        (Expiry::from("2020-01-01T00:00:00Z"), "2020-01-01T00:00:00Z"),
        (Expiry::from("1577836800"), "1577836800"),
        (Expiry::from("0"), "0"),
        (Expiry::from("-1"), "-1"),
        (Expiry::from(past), "2020-01-01T00:00:00Z"),
        (Expiry::from(past.fixed_offset()), "2020-01-01T00:00:00Z"),
        (Expiry::from(system), "2020-01-01T00:00:00Z"),
        (Expiry::from(UNIX_EPOCH - Duration::from_secs(1)), "1969-12-31T23:59:59Z"),
        (Expiry::from(now()), "2026-11-21T10:21:58.341110Z"),
    ] {
        assert!(refusal(expiry.clone()).contains("has passed"), "{expiry:?}");
        assert_eq!(wire(expiry.clone().allow_past()).unwrap(), sent, "{expiry:?}");
    }
}

#[test]
fn what_dotnet_cannot_hold() {
    let far = DateTime::<Utc>::MAX_UTC;
    for expiry in [
        Expiry::from("999999999d"),            // 205
        Expiry::from("99999999999999999w"),    // 206
        Expiry::from("99999999999999999999s"), // 207: would be a 500
        Expiry::from("99999999999999999999"),  // 208
        Expiry::from("-62135596801000"),
        Expiry::from(far).allow_past(),
        Expiry::from(DateTime::<Utc>::MIN_UTC).allow_past(),
        Expiry::from("0000-12-31T23:59:59Z").allow_past(),
        Expiry::from(Duration::MAX),
        Expiry::from(Duration::from_secs(u64::MAX)),
        Expiry::from(UNIX_EPOCH + Duration::from_secs(9_000_000_000_000_000_000)),
    ] {
        assert!(refusal(expiry.clone()).contains("9999"), "{expiry:?}");
    }
}

#[test]
fn epoch_milliseconds_get_a_hint() {
    assert!(refusal("1795342918000").contains("divide it by 1000"));
    assert_eq!(wire("253402300799").unwrap(), "253402300799");
    assert!(refusal("253402300800").contains("1000"));
}

#[test]
fn durations_are_rounded_up_to_whole_seconds() {
    assert_eq!(wire(Duration::from_nanos(1)).unwrap(), "1s");
    assert_eq!(wire(Duration::from_millis(1_500)).unwrap(), "2s");
    assert_eq!(wire(Duration::from_secs(2)).unwrap(), "2s");
    assert_eq!(wire(TimeDelta::days(30)).unwrap(), "2592000s");
    assert!(refusal(TimeDelta::MIN).contains("year") && refusal(TimeDelta::days(-20_000)).contains("past"));
}

#[test]
fn never_is_for_buckets_only() {
    for never in [Expiry::never(), Expiry::from("never")] {
        assert_eq!(never.to_wire(ExpiryOf::Bucket).unwrap(), "never");
        let token = never.to_wire(ExpiryOf::UploadToken).unwrap_err().to_string();
        assert!(token.contains("one day"), "{token}");
        let dashboard = never.to_wire(ExpiryOf::DashboardToken).unwrap_err().to_string();
        assert!(dashboard.contains("24 hours"), "{dashboard}");
    }
    // the 24 hours themselves are the server's to enforce
    assert_eq!(Expiry::from("25h").to_wire(ExpiryOf::DashboardToken).unwrap(), "25h");
}

proptest! {
    #[test]
    fn any_text_gives_an_answer_and_what_is_sent_is_in_the_grammar(text in "\\PC*|[0-9TZ:.+-]{0,30}|[0-9]{1,25}[smhdw]?") {
        if let Ok(sent) = wire(text.as_str()) {
            prop_assert!(is_wire_form(&sent), "{sent:?}");
            // what was sent means the same when given again
            prop_assert_eq!(wire(sent.as_str()).unwrap(), sent);
        }
    }

    #[test]
    fn durations_never_shrink(secs in 0..10_000_000_000_u64, nanos in 0..1_000_000_000_u32) {
        prop_assume!(secs > 0 || nanos > 0);
        let sent = wire(Duration::new(secs, nanos)).unwrap();
        let seconds: u64 = sent.strip_suffix('s').unwrap().parse().unwrap();
        prop_assert!(Duration::from_secs(seconds) >= Duration::new(secs, nanos));
        prop_assert!(seconds - secs <= 1);
    }

    #[test]
    fn times_are_sent_to_the_microsecond(secs in FIRST_SECOND..=LAST_SECOND, nanos in 0..1_000_000_000_u32, offset in -720..=720_i32) {
        let time = DateTime::from_timestamp(secs, nanos).unwrap();
        let zoned = time.with_timezone(&FixedOffset::east_opt(offset * 60).unwrap());
        let sent = wire(Expiry::from(zoned).allow_past()).unwrap();
        prop_assert!(sent.ends_with('Z') && sent.as_bytes()[10] == b'T', "{}", sent);
        prop_assert_eq!(time::parse(&sent).unwrap().timestamp_micros(), time.timestamp_micros());
        prop_assert_eq!(wire(Expiry::from(time).allow_past()).unwrap(), sent);
        prop_assert_eq!(wire(time).is_ok(), time > now());
    }

    #[test]
    fn units_multiply(count in 1..1_000_000_000_000_u64, unit in prop::sample::select(vec![("s", 1_i64), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)])) {
        let end = i64::try_from(count).unwrap().checked_mul(unit.1).and_then(|s| s.checked_add(now().timestamp()));
        let fits = end.is_some_and(|end| end < LAST_SECOND);
        prop_assert_eq!(wire(format!("{count}{}", unit.0)).is_ok(), fits);
    }
}

/// The grammar of the wire description, written down a second time.
fn is_wire_form(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (head, last) = text.split_at(text.len().saturating_sub(1));
    text == "never"
        || ("smhdw".contains(last) && digits(head) && head.len() <= 19)
        || digits(text)
        || (text.len() >= 20 && text.as_bytes()[10] == b'T' && last == "Z" && time::parse(text).is_some())
}
