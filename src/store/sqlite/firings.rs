//! The firings in the state: one row each, by start, and by family and start.
//!
//! The second order is kept in segments, each of a stretch of time with so many firings. A batch of new
//! firings alters the pages of one segment, however much is stored and in however many families. Whoever
//! looks for a family's firings looks into each segment of that time, one after the other.

use std::collections::{BTreeMap, BinaryHeap};

use rusqlite::{CachedStatement, Connection};

use super::{Failure, limit_of};
use crate::{
    correlate::{FamilyRef, IncidentId},
    event::{EpisodeId, EventId, Firing, IDENTITY_BYTES, Outlook, Time, micros, time_of_micros},
    store::{FiringRow, Page, Paged, giving_way, paging::EXAMINED_MAX},
};

/// The next segment begins when the last has so many firings: a megabyte of the index. With less there
/// are more to look into; with twice as much a batch of a storm writes as much of the index again.
const SEGMENT_ROWS: i64 = if cfg!(test) { 3 } else { 1 << 14 };

/// Writes firings, over what was known of them.
pub(super) fn put(connection: &Connection, rows: &[FiringRow]) -> Result<(), Failure> {
    let starts = || rows.iter().map(|row| micros(row.starts_at));
    let (Some(from), Some(to)) = (starts().min(), starts().max()) else { return Ok(()) };
    begin_next(connection)?;
    let segments = Segment::within(connection, from, to)?;
    let of = |start| segments.iter().rfind(|segment| segment.from_at <= start);
    let mut written = BTreeMap::<i64, i64>::new();
    let sql = "INSERT INTO alert (starts_at, identity, family, event_at, event, ends_at, expected, \
               first, episode_ends_at, episode_expected, pending_at, segment) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
               ON CONFLICT (starts_at, identity) DO UPDATE SET family = excluded.family, \
               event_at = excluded.event_at, event = excluded.event, ends_at = excluded.ends_at, \
               expected = excluded.expected, first = excluded.first, \
               episode_ends_at = excluded.episode_ends_at, \
               episode_expected = excluded.episode_expected, pending_at = excluded.pending_at";
    let mut upsert = connection.prepare_cached(sql)?;
    for FiringRow { identity, family, starts_at, firing, episode } in giving_way(rows) {
        let segment = of(micros(*starts_at)).map_or(0, |segment| segment.number);
        *written.entry(segment).or_default() += 1;
        let episode_outlook = episode.unwrap_or(Outlook::Fires);
        upsert.execute((
            micros(*starts_at),
            identity.0,
            family.0,
            micros(firing.told_at),
            firing.told.0,
            firing.outlook.end().map(micros),
            firing.outlook.is_expected(),
            episode.is_some(),
            episode_outlook.end().map(micros),
            episode_outlook.is_expected(),
            firing.pending_at.map(micros),
            segment,
        ))?;
    }
    let sql = "UPDATE segment SET written = written + ?2 WHERE number = ?1";
    let mut add = connection.prepare_cached(sql)?;
    written.into_iter().try_for_each(|more| add.execute(more).map(drop))?;
    Ok(())
}

/// Begins the next segment, behind all that is there, if the last one is full.
fn begin_next(connection: &Connection) -> Result<(), Failure> {
    let sql = "SELECT number, written FROM segment ORDER BY number DESC LIMIT 1";
    let last = connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)));
    let (number, written): (i64, i64) = last?;
    if written < SEGMENT_ROWS {
        return Ok(());
    }
    // What was written again and again counts once.
    let sql = "SELECT count(*) FROM alert INDEXED BY alert_family WHERE segment = ?1";
    let rows: i64 = connection.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
    if rows < SEGMENT_ROWS {
        let sql = "UPDATE segment SET written = ?2 WHERE number = ?1";
        connection.prepare_cached(sql)?.execute((number, rows))?;
    } else {
        let sql = "INSERT INTO segment (number, from_at, written) \
                   SELECT ?1 + 1, max(starts_at) + 1, 0 FROM alert";
        connection.prepare_cached(sql)?.execute([number])?;
    }
    Ok(())
}

/// A stretch of time, up to the next segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: i64,
    from_at: i64,
}

