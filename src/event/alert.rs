//! Alerts: reports of firing and of its end, and the episodes that they merge into.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{EventId, Labels, Mapping, Scope, Time, micros, show_time, time_of_micros};

/// Two firings of one alert with no more than this between them are one episode: Prometheus'
/// `keep_firing_for` and a missed evaluation or two make gaps of this size with nothing better.
pub const REJOIN_GAP: TimeDelta = TimeDelta::minutes(5);

/// One source says that one alert fires, or that it stopped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AlertReport {
    /// All labels as they came, `alertname` among them.
    pub labels: Labels,
    /// When it began to fire (the rule's `for` is over by then).
    pub starts_at: Time,
    /// When it stopped; `None` in a report that it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Time>,
    /// In a report that it fires: it stopped by then, unless a further report says that it still
    /// fires. `None`: it fires until its end is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it became pending, in a report that it fires: its condition held from then on. `None`:
    /// the source does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_at: Option<Time>,
    /// The annotation that tells people what it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl AlertReport {
    /// The facts in what was reported: that it fired and, if it ended, that it ended.
    ///
    /// So a "resolved" that comes alone tells as much as one that follows its "firing".
    pub fn facts(self) -> Vec<Self> {
        let Some(ends_at) = self.ends_at else { return vec![self] };
        let ended = Self {
            labels: self.labels.clone(),
            starts_at: self.starts_at,
            ends_at: Some(ends_at),
            expires_at: None,
            pending_at: None,
            summary: None,
            url: None,
        };
        vec![Self { ends_at: None, ..self }, ended]
    }

    /// When the fact became true.
    pub fn time(&self) -> Time {
        self.ends_at.unwrap_or(self.starts_at)
    }

    /// Whether it is the one to keep of two reports of one fact: it holds longer, or as long in
    /// words whose JSON is the greater, as in the log.
    pub fn outdoes(&self, other: &Self) -> bool {
        let rank = |report: &Self| {
            let words = serde_json::to_string(&(&report.summary, &report.url));
            (Outlook::of(report), words.unwrap_or_default())
        };
        rank(self) > rank(other)
    }

    /// The hash of the fact itself: that this alert fired then, or that it ended then. Until when the
    /// report holds is decided by its time of receipt, and the words change with the values in them.
    pub(super) fn id(&self) -> EventId {
        EventId::of_written(|json| self.write_fact(json))
    }

    /// Adds its JSON form as an event; the fact's id: the fact is written first, and hashed before the
    /// rest is written behind it.
    pub(super) fn write(&self, json: &mut Vec<u8>) -> serde_json::Result<EventId> {
        let from = json.len();
        self.write_fact(json)?;
        let id = EventId::of_bytes(json.get(from..).unwrap_or_default());
        let rest = Rest { expires_at: self.expires_at, summary: &self.summary, url: &self.url };
        if !rest.is_empty() {
            // `{fact}` and `{rest}` become `{fact,rest}`.
            json.pop();
            let joint = json.len();
            serde_json::to_writer(&mut *json, &rest)?;
            json.iter_mut().skip(joint).take(1).for_each(|brace| *brace = b',');
        }
        Ok(id)
    }

    fn write_fact(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        json.extend_from_slice(br#"{"type":"alert","labels":"#);
        self.labels.write_and_hash(json)?;
        let times = [
            (r#","starts_at":""#, Some(self.starts_at)),
            (r#","ends_at":""#, self.ends_at),
            (r#","pending_at":""#, self.pending_at),
        ];
        for (name, time) in times {
            let Some(time) = time else { continue };
            for part in [name, &show_time(time), r#"""#] {
                json.extend_from_slice(part.as_bytes());
            }
        }
        json.push(b'}');
        Ok(())
    }
}

/// What an alert's report says besides the fact.
#[derive(Serialize)]
struct Rest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: &'a Option<String>,
}

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        self.expires_at.is_none() && self.summary.is_none() && self.url.is_none()
    }
}

/// What makes an alert the one that it is: its labels less the mapping's `drop_labels`.
pub type Identity = Labels;

/// How a firing goes on. Of two reports of one firing the greater holds: an end that was told, the
/// later of two; else that its end will be told; else the later of two times until which it holds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outlook {
    /// It stopped by then, as far as was told.
    Expires(Time),
    /// It fires until its end is told.
    Fires,
    /// It ended.
    Ended(Time),
}

