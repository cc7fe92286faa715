//! `/api/tokens/dashboard`

use chrono::TimeDelta;
use hyper::StatusCode;
use hyper::header::LOCATION;
use serde::Serialize;

use super::expiry::{self, Expiry};
use crate::http::binding;
use crate::http::exchange::Exchange;
use crate::http::refusal::Refusal;
use crate::http::reply::{self, Reply};
use crate::{jwt, stamp};

const LONGEST: TimeDelta = TimeDelta::hours(24);

/// `POST /api/tokens/dashboard`
pub(super) async fn create(exchange: &mut Exchange) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Created {
        token: String,
        expires_at: String,
    }
    let members = binding::optional(exchange).await?.unwrap_or_default();
    let expires_in = members.text("expires_in")?;
    exchange.admin()?;
    let now = exchange.shared.now();
    let (moment, expires_at) = match expires_in.map(|text| expiry::parse(&text, now)).transpose()? {
        None => (now + TimeDelta::hours(1), stamp::zoned(now + TimeDelta::hours(1))),
        Some(Expiry::Never) => return Err(Refusal::invalid("Dashboard tokens cannot use 'never' expiry")),
        Some(Expiry::At(parsed)) if parsed.moment > now + LONGEST => {
            return Err(Refusal::invalid("Dashboard token expiry cannot exceed 24 hours"));
        }
        Some(expiry @ Expiry::At(parsed)) => (parsed.moment, expiry.stamp().unwrap_or_default()),
    };
    let token = jwt::mint(exchange.shared.jwt_secret(), now, moment);
    let mut reply = reply::json(StatusCode::CREATED, &Created { token, expires_at });
    reply.headers_mut().insert(LOCATION, reply::text("/api/tokens/dashboard/me"));
    Ok(reply)
}

/// `GET /api/tokens/dashboard/me`: the one route that knows 401.
pub(super) fn me(exchange: &Exchange) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Me {
        scope: &'static str,
        expires_at: String,
    }
    let token = exchange.bearer().ok_or(Refusal::Unauthorized("No token provided"))?;
    let expires_at = jwt::verify(token, exchange.shared.jwt_secret(), exchange.shared.now())
        .ok_or(Refusal::Unauthorized("Invalid or expired token"))?;
    Ok(reply::json(StatusCode::OK, &Me { scope: "admin", expires_at: stamp::whole_seconds(expires_at) }))
}
