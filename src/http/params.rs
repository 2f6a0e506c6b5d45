//! A query's parameters. One that is not known is an error: a slip of the pen must not silently
//! list everything.

use std::{str::FromStr, time::Duration};

use super::reply::ApiError;
use crate::{
    correlate::State,
    duration::parse_duration,
    event::{Labels, Time, micros, parse_time, time_of_micros},
    problem::nearest,
    rules::Matchers,
    store::{Page, Seq},
};

/// Things on a page, where the query does not say.
const LIMIT_DEFAULT: usize = 100;
/// Things on a page at most.
const LIMIT_MAX: usize = 1_000;
/// How long `wait_seq` waits, where the query does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// How long it waits at most.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Matchers in one query: each is asked of each thing.
const MATCHERS_MAX: usize = 32;

/// What every query takes.
pub(super) const MOMENT: [&str; 3] = ["at", "wait_seq", "timeout"];
/// What every list takes.
pub(super) const LIST: [&str; 5] = ["start", "end", "match[]", "limit", "cursor"];

/// The parameters of one query, all of them known.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters, all of them among `known`; none at all where nothing is known.
    pub(super) fn new(
        pairs: Vec<(String, String)>,
        known: Option<&[&[&'static str]]>,
    ) -> Result<Self, ApiError> {
        let Some(known) = known else { return Ok(Self(Vec::new())) };
        let known: Vec<_> = known.iter().copied().flatten().copied().collect();
        for (name, _) in &pairs {
            if !known.contains(&name.as_str()) {
                let error = ApiError::parameter(name, "there is no such parameter");
                return Err(match nearest(name, known.iter().copied()) {
                    Some(meant) => error.hint(format!("did you mean {meant}?")),
                    None => error.hint(format!("there are {}", known.join(", "))),
                });
            }
        }
        Ok(Self(pairs))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The only value of a parameter, as what `parse` makes of it.
    pub(super) fn one<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ApiError> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(ApiError::parameter(name, "is given twice"));
        }
        parse(value).map(Some).map_err(|why| ApiError::parameter(name, why))
    }

    /// All values of a parameter, as they were written.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.all(name).map(str::to_owned).collect()
    }

    fn time(&self, name: &'static str) -> Result<Option<Time>, ApiError> {
        self.one(name, parse_time)
    }

    /// Whether to tell who changed what.
    pub(super) fn actors(&self) -> Result<bool, ApiError> {
        Ok(self.one("actors", |text| parsed(text, "true or false"))?.unwrap_or(false))
    }

    /// As of when the answer is to be, and what it is to wait for.
    pub(super) fn when(&self) -> Result<When, ApiError> {
        let timeout = self.one("timeout", wait_of)?.unwrap_or(WAIT_DEFAULT);
        let seq =
            self.one("wait_seq", |text| parsed(text, "a number, as replies to posts give"))?;
        Ok(When { at: self.time("at")?, wait: seq.map(|seq| (Seq(seq), timeout)) })
    }

    /// Which things of a list are asked for.
    pub(super) fn selection(&self) -> Result<Selection, ApiError> {
        Ok(Selection {
            page: self.page()?,
            matching: self.matching()?,
            state: self.one("state", state_of)?,
            firing: self.one("firing", |text| parsed(text, "true or false"))?,
        })
    }

    fn page(&self) -> Result<Page, ApiError> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(ApiError::parameter("end", "is before start"));
        }
        let limit = self.one("limit", limit_of)?.unwrap_or(LIMIT_DEFAULT);
        let after = self.one("cursor", |text| {
            parse_cursor(text).ok_or_else(|| "is not one that a list's \"next\" gave".to_owned())
        })?;
        Ok(Page { end, start, edges: false, after, limit })
    }

    fn matching(&self) -> Result<Matching, ApiError> {
        let parse = |text| Matchers::parse(text).map_err(|why| ApiError::parameter("match[]", why));
        let any: Vec<_> = self.all("match[]").map(parse).collect::<Result<_, _>>()?;
        if any.len() > MATCHERS_MAX {
            let why = format!("{} of them; at most {MATCHERS_MAX} are taken", any.len());
            return Err(ApiError::parameter("match[]", why));
        }
        Ok(Matching(any))
    }
}

/// As of when an answer is to be (`None`: now), and how much of the log must be assessed for it,
/// and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) at: Option<Time>,
    pub(super) wait: Option<(Seq, Duration)>,
}

/// Which things of a list are asked for.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) page: Page,
    pub(super) matching: Matching,
    pub(super) state: Option<State>,
    pub(super) firing: Option<bool>,
}

/// As Prometheus has it: every `match[]` is a selector, and what any of them selects is meant.
#[derive(Debug)]
pub(super) struct Matching(Vec<Matchers>);

impl Matching {
    pub(super) fn holds(&self, labels: impl FnOnce() -> Labels) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let labels = labels();
        self.0.iter().any(|matchers| matchers.matches(&labels))
    }
}

fn parsed<T: FromStr>(text: &str, want: &str) -> Result<T, String> {
    text.parse().map_err(|_unparsed| format!("{text:?} is not {want}"))
}

fn state_of(text: &str) -> Result<State, String> {
    [State::Open, State::Quiet, State::Closed]
        .into_iter()
        .find(|state| state.word() == text)
        .ok_or_else(|| format!("{text:?} is none of open, quiet, closed"))
}

fn wait_of(text: &str) -> Result<Duration, String> {
    let wait = parse_duration(text)?.to_std().map_err(|error| error.to_string())?;
    if wait > WAIT_MAX {
        return Err(format!("{text} is longer than {} s", WAIT_MAX.as_secs()));
    }
    Ok(wait)
}

fn limit_of(text: &str) -> Result<usize, String> {
    let want = || format!("{text:?} is not a number from 1 to {LIMIT_MAX}");
    let limit = text.parse().map_err(|_unparsed| want())?;
    if (1..=LIMIT_MAX).contains(&limit) { Ok(limit) } else { Err(want()) }
}

/// The place that a page goes on from: opaque to clients, and safe in a URL.
pub(super) fn cursor((time, id): &(Time, String)) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{:x}.", micros(*time));
    for byte in id.bytes() {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

fn parse_cursor(text: &str) -> Option<(Time, String)> {
    let (time, id) = text.split_once('.')?;
    // Written as the bits of a signed number, so that a time before 1970 has no sign.
    let time = u64::from_str_radix(time, 16).ok()?.cast_signed();
    let pairs = id.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    });
    let id = String::from_utf8(pairs.collect::<Option<_>>()?).ok()?;
    Some((time_of_micros(time), id))
}
