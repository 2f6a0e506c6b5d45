//! Which alerts were ever seen: filters that answer "surely not", or "perhaps".
//!
//! Most alerts of a storm are new, and for these the disk need not be asked. A Bloom filter takes
//! sixteen bits an alert where a table would take fifty bytes.

use std::sync::Arc;

use crate::{
    event::{EventId, Time},
    store::Seen,
};

/// How many alerts the first filter is made for.
const FIRST: u64 = 1 << 18;
/// How often a filter is twice as large as the last: one is written whole when it differs.
const DOUBLINGS: usize = 3;
/// Bits an alert, and how many of them are set: a full filter takes one in 1,700 for another, for which
/// the disk is asked in vain, in each segment of the filter's time. With twelve bits it is one in 300.
const BITS: u64 = 16;
const PROBES: u64 = 8;

/// From when to when.
pub(super) type Range = (Time, Time);

/// All filters.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    filters: Vec<Seen>,
    /// The numbers of those that differ from what is written.
    unwritten: Vec<u32>,
}

impl Filters {
    /// Those that were written.
    pub(super) fn new(filters: Vec<Seen>) -> Self {
        Self { filters, unwritten: Vec::new() }
    }

    /// In which time firings of an alert may have begun; `None`: it was surely not seen.
    pub(super) fn when(&self, identity: &EventId) -> Option<Range> {
        let may_hold = |filter: &&Seen| {
            probes(identity, filter.bits.len())
                .all(|(byte, bit)| filter.bits.get(byte).is_some_and(|held| held & bit != 0))
        };
        let times = self.filters.iter().filter(may_hold).map(|one| (one.oldest, one.newest));
        times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    /// Remembers an alert whose firings began in this time; of those that are remembered already it need
    /// not tell.
    pub(super) fn insert(&mut self, identity: &EventId, (oldest, newest): Range) {
        if self.filters.last().is_none_or(is_full) {
            let id = self.filters.last().map_or(0, |last| last.id.saturating_add(1));
            let bits = Arc::new(vec![0; bytes_after(self.filters.len())]);
            self.filters.push(Seen { id, oldest, newest, count: 0, bits });
        }
        let Some(filter) = self.filters.last_mut() else { return };
        // Nobody else holds them but while they are written.
        let bits = Arc::make_mut(&mut filter.bits);
        for (byte, bit) in probes(identity, bits.len()) {
            if let Some(held) = bits.get_mut(byte) {
                *held |= bit;
            }
        }
        filter.count += 1;
        filter.oldest = filter.oldest.min(oldest);
        filter.newest = filter.newest.max(newest);
        if self.unwritten.last() != Some(&filter.id) {
            self.unwritten.push(filter.id);
        }
    }

    /// Forgets those that hold nothing from a time on; their numbers. The last one stays, so that no
    /// number is given twice.
    pub(super) fn forget_before(&mut self, from: Time) -> Vec<u32> {
        let last = self.filters.last().map(|last| last.id);
        let is_old = |filter: &Seen| filter.newest < from && Some(filter.id) != last;
        let gone = self.filters.iter().filter(|filter| is_old(filter)).map(|one| one.id).collect();
        self.filters.retain(|filter| !is_old(filter));
        gone
    }

    /// What differs from what is written.
    pub(super) fn take_unwritten(&mut self) -> Vec<Seen> {
        let unwritten = std::mem::take(&mut self.unwritten);
        self.filters.iter().filter(|filter| unwritten.contains(&filter.id)).cloned().collect()
    }
}

fn is_full(filter: &Seen) -> bool {
    let bytes = u64::try_from(filter.bits.len()).unwrap_or(u64::MAX);
    filter.count >= bytes.saturating_mul(8) / BITS
}

/// How large a filter is that follows so many.
fn bytes_after(filters: usize) -> usize {
    usize::try_from((FIRST << filters.min(DOUBLINGS)) * BITS / 8).unwrap_or(usize::MAX)
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
        (0..n).for_each(|n| filters.insert(&identity(n), (at(n), at(n))));
        filters
    }

