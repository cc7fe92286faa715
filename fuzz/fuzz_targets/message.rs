//! No bytes make the parser of records panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|record: &[u8]| carbonfiles::events::fuzzing::message(record));
