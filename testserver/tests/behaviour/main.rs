//! What the replay leaves out: faults, limits, races, caches, restarts; over raw sockets, so that nothing is hidden.

mod caches;
mod client;
mod content;
mod details;
mod faults;
mod lifecycle;
mod limits;
mod races;