impl Segment {
    /// Those with firings that began from `from` to `to`, in order.
    fn within(connection: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<Self>> {
        let sql = "SELECT number, from_at FROM segment WHERE from_at <= ?2 AND from_at >= \
                   (SELECT max(from_at) FROM segment WHERE from_at <= ?1) ORDER BY from_at";
        let mut query = connection.prepare_cached(sql)?;
        let segment =
            |row: &rusqlite::Row<'_>| Ok(Self { number: row.get(0)?, from_at: row.get(1)? });
        query.query_map((from, to), segment)?.collect()
    }
}

/// The firings with which episodes begin, as a page of their list.
pub(super) fn page(connection: &Connection, page: &Page) -> Result<Paged<FiringRow>, Failure> {
    let end = page.end.map_or(i64::MAX, micros);
    let after = page.after.as_ref();
    let after = after.map(|(at, id)| (*at, EpisodeId(id.clone()).parts().unwrap_or_default().1));
    let (after, after_id) =
        after.map_or((i64::MAX, [0; IDENTITY_BYTES]), |(at, id)| (micros(at), id));
    let rows = all(
        connection,
        "starts_at <= ?1 AND (starts_at < ?2 OR identity < ?3) \
         ORDER BY starts_at DESC, identity DESC LIMIT ?4",
        (end.min(after), after, after_id, limit_of(EXAMINED_MAX)),
    )?;
    let next = if rows.len() == EXAMINED_MAX { rows.last() } else { None };
    let next = next.map(|row| (row.starts_at, row.id().0));
    let is_listed = |row: &FiringRow| {
        row.episode.is_some_and(|outlook| page.wants(row.starts_at, outlook.end()))
    };
    Ok(Paged { items: rows.into_iter().filter(is_listed).collect(), next })
}

/// The firing with which the episode of this id begins.
pub(super) fn of_id(connection: &Connection, id: &EpisodeId) -> Result<Option<FiringRow>, Failure> {
    let Some((starts_at, from)) = id.parts() else { return Ok(None) };
    let to = [&from[..], &[0xff; 8]].concat();
    let named = "starts_at = ?1 AND identity BETWEEN ?2 AND ?3 AND first";
    let rows = all(connection, named, (micros(starts_at), from, to))?;
    // Another spelling of its start or of its hash is no id.
    Ok(rows.into_iter().find(|row| row.id() == *id))
}

/// The firings of a family that began from `from` to `to`, of one alert or of all, by start, at most
/// `limit`.
pub(super) fn of_family(
    connection: &Connection,
    family: FamilyRef,
    identity: Option<&EventId>,
    (from, to): (Time, Time),
    limit: usize,
) -> Result<Vec<FiringRow>, Failure> {
    // Segments and firings are read as of one commit.
    let snapshot = connection.unchecked_transaction()?;
    let (from, to) = (micros(from), micros(to));
    let identity = identity.map(|id| id.0);
    let mut query = snapshot.prepare_cached(&format!(
        "SELECT {FIRING} FROM alert INDEXED BY alert_family WHERE segment = ?1 AND family = ?2 \
         AND starts_at BETWEEN ?3 AND ?4 AND (?5 IS NULL OR identity = ?5) \
         ORDER BY starts_at, identity LIMIT ?6"
    ))?;
    let mut rows = Vec::new();
    for segment in Segment::within(&snapshot, from, to)? {
        let wanted = (
            segment.number,
            family.0,
            from,
            to,
            identity,
            limit_of(limit.saturating_sub(rows.len())),
        );
        for row in query.query_map(wanted, firing)? {
            rows.push(row?);
        }
    }
    Ok(rows)
}

/// The firings that began at `from` or later, by start, handed to `each` one by one.
pub(super) fn since(
    connection: &Connection,
    from: Time,
    each: &mut dyn FnMut(FiringRow),
) -> Result<(), Failure> {
    let sql =
        format!("SELECT {FIRING} FROM alert WHERE starts_at >= ?1 ORDER BY starts_at, identity");
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query_map([micros(from)], firing)?;
    Ok(rows.try_for_each(|row| row.map(&mut *each))?)
}

/// The first episodes of an incident, by start, at most `limit`.
pub(super) fn members(
    connection: &Connection,
    incident: &IncidentId,
    limit: usize,
) -> Result<Vec<EpisodeId>, Failure> {
    // Families, segments and firings are read as of one commit.
    let snapshot = connection.unchecked_transaction()?;
    let mut families = snapshot.prepare_cached(
        "SELECT key, starts_at, ends_at, episodes FROM family LEFT JOIN course USING (starts_at, key) \
         WHERE incident = ?1 ORDER BY starts_at, id",
    )?;
    let mut first = First::new(&snapshot, limit)?;
    let mut families = families.query([&incident.0])?;
    while let Some(family) = families.next()? {
        let (key, from): (i64, i64) = (family.get(0)?, family.get(1)?);
        if first.latest() < from {
            break;
        }
        let to = family.get::<_, Option<i64>>(2)?.unwrap_or(i64::MAX);
        first.add(key, (from, to), family.get::<_, Option<i64>>(3)?.unwrap_or(i64::MAX))?;
    }
    Ok(first.into_ids())
}

/// The first episodes of those that were looked at.
struct First<'a> {
    limit: usize,
    segments: Vec<Segment>,
    begun: CachedStatement<'a>,
    /// By start and identity, the last of them on top.
    held: BinaryHeap<(i64, [u8; 16])>,
}

