//! The JSON protocol of SignalR (events description, sections 5 to 9): records, and what is in them.
//!
//! A record is a JSON object followed by the byte 0x1E. WebSocket messages hold any number of them; one record may also
//! be cut over several messages. Nothing here waits or sends.

mod form;
mod message;
mod outgoing;
mod records;

#[cfg(fuzzing)]
pub(super) use message::reads_alike;
pub(super) use message::{Handshake, Malformed, Message, is_known, parse, parse_handshake};
pub(super) use outgoing::{HANDSHAKE, LONGEST, PING, invocation};
pub(super) use records::{Records, SEPARATOR, TooLong};
