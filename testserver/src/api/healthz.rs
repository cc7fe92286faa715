//! `GET /healthz`

use std::sync::PoisonError;

use hyper::StatusCode;
use serde::Serialize;

use crate::http::exchange::Exchange;
use crate::http::reply::{self, Reply};

pub(super) fn get(exchange: &Exchange) -> Reply {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
        uptime_seconds: i64,
        db: &'static str,
    }
    let started = *exchange.shared.started.lock().unwrap_or_else(PoisonError::into_inner);
    let uptime_seconds = (exchange.shared.now() - started).num_seconds();
    reply::json(StatusCode::OK, &Health { status: "healthy", uptime_seconds, db: "ok" })
}
