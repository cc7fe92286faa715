//! Which path is which route, and which methods it has.

/// A route with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Healthz,
    Hub,
    Negotiate,
    Short(String),
    ShortCode(String),
    Keys,
    Key(String),
    KeyUsage(String),
    Dashboard,
    DashboardMe,
    Stats,
    Buckets,
    Bucket(String),
    Summary(String),
    Archive(String),
    Tokens(String),
    Upload(String),
    UploadStream(String),
    Ls(String),
    /// The files of a bucket, without a path.
    Files(String),
    /// Whatever comes after `/files/`, slashes and all.
    File(String, String),
}

impl Route {
    /// Route words are case-insensitive, parameters are not. One slash at the end is tolerated, except of a file path.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if let Some(file) = Self::file(path) {
            return Some(file);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return None;
        }
        let words: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let parameter = |at: usize| segments[at].to_owned();
        Some(match words[..] {
            ["healthz"] => Self::Healthz,
            ["hub", "files"] => Self::Hub,
            ["hub", "files", "negotiate"] => Self::Negotiate,
            ["s", _] => Self::Short(parameter(1)),
            ["api", "short", _] => Self::ShortCode(parameter(2)),
            ["api", "keys"] => Self::Keys,
            ["api", "keys", _] => Self::Key(parameter(2)),
            ["api", "keys", _, "usage"] => Self::KeyUsage(parameter(2)),
            ["api", "tokens", "dashboard"] => Self::Dashboard,
            ["api", "tokens", "dashboard", "me"] => Self::DashboardMe,
            ["api", "stats"] => Self::Stats,
            ["api", "buckets"] => Self::Buckets,
            ["api", "buckets", _] => Self::Bucket(parameter(2)),
            ["api", "buckets", _, "summary"] => Self::Summary(parameter(2)),
            ["api", "buckets", _, "zip"] => Self::Archive(parameter(2)),
            ["api", "buckets", _, "tokens"] => Self::Tokens(parameter(2)),
            ["api", "buckets", _, "upload"] => Self::Upload(parameter(2)),
            ["api", "buckets", _, "upload", "stream"] => Self::UploadStream(parameter(2)),
            ["api", "buckets", _, "ls"] => Self::Ls(parameter(2)),
            ["api", "buckets", _, "files"] => Self::Files(parameter(2)),
            _ => return None,
        })
    }

    fn file(path: &str) -> Option<Self> {
        let mut parts = path.splitn(5, '/');
        let (api, buckets, id, files) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let path = parts.next().filter(|path| !path.is_empty())?;
        let matches = api.eq_ignore_ascii_case("api")
            && buckets.eq_ignore_ascii_case("buckets")
            && files.eq_ignore_ascii_case("files")
            && !id.is_empty();
        matches.then(|| Self::File(id.to_owned(), path.to_owned()))
    }

    /// The methods, as `Allow` lists them.
    pub(super) fn allowed(&self) -> &'static str {
        match self {
            // These two say no themselves, without an `Allow`.
            Self::Hub | Self::Negotiate => "",
            Self::Healthz
            | Self::Short(_)
            | Self::KeyUsage(_)
            | Self::DashboardMe
            | Self::Stats
            | Self::Summary(_)
            | Self::Ls(_) => "GET",
            Self::ShortCode(_) | Self::Key(_) => "DELETE",
            Self::Keys | Self::Buckets => "GET, POST",
            Self::Dashboard | Self::Tokens(_) | Self::Upload(_) => "POST",
            Self::Bucket(_) => "DELETE, GET, PATCH",
            Self::Archive(_) => "GET, HEAD",
            Self::UploadStream(_) => "PUT",
            Self::Files(_) | Self::File(..) => "DELETE, GET, HEAD, PATCH",
        }
    }
}

/// What the end of a file path asks for, when it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    Content(&'a str),
    Verify(&'a str),
    Metadata,
}

/// A path that ends in `/content` or `/verify` is read as the operation, which hides files of such names.
pub(super) fn operation(path: &str) -> Operation<'_> {
    match path.rsplit_once('/') {
        Some((of, word)) if word.eq_ignore_ascii_case("content") => Operation::Content(of),
        Some((of, word)) if word.eq_ignore_ascii_case("verify") => Operation::Verify(of),
        _ => Operation::Metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_ignore_case_and_one_slash_at_the_end_is_fine() {
        let id = || "Ab".to_owned();
        for (path, route) in [
            ("/API/Buckets/Ab/", Some(Route::Bucket(id()))),
            ("/api/buckets/Ab/files/", Some(Route::Files(id()))),
            ("/api/buckets/Ab/files/x/", Some(Route::File(id(), "x/".to_owned()))),
            ("/api/buckets/Ab/files//x", Some(Route::File(id(), "/x".to_owned()))),
            ("/S/Ab", Some(Route::Short(id()))),
            ("/api//buckets", None),
            ("/api/buckets//files", None),
            ("/api/buckets//", None),
            ("/Hub/files/", Some(Route::Hub)),
            ("/hub/files/negotiate", Some(Route::Negotiate)),
            ("/hub/nope/negotiate", None),
            ("/", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn the_last_segment_is_the_operation() {
        assert_eq!(operation("a/content/CONTENT"), Operation::Content("a/content"));
        assert_eq!(operation("x/verify"), Operation::Verify("x"));
        for plain in ["content", "verify", "a/content/", "a"] {
            assert_eq!(operation(plain), Operation::Metadata, "{plain}");
        }
    }
}