impl Outlook {
    fn of(report: &AlertReport) -> Self {
        match (report.ends_at, report.expires_at) {
            (Some(end), _) => Self::Ended(end),
            (None, Some(end)) => Self::Expires(end),
            (None, None) => Self::Fires,
        }
    }

    /// Its end, told or expected.
    pub fn end(self) -> Option<Time> {
        match self {
            Self::Fires => None,
            Self::Expires(end) | Self::Ended(end) => Some(end),
        }
    }

    /// Whether its end is only expected.
    pub fn is_expected(self) -> bool {
        matches!(self, Self::Expires(_))
    }

    /// How a stretch goes on that this firing and, by its start, a next one make.
    ///
    /// Two replicas of a Prometheus may see one alert some seconds apart: it fires as long as one of
    /// them says so. An end that was never told is told by the next firing's, for an alert has one
    /// active instance. A firing of no length is an end whose sender did not know the start.
    fn and_then(self, starts_at: Time, next: Self) -> Self {
        match (self, next) {
            (Self::Fires, Self::Ended(_)) => next,
            (Self::Expires(_), Self::Ended(end)) if starts_at == end => next,
            (Self::Fires, _) | (_, Self::Fires) => Self::Fires,
            // By the time first: of two ends at one time the one that was told.
            (Self::Expires(_) | Self::Ended(_), Self::Expires(_) | Self::Ended(_)) => {
                if (self.end(), self) < (next.end(), next) { next } else { self }
            }
        }
    }
}

/// One `startsAt` of one alert.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Firing {
    /// How it goes on, by all reports of it.
    pub outlook: Outlook,
    /// The earliest time at which anybody saw it pending.
    pub pending_at: Option<Time>,
    /// The time of the report that tells of it ...
    pub told_at: Time,
    /// ... and its content id: of those that say that it fires the smallest, so that it does not
    /// depend on order.
    pub told: EventId,
}

impl Firing {
    /// What one report, whose content id is `id`, tells of it.
    pub fn of(report: &AlertReport, id: EventId) -> Self {
        Self {
            outlook: Outlook::of(report),
            pending_at: report.pending_at,
            told_at: report.time(),
            told: id,
        }
    }

    /// Takes in what another tells of the same firing.
    pub fn join(&mut self, other: &Self) {
        self.outlook = self.outlook.max(other.outlook);
        self.pending_at = earliest(self.pending_at, other.pending_at);
        // A report that it fires is of its start, and so earlier than one of its end.
        (self.told_at, self.told) = (self.told_at, self.told).min((other.told_at, other.told));
    }
}

impl Firing {
    /// When it became pending, if that was before a stretch that begins then: between two firings
    /// of one stretch it may have been pending again.
    fn pending_before(&self, starts_at: Time) -> Option<Time> {
        self.pending_at.filter(|pending_at| *pending_at <= starts_at)
    }
}

/// The earlier of two times, where both are known.
fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

/// All that was reported of one alert, by start. Merging is a join: in any order, any number of
/// times.
///
/// Most alerts fire once, and very many are held: that one stands here, and not elsewhere in memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Firings(SmallVec<[(Time, Firing); 1]>);

impl Firings {
    /// Takes in one report, whose content id is `id`; whether it tells anything new.
    pub fn absorb(&mut self, report: &AlertReport, id: EventId) -> bool {
        self.join(report.starts_at, Firing::of(report, id))
    }

    /// Takes in all that the other holds.
    pub fn merge(&mut self, other: &Self) {
        for (starts_at, firing) in &other.0 {
            self.join(*starts_at, *firing);
        }
    }

    /// Takes in one firing; whether it tells anything new.
    pub fn join(&mut self, starts_at: Time, new: Firing) -> bool {
        let place = self.0.partition_point(|(start, _)| *start < starts_at);
        let held = self.0.get_mut(place).filter(|(start, _)| *start == starts_at);
        if let Some((_, held)) = held {
            let before = *held;
            held.join(&new);
            return *held != before;
        }
        self.0.insert(place, (starts_at, new));
        true
    }

    /// Leaves out what began before.
    pub fn forget_before(&mut self, from: Time) {
        self.0.retain(|(starts_at, _)| *starts_at >= from);
    }

