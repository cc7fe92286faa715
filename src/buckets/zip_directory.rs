//! What a ZIP archive says of its central directory, read from its end alone.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The central directory, as the end of the archive describes it. It tells a whole archive from one that was cut. And the
/// library that reads archives makes room for as many entries as are said to be there, so this is looked at first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) entries: u64,
    pub(super) length: u64,
    offset: u64,
}

/// APPNOTE.TXT 4.3.12: an entry without its name.
const ENTRY: usize = 46;
/// 4.3.14 to 4.3.16: the end of the central directory, with 64-bit numbers and where to find those.
const END: usize = 22;
const END64: usize = 56;
const LOCATOR: usize = 20;
const LONGEST_COMMENT: usize = u16::MAX as usize;

impl Directory {
    /// `None` where it does not end right before the record that describes it, or where that does not end the archive:
    /// readers then search for another one, and each finds its own.
    pub(super) fn find(mut archive: &File, length: u64) -> io::Result<Option<Self>> {
        let most = (END64 + LOCATOR + END + LONGEST_COMMENT) as u64;
        let start = length.saturating_sub(most);
        archive.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        archive.take(most).read_to_end(&mut tail)?;
        Ok(Self::parse(&tail, start))
    }

    /// Are there as many entries as it says, and nothing behind them? Readers take as many as it says, and don't look further.
    pub(super) fn is_exact(&self, archive: &File) -> io::Result<bool> {
        let mut reader = BufReader::new(archive);
        reader.seek(SeekFrom::Start(self.offset))?;
        let mut left = self.length;
        for _ in 0..self.entries {
            let mut entry = [0; ENTRY];
            if left < ENTRY as u64 {
                return Ok(false);
            }
            reader.read_exact(&mut entry)?;
            let behind = [28, 30, 32].iter().filter_map(|at| number(&entry, *at, 2)).sum::<u64>();
            let Some(rest) = (left - ENTRY as u64).checked_sub(behind) else { return Ok(false) };
            if !entry.starts_with(b"PK\x01\x02") {
                return Ok(false);
            }
            left = rest;
            reader.seek_relative(behind as i64)?;
        }
        Ok(left == 0)
    }

    /// `tail` is the end of the archive, from `start` on.
    fn parse(tail: &[u8], start: u64) -> Option<Self> {
        let at = tail.windows(4).rposition(|window| window == b"PK\x05\x06")?;
        let end = tail.get(at..at + END)?;
        if at + END + number(end, 20, 2)? as usize != tail.len() {
            return None;
        }
        let locator = at.checked_sub(LOCATOR).and_then(|from| tail.get(from..at));
        let locator = locator.filter(|locator| locator.starts_with(b"PK\x06\x07"));
        let [disks, here, entries, length, offset] =
            [(4, 4), (8, 2), (10, 2), (12, 4), (16, 4)].map(|(at, size)| number(end, at, size));
        let is_64 = here == Some(0xffff)
            || entries == Some(0xffff)
            || length == Some(0xffff_ffff)
            || offset == Some(0xffff_ffff);
        let (disks, here, entries, length, offset, ends) = match locator.filter(|_| is_64) {
            None => (disks?, here?, entries?, length?, offset?, at),
            Some(locator) => {
                let at = at.checked_sub(LOCATOR + END64)?;
                let end = tail.get(at..at + END64).filter(|end| end.starts_with(b"PK\x06\x06"))?;
                if number(locator, 8, 8)? != start + at as u64 {
                    return None;
                }
                let [disks, here, entries, length, offset] = [16, 24, 32, 40, 48].map(|at| number(end, at, 8));
                (disks?, here?, entries?, length?, offset?, at)
            }
        };
        let abuts = offset.checked_add(length) == Some(start + ends as u64);
        (abuts && disks == 0 && here == entries).then_some(Self { entries, length, offset })
    }
}

