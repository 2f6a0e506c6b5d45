//! The one list of paths: which there are, which methods each takes, and what it is called where
//! requests are counted.

use std::str::FromStr;

use warp::{
    Filter as _,
    filters::{BoxedFilter, path::FullPath},
    http::Method,
};

use super::{Admission, auth::Role, ingest::Poster, pages::View};
use crate::wire::source::{Source, Verbs};

/// What a path stands for.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A source's address, at which nothing else is done.
    Source(&'static Source),
    /// What may be the address of a source that the configuration describes.
    Own(Id),
    AlertmanagerStatus,
    Changes,
    Change(Id),
    Incidents,
    Incident(Id),
    Suspects(Id),
    IncidentTimeline(Id),
    Impact(Id),
    Postmortem(Id),
    Feedback(Id),
    Actions(Id),
    Stream,
    Page(View),
    Alerts,
    Timeline,
    Feeds,
    Catalog,
    Heartbeat(Id),
    Metrics,
    Healthy,
    Ready,
    Reload,
    Unknown,
}

/// An id out of a path, percent-decoded: a sender's ids may hold a slash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Id(pub(super) String);

impl FromStr for Id {
    type Err = ();

    fn from_str(segment: &str) -> Result<Self, ()> {
        let mut decoded = Vec::with_capacity(segment.len());
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
                plain => plain,
            });
        }
        String::from_utf8(decoded).map(Self).map_err(drop)
    }
}

fn hex(digit: Option<u8>) -> Result<u8, ()> {
    let value = char::from(digit.ok_or(())?).to_digit(16).ok_or(())?;
    u8::try_from(value).map_err(drop)
}

/// Where a source posts and others read.
const READ_TOO: [&str; 2] = ["/api/v1/changes", "/api/v1/alerts"];

/// Matches every path; one that stands for nothing is [`Target::Unknown`].
pub(super) fn target() -> BoxedFilter<(Target,)> {
    let incidents = warp::path!("api" / "v1" / "incidents" / ..).and(
        warp::path::end()
            .map(|| Target::Incidents)
            .or(warp::path!(Id).map(Target::Incident))
            .unify()
            .or(warp::path!(Id / "suspects").map(Target::Suspects))
            .unify()
            .or(warp::path!(Id / "timeline").map(Target::IncidentTimeline))
            .unify()
            .or(warp::path!(Id / "impact").map(Target::Impact))
            .unify()
            .or(warp::path!(Id / "postmortem").map(Target::Postmortem))
            .unify()
            .or(warp::path!(Id / "feedback").map(Target::Feedback))
            .unify()
            .or(warp::path!(Id / "actions").map(Target::Actions))
            .unify(),
    );
    let events = warp::path!("api" / "v2" / "status")
        .map(|| Target::AlertmanagerStatus)
        .or(warp::path!("api" / "v1" / "changes").map(|| Target::Changes))
        .unify()
        .or(warp::path!("api" / "v1" / "changes" / Id).map(Target::Change))
        .unify()
        .or(warp::path!("api" / "v1" / "alerts").map(|| Target::Alerts))
        .unify()
        .or(warp::path!("api" / "v1" / "timeline").map(|| Target::Timeline))
        .unify()
        .or(warp::path!("api" / "v1" / "feeds").map(|| Target::Feeds))
        .unify()
        .or(warp::path!("api" / "v1" / "stream").map(|| Target::Stream))
        .unify()
        .or(warp::path!("api" / "v1" / "catalog").map(|| Target::Catalog))
        .unify()
        .or(warp::path!("api" / "v1" / "heartbeats" / Id).map(Target::Heartbeat))
        .unify();
    let ops = warp::path!("metrics")
        .map(|| Target::Metrics)
        .or(warp::path!("-" / "healthy").map(|| Target::Healthy))
        .unify()
        .or(warp::path!("healthz").or(warp::path!("livez")).unify().map(|| Target::Healthy))
        .unify()
        .or(warp::path!("-" / "ready").or(warp::path!("readyz")).unify().map(|| Target::Ready))
        .unify()
        .or(warp::path!("-" / "reload").map(|| Target::Reload))
        .unify();
    let sources = warp::path::full().and_then(|path: FullPath| async move {
        let path = Some(path.as_str()).filter(|path| !READ_TOO.contains(path));
        let addressed = path.and_then(Source::addressed);
        addressed.map(|(source, _)| Target::Source(source)).ok_or_else(warp::reject::not_found)
    });
    // What is posted comes first: a storm passes by here.
    sources
        .boxed()
        .or(events.boxed())
        .unify()
        .or(warp::path!("webhooks" / Id).map(Target::Own).boxed())
        .unify()
        .or(incidents.boxed())
        .unify()
        .or(ops.boxed())
        .unify()
        .or(view().map(Target::Page))
        .unify()
        .or(warp::any().map(|| Target::Unknown))
        .unify()
        .boxed()
}

/// Matches the paths of pages.
fn view() -> BoxedFilter<(View,)> {
    warp::path::end()
        .map(|| View::Home)
        .or(warp::path!("explore").map(|| View::Explore))
        .unify()
        .or(warp::path!("login").map(|| View::Login))
        .unify()
        .or(warp::path!("assets" / String).map(|name| View::Asset(format!("/assets/{name}"))))
        .unify()
        .or(warp::path!("incidents" / Id).map(View::Incident))
        .unify()
        .or(warp::path!("incidents" / Id / "postmortem").map(View::Document))
        .unify()
        .or(warp::path!("incidents" / Id / "feedback").map(View::Feedback))
        .unify()
        .or(warp::path!("incidents" / Id / "notes").map(View::Note))
        .unify()
        .or(warp::path!("incidents" / Id / "actions").map(View::Action))
        .unify()
        .boxed()
}

