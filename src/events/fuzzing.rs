//! What fuzzing needs of what is private.

use super::protocol::{Message, Records, TooLong, parse, parse_handshake};

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

/// No bytes make the parser panic, and what is decoded later says the same of where it belongs.
pub fn message(record: &[u8]) {
    if let Ok(Message::File(record)) = parse(record) {
        assert_eq!(record.open().bucket_id(), Some(record.bucket_id()));
    }
    let _ = parse_handshake(record);
}
