//! Sizes as the service's official client counts them: 1 MB is 1024 · 1024 bytes.

// The names are those of the official client.
#![allow(non_snake_case)]

const KIB: f64 = 1024.0;

/// So many kilobytes (1024 bytes) in bytes. Fractions of a byte are cut off; what is negative or no number is 0.
///
/// It takes literals and every number that an `f64` holds exactly: `i32`, `u32` and smaller, `f32`, `f64`. A `u64` is to be
/// multiplied by 1024 instead.
///
/// ```
/// use carbonfiles::tenantbox::{GB, KB, MB, TB};
///
/// assert_eq!(KB(1), 1024);
/// assert_eq!(MB(2.5), 2_621_440);
/// assert_eq!(GB(1), 1_073_741_824);
/// assert_eq!(TB(0.5), 549_755_813_888);
/// ```
#[must_use]
pub fn KB(n: impl Into<f64>) -> u64 {
    bytes(n.into() * KIB)
}

/// So many megabytes (1024 KB) in bytes; see [`KB`].
#[must_use]
pub fn MB(n: impl Into<f64>) -> u64 {
    bytes(n.into() * KIB * KIB)
}

/// So many gigabytes (1024 MB) in bytes; see [`KB`].
#[must_use]
pub fn GB(n: impl Into<f64>) -> u64 {
    bytes(n.into() * KIB * KIB * KIB)
}

/// So many terabytes (1024 GB) in bytes; see [`KB`].
#[must_use]
pub fn TB(n: impl Into<f64>) -> u64 {
    bytes(n.into() * KIB * KIB * KIB * KIB)
}

fn bytes(n: f64) -> u64 {
    // Saturates at both ends.
    n as u64
}

/// A number of bytes in words, as the official client writes it: 1024-based, with one decimal.
///
/// ```
/// use carbonfiles::tenantbox::human_readable;
///
/// assert_eq!(human_readable(0), "0.0 B");
/// assert_eq!(human_readable(1536), "1.5 KB");
/// assert_eq!(human_readable(5_242_880), "5.0 MB");
/// ```
#[must_use]
pub fn human_readable(bytes: u64) -> String {
    let mut n = bytes as f64;
    for unit in ["B", "KB", "MB", "GB", "TB"] {
        if n < KIB {
            return format!("{n:.1} {unit}");
        }
        n /= KIB;
    }
    format!("{n:.1} PB")
}

/// Rounds as Python's `round(x, decimals)`: to the nearest decimal of the exact value, halves to even.
pub(super) fn round(x: f64, decimals: usize) -> f64 {
    format!("{x:.decimals$}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of the official client 0.1.1.
    #[test]
    fn sizes_are_the_official_clients() {
        assert_eq!((KB(1.5), MB(0.1), GB(2), TB(1)), (1536, 104_857, 2_147_483_648, 1_099_511_627_776));
        assert_eq!((MB(-1), MB(f64::NAN), TB(f64::INFINITY)), (0, 0, u64::MAX));
        for (bytes, words) in [
            (1023, "1023.0 B"),
            (1024, "1.0 KB"),
            (1_048_575, "1024.0 KB"),
            (1_073_741_824, "1.0 GB"),
            (1_099_511_627_776, "1.0 TB"),
            (1 << 50, "1.0 PB"),
            (u64::MAX, "16384.0 PB"),
        ] {
            assert_eq!(human_readable(bytes), words);
        }
    }

    #[test]
    fn rounding_is_pythons() {
        for (x, decimals, rounded) in [
            (2.675, 2, 2.67),
            (0.125, 2, 0.12),
            (0.375, 2, 0.38),
            (1.0005, 3, 1.0),
            (33.333_333, 2, 33.33),
            (0.0, 3, 0.0),
        ] {
            assert_eq!(round(x, decimals), rounded, "{x}");
        }
    }
}