    /// Each firing with its start.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Time, Firing)> + Clone {
        self.0.iter()
    }

    /// The stretches of firing: reports that overlap, or leave at most [`REJOIN_GAP`] between them.
    ///
    /// A firing whose end nobody reported ends where the next one of the same alert does.
    pub fn stretches(&self) -> impl Iterator<Item = Stretch> {
        let mut rest = self.0.iter().peekable();
        std::iter::from_fn(move || {
            let (starts_at, firing) = rest.next()?;
            let mut stretch = Stretch::new(*starts_at, firing);
            while let Some((starts_at, firing)) = rest.next_if(|next| stretch.reaches(next.0)) {
                stretch.go_on(*starts_at, firing);
            }
            Some(stretch)
        })
    }
}

/// One unbroken stretch of an alert's firing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stretch {
    /// The first `startsAt`.
    pub starts_at: Time,
    /// How it goes on.
    pub outlook: Outlook,
    /// When it became pending, where that is known.
    pub pending_at: Option<Time>,
    /// The time of the report that tells of its first firing ...
    pub told_at: Time,
    /// ... and its content id.
    pub told: EventId,
}

impl Stretch {
    fn new(starts_at: Time, first: &Firing) -> Self {
        Self {
            starts_at,
            outlook: first.outlook,
            pending_at: first.pending_before(starts_at),
            told_at: first.told_at,
            told: first.told,
        }
    }

    /// Whether a firing that begins then is a part of it.
    fn reaches(&self, starts_at: Time) -> bool {
        self.outlook.end().is_none_or(|end| starts_at <= end + REJOIN_GAP)
    }

    fn go_on(&mut self, starts_at: Time, firing: &Firing) {
        self.outlook = self.outlook.and_then(starts_at, firing.outlook);
        self.pending_at = earliest(self.pending_at, firing.pending_before(self.starts_at));
    }
}

/// Names an episode: `alt_`, its first `startsAt` in microseconds, and half of the hash of the
/// alert's identity, both in hex. So ids sort by start, and tell where to look.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

impl EpisodeId {
    /// The id of the episode of an alert, by the hash of its identity, that began then.
    pub fn new(starts_at: Time, identity: &EventId) -> Self {
        let hash = identity
            .0
            .iter()
            .take(IDENTITY_BYTES)
            .fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        Self(format!("alt_{:013x}{hash:016x}", micros(starts_at).cast_unsigned()))
    }

    /// Its start, and the first bytes of the hash of its alert's identity.
    pub fn parts(&self) -> Option<(Time, [u8; IDENTITY_BYTES])> {
        let digits = self.0.strip_prefix("alt_")?;
        let (start, hash) = digits.split_at_checked(digits.len().checked_sub(16)?)?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let hash = u64::from_str_radix(hash, 16).ok()?;
        Some((time_of_micros(start.cast_signed()), hash.to_be_bytes()))
    }
}

/// So many bytes of the hash of an identity are in an episode's id.
pub const IDENTITY_BYTES: usize = 8;

/// One firing of one alert, from its first report to its end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Episode {
    /// Its name.
    pub id: EpisodeId,
    /// The alert's name.
    pub alertname: String,
    /// The alert's labels as they came, less the dropped ones.
    pub labels: Labels,
    /// Where it is.
    pub scope: Scope,
    /// When it began to fire.
    pub starts_at: Time,
    /// When it stopped, or is expected to stop; `None` while it fires until its end is told.
    pub ends_at: Option<Time>,
    /// The end is only expected: it is later if its source says again that it fires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_expected: bool,
    /// When it became pending, where that is known: its condition held from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_at: Option<Time>,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Where the source shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Episode {
    /// The episode of this alert over this stretch, in the words of the report that tells of it.
    pub fn new(report: &AlertReport, mapping: &Mapping, stretch: &Stretch) -> Self {
        let labels = mapping.identity(&report.labels);
        Self {
            id: EpisodeId::new(stretch.starts_at, &labels.id()),
            alertname: labels.first("alertname").unwrap_or_default().to_owned(),
            scope: mapping.scope(&labels),
            labels,
            starts_at: stretch.starts_at,
            ends_at: stretch.outlook.end(),
            end_expected: stretch.outlook.is_expected(),
            pending_at: stretch.pending_at,
            summary: report.summary.clone(),
            url: report.url.clone(),
        }
    }

    /// Whether it fires at a time that is not before its start.
    pub fn fires_at(&self, at: Time) -> bool {
        self.ends_at.is_none_or(|end| end > at)
    }
}
