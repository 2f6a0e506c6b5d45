//! The newest events, as they were handed over, for whoever follows the log closely.
//!
//! The engine reads each event right after it was committed. To take it out of the file and its JSON
//! apart again was a fifth of what the engine does; of those that wait in memory still it need not. What
//! is no longer here is in the file, with the same content.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::{Logged, Seq};

/// So many events are held at most: as many as may wait for the engine before posts wait as well, and what
/// is posted at that moment.
const EVENTS_MAX: usize = 56 << 10;
/// And so many bytes of them, as JSON.
const BYTES_MAX: usize = 48 << 20;

/// Events that were committed and not yet read, without a gap between them.
#[derive(Debug, Default)]
pub(super) struct Fresh(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// Each with its size as JSON.
    events: VecDeque<(Logged, usize)>,
    bytes: usize,
}

impl Fresh {
    /// Takes in events with their size, in the order of the log. Where there are too many nobody follows
    /// closely: all are left to the file.
    pub(super) fn extend(&self, events: impl Iterator<Item = (Logged, usize)>) {
        let mut held = self.held();
        for (event, bytes) in events {
            let follows = held.events.back().is_none_or(|(last, _)| last.seq.0 + 1 == event.seq.0);
            if !follows || held.events.len() >= EVENTS_MAX || held.bytes + bytes > BYTES_MAX {
                *held = Held::default();
            }
            held.bytes += bytes;
            held.events.push_back((event, bytes));
        }
    }

    /// The events that follow a position, at most so many, if they are here; they are then no more.
    pub(super) fn take_after(&self, seq: Seq, limit: usize) -> Option<Vec<Logged>> {
        let mut held = self.held();
        let Held { events, bytes } = &mut *held;
        while let Some((_, size)) = events.pop_front_if(|(event, _)| event.seq <= seq) {
            *bytes -= size;
        }
        if events.front().is_none_or(|(first, _)| first.seq.0 != seq.0 + 1) {
            return None;
        }
        let taken = events.drain(..limit.min(events.len()));
        let hand_over = |(event, size)| {
            *bytes -= size;
            event
        };
        Some(taken.map(hand_over).collect())
    }

    /// Leaves all to the file: some of it has another place there now.
    pub(super) fn clear(&self) {
        *self.held() = Held::default();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventId, Labels, Note, time_of_micros};

    fn logged(seq: u64) -> (Logged, usize) {
        let note = Note {
            at: time_of_micros(0),
            at_assumed: false,
            author: None,
            text: seq.to_string(),
            incident: None,
            labels: Labels::default(),
        };
        (Logged { seq: Seq(seq), id: EventId([0; 16]), late: false, event: Event::Note(note) }, 1)
    }

    fn taken(fresh: &Fresh, after: u64, limit: usize) -> Option<Vec<u64>> {
        let taken = fresh.take_after(Seq(after), limit)?;
        Some(taken.into_iter().map(|event| event.seq.0).collect())
    }

    #[test]
    fn what_follows_a_position_is_handed_over_once_and_never_with_a_gap() {
        let fresh = Fresh::default();
        assert_eq!(taken(&fresh, 0, 9), None);
        fresh.extend((3..=6).map(logged));
        assert_eq!(taken(&fresh, 1, 9), None, "the file has 2");
        assert_eq!(taken(&fresh, 2, 2), Some(vec![3, 4]));
        assert_eq!(taken(&fresh, 2, 2), None, "they are gone");
        assert_eq!(taken(&fresh, 5, 2), Some(vec![6]), "somebody read 5 from the file");
        fresh.extend([logged(7), logged(9)].into_iter());
        assert_eq!(taken(&fresh, 6, 9), None, "8 is in the file alone");
        assert_eq!(taken(&fresh, 8, 9), Some(vec![9]));
        fresh.extend([logged(10)].into_iter());
        fresh.clear();
        assert_eq!(taken(&fresh, 9, 9), None);
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let fresh = Fresh::default();
        let max = u64::try_from(EVENTS_MAX).unwrap();
        fresh.extend((1..=max + 2).map(logged));
        assert_eq!(taken(&fresh, 0, 9), None);
        assert_eq!(taken(&fresh, max, 9), Some(vec![max + 1, max + 2]));
        let large = |seq| (logged(seq).0, BYTES_MAX / 2 + 1);
        fresh.extend([large(1), large(2)].into_iter());
        assert_eq!(taken(&fresh, 1, 9), Some(vec![2]));
        fresh.extend([large(3)].into_iter());
        assert_eq!(taken(&fresh, 2, 9), Some(vec![3]), "what was taken weighs nothing");
    }
}
