//! `Content-Disposition`, read from multipart parts and written for downloads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// The names in a part's `Content-Disposition`, decoded as Microsoft's parser does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
}

impl Names {
    /// `None` if the header cannot be parsed.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut rest = header.trim();
        rest = rest[token_length(rest)?..].trim_start();
        let (mut names, mut extended) = (Self::default(), None);
        while let Some(parameter) = rest.strip_prefix(';') {
            let parameter = parameter.trim_start();
            if parameter.is_empty() {
                break;
            }
            let (name, value) = parameter.split_at(token_length(parameter)?);
            let value = value.trim_start().strip_prefix('=')?.trim_start();
            let length = if value.starts_with('"') { quoted_length(value)? } else { token_length(value)? };
            let (value, after) = value.split_at(length);
            match name.to_ascii_lowercase().as_str() {
                "name" => names.name = names.name.or_else(|| Some(unquoted(value))),
                "filename" => names.filename = names.filename.or_else(|| Some(unquoted(value))),
                "filename*" => extended = extended.or_else(|| decode_5987(value)),
                _ => {}
            }
            rest = after.trim_start();
        }
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        // The plain one wins, against the advice of RFC 6266.
        names.filename = names.filename.or(extended);
        Some(names)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn token_length(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(|&byte| is_token(byte)).count();
    (length > 0).then_some(length)
}

/// The length of a quoted string, quotes included. A backslash hides the next character from the search.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Quotes are taken off, but escapes are not: `\"` keeps its backslash, which then becomes a directory.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |inner| decode_2047(inner).unwrap_or_else(|| inner.to_owned()))
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