impl Target {
    /// The page that it is, if it is one.
    pub(super) const fn page(&self) -> Option<&View> {
        if let Self::Page(view) = self { Some(view) } else { None }
    }

    /// The path's form: what it is counted under.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::Source(source) => source.paths.first().copied().unwrap_or("unknown"),
            Self::Own(_) => "/webhooks/{source}",
            Self::AlertmanagerStatus => "/api/v2/status",
            Self::Changes => "/api/v1/changes",
            Self::Change(_) => "/api/v1/changes/{id}",
            Self::Incidents => "/api/v1/incidents",
            Self::Incident(_) => "/api/v1/incidents/{id}",
            Self::Suspects(_) => "/api/v1/incidents/{id}/suspects",
            Self::IncidentTimeline(_) => "/api/v1/incidents/{id}/timeline",
            Self::Impact(_) => "/api/v1/incidents/{id}/impact",
            Self::Postmortem(_) => "/api/v1/incidents/{id}/postmortem",
            Self::Feedback(_) => "/api/v1/incidents/{id}/feedback",
            Self::Actions(_) => "/api/v1/incidents/{id}/actions",
            Self::Stream => "/api/v1/stream",
            Self::Page(view) => view.route(),
            Self::Alerts => "/api/v1/alerts",
            Self::Timeline => "/api/v1/timeline",
            Self::Feeds => "/api/v1/feeds",
            Self::Catalog => "/api/v1/catalog",
            Self::Heartbeat(_) => "/api/v1/heartbeats/{feed}",
            Self::Metrics => "/metrics",
            Self::Healthy => "/-/healthy",
            Self::Ready => "/-/ready",
            Self::Reload => "/-/reload",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Source(source) => match source.verbs {
                Verbs::Post => &[Method::POST],
                Verbs::PostOrPut => &[Method::POST, Method::PUT],
                Verbs::PostAndHandshake => &[Method::OPTIONS, Method::POST],
            },
            Self::Own(_) | Self::Reload => &[Method::POST, Method::PUT],
            Self::Heartbeat(_) | Self::Feedback(_) | Self::Actions(_) => &[Method::POST],
            Self::Page(view) => view.methods(),
            Self::Changes | Self::Alerts => &[Method::GET, Method::HEAD, Method::POST],

            Self::AlertmanagerStatus
            | Self::Change(_)
            | Self::Incidents
            | Self::Incident(_)
            | Self::Suspects(_)
            | Self::IncidentTimeline(_)
            | Self::Impact(_)
            | Self::Postmortem(_)
            | Self::Stream
            | Self::Timeline
            | Self::Feeds
            | Self::Catalog
            | Self::Metrics
            | Self::Healthy
            | Self::Ready => &[Method::GET, Method::HEAD],
            Self::Unknown => &[],
        }
    }

    /// Whose events are posted here, if this posts any.
    pub(super) fn source(&self, method: &Method, admission: &Admission) -> Option<Poster> {
        match self {
            Self::Source(source) => (method != Method::OPTIONS).then_some(Poster::Known(source)),
            Self::Own(Id(name)) => admission.own.get(name).cloned().map(Poster::Own),
            Self::Changes | Self::Alerts => {
                let source = Source::at(self.route()).filter(|_| method == Method::POST);
                source.map(Poster::Known)
            }
            Self::AlertmanagerStatus
            | Self::Change(_)
            | Self::Incidents
            | Self::Incident(_)
            | Self::Suspects(_)
            | Self::IncidentTimeline(_)
            | Self::Impact(_)
            | Self::Postmortem(_)
            | Self::Feedback(_)
            | Self::Actions(_)
            | Self::Stream
            | Self::Page(_)
            | Self::Timeline
            | Self::Feeds
            | Self::Catalog
            | Self::Heartbeat(_)
            | Self::Metrics
            | Self::Healthy
            | Self::Ready
            | Self::Reload
            | Self::Unknown => None,
        }
    }

    /// What a token has to be good for here, where nothing is posted by a source.
    pub(super) fn role(&self) -> Role {
        let tells = matches!(
            self,
            Self::Heartbeat(_)
                | Self::Feedback(_)
                | Self::Actions(_)
                | Self::Page(View::Feedback(_) | View::Note(_) | View::Action(_))
        );
        if tells {
            Role::Ingest
        } else if matches!(self, Self::Reload) {
            Role::Admin
        } else {
            Role::Read
        }
    }

    /// Whether nothing is there.
    pub(super) fn is_unknown(&self, admission: &Admission) -> bool {
        if let Self::Own(Id(name)) = self {
            return !admission.own.contains_key(name);
        }
        matches!(self, Self::Unknown)
    }

    /// Whether it is answered without a token: what supervisors ask.
    pub(super) const fn is_open(&self) -> bool {
        let is_open_page = match self.page() {
            Some(view) => view.is_open(),
            None => false,
        };
        is_open_page || matches!(self, Self::Healthy | Self::Ready)
    }
}
