//! What both directions can be told.

use std::path::Path;

use super::look::{Memory, Scope};
use super::plan::{Direction, SyncPlan};
use crate::error::Result;
use crate::files::{Files, Settings};
use crate::http::CallOptions;
use crate::local::{Selection, folder_prefix, local_folder};

/// The settings of a sync, whichever way it goes.
pub(super) struct SyncSettings<'a> {
    pub(super) scope: Scope,
    pub(super) plan: Option<SyncPlan>,
    pub(super) batch: Settings<'a>,
}

impl SyncSettings<'_> {
    pub(super) fn new(files: Files, folder: &Path) -> Self {
        let scope = Scope {
            files,
            folder: local_folder(folder),
            prefix: String::new(),
            selection: Selection::default(),
            delete_extra: false,
            case_sensitive: false,
            cache: None,
        };
        Self { scope, plan: None, batch: Settings::default() }
    }

    /// Looks at both sides, without changing either.
    pub(super) async fn look(mut self, direction: Direction) -> Result<SyncPlan> {
        let options = self.batch.start()?;
        self.scope.look(direction, &mut self.batch, &options).await.map(|(plan, _)| plan)
    }

    /// The plan to carry out: the one that was given, or one that is made now.
    pub(super) async fn take_plan(
        &mut self,
        direction: Direction,
        options: &CallOptions,
    ) -> Result<(SyncPlan, Option<Memory>)> {
        let scope = &self.scope;
        match self.plan.take() {
            Some(plan) => {
                scope.selection.check()?;
                let selection = scope.without_cache().await?;
                plan.check(direction, &folder_prefix(&scope.prefix)?, scope.delete_extra, &selection)?;
                Ok((plan, None))
            }
            None => {
                let (plan, memory) = scope.look(direction, &mut self.batch, options).await?;
                Ok((plan, Some(memory)))
            }
        }
    }
}

/// The setters of both directions.
macro_rules! sync_setters {
    ($builder:ident) => {
        impl<'a> $builder<'a> {
            /// The folder of the bucket, such as `docs/v2`; all of the bucket by default. Nothing outside is looked at.
            pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
                self.settings.scope.prefix = prefix.into();
                self
            }

            /// Whether files that only the written side has are deleted there. They are not, by default. They come last,
            /// and stay if anything failed before. What the filters leave out is never deleted.
            ///
            /// Both sides are looked at once, before anything is done. What somebody else writes after that on the side that
            /// is made like the other is replaced or deleted as what was there before.
            pub fn delete_extra(mut self, delete: bool) -> Self {
                self.settings.scope.delete_extra = delete;
                self
            }

            /// Declares the local file system to keep names apart that differ only in letter case or Unicode form, so that such
            /// names are not reported. Those of Windows and macOS do not.
            pub fn case_sensitive(mut self, case_sensitive: bool) -> Self {
                self.settings.scope.case_sensitive = case_sensitive;
                self
            }

            /// Remembers the hashes of local files in this file (JSON), by name, size and times, so that the next sync need
            /// not read them again. Without it each sync reads the files whose length is that of their twin. A file that was
            /// written less than 2 s before is not remembered: it could change again without its time changing. Nor is one that
            /// was sent without being hashed ([`Upload::verify`](crate::files::Upload::verify)). What was read
            /// by a sync that is ended by a signal, its time limit or a failure is remembered too; if it is dropped, by a job of
            /// the runtime, unless that ends at once.
            pub fn hash_cache(mut self, file: impl AsRef<::std::path::Path>) -> Self {
                self.settings.scope.cache = Some(file.as_ref().to_owned());
                self
            }

            /// What is done with symbolic links in the local folder: by default they are reported, and nothing is done to
            /// what has their name in the bucket. A sync down never follows them.
            pub fn symlinks(mut self, symlinks: $crate::Symlinks) -> Self {
                self.settings.scope.selection.symlinks = symlinks;
                self
            }

            /// Carries out a plan that was made before, instead of making one. It must be for this direction and prefix, and
            /// its deletions need [`delete_extra`](Self::delete_extra) here too. One that copies or deletes what the filters that are
            /// set here leave out is refused as well. What leads outside the folders fails.
            pub fn apply(mut self, plan: $crate::sync::SyncPlan) -> Self {
                self.settings.plan = Some(plan);
                self
            }
        }

        $crate::local::selection_setters!(['a] $builder<'a>, settings.scope.selection);
        $crate::files::many_setters!($builder, settings.batch);

        impl ::std::fmt::Debug for $builder<'_> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("folder", &self.settings.scope.folder)
                    .field("prefix", &self.settings.scope.prefix)
                    .field("selection", &self.settings.scope.selection)
                    .field("delete_extra", &self.settings.scope.delete_extra)
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use sync_setters;
