//! A file as the server's database has it.

use super::File;
use super::stable::{NO_DELIMITER, literal};
use super::tree::tree_request;
use crate::error::Result;
use crate::http::CallOptions;
use crate::models::{FileInfo, TreePage};
use crate::paging::check_headway;
use crate::refusal::no_file;

/// The first is the one, but for names that nobody has.
const ROWS: u64 = 10;

/// Up to so many bytes a path is a prefix too, which spares the server counting what comes behind it. A longer one would not go
/// into a request line twice, each byte as three.
const LONGEST_PREFIX: usize = 1 << 10;

impl File {
    /// What the file is, by a listing that begins with it. The answer to [`File::get`] may be that of a content before: the
    /// server remembers it, but not what it lists (see `docs/server-notes.md`).
    pub(crate) async fn listed(&self, options: CallOptions) -> Result<FileInfo> {
        self.listed_opt(options).await?.ok_or_else(no_file)
    }

    /// The same, where `None` is the listing's own word that there is no such file: no 404 of the listing itself is.
    pub(crate) async fn listed_opt(&self, mut options: CallOptions) -> Result<Option<FileInfo>> {
        let path = self.checked_path()?;
        let (files, transport) = (self.bucket.files(), &self.client().transport);
        transport.start(&mut options);
        let prefix = if path.as_str().len() <= LONGEST_PREFIX { literal(path.as_str()) } else { "" };
        let mut cursor = just_before(path.as_str());
        loop {
            let behind = Some(cursor.as_str()).filter(|cursor| !cursor.is_empty());
            let request = tree_request(&files, prefix, NO_DELIMITER, Some(ROWS), behind, options.clone())?;
            let page: TreePage = transport.send(request).await?.json()?;
            check_headway(behind, page.files.iter().map(|file| file.path.as_str()), page.cursor.as_deref())?;
            if let Some(found) = page.files.into_iter().find(|file| file.path == path.as_str()) {
                return Ok(Some(found));
            }
            match page.cursor {
                Some(next) if next.as_str() < path.as_str() => cursor = next,
                _ => return Ok(None),
            }
        }
    }
}

/// A text that sorts before this path, with next to nothing between them.
fn just_before(path: &str) -> String {
    let mut start = path.to_owned();
    if let Some(before) = start.pop().and_then(|last| ('\u{20}'..last).next_back()) {
        start.extend([before, char::MAX]);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_lies_right_before_its_path() {
        assert_eq!(just_before("docs/b"), "docs/a\u{10ffff}");
        assert_eq!(just_before("a\u{e000}"), "a\u{d7ff}\u{10ffff}");
        assert_eq!((just_before(" "), just_before("a\n")), (String::new(), "a".to_owned()));
    }

    proptest! {
        #[test]
        fn a_cursor_sorts_before_its_path_and_behind_those_before(path in "\\PC{1,8}", other in "\\PC{1,8}") {
            let cursor = just_before(&path);
            prop_assert!(cursor < path);
            if other < path && path.chars().next_back() > Some(' ') {
                prop_assert!(other <= cursor || other.starts_with(&cursor));
            }
        }
    }
}
