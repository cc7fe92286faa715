//! Paths inside a bucket, and how they and ids are written into URLs and headers.

use std::borrow::Borrow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Everything but RFC 3986's unreserved characters, which is also inside RFC 8187's `attr-char`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const RESERVED_BUT_SLASH: &AsciiSet = &RESERVED.remove(b'/');

/// The path of a file inside a bucket: one or more segments separated by `/`, such as `docs/hello.txt`.
///
/// Only paths that mean the same to an upload and to a read can be made: the server normalises the paths of uploads
/// but not those of reads, and resolves `.` and `..` before it looks at anything else (wire description, sections 8
/// and 10). Refused are therefore an empty path, a slash at either end, blank segments, `.` and `..`, backslashes and
/// NUL, as [`InvalidInput`](crate::ErrorKind::InvalidInput) for the argument `path`. Letter case and Unicode form are
/// kept and matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// The name of a local file as a path of one segment: the last component of `path`, which need not exist.
    ///
    /// # Errors
    /// `InvalidInput` for the argument `path`, where there is no last component (`/`, `..`), it is not UTF-8, or it
    /// contains what a path here cannot, such as a backslash.
    pub fn from_local_name(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Some(name) = path.file_name() else {
            return Err(invalid(format!("{} has no file name", path.display())));
        };
        let Some(name) = name.to_str() else {
            return Err(invalid(format!("the file name of {} is not UTF-8; give a name explicitly", path.display())));
        };
        Self::try_from(name)
    }

    /// The whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The path without its last segment; `None` at the top of the bucket.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The segments in order, at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// This path with more segments after it.
    ///
    /// # Errors
    /// `InvalidInput` for the argument `path`, where `tail` is no path itself.
    pub fn join(&self, tail: impl AsRef<str>) -> Result<Self> {
        let tail = tail.as_ref();
        check(tail)?;
        Ok(Self(format!("{}/{tail}", self.0)))
    }

    /// Whether it may go to the stream route, which stores any other path and then answers 500 (wire description,
    /// section 8).
    pub(crate) fn is_ascii_printable(&self) -> bool {
        self.0.bytes().all(|b| (0x20..=0x7e).contains(&b))
    }

    /// Whether the URL of its metadata is read by the server as the operation `content` or `verify` on its parent
    /// (wire description, section 10).
    pub(crate) fn shadows_operation(&self) -> bool {
        self.0
            .rsplit_once('/')
            .is_some_and(|(_, name)| name.eq_ignore_ascii_case("content") || name.eq_ignore_ascii_case("verify"))
    }
}

/// Adds a path to a URL: each segment percent-encoded, the slashes raw, because `%2F` is no slash to the server.
///
/// # Errors
/// `InvalidInput` for what can't be the path of a file.
pub(crate) fn push_path(url: &mut String, path: &str) -> Result<()> {
    check(path)?;
    url.extend(utf8_percent_encode(path, RESERVED_BUT_SLASH));
    Ok(())
}

fn check(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(invalid("it is empty"));
    }
    if path.contains('\\') {
        return Err(invalid(format!("{path:?} contains a backslash; separate segments with /")));
    }
    if path.contains('\0') {
        return Err(invalid(format!("{path:?} contains NUL: such a file could never be read back")));
    }
    if path.starts_with('/') {
        return Err(invalid(format!("{path:?} starts with a slash; paths are relative to the bucket")));
    }
    if path.ends_with('/') {
        return Err(invalid(format!("{path:?} ends with a slash; a directory is no file")));
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err(invalid(format!("{path:?} contains a double slash")));
        }
        // The server's IsNullOrWhiteSpace and this one agree on what is blank.
        if segment.chars().all(char::is_whitespace) {
            return Err(invalid(format!("{path:?} has a blank segment")));
        }
        if segment == "." || segment == ".." {
            return Err(invalid(format!("{path:?} has the segment {segment:?}, which URLs resolve away")));
        }
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid_input("path", message.into())
}

impl TryFrom<String> for FilePath {
    type Error = Error;

    fn try_from(path: String) -> Result<Self> {
        check(&path)?;
        Ok(Self(path))
    }
}

impl TryFrom<&str> for FilePath {
    type Error = Error;

    fn try_from(path: &str) -> Result<Self> {
        path.to_owned().try_into()
    }
}

impl FromStr for FilePath {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        path.try_into()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl AsRef<str> for FilePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One segment of a URL's path, such as an id: here a slash becomes `%2F`.
pub(crate) fn encode_segment(segment: &str) -> String {
    utf8_percent_encode(segment, RESERVED).to_string()
}

/// The same, added to a URL.
pub(crate) fn push_segment(url: &mut String, segment: &str) {
    url.extend(utf8_percent_encode(segment, RESERVED));
}

/// The value of `filename*` (RFC 8187) without its `UTF-8''`. Nothing that could end a header or a quoted string is
/// left in it.
pub(crate) fn encode_filename_star(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// Refuses ids that would turn a URL into another one: of the collection above it, or of nothing at all.
pub(crate) fn check_id(argument: &'static str, id: &str) -> Result<()> {
    if id.trim().is_empty() {
        return Err(Error::invalid_input(argument, "it is empty"));
    }
    if id.bytes().all(|b| b == b'/') || id == "." || id == ".." {
        return Err(Error::invalid_input(argument, format!("{id:?} is no id but a place in a path")));
    }
    if id.chars().any(char::is_control) {
        return Err(Error::invalid_input(argument, format!("{id:?} contains a control character")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
