//! Where the randomness of audits comes from: a seed that is given, and numbers of what is audited. The same seed and
//! numbers draw the same.

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

/// The fraction of the golden ratio, in 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of randomness, and of others like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of the thing with a number: unlike those of all other numbers. Splitmix64 (Steele, Lea and Flood, OOPSLA
    /// 2014).
    #[must_use]
    pub fn of(self, number: u64) -> Self {
        let mut bits = self
            .0
            .wrapping_add(number.wrapping_add(1).wrapping_mul(GOLDEN));
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(bits ^ bits >> 31)
    }

    /// Whether this seed is among a share of all seeds, 0 to 1.
    pub fn is_among(self, share: f64) -> bool {
        // 53 bits are a whole number in f64.
        ((self.0 >> 11) as f64) < share * (1_u64 << 53) as f64
    }

    /// One of so many things, about as often as any other; 0 of none.
    pub fn below(self, count: usize) -> usize {
        ((u128::from(self.0) * count as u128) >> u64::BITS) as usize
    }

    pub(super) fn generator(self) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_some_things_is_as_likely() {
        let mut found = [0; 7];
        for number in 0..70_000 {
            found[Seed(3).of(number).below(7)] += 1;
        }
        assert!(
            found.iter().all(|count| (9_000..11_000).contains(count)),
            "{found:?}"
        );
        assert_eq!(Seed(u64::MAX).below(0), 0);
    }

    #[test]
    fn a_share_of_all_numbers_is_about_that_many() {
        let among = |share: f64| {
            (0..100_000)
                .filter(|number| Seed(7).of(*number).is_among(share))
                .count()
        };
        assert_eq!((among(0.0), among(1.0)), (0, 100_000));
        assert!((800..1200).contains(&among(0.01)), "{}", among(0.01));
        assert_eq!(Seed(7).of(3), Seed(7).of(3));
        assert_ne!(Seed(7).of(3), Seed(8).of(3));
    }
}
