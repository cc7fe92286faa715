//! `Content-Disposition`, read from multipart parts and written for downloads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::parameters::{self, Parameters, is_token, token_length};

/// The names in a part's `Content-Disposition`, decoded as Microsoft's parser does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
}

impl Names {
    /// `None` if the header cannot be parsed.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let parameters = Parameters::parse(&header[token_length(header)?..])?;
        // The plain one wins, against the advice of RFC 6266.
        let plain = parameters.get("filename").map(decoded);
        Some(Self {
            name: parameters.get("name").map(decoded),
            filename: plain.or_else(|| parameters.get("filename*").and_then(decode_5987)),
        })
    }
}

/// Quotes are taken off, but escapes are not: `\"` keeps its backslash, which then becomes a directory.
fn decoded(value: &str) -> String {
    let inner = parameters::unquoted(value);
    if inner.len() == value.len() { None } else { decode_2047(inner) }.unwrap_or_else(|| inner.to_owned())
}

/// `=?utf-8?B?…?=`
fn decode_2047(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('?').collect();
    let ["=", charset, encoding, encoded, "="] = parts[..] else {
        return None;
    };
    if !encoding.eq_ignore_ascii_case("b") {
        return None;
    }
    in_charset(charset, STANDARD.decode(encoded).ok()?)
}

/// `UTF-8''%e2%82%ac`
fn decode_5987(value: &str) -> Option<String> {
    let mut parts = value.split('\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    in_charset(charset, percent_decode_str(encoded).collect())
}

fn in_charset(charset: &str, bytes: Vec<u8>) -> Option<String> {
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => Some(String::from_utf8_lossy(&bytes).into_owned()),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// `attachment; filename=…; filename*=UTF-8''…` for a download.
pub(crate) fn attachment(name: &str) -> String {
    let mut plain = String::new();
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            plain.push(character);
        } else {
            // One for every UTF-16 unit.
            plain.extend(std::iter::repeat_n('_', character.len_utf16()));
        }
    }
    if !plain.bytes().all(is_token) || plain.is_empty() {
        plain = format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let mut extended = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            extended.push(char::from(byte));
        } else {
            extended.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename={plain}; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(header: &str) -> Option<String> {
        Names::parse(header)?.filename
    }

    #[test]
    fn filenames_are_read_as_microsoft_reads_them() {
        for (parameters, read) in [
            ("filename=unq.txt", "unq.txt"),
            ("filename=\"naïve 日本.txt\"", "naïve 日本.txt"),
            ("filename=\"q\\\"uote.txt\"", "q\\\"uote.txt"),
            ("filename*=UTF-8''%e2%82%ac%20r.txt", "€ r.txt"),
            ("filename*=UTF-8''star.txt; filename=\"plain.txt\"", "plain.txt"),
            ("filename=\"=?utf-8?B?w7xtbC50eHQ=?=\"", "üml.txt"),
            ("filename=\"a%20b\"", "a%20b"),
            ("filename=\"\"", ""),
        ] {
            let header = format!("form-data; name=file; {parameters}");
            assert_eq!(filename(&header).as_deref(), Some(read), "{header}");
        }
        for (header, read) in [
            ("form-data; foo; name=\"a.txt\"; filename=\"x\"", Some("x")),
            ("form-data; name=file; filename=", Some("")),
            ("form-data; name=\"file\"; filename=\"dir\\\"", Some("dir\\")),
            ("form-data; name=file; filename", None),
        ] {
            assert_eq!(filename(header).as_deref(), read, "{header}");
        }
        assert_eq!(Names::parse(";;;"), None);
        assert_eq!(filename("form-data; name=\"a\""), None);
    }

    #[test]
    fn downloads_are_named_as_recorded() {
        for (name, header) in [
            ("ten.bin", "attachment; filename=ten.bin; filename*=UTF-8''ten.bin"),
            ("日本 語.txt", "attachment; filename=\"__ _.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%E8%AA%9E.txt"),
            ("a\"q.txt", "attachment; filename=\"a\\\"q.txt\"; filename*=UTF-8''a%22q.txt"),
            ("tab\tx.txt", "attachment; filename=tab_x.txt; filename*=UTF-8''tab%09x.txt"),
            ("ap'os.txt", "attachment; filename=ap'os.txt; filename*=UTF-8''ap%27os.txt"),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
