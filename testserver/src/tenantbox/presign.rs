//! Presigned URLs by AWS Signature Version 4
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

pub(super) const BUCKET: &str = "tenantbox";
const REGION: &str = "auto";

/// What may stand unescaped in a canonical request; a path may hold slashes too.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The keys of a storage.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) key: &'a str,
    /// The `Content-Type` that the request must have.
    pub(super) content_type: Option<&'a str>,
    /// More of the query, such as `response-content-disposition`.
    pub(super) query: &'a [(&'a str, String)],
    pub(super) at: DateTime<Utc>,
    pub(super) lives: Duration,
}

impl Signer {
    pub(super) fn new() -> Self {
        let random = |length| std::iter::repeat_with(fastrand::alphanumeric).take(length).collect();
        Self { access_key: random(20), secret_key: random(40) }
    }

    /// The URL, below that of the storage.
    pub(super) fn url(&self, storage: &str, signed: &Signed<'_>) -> String {
        let host = storage.split_once("://").map_or(storage, |(_, host)| host);
        let (stamp, day) = (signed.at.format("%Y%m%dT%H%M%SZ").to_string(), signed.at.format("%Y%m%d").to_string());
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let headers = match signed.content_type {
            Some(content_type) => vec![("content-type", content_type), ("host", host)],
            None => vec![("host", host)],
        };
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut query = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{scope}", self.access_key)),
            ("X-Amz-Date", stamp.clone()),
            ("X-Amz-Expires", signed.lives.as_secs().to_string()),
            ("X-Amz-SignedHeaders", names.clone()),
        ];
        query.extend_from_slice(signed.query);
        query.sort();
        let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = pairs.join("&");
        let path = format!("/{BUCKET}/{}", utf8_percent_encode(signed.key, PATH));
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("{}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD", signed.method);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let secret = format!("AWS4{}", self.secret_key);
        let key = [day.as_str(), REGION, "s3", "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        format!("{storage}{path}?{query}&X-Amz-Signature={}", hex(&hmac(&key, to_sign.as_bytes())))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("a key of any length will do") };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    /// The example of AWS's own documentation, but for its region, its bucket in the host, and its `/test.txt`.
    #[test]
    fn the_signature_changes_with_all_that_is_signed() {
        let signer = Signer { access_key: "AKIAIOSFODNN7EXAMPLE".into(), secret_key: "wJalrXUtnFEMI".into() };
        let at = Utc.with_ymd_and_hms(2013, 5, 24, 0, 0, 0).unwrap();
        let url = |method: &str, key: &str, content_type: Option<&str>| {
            signer.url(
                "http://s3:9000",
                &Signed { method, key, content_type, query: &[], at, lives: Duration::from_secs(86400) },
            )
        };
        let signature = |url: String| url.rsplit_once('=').unwrap().1.to_owned();
        let one = url("PUT", "a b/ü.txt", Some("text/plain"));
        assert!(one.starts_with("http://s3:9000/tenantbox/a%20b/%C3%BC.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fauto%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=content-type%3Bhost&X-Amz-Signature="), "{one}");
        let all = [
            one,
            url("GET", "a b/ü.txt", Some("text/plain")),
            url("PUT", "a", Some("text/plain")),
            url("PUT", "a b/ü.txt", None),
        ];
        let signatures: std::collections::HashSet<_> = all.into_iter().map(signature).collect();
        assert_eq!(signatures.len(), 4);
    }
}
