//! What an operation is, and what can come of it.

use std::fmt;

use carbonfiles::ErrorKind;
use futures::future::BoxFuture;

use crate::bench::Bench;

/// Something that a client should be able to do.
pub(crate) struct Operation {
    /// A letter for the group and a number.
    pub(crate) id: &'static str,
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) run: fn(Bench) -> BoxFuture<'static, Outcome>,
}

impl Operation {
    pub(crate) fn letter(&self) -> &'static str {
        self.id.trim_end_matches(|c: char| c.is_ascii_digit())
    }
}

/// What was seen, in a few words, where all was right.
pub(crate) type Outcome = Result<String, Trouble>;

/// Why an operation has not passed.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    Failed(String),
    /// It can't be tried here, for this reason.
    Skipped(String),
}

/// Whatever fails, fails the operation, with all its causes.
impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Self::Failed(text)
    }
}

/// The operations of a group: `operations! { "health": A1 health "health: status, uptime, db"; }`, where `health` is an
/// async function from a [`Bench`] to an [`Outcome`].
macro_rules! operations {
    ($group:literal: $($id:ident $function:ident $title:literal;)*) => {
        &[$($crate::operation::Operation {
            id: stringify!($id),
            group: $group,
            title: $title,
            run: |bench| ::std::boxed::Box::pin($function(bench)),
        }),*]
    };
}

/// Fails the operation, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            let place = ::std::format_args!("{}:{}", file!().rsplit('/').next().unwrap_or_default(), line!());
            return Err($crate::operation::Trouble::Failed(::std::format!("{} ({place})", ::std::format_args!($($message)+))));
        }
    };
}

/// Fails the operation, unless both are equal.
macro_rules! same {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::operation::ensure!(
                found == expected,
                "{}: {} instead of {}",
                ::std::format_args!($($what)+),
                $crate::operation::Short(found),
                $crate::operation::Short(expected)
            ),
        }
    };
}

pub(crate) use {ensure, operations, same};

/// As `Debug` shows it, but never longer than a line or two.
pub(crate) struct Short<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: fmt::Debug + ?Sized> fmt::Display for Short<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        let text = format!("{:?}", self.0);
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// The error of a call that must be refused, with this kind and status.
pub(crate) fn refused<T>(
    result: carbonfiles::Result<T>,
    kind: ErrorKind,
    status: u16,
) -> Result<carbonfiles::Error, Trouble> {
    let error = failed(result, kind)?;
    same!(error.status().map(|status| status.as_u16()), Some(status), "status of '{error}'");
    Ok(error)
}

/// The error of a call that must fail, with this kind.
pub(crate) fn failed<T>(result: carbonfiles::Result<T>, kind: ErrorKind) -> Result<carbonfiles::Error, Trouble> {
    let Err(error) = result else {
        return Err(Trouble::Failed(format!("it went through, where {kind:?} was due")));
    };
    same!(error.kind(), kind, "kind of '{error}'");
    ensure!(!error.message().trim().is_empty(), "the error says nothing");
    Ok(error)
}
