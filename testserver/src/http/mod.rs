//! HTTP as Kestrel speaks it: connections, bodies, targets, queries, preconditions.

pub(crate) mod binding;
pub(crate) mod body;
pub(crate) mod conditional;
pub(crate) mod connection;
pub(crate) mod cors;
pub(crate) mod disposition;
pub(crate) mod exchange;
mod host;
pub(crate) mod link;
pub(crate) mod multipart;
pub(crate) mod parameters;
pub(crate) mod query;
pub(crate) mod refusal;
pub(crate) mod reply;
pub(crate) mod reply_body;
pub(crate) mod site;
pub(crate) mod target;
pub(crate) mod unsent;
