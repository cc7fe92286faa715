//! Which files of a folder are meant.

use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};

/// What is done with symbolic links in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Symlinks {
    /// They are left out, and reported as skipped.
    #[default]
    Skip,
    /// What they point at is taken as if it stood there, as long as that lies inside the folder. A link that leads outside
    /// or nowhere, or into a folder above itself, is reported as failed.
    Follow,
    /// Each is reported as failed.
    Refuse,
}

type Filter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Which files of a folder are meant, on either side: by their path below it, with `/` between segments.
#[derive(Clone)]
pub(crate) struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    filters: Vec<Filter>,
    pub(crate) hidden: bool,
    pub(crate) symlinks: Symlinks,
    problem: Option<String>,
}

/// `*` stops at a slash and `**` does not; a leading dot is nothing special.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

impl Default for Selection {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            filters: Vec::new(),
            hidden: true,
            symlinks: Symlinks::default(),
            problem: None,
        }
    }
}

impl Selection {
    pub(crate) fn include(&mut self, glob: &str) {
        let pattern = self.parse(glob);
        self.include.extend(pattern);
    }

    pub(crate) fn exclude(&mut self, glob: &str) {
        let pattern = self.parse(glob);
        self.exclude.extend(pattern);
    }

    pub(crate) fn filter(&mut self, keep: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.filters.push(Arc::new(keep));
    }

    fn parse(&mut self, glob: &str) -> Option<Pattern> {
        match Pattern::new(glob.trim_end_matches('/')) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.problem.get_or_insert(format!("{glob:?} at {}: {}", error.pos, error.msg));
                None
            }
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.problem {
            Some(problem) => Err(Error::invalid_input("glob", problem)),
            None => Ok(()),
        }
    }

    /// Is a folder entered? Nothing below one that is not can be meant.
    pub(crate) fn enters(&self, folder: &str) -> bool {
        (self.hidden || !is_hidden(folder)) && !self.exclude.iter().any(|glob| glob.matches_with(folder, MATCHING))
    }

    /// Is a file meant, given that its folder is entered?
    pub(crate) fn takes(&self, file: &str) -> bool {
        self.enters(file)
            && (self.include.is_empty() || self.include.iter().any(|glob| glob.matches_with(file, MATCHING)))
            && self.filters.iter().all(|keep| keep(file))
    }

    /// Is a file meant, whose folders nobody has looked at?
    pub(crate) fn means(&self, file: &str) -> bool {
        file.match_indices('/').all(|(at, _)| self.enters(&file[..at])) && self.takes(file)
    }
}

/// Is it named as only what a download has left to go on with is? That is no file of a folder, and would be written over where
/// it were one of a bucket.
pub(crate) fn is_part(file: &str) -> bool {
    crate::transfer::is_part_name(file.rsplit('/').next().unwrap_or(file))
}

fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}

impl std::fmt::Debug for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |patterns: &[Pattern]| patterns.iter().map(|p| p.as_str().to_owned()).collect::<Vec<_>>();
        f.debug_struct("Selection")
            .field("include", &text(&self.include))
            .field("exclude", &text(&self.exclude))
            .field("hidden", &self.hidden)
            .field("symlinks", &self.symlinks)
            .finish_non_exhaustive()
    }
}

/// The setters of a builder whose [`Selection`] is at a path of fields.
macro_rules! selection_setters {
    ([$($generics:tt)*] $builder:ty, $($field:ident).+) => {
        impl<$($generics)*> $builder {
            /// Only files that match this glob, or another one given so. A glob stands for the whole path below the
            /// folder: `*` and `?` stop at a slash, `**` stands for any folders, so `**/*.rs` is every Rust file. One that
            /// is not a glob comes out of `.await` as `InvalidInput`.
            pub fn include(mut self, glob: impl AsRef<str>) -> Self {
                self.$($field).+.include(glob.as_ref());
                self
            }

            /// Leaves out files that match this glob, and folders that do with all that is in them: `target`,
            /// `**/node_modules`, `**/*.tmp`. It wins over `include`.
            pub fn exclude(mut self, glob: impl AsRef<str>) -> Self {
                self.$($field).+.exclude(glob.as_ref());
                self
            }

            /// Only files for which this says yes; it is given their path below the folder, with `/` between segments.
            pub fn filter(mut self, keep: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
                self.$($field).+.filter(keep);
                self
            }

            /// Whether files and folders whose name begins with a dot are meant. They are, by default.
            pub fn hidden(mut self, hidden: bool) -> Self {
                self.$($field).+.hidden = hidden;
                self
            }
        }
    };
}

pub(crate) use selection_setters;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stand_for_paths_below_the_folder() {
        let mut selection = Selection::default();
        selection.include("**/*.rs");
        selection.include("docs/*");
        selection.exclude("target/");
        selection.exclude("**/*.tmp.rs");
        for yes in ["a.rs", "src/a.rs", "src/deep/.b.rs", "docs/readme"] {
            assert!(selection.means(yes), "{yes}");
        }
        for no in ["a.txt", "docs/deep/readme", "target/a.rs", "target/x/a.rs", "x.tmp.rs", "src/x.tmp.rs"] {
            assert!(!selection.means(no), "{no}");
        }
        assert!(selection.means("src/target/a.rs"));
    }

    #[test]
    fn hidden_folders_hide_what_is_in_them() {
        let mut selection = Selection::default();
        assert!(selection.means(".git/config"));
        selection.hidden = false;
        assert!(!selection.means(".git/config") && !selection.means("a/.b") && selection.means("a/b."));
        selection.filter(|path| !path.ends_with("b."));
        assert!(!selection.means("a/b."));
    }

    #[test]
    fn parts_of_downloads_are_known_in_any_folder() {
        assert!(is_part("a/b.txt.0123456789abcdef.carbonfiles.part.json"));
        assert!(!is_part("a/b.carbonfiles.part") && !is_part("0123456789abcdef.carbonfiles.part/a"));
    }

    #[test]
    fn a_bad_glob_is_told() {
        let mut selection = Selection::default();
        selection.include("a***");
        assert!(selection.check().unwrap_err().to_string().contains("a***"));
    }
}
