//! Dashboard tokens: JSON web tokens signed with HMAC-SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What an expired token is still good for.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

#[derive(Serialize, Deserialize)]
struct Claims {
    scope: String,
    exp: i64,
    iat: i64,
    nbf: i64,
}

/// A token of the scope `admin`.
pub(crate) fn mint(secret: &str, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> String {
    let now = now.timestamp();
    let claims = Claims { scope: "admin".to_owned(), exp: expires_at.timestamp(), iat: now, nbf: now };
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    // Four plain members cannot fail to serialise.
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
    let signed = format!("{header}.{claims}");
    let signature = signature(secret, &signed).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    format!("{signed}.{}", signature.unwrap_or_default())
}

/// When a good token expires; `None` for any other text.
pub(crate) fn verify(token: &str, secret: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (signed, mac) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    signature(secret, signed)?.verify_slice(&URL_SAFE_NO_PAD.decode(mac).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
    let begun = DateTime::from_timestamp(claims.nbf, 0)? <= now + LEEWAY;
    (claims.scope == "admin" && begun && now <= expires_at + LEEWAY).then_some(expires_at)
}

/// The key is the SHA-256 of the secret.
fn signature(secret: &str, signed: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&Sha256::digest(secret)).ok()?;
    mac.update(signed.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_leeway_is_over() {
        let now = DateTime::from_timestamp(1_795_256_518, 0).unwrap();
        let token = mint("secret", now, now + TimeDelta::hours(1));
        assert_eq!(verify(&token, "secret", now), Some(now + TimeDelta::hours(1)));
        assert_eq!(verify(&token, "other", now), None);
        assert_eq!(verify(&token, "secret", now + TimeDelta::seconds(3631)), None);
        let mut tampered = token;
        tampered.insert(40, 'x');
        assert_eq!(verify(&tampered, "secret", now), None);
    }

    #[test]
    fn tokens_are_those_of_the_real_server() {
        // Exchange 99 was signed with the SHA-256 of its admin key.
        let recorded = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzY29wZSI6ImFkbWluIiwiZXhwIjoxNzk1MjYwMTE4LCJpYXQiOjE3OTUyNTY1MTgsIm5iZiI6MTc5NTI1NjUxOH0.hYvmoStbq62UCETcHbtomTu1-Vvoy40B4q69oxPhk34";
        let now = DateTime::from_timestamp(1_795_256_518, 0).unwrap();
        assert_eq!(mint("admin-test-key", now, now + TimeDelta::hours(1)), recorded);
    }
}
