//! `GET /api/buckets/{id}/files`

use std::hash::{DefaultHasher, Hash};

use futures::stream::BoxStream;

use super::Files;
use super::stable::ListStable;
use crate::error::Result;
use crate::http::{CallOptions, Request, awaitable, call_options};
use crate::models::{FileInfo, FileSort};
use crate::paging::{self, Lazy, Page, Window, listing_setters, pages};

/// The most rows that the server puts on a page of files; it clamps larger limits without a word.
pub(super) const MOST_ROWS: u64 = 1000;

impl Files {
    /// One page of all files of the bucket, whatever their folders, newest first unless asked otherwise (public).
    /// 50 rows by default, at most 1,000.
    pub fn list(&self) -> ListFiles {
        ListFiles { files: self.clone(), window: Window::default(), sort: None, options: CallOptions::default() }
    }

    /// All files of the bucket, page after page, in the order asked for (public).
    ///
    /// However many others write meanwhile, a file whose place does not change comes exactly once, and none comes twice. One that
    /// is moved by what it is sorted by can be missed, as by a new time or size. For a listing that misses none of those
    /// either, use [`stable`](ListAllFiles::stable); for the files of a folder, [`prefix`](ListAllFiles::prefix).
    ///
    /// ```no_run
    /// use futures::TryStreamExt;
    /// # async fn f(files: carbonfiles::Files) -> carbonfiles::Result<()> {
    /// let mut all = files.list_all().items();
    /// while let Some(file) = all.try_next().await? {
    ///     println!("{} {}", file.path, file.size);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn list_all(&self) -> ListAllFiles {
        ListAllFiles {
            files: self.clone(),
            window: Window::default(),
            sort: None,
            options: CallOptions::default(),
            state: Lazy::Idle,
        }
    }

    fn list_request(&self, window: Window, sort: Option<FileSort>, options: CallOptions) -> Result<Request> {
        let request = Request::get(self.bucket.route("/files")?).options(options);
        Ok(window.apply(request, sort.map(|sort| (sort.as_str(), sort.natural_order()))))
    }
}

/// One page of files. Made by [`Files::list`].
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ListFiles {
    files: Files,
    window: Window,
    sort: Option<FileSort>,
    options: CallOptions,
}

listing_setters!(ListFiles, FileSort);

impl ListFiles {
    async fn run(self) -> Result<Page<FileInfo>> {
        let request = self.files.list_request(clamped(self.window).checked()?, self.sort, self.options)?;
        self.files.client().transport.send(request).await?.json()
    }
}

awaitable!(ListFiles => Page<FileInfo>);

/// All files of a bucket, as a stream of pages. Made by [`Files::list_all`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct ListAllFiles {
    files: Files,
    window: Window,
    sort: Option<FileSort>,
    options: CallOptions,
    state: Lazy<FileInfo>,
}

listing_setters!(ListAllFiles, FileSort);
call_options!([] ListAllFiles);

impl ListAllFiles {
    /// A listing that others' writes can't disturb: by path, addressed by the last path seen instead of by offset. A
    /// file that is there throughout is listed exactly once. Sort, order and offset have no meaning for it.
    ///
    /// It asks for the tree listing with the delimiter `//`, which no stored path contains.
    pub fn stable(self) -> ListStable {
        ListStable::new(self.files, self.window.limit, self.options)
    }

    /// Only files whose path begins with exactly this text, such as `docs/`: short for `.stable().prefix(…)`, as the server
    /// filters no other listing of all files. So they come by path, whatever the sort, order and offset.
    pub fn prefix(self, prefix: impl Into<String>) -> ListStable {
        self.stable().prefix(prefix)
    }

    fn start(&self) -> BoxStream<'static, Result<Page<FileInfo>>> {
        let (files, sort, options) = (self.files.clone(), self.sort, self.options.clone());
        paging::by_offset(
            clamped(self.window),
            |file: &FileInfo| &file.path,
            move |file: &FileInfo, place| hash_place(file, sort.unwrap_or(FileSort::CreatedAt), place),
            move |window| {
                let (files, options) = (files.clone(), options.clone());
                async move { files.client().transport.send(files.list_request(window, sort, options)?).await?.json() }
            },
        )
    }
}

pages!(ListAllFiles => FileInfo);

/// What a file is sorted by.
fn hash_place(file: &FileInfo, sort: FileSort, place: &mut DefaultHasher) {
    match sort {
        FileSort::Name => file.name.hash(place),
        FileSort::Path => file.path.hash(place),
        FileSort::Size => file.size.hash(place),
        FileSort::MimeType => file.mime_type.hash(place),
        FileSort::CreatedAt => file.created_at.hash(place),
        FileSort::UpdatedAt => file.updated_at.hash(place),
    }
}

fn clamped(window: Window) -> Window {
    Window { limit: window.limit.map(|limit| limit.min(MOST_ROWS)), ..window }
}
