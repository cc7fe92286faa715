//! `PATCH …/files/{path}/content`: overwrites in place, or appends.

use hyper::StatusCode;
use hyper::header::CONTENT_RANGE;

use super::files;
use super::upload::take_in;
use crate::http::exchange::Exchange;
use crate::http::query::dotnet_integer;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::state::bucket::FileView;
use crate::state::upload::Patched;

const NO_BUCKET: Refusal = Refusal::NotFound("Bucket not found");

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    End,
    At(u64),
}

pub(super) async fn patch(exchange: &mut Exchange, id: &str, path: &str) -> Result<Reply, Refusal> {
    let now = exchange.shared.now();
    exchange.shared.state().living_bucket(id, now).ok_or(NO_BUCKET)?;
    exchange.writer(id)?;
    let meta = files::remembered(exchange, id, path).map_err(|refusal| match refusal {
        Refusal::NotFound("File not found") => Refusal::NoFileToPatch,
        other => other,
    })?;
    let place = place(exchange)?;
    if matches!(place, Place::At(start) if start > meta.size) {
        return Err(Refusal::RangeNotSatisfiable);
    }
    let mut file = files::find(exchange, id, path)?;
    // What is patched is what was there when the request came; who comes meanwhile is lost, as on the real server.
    // Bytes that are missing are an exception nobody catches.
    let mut base = exchange.shared.state().contents.blob(&file.hash).ok_or(Refusal::Unhandled)?;
    let (_, written) = take_in(exchange).await?;
    loop {
        let start = match place {
            Place::End => base.length(),
            Place::At(start) => start,
        };
        if start > base.length() {
            return Err(Refusal::RangeNotSatisfiable);
        }
        let patched = base.patched(start, &written).await.map_err(|_| Refusal::Unhandled)?;
        let now = exchange.shared.now();
        let outcome = exchange.shared.state().commit_patch(id, path, &file.hash, patched, now);
        match outcome {
            // Gone meanwhile, which is noticed when there is nothing to show for it.
            None => return Ok(reply::empty(StatusCode::OK)),
            // What is answered is what is remembered, which may be the row from before.
            Some(Patched::Stored) => {
                return Ok(match exchange.shared.state().remembered_file(id, path, now) {
                    Some(file) => reply::json(StatusCode::OK, &FileView::read_back(&file)),
                    None => reply::empty(StatusCode::OK),
                });
            }
            Some(Patched::Overtaken) => {
                file = files::find(exchange, id, path)?;
                base = exchange.shared.state().contents.blob(&file.hash).ok_or(Refusal::Unhandled)?;
            }
        }
    }
}

/// `X-Append: true` wins; of `Content-Range` only the start counts.
fn place(exchange: &Exchange) -> Result<Place, Refusal> {
    if exchange.header("x-append").is_some_and(|append| append.eq_ignore_ascii_case("true")) {
        return Ok(Place::End);
    }
    let missing = || Refusal::invalid("Content-Range header required for non-append PATCH");
    let range = exchange.header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")).ok_or_else(missing)?;
    let start = range.split('/').next().and_then(|range| range.split_once('-'));
    // Blanks and a plus are fine; the first dash is the one behind the start, so that nothing is negative.
    let start = start.and_then(|(start, _)| dotnet_integer::<i64>(start)?.try_into().ok());
    start.map(Place::At).ok_or_else(|| Refusal::invalid("Invalid Content-Range"))
}
