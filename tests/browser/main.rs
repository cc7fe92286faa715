//! The examples that have pages, in a real browser: headless Chromium, steered by playwright-core.
//!
//! `tests/browser/install.sh` installs what is needed; without it these tests say that they are skipped, except in CI.

#[cfg(feature = "events")]
mod dashboard;
mod rig;
mod smoke;
#[cfg(feature = "tenantbox")]
mod tenantbox;
