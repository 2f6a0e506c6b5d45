//! Which alerts were ever seen: filters that answer "surely not", or "perhaps".
//!
//! Most alerts of a storm are new, and for these the disk need not be asked. A Bloom filter takes
//! two bytes an alert where a table would take fifty; each new one is twice as large as the last.

use crate::{
    event::{EventId, Time},
    store::Seen,
};

/// How many alerts the first filter is made for.
const FIRST: u64 = 1 << 18;
/// Bits an alert, and how many of them are set: one in two thousand is taken for another.
const BITS: u64 = 16;
const PROBES: u64 = 8;

/// All filters.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    filters: Vec<Seen>,
    /// Which of them differ from what is written.
    unwritten: Vec<usize>,
}

impl Filters {
    /// Those that were written.
    pub(super) fn new(filters: Vec<Seen>) -> Self {
        Self { filters, unwritten: Vec::new() }
    }

    /// Whether the alert may have been seen.
    pub(super) fn may_hold(&self, identity: &EventId) -> bool {
        self.filters.iter().any(|filter| {
            probes(identity, filter.bits.len())
                .all(|(byte, bit)| filter.bits.get(byte).is_some_and(|held| held & bit != 0))
        })
    }

    /// Remembers an alert that began then.
    pub(super) fn insert(&mut self, identity: &EventId, starts_at: Time) {
        let full = |filter: &Seen| filter.count >= capacity(filter.id);
        if self.filters.last().is_none_or(full) {
            let id = u32::try_from(self.filters.len()).unwrap_or(u32::MAX);
            let bytes = usize::try_from(capacity(id) * BITS / 8).unwrap_or(usize::MAX);
            let bits = vec![0; bytes];
            self.filters.push(Seen { id, newest: starts_at, count: 0, bits });
        }
        let place = self.filters.len().saturating_sub(1);
        let Some(filter) = self.filters.last_mut() else { return };
        for (byte, bit) in probes(identity, filter.bits.len()) {
            if let Some(held) = filter.bits.get_mut(byte) {
                *held |= bit;
            }
        }
        filter.count += 1;
        filter.newest = filter.newest.max(starts_at);
        if self.unwritten.last() != Some(&place) {
            self.unwritten.push(place);
        }
    }

    /// What differs from what is written.
    pub(super) fn take_unwritten(&mut self) -> Vec<Seen> {
        let places = std::mem::take(&mut self.unwritten).into_iter();
        places.filter_map(|place| self.filters.get(place).cloned()).collect()
    }
}

fn capacity(id: u32) -> u64 {
    FIRST << id.min(20)
}

/// The bytes and the bits in them that stand for an alert. Its identity is a hash already: two
/// halves of it make as many as are wanted (Kirsch and Mitzenmacher, 2006).
fn probes(identity: &EventId, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let (one, other) = identity.0.split_at(8);
    let number = |half: &[u8]| half.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (one, other) = (number(one), number(other) | 1);
    let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8).max(1);
    (0..PROBES).map(move |n| {
        let bit = one.wrapping_add(n.wrapping_mul(other)) % bits;
        (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event::time_of_micros,
        store::{SqliteState, State as _, StateBatch},
    };

    fn at(second: u32) -> Time {
        time_of_micros(i64::from(second) * 1_000_000)
    }

    /// The nth of endlessly many alerts.
    fn identity(n: u32) -> EventId {
        EventId::of(&n)
    }

    /// Filters that know the alerts before the nth.
    fn holding(n: u32) -> Filters {
        let mut filters = Filters::default();
        (0..n).for_each(|n| filters.insert(&identity(n), at(n)));
        filters
    }

    #[test]
    fn an_alert_that_was_put_in_is_held_in_whichever_filter_and_hardly_any_other() {
        let first = u32::try_from(FIRST).unwrap();
        let filters = holding(first + first / 2);
        assert_eq!(filters.filters.len(), 2, "the first is full");
        let held = |n: &u32| filters.may_hold(&identity(*n));
        assert!((0..first + first / 2).all(|n| held(&n)));
        // One in two thousand, once a filter is full; here are two, of which one is.
        let others = 200_000;
        let taken = (1 << 31..(1 << 31) + others).filter(held).count();
        assert!(taken < 200, "{taken} of {others} are taken for another");
    }

    #[test]
    fn each_filter_is_twice_as_large_as_the_last_and_knows_its_newest_alert() {
        let first = u32::try_from(FIRST).unwrap();
        let [one, other] = &holding(first + 3).filters[..] else { panic!("two filters") };
        assert_eq!(other.bits.len(), 2 * one.bits.len());
        assert_eq!((one.id, one.count, one.newest), (0, FIRST, at(first - 1)));
        assert_eq!((other.id, other.count, other.newest), (1, 3, at(first + 2)));
    }

    #[test]
    fn only_what_differs_from_what_is_written_is_written() {
        let first = u32::try_from(FIRST).unwrap();
        let mut filters = holding(first - 1);
        let mut written = || {
            let ids = filters.take_unwritten().iter().map(|seen| seen.id).collect::<Vec<_>>();
            filters.insert(&identity(7), at(0));
            ids
        };
        assert_eq!(written(), [0]);
        assert_eq!(written(), [0], "the last that fits");
        assert_eq!(written(), [1]);
        drop(filters.take_unwritten());
        assert_eq!(filters.take_unwritten(), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn filters_come_back_from_the_state_as_they_were(
            known in prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..50),
            more in prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..50),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let state = SqliteState::open(dir.path()).unwrap();
            let mut filters = Filters::default();
            for batch in [&known, &more] {
                for (n, start) in batch {
                    filters.insert(&identity(*n), at(*start));
                }
                let seen = filters.take_unwritten();
                state.commit(&StateBatch { seen, ..StateBatch::default() }).unwrap();
            }
            let read = Filters::new(state.seen().unwrap());
            prop_assert_eq!(&read.filters, &filters.filters);
            prop_assert!(read.unwritten.is_empty());
            prop_assert!(known.keys().chain(more.keys()).all(|n| read.may_hold(&identity(*n))));
        }
    }
}