    #[test]
    fn an_alert_that_was_put_in_is_held_in_whichever_filter_and_hardly_any_other() {
        let first = u32::try_from(FIRST).unwrap();
        let filters = holding(first + first / 2);
        assert_eq!(filters.filters.len(), 2, "the first is full");
        let held = |n: &u32| filters.when(&identity(*n)).is_some();
        assert!((0..first + first / 2).all(|n| held(&n)));
        // One in 1,700, once a filter is full; here are two, of which one is.
        let others = 200_000;
        let taken = (1 << 31..(1 << 31) + others).filter(held).count();
        assert!(taken < 240, "{taken} of {others} are taken for another");
    }

    #[test]
    fn each_filter_is_twice_as_large_as_the_last_and_knows_from_when_to_when_its_alerts_fired() {
        let first = u32::try_from(FIRST).unwrap();
        let [one, other] = &holding(first + 3).filters[..] else { panic!("two filters") };
        assert_eq!(other.bits.len(), 2 * one.bits.len());
        assert_eq!((one.id, one.count), (0, FIRST));
        assert_eq!((one.oldest, one.newest), (at(0), at(first - 1)));
        assert_eq!((other.id, other.count), (1, 3));
        assert_eq!((other.oldest, other.newest), (at(first), at(first + 2)));
    }

    #[test]
    fn an_alert_may_have_fired_in_the_time_of_each_filter_that_holds_it() {
        let first = u32::try_from(FIRST).unwrap();
        let mut filters = holding(first + 3);
        filters.insert(&identity(7), (at(first + 5), at(first + 9)));
        assert_eq!(filters.when(&identity(7)), Some((at(0), at(first + 9))));
        assert_eq!(filters.when(&identity(8)), Some((at(0), at(first - 1))));
        assert_eq!(filters.when(&identity(first + 1)), Some((at(first), at(first + 9))));
        assert_eq!(filters.when(&identity(first + 4)), None);
    }

    #[test]
    fn only_what_differs_from_what_is_written_is_written() {
        let first = u32::try_from(FIRST).unwrap();
        let mut filters = holding(first - 1);
        let mut written = || {
            let ids = filters.take_unwritten().iter().map(|seen| seen.id).collect::<Vec<_>>();
            filters.insert(&identity(7), (at(0), at(0)));
            ids
        };
        assert_eq!(written(), [0]);
        assert_eq!(written(), [0], "the last that fits");
        assert_eq!(written(), [1]);
        drop(filters.take_unwritten());
        assert_eq!(filters.take_unwritten(), []);
    }

    #[test]
    fn a_filter_that_holds_nothing_new_is_forgotten_and_its_number_not_given_again() {
        let first = u32::try_from(FIRST).unwrap();
        let mut filters = holding(first + 1);
        assert_eq!(filters.forget_before(at(first - 1)), [0_u32; 0], "one of it is as new");
        assert_eq!(filters.forget_before(at(first)), [0]);
        assert!(filters.when(&identity(first)).is_some());
        assert_eq!(filters.forget_before(at(2 * first)), [0_u32; 0], "the last stays");
        (first..=3 * first).for_each(|n| filters.insert(&identity(n), (at(n), at(n))));
        let ids: Vec<_> = filters.filters.iter().map(|seen| seen.id).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(filters.filters[1].bits.len(), filters.filters[0].bits.len());
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
                    filters.insert(&identity(*n), (at(start / 2), at(*start)));
                }
                let seen = filters.take_unwritten();
                state.commit(&StateBatch { seen, ..StateBatch::default() }).unwrap();
            }
            let read = Filters::new(state.seen().unwrap());
            prop_assert_eq!(&read.filters, &filters.filters);
            prop_assert!(read.unwritten.is_empty());
            for (n, start) in known.iter().chain(&more) {
                let (oldest, newest) = read.when(&identity(*n)).unwrap();
                prop_assert!(oldest <= at(start / 2) && at(*start) <= newest);
            }
        }
    }
}
