//! The routes, one resource a file.

mod archive;
mod buckets;
mod content;
mod dashboard;
mod expiry;
pub(crate) mod files;
mod healthz;
mod keys;
mod like;
mod listing;
mod ls;
mod page;
mod patch;
mod route;
mod short;
pub(crate) mod stats;
mod summary;
mod tokens;
mod tree;
mod upload;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};

use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::hub::{negotiate, upgrade};
use route::Route;

/// Finds the handler of a request and runs it.
pub(crate) async fn handle(exchange: &mut Exchange, path: &str) -> Result<Reply, Refusal> {
    let route = Route::of(path).ok_or(Refusal::Nothing)?;
    match route {
        Route::Hub => return Ok(upgrade::answer(exchange)),
        Route::Negotiate => return Ok(negotiate::answer(exchange)),
        _ => {}
    }
    let method = exchange.head.method.clone();
    if !route.allowed().split(", ").any(|allowed| allowed == method.as_str()) {
        let mut refused = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static(route.allowed()));
        return Ok(refused);
    }
    let get = method == Method::GET;
    match route {
        Route::Hub | Route::Negotiate => Err(Refusal::Nothing),
        Route::Healthz => Ok(healthz::get(exchange)),
        Route::Short(code) => short::resolve(exchange, &code),
        Route::ShortCode(code) => short::delete(exchange, &code),
        Route::Keys if get => keys::list(exchange),
        Route::Keys => keys::create(exchange).await,
        Route::Key(prefix) => keys::revoke(exchange, &prefix),
        Route::KeyUsage(prefix) => keys::usage(exchange, &prefix),
        Route::Dashboard => dashboard::create(exchange).await,
        Route::DashboardMe => dashboard::me(exchange),
        Route::Stats => stats::get(exchange),
        Route::Buckets if get => buckets::list(exchange),
        Route::Buckets => buckets::create(exchange).await,
        Route::Bucket(id) if get => buckets::get(exchange, &id),
        Route::Bucket(id) if method == Method::PATCH => buckets::update(exchange, &id).await,
        Route::Bucket(id) => buckets::delete(exchange, &id).await,
        Route::Summary(id) => summary::get(exchange, &id),
        Route::Archive(id) => archive::get(exchange, &id),
        Route::Tokens(id) => tokens::create(exchange, &id).await,
        Route::Upload(id) => upload::multipart(exchange, &id).await,
        Route::UploadStream(id) => upload::stream(exchange, &id).await,
        Route::Ls(id) => ls::get(exchange, &id),
        Route::Files(id) if get => match exchange.query.text("delimiter") {
            Some(delimiter) => tree::get(exchange, &id, delimiter),
            None => listing::get(exchange, &id),
        },
        // A file path is missing, which the binding notices before anyone is authenticated.
        Route::Files(_) => Err(Refusal::Binding),
        Route::File(id, path) if method == Method::DELETE => files::delete(exchange, &id, &path).await,
        Route::File(id, path) => match (route::operation(&path), method == Method::PATCH) {
            (route::Operation::Content(path), true) => patch::patch(exchange, &id, path).await,
            (_, true) => Err(Refusal::Nothing),
            (route::Operation::Content(path), false) => content::get(exchange, &id, path),
            (route::Operation::Verify(path), false) => files::verify(exchange, &id, path).await,
            (route::Operation::Metadata, false) => files::metadata(exchange, &id, &path),
        },
    }
}
