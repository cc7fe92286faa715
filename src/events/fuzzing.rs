//! What fuzzing needs of what is private.

use super::protocol::{Records, TooLong, parse, parse_handshake, reads_alike};

fn cut<'a>(messages: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let (mut records, mut whole) = (Records::new(1 << 16), Vec::new());
    for message in messages {
        let fed = records.feed(message, |record| {
            whole.push(record.to_owned());
            Ok::<_, TooLong>(())
        });
        fed.ok()?;
    }
    Some(whole)
}

/// However a stream is cut into messages, its records are the same.
pub fn records(stream: &[u8], cuts: &[u16]) {
    let stream = &*String::from_utf8_lossy(stream);
    let mut places: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (stream.len() + 1)).collect();
    places.retain(|place| stream.is_char_boundary(*place));
    places.extend([0, stream.len()]);
    places.sort_unstable();
    let pieces = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
    assert_eq!(cut(pieces), cut(std::iter::once(stream)));
}

/// No bytes make the parser panic, and what is read by its form says the same to the parser.
pub fn message(record: &[u8]) {
    let record = &*String::from_utf8_lossy(record);
    let _ = parse(record);
    let _ = parse_handshake(record);
    assert!(reads_alike(record));
}