impl<'a> First<'a> {
    fn new(connection: &'a Connection, limit: usize) -> rusqlite::Result<Self> {
        let begun = connection.prepare_cached(
            "SELECT starts_at, identity FROM alert INDEXED BY alert_family WHERE segment = ?1 \
             AND family = ?2 AND starts_at BETWEEN ?3 AND ?4 AND first \
             ORDER BY starts_at, identity LIMIT ?5",
        )?;
        let segments = Segment::within(connection, i64::MIN, i64::MAX)?;
        Ok(Self { limit, segments, begun, held: BinaryHeap::new() })
    }

    /// What begins after this is not among the first.
    fn latest(&self) -> i64 {
        let last = self.held.peek().filter(|_| self.held.len() >= self.limit);
        last.map_or(i64::MAX, |(last, _)| *last)
    }

    /// Looks at the episodes of a family, so many, that began in this time. Most began soon after the
    /// first, though the family goes on: then no more segments are looked into.
    fn add(&mut self, family: i64, (from, to): (i64, i64), mut left: i64) -> rusqlite::Result<()> {
        let later = self.segments.partition_point(|segment| segment.from_at <= from);
        for segment in self.segments.iter().skip(later.saturating_sub(1)) {
            let to = to.min(self.latest());
            if to < segment.from_at || left <= 0 {
                break;
            }
            let wanted = (segment.number, family, from, to, limit_of(self.limit));
            let mut rows = self.begun.query(wanted)?;
            while let Some(row) = rows.next()? {
                left -= 1;
                self.held.push((row.get(0)?, row.get(1)?));
                if self.held.len() > self.limit {
                    self.held.pop();
                }
            }
        }
        Ok(())
    }

    fn into_ids(self) -> Vec<EpisodeId> {
        let id = |(at, identity)| EpisodeId::new(time_of_micros(at), &EventId(identity));
        self.held.into_sorted_vec().into_iter().map(id).collect()
    }
}

fn all(
    connection: &Connection,
    wanted: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<FiringRow>, Failure> {
    let mut query =
        connection.prepare_cached(&format!("SELECT {FIRING} FROM alert WHERE {wanted}"))?;
    Ok(query.query_map(parameters, firing)?.collect::<Result<_, _>>()?)
}

/// The columns of a firing, in the order in which [`firing`] reads them.
const FIRING: &str = "starts_at, identity, family, event_at, event, ends_at, expected, first, \
                      episode_ends_at, episode_expected, pending_at";

fn firing(row: &rusqlite::Row<'_>) -> rusqlite::Result<FiringRow> {
    let first: bool = row.get(7)?;
    let episode = outlook(row.get(8)?, row.get(9)?);
    Ok(FiringRow {
        starts_at: time_of_micros(row.get(0)?),
        identity: EventId(row.get(1)?),
        family: FamilyRef(row.get(2)?),
        firing: Firing {
            told_at: time_of_micros(row.get(3)?),
            told: EventId(row.get(4)?),
            outlook: outlook(row.get(5)?, row.get(6)?),
            pending_at: row.get::<_, Option<i64>>(10)?.map(time_of_micros),
        },
        episode: first.then_some(episode),
    })
}

/// How a firing goes on, of its end and whether that is only expected.
fn outlook(end: Option<i64>, expected: bool) -> Outlook {
    match (end.map(time_of_micros), expected) {
        (None, _) => Outlook::Fires,
        (Some(end), true) => Outlook::Expires(end),
        (Some(end), false) => Outlook::Ended(end),
    }
}
