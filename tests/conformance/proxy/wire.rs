//! Heads of HTTP/1.1 messages, and where their bodies end (RFC 9112 sections 6 and 7.1).

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The head of a request or an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The request line or status line.
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// The longest head that is read.
const LONGEST: usize = 256 << 10;

impl Head {
    /// The next head; `None` where the peer has closed instead.
    pub(crate) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Self>> {
        let (mut lines, mut length) = (Vec::new(), 0);
        loop {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line).await? == 0 {
                return if lines.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            length += line.len();
            if length > LONGEST {
                return Err(io::Error::other("a head without an end"));
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if line.is_empty() && !lines.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let split = |line: String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Some(Self { first, headers: lines.filter_map(split).collect() }))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", self.first, headers.collect::<String>()).into_bytes()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Replaces a header, or takes it out.
    pub(crate) fn set(&mut self, name: &str, value: Option<String>) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value)));
    }

    pub(crate) fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> u16 {
        self.target().parse().unwrap_or(0)
    }

    /// Whether the connection stays open behind this message.
    pub(crate) fn keeps_alive(&self) -> bool {
        let closes = self.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        !closes && !self.first.starts_with("HTTP/1.0")
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")?.parse().ok()
    }
}

/// Finds the end of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// So many bytes from here; none means that it has ended.
    Length(u64),
    Chunked(Chunked),
    /// Where the connection ends.
    Close,
}

/// Where in a chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the line with a chunk's size, which is this so far; behind a semicolon it no longer grows.
    Size {
        size: u64,
        ended: bool,
    },
    Data(u64),
    /// In the line end behind a chunk.
    AfterData,
    /// In the lines behind the last chunk, of which this one has so many characters.
    Trailer(usize),
}

impl Chunked {
    const START: Self = Self::Size { size: 0, ended: false };
}

impl BodyEnd {
    pub(crate) fn of_request(head: &Head) -> Self {
        if head.is_chunked() { Self::Chunked(Chunked::START) } else { Self::Length(head.length().unwrap_or(0)) }
    }

    pub(crate) fn of_reply(head: &Head, method: &str) -> Self {
        match head.status() {
            100..=199 | 204 | 304 => Self::Length(0),
            _ if method == "HEAD" => Self::Length(0),
            _ if head.is_chunked() => Self::Chunked(Chunked::START),
            _ => head.length().map_or(Self::Close, Self::Length),
        }
    }

    pub(crate) fn is_reached(&self) -> bool {
        *self == Self::Length(0)
    }

    /// How many of these bytes belong to the body. What they carry without the framing is handed out.
    pub(crate) fn advance(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> usize {
        match self {
            Self::Close => {
                content(bytes);
                bytes.len()
            }
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                content(&bytes[..taken]);
                taken
            }
            Self::Chunked(at) => {
                let mut taken = 0;
                while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
                    let (step, next) = at.step(rest, &mut content);
                    taken += step;
                    match next {
                        Some(next) => *at = next,
                        None => {
                            *self = Self::Length(0);
                            return taken;
                        }
                    }
                }
                taken
            }
        }
    }
}

impl Chunked {
    /// How many bytes are read, and where that leads; `None` is the end.
    fn step(&self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> (usize, Option<Self>) {
        let byte = bytes[0];
        match *self {
            Self::Data(left) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                content(&bytes[..taken]);
                let left = left - taken as u64;
                (taken, Some(if left == 0 { Self::AfterData } else { Self::Data(left) }))
            }
            Self::AfterData => (1, Some(if byte == b'\n' { Self::START } else { Self::AfterData })),
            Self::Size { size, .. } if byte == b'\n' => {
                (1, Some(if size == 0 { Self::Trailer(0) } else { Self::Data(size) }))
            }
            Self::Size { size, ended } => match char::from(byte).to_digit(16) {
                Some(digit) if !ended => {
                    (1, Some(Self::Size { size: size.wrapping_mul(16).wrapping_add(u64::from(digit)), ended }))
                }
                _ => (1, Some(Self::Size { size, ended: true })),
            },
            Self::Trailer(0) if byte == b'\n' => (1, None),
            Self::Trailer(_) if byte == b'\n' => (1, Some(Self::Trailer(0))),
            Self::Trailer(length) => (1, Some(Self::Trailer(length + usize::from(byte != b'\r')))),
        }
    }
}