/// A little-endian number of so many bytes.
fn number(record: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = record.get(at..at + size)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of some bytes, and the records behind it.
    fn archive(directory: u64, entries: u64, wide: bool, comment: &[u8]) -> Vec<u8> {
        let mut bytes = vec![b'x'; directory as usize];
        if wide {
            let at = bytes.len() as u64;
            bytes.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
            [entries, entries, directory, 0].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            bytes.extend(b"PK\x06\x07\0\0\0\0");
            bytes.extend(at.to_le_bytes());
            bytes.extend([1, 0, 0, 0]);
        }
        let narrow = |n: u64| if wide { [0xff; 4] } else { (n as u32).to_le_bytes() };
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend(&narrow(entries)[..2]);
        bytes.extend(&narrow(entries)[..2]);
        bytes.extend(narrow(directory));
        bytes.extend(narrow(0));
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    #[test]
    fn narrow_and_wide_ends_are_read() {
        for (wide, entries) in [(false, 3), (true, 3), (true, 1 << 40)] {
            for comment in [&b""[..], b"a comment"] {
                let bytes = archive(100, entries, wide, comment);
                assert_eq!(Directory::parse(&bytes, 0), Some(Directory { entries, length: 100, offset: 0 }), "{wide}");
                assert_eq!(Directory::parse(&bytes[50..], 50), Directory::parse(&bytes, 0));
                assert_eq!(Directory::parse(&bytes, 7), None);
                assert_eq!(Directory::parse(&[&bytes[..], b"behind"].concat(), 0), None);
            }
        }
    }

    #[test]
    fn an_end_that_contradicts_itself_is_none() {
        let (narrow, wide) = (archive(100, 3, false, b""), archive(100, 3, true, b""));
        let changed = |bytes: &[u8], at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= byte;
            Directory::parse(&bytes, 0)
        };
        let whole = Some(Directory { entries: 3, length: 100, offset: 0 });
        assert_eq!((changed(&narrow, 0, 0), changed(&wide, 0, 0)), (whole, Directory::parse(&narrow, 0)));
        // The disk of the directory, the entries on this disk, the length, the offset.
        for at in [6, 8, 12, 16] {
            assert_eq!(changed(&narrow, 100 + at - 2 * usize::from(at == 6), 1), None, "{at}");
        }
        // The same in the wide record, and where the locator says that it is.
        for at in [16, 24, 40, 48, 56 + 8] {
            assert_eq!(changed(&wide, 100 + at, 1), None, "{at}");
        }
    }

    #[test]
    fn one_number_that_is_too_wide_is_enough() {
        let wide = archive(100, 3, true, b"");
        let end = wide.len() - END;
        for (at, size) in [(8, 2), (10, 2), (12, 4), (16, 4)] {
            let mut bytes = wide.clone();
            // The others are there, and wrong.
            bytes[end + 8..end + 20].fill(1);
            bytes[end + at..end + at + size].fill(0xff);
            assert_eq!(Directory::parse(&bytes, 0).map(|found| found.entries), Some(3), "{at}");
            bytes[end + at..end + at + size].fill(0xfe);
            assert_eq!(Directory::parse(&bytes, 0), None, "{at}");
        }
    }

    #[test]
    fn a_directory_has_as_many_entries_as_its_end_says() {
        // With a name, an extra field and a comment of some bytes.
        let entry = |behind: [u8; 3]| {
            let lengths = [0, behind[0], 0, behind[1], 0, behind[2], 0];
            let fixed = [&b"PK\x01\x02"[..], &[0; 23], &lengths, &[0; 12]].concat();
            [fixed, vec![b'n'; behind.iter().sum::<u8>().into()]].concat()
        };
        let (first, second) = (entry([1, 0, 0]), entry([3, 20, 5]));
        let both = [&first[..], &second].concat();
        let other = [&first[..], b"PK\x03\x04", &second[4..]].concat();
        let exact = |directory: &[u8], entries: u64| {
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &[b"content", directory, b"the end"].concat()).unwrap();
            Directory { entries, length: directory.len() as u64, offset: 7 }.is_exact(&file).unwrap()
        };
        assert!(exact(b"", 0) && exact(&first, 1) && exact(&both, 2));
        for (directory, entries) in [
            (&b""[..], 1),
            (&first, 0),
            (&first, 2),
            (&both, 1),
            (&both, 3),
            (&both, u64::MAX),
            (&both[..both.len() - 1], 2),
            (&both[..first.len() + 20], 2),
            (&[&both[..], b"x"].concat(), 2),
            (&other, 2),
        ] {
            assert!(!exact(directory, entries), "{} bytes, {entries}", directory.len());
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_cut_off_is_missed(directory in 0u64..200, entries in 0u64..4, wide: bool, comment in ".{0,30}", cut in 1usize..400) {
            let bytes = archive(directory, entries, wide, comment.as_bytes());
            let there = bytes.len().saturating_sub(cut);
            proptest::prop_assert_eq!(Directory::parse(&bytes[..there], 0), None);
            proptest::prop_assert!(Directory::parse(&bytes, 0).is_some());
        }

        #[test]
        fn nothing_makes_it_panic(at in 0usize..300, byte: u8, cut in 0usize..300, wide: bool) {
            let mut bytes = archive(100, 3, wide, b"c");
            if let Some(there) = bytes.get_mut(at) {
                *there = byte;
            }
            bytes.truncate(cut.max(1));
            Directory::parse(&bytes, u64::MAX / 2);
        }
    }
}
