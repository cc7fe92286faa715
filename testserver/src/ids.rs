//! Ids, codes, keys and tokens in the forms the server gives them.

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";

fn random(alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(alphabet[fastrand::usize(..alphabet.len())])).collect()
}

/// Ten letters and digits.
pub(crate) fn bucket_id() -> String {
    random(ALPHANUMERIC, 10)
}

/// Six letters and digits.
pub(crate) fn short_code() -> String {
    random(ALPHANUMERIC, 6)
}

/// `cf4_` and 8 hex digits: the part of a key that is no secret.
pub(crate) fn key_prefix() -> String {
    format!("cf4_{}", random(HEX, 8))
}

/// A whole API key of this prefix.
pub(crate) fn key(prefix: &str) -> String {
    format!("{prefix}_{}", random(HEX, 32))
}

/// `cfu_` and 48 hex digits.
pub(crate) fn upload_token() -> String {
    format!("cfu_{}", random(HEX, 48))
}
