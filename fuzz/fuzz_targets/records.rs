//! However a stream of bytes is cut into messages, the records in it are the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u16>)| carbonfiles::events::fuzzing::records(&input.0, &input.1));
