//! A: the state of the server.

use carbonfiles::models::HealthStatus;

use crate::bench::Bench;
use crate::operation::{Operation, Outcome, operations, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["health":
    A1 health "health: status, uptime, db";
];

async fn health(bench: Bench) -> Outcome {
    let health = bench.anonymous()?.health().await?;
    same!(health.status, HealthStatus::Healthy, "status");
    same!(health.db, "ok", "database");
    Ok(format!("{}, db {}, up for {} s", health.status, health.db, health.uptime_seconds))
}
