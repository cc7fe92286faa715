//! X: beyond the list.

pub(crate) mod credentials;
pub(crate) mod integrity;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod races;

/// The group that all of them are of.
pub(crate) const GROUP: &str = "beyond";
