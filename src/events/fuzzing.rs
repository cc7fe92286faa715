//! What fuzzing needs of what is private.

use super::protocol::{Records, TooLong, parse, parse_handshake, reads_alike};

fn cut(messages: impl Iterator<Item = Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let (mut records, mut whole) = (Records::new(1 << 16), Vec::new());
    for message in messages {
        let fed = records.feed(&message, |record| {
            whole.push(record.to_vec());
            Ok::<_, TooLong>(())
        });
        fed.ok()?;
    }
    Some(whole)
}

/// However a stream is cut into messages, its records are the same.
pub fn records(stream: &[u8], cuts: &[u16]) {
    let mut places: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    let pieces = places.windows(2).map(|pair| stream[pair[0]..pair[1]].to_vec());
    assert_eq!(cut(pieces), cut(std::iter::once(stream.to_vec())));
}

/// No bytes make the parser panic, and what is read by its form says the same to the parser.
pub fn message(record: &[u8]) {
    let _ = parse(record);
    let _ = parse_handshake(record);
    assert!(reads_alike(record));
}
