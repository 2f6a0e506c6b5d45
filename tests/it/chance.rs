//! Chance that is the same each time, so that what fails fails again.

/// The number in a variable of the environment, if it is set.
pub(crate) fn given(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is no number")))
}

/// `splitmix64`, from a seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// From the seed that `ANTECEDE_TEST_SEED` gives, or one that is always the same; printed.
    pub(crate) fn given() -> Self {
        let seed = given("ANTECEDE_TEST_SEED").unwrap_or(20);
        println!("ANTECEDE_TEST_SEED={seed}");
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// A place in something of this length.
    pub(crate) fn index(&mut self, end: usize) -> usize {
        self.below(end.try_into().unwrap()).try_into().unwrap()
    }

    /// Puts things into any order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.index(last + 1));
        }
    }
}
