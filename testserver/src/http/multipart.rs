//! `multipart/form-data` as ASP.NET's `MultipartReader` takes it apart, piece by piece.

use std::collections::HashSet;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::body::RequestBody;
use super::parameters::{self, MediaType};
use super::refusal::Refusal;

const HEADERS_SIZE: usize = 16 * 1024;
const HEADERS_COUNT: usize = 16;
/// What may stand before the first part, and behind the last.
const AROUND_SIZE: usize = 16 * 1024;
/// What may stand between a boundary and the end of its line.
const BOUNDARY_TAIL: usize = 100;

/// The boundary of a `multipart/form-data` content type; the error is the text of the refusal.
pub(crate) fn boundary(content_type: &str) -> Result<String, Refusal> {
    let expected = || Refusal::invalid("Expected multipart/form-data");
    let parsed = MediaType::parse(content_type).filter(|parsed| parsed.is("multipart", "form-data"));
    let boundary = parameters::unquoted(parsed.ok_or_else(expected)?.parameters.get("boundary").unwrap_or_default());
    if boundary.is_empty() { Err(Refusal::invalid("Missing multipart boundary")) } else { Ok(boundary.to_owned()) }
}

/// Reads the parts of one body, one after the other.
pub(crate) struct Multipart<'a> {
    body: &'a mut RequestBody,
    buffer: BytesMut,
    /// `\r\n--boundary`; before the first part the line end is not asked for.
    delimiter: memmem::Finder<'static>,
    opening: memmem::Finder<'static>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Preamble,
    Part,
    /// Just behind a delimiter.
    Boundary,
    End,
}

impl<'a> Multipart<'a> {
    pub(crate) fn new(body: &'a mut RequestBody, boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            body,
            buffer: BytesMut::new(),
            opening: memmem::Finder::new(&delimiter.as_bytes()[2..]).into_owned(),
            delimiter: memmem::Finder::new(delimiter.as_bytes()).into_owned(),
            place: Place::Preamble,
        }
    }

    /// Skips what is left of this part and reads the headers of the next: its `Content-Disposition`, if it has one.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Option<String>>, Refusal> {
        let allowed = if self.place == Place::Preamble { AROUND_SIZE } else { usize::MAX };
        let mut skipped = 0;
        while let Some(bytes) = self.chunk().await? {
            skipped += bytes.len();
            if skipped > allowed {
                return Err(Refusal::Unhandled);
            }
        }
        if self.place == Place::End {
            return Ok(None);
        }
        let tail = self.line(BOUNDARY_TAIL, AtEnd::IsLine).await?;
        if tail.trim() == "--" {
            self.place = Place::End;
            self.skip_epilogue().await?;
            return Ok(None);
        }
        let disposition = self.headers().await?;
        self.place = Place::Part;
        Ok(Some(disposition))
    }

    /// The next bytes of this part; `None` when it is complete.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let finder = match self.place {
                Place::Boundary | Place::End => return Ok(None),
                Place::Preamble => &self.opening,
                Place::Part => &self.delimiter,
            };
            let length = finder.needle().len();
            if let Some(at) = finder.find(&self.buffer) {
                let bytes = self.buffer.split_to(at).freeze();
                self.buffer.advance(length);
                self.place = Place::Boundary;
                return Ok((!bytes.is_empty()).then_some(bytes));
            }
            // The delimiter may be cut in two, so its length less one stays.
            let safe = (self.buffer.len() + 1).saturating_sub(length);
            if safe > 0 {
                return Ok(Some(self.buffer.split_to(safe).freeze()));
            }
            self.fill().await?;
        }
    }

    /// Reads what follows the last part.
    async fn skip_epilogue(&mut self) -> Result<(), Refusal> {
        let mut length = self.buffer.len();
        while length <= AROUND_SIZE {
            match self.body.chunk().await? {
                None => return Ok(()),
                Some(bytes) => length += bytes.len(),
            }
        }
        Err(Refusal::Unhandled)
    }

    async fn headers(&mut self) -> Result<Option<String>, Refusal> {
        let mut disposition: Option<String> = None;
        let mut names = HashSet::new();
        let mut left = HEADERS_SIZE;
        loop {
            let line = self.line(left, AtEnd::Fails).await?;
            if line.is_empty() {
                break;
            }
            left = left.saturating_sub(line.len());
            let (name, value) = line.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or(Refusal::Unhandled)?;
            let name = name.to_ascii_lowercase();
            if name == "content-disposition" {
                // Several are one list, which is then no disposition any more.
                let value = value.trim();
                disposition = Some(disposition.map_or_else(|| value.to_owned(), |first| format!("{first},{value}")));
            }
            names.insert(name);
            if names.len() > HEADERS_COUNT {
                return Err(Refusal::Unhandled);
            }
        }
        Ok(disposition)
    }

    /// A line without its end. Longer than `limit`, or without an end, it is an exception nobody catches.
    async fn line(&mut self, limit: usize, at_end: AtEnd) -> Result<String, Refusal> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n") {
                let line = self.buffer.split_to(at);
                self.buffer.advance(2);
                return if at > limit { Err(Refusal::Unhandled) } else { Ok(text(&line)) };
            }
            if self.buffer.len() > limit {
                return Err(Refusal::Unhandled);
            }
            match self.fill().await {
                Err(Refusal::Unhandled) if at_end == AtEnd::IsLine => return Ok(text(&self.buffer.split())),
                filled => filled?,
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Refusal> {
        match self.body.chunk().await? {
            // An end in the middle of a part is an exception nobody catches.
            None => Err(Refusal::Unhandled),
            Some(bytes) => {
                self.buffer.extend_from_slice(&bytes);
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum AtEnd {
    IsLine,
    Fails,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_or_missed_as_recorded() {
        assert_eq!(boundary("multipart/form-data; boundary=\"B\""), Ok("B".to_owned()));
        let refused =
            |text: &str| boundary(text).map_err(|refusal| refusal == Refusal::invalid("Expected multipart/form-data"));
        assert_eq!(refused("multipart/mixed; boundary=B"), Err(true));
        assert_eq!(refused("multipart/form-data"), Err(false));
        assert_eq!(refused("multipart/form-data; boundary=\"\""), Err(false));
        assert_eq!(refused("multipart/form-data; boundary=a=b"), Err(true));
        assert_eq!(boundary("multipart/form-data; x=\"a;boundary=C\"; boundary=\"a;b\""), Ok("a;b".to_owned()));
    }
}
