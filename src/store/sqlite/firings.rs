//! The firings in the state: one row each, by start, and by family and start.

use std::collections::BinaryHeap;

use rusqlite::Connection;

use super::{Failure, limit_of};
use crate::{
    correlate::{FamilyRef, IncidentId},
    event::{EpisodeId, EventId, Firing, IDENTITY_BYTES, Outlook, Time, micros, time_of_micros},
    store::{FiringRow, Page, Paged, paging::EXAMINED_MAX},
};

/// Writes firings, over what was known of them.
pub(super) fn put(connection: &Connection, rows: &[FiringRow]) -> Result<(), Failure> {
    let sql = "INSERT INTO alert (starts_at, identity, family, event_at, event, ends_at, expected, \
               first, episode_ends_at, episode_expected, pending_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
               ON CONFLICT (starts_at, identity) DO UPDATE SET family = excluded.family, \
               event_at = excluded.event_at, event = excluded.event, ends_at = excluded.ends_at, \
               expected = excluded.expected, first = excluded.first, \
               episode_ends_at = excluded.episode_ends_at, \
               episode_expected = excluded.episode_expected, pending_at = excluded.pending_at";
    let mut upsert = connection.prepare_cached(sql)?;
    for FiringRow { identity, family, starts_at, firing, episode } in rows {
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
        ))?;
    }
    Ok(())
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
    let range = (family.0, micros(from), micros(to), identity.map(|id| id.0), limit_of(limit));
    let sql = format!(
        "SELECT {FIRING} FROM alert INDEXED BY alert_family WHERE family = ?1 \
         AND starts_at BETWEEN ?2 AND ?3 AND (?4 IS NULL OR identity = ?4) \
         ORDER BY starts_at, identity LIMIT ?5"
    );
    let mut query = connection.prepare_cached(&sql)?;
    Ok(query.query_map(range, firing)?.collect::<Result<_, _>>()?)
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
    let mut families = connection.prepare_cached(
        "SELECT key, starts_at, ends_at FROM family WHERE incident = ?1 ORDER BY starts_at, id",
    )?;
    let mut begun = connection.prepare_cached(
        "SELECT starts_at, identity FROM alert INDEXED BY alert_family WHERE family = ?1 \
         AND starts_at BETWEEN ?2 AND ?3 AND first ORDER BY starts_at, identity LIMIT ?4",
    )?;
    // The first so far, the last of them on top: what begins after it need not be looked at.
    let mut members: BinaryHeap<(i64, [u8; 16])> = BinaryHeap::new();
    let mut families = families.query([&incident.0])?;
    while let Some(family) = families.next()? {
        let (key, from): (i64, i64) = (family.get(0)?, family.get(1)?);
        let last = members.peek().filter(|_| members.len() >= limit);
        let last = last.map_or(i64::MAX, |(last, _)| *last);
        if last < from {
            break;
        }
        let to = family.get::<_, Option<i64>>(2)?.unwrap_or(i64::MAX).min(last);
        let mut rows = begun.query((key, from, to, limit_of(limit)))?;
        while let Some(row) = rows.next()? {
            members.push((row.get(0)?, row.get(1)?));
            if members.len() > limit {
                members.pop();
            }
        }
    }
    let id = |(at, identity)| EpisodeId::new(time_of_micros(at), &EventId(identity));
    Ok(members.into_sorted_vec().into_iter().map(id).collect())
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
