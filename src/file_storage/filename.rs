//! File names as this service takes them: raw UTF-8 in a quoted `filename`, with `"` and `\` escaped by a backslash. It
//! understands neither `filename*` nor percent-encoding (wire description, section 4).

use crate::error::{Error, Result};
use crate::transfer::Source;

/// The most characters; a plain upload may take more or answer 500, depending on its database.
const LONGEST: usize = 255;

/// A name that arrives as it is.
#[derive(Debug, Clone)]
pub(super) struct Filename(String);

impl Filename {
    pub(super) fn new(name: &str) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid_input("filename", why));
        if name.is_empty() {
            return refused("it is empty");
        }
        if name.chars().count() > LONGEST {
            return refused("it is longer than 255 characters");
        }
        // CR or LF would end the header; the others have no place in a name.
        if name.chars().any(|c| c.is_ascii_control()) {
            return refused("it holds a control character");
        }
        // The service takes these for paths of an old browser, and drops all before the last backslash.
        let bytes = name.as_bytes();
        if bytes.starts_with(br"\\") || bytes.get(1..3) == Some(br":\") {
            return refused(
                r"it begins as a Windows path (C:\… or \\…), of which the service would keep the last part only",
            );
        }
        Ok(Self(name.to_owned()))
    }

    /// That of a source that has one.
    pub(super) fn of(source: &Source<'_>) -> Result<Self> {
        match source.file_name()? {
            Some(name) => Self::new(&name),
            None => Err(Error::invalid_input("filename", "this source has none: give it one with .filename()")),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands between the quotes of `filename="…"`.
    pub(super) fn escaped(&self) -> String {
        self.0.replace('\\', r"\\").replace('"', "\\\"")
    }

    /// The media type that its extension stands for.
    pub(super) fn media_type(&self) -> String {
        new_mime_guess::from_path(&self.0).first_raw().unwrap_or("application/octet-stream").to_owned()
    }
}

/// A media type as the service stores it, verbatim.
pub(super) fn check_media_type(media_type: &str) -> Result<()> {
    let printable = media_type.bytes().all(|b| (0x20..=0x7e).contains(&b));
    let named = media_type.split_once('/').is_some_and(|(kind, sub)| !kind.trim().is_empty() && !sub.trim().is_empty());
    if !printable || !named || media_type.len() > 128 {
        return Err(Error::invalid_input("content_type", "it is not a media type of at most 128 characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As python-multipart 0.0.34 reads it.
    fn read(header: &str) -> String {
        let quoted = header.split_once("filename=").unwrap().1;
        let name = quoted[1..quoted.len() - 1].replace(r"\\", r"\").replace("\\\"", "\"");
        if name.as_bytes().starts_with(br"\\") || name.as_bytes().get(1..3) == Some(br":\") {
            return name.rsplit('\\').next().unwrap().to_owned();
        }
        name
    }

    #[test]
    fn what_can_not_be_carried_is_refused() {
        let long = "x".repeat(256);
        for bad in ["", "a\r\nX: y", "a\nb", "\0", "a\tb", "\x7f", r"C:\x.txt", r"\\server\x", &long] {
            assert!(Filename::new(bad).unwrap_err().is_invalid_input(), "{bad:?}");
        }
        assert!(Filename::new(&"ü".repeat(255)).is_ok());
        assert!(Filename::of(&Source::from(std::path::Path::new("/"))).is_err());
    }

    #[test]
    fn extensions_give_types() {
        let media_type = |name: &str| Filename::new(name).unwrap().media_type();
        assert_eq!(media_type("a.PNG"), "image/png");
        assert_eq!(media_type("ü %+#?"), "application/octet-stream");
        assert!(check_media_type("text/plain; charset=utf-8").is_ok());
        for bad in ["", "text", "text/", "/x", "a/b\r\nc: d", "ü/x"] {
            assert!(check_media_type(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn names_arrive_as_they_are(name in r#"[a-z"\\;=ü日 %]{1,12}"#) {
            if let Ok(name) = Filename::new(&name) {
                let header = format!("form-data; name=\"file\"; filename=\"{}\"", name.escaped());
                prop_assert_eq!(read(&header), name.as_str());
            }
        }

        #[test]
        fn no_line_ends_in_a_header(name in any::<String>()) {
            if let Ok(name) = Filename::new(&name) {
                prop_assert!(!name.escaped().contains(['\r', '\n', '\0']));
            }
        }
    }
}
