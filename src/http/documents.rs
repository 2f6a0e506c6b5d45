//! What takes more than one read: an incident with its timeline and all that it names, and the
//! post-mortem, which also asks when its cause was first named.

use std::{collections::BTreeMap, sync::Arc};

use warp::{
    http::{HeaderMap, header},
    reply::Response,
};

use super::{
    Api,
    pages::{PICTURE_POLICY, html, named_changes, unwritten},
    params::{Params, When},
    query::{self, Moment},
    reply::{ApiError, json, typed},
    route::Id,
    view::{Answered, Timeline},
};
use crate::{
    correlate::{Answer, Incident, Model},
    engine::Handle,
    event::{Change, ChangeId, Feedback, Time},
    page::{self, Frame},
    picture::{self, Range, Sheet},
    postmortem::{PostMortem, Sources, markdown, postmortem},
    store::View,
};

/// So many times are looked at to find when the cause was first named; each takes a fold.
const LOOKS_MAX: usize = 7;
/// The columns of a picture in text.
const COLUMNS: u16 = 110;

/// An incident with all that is shown of it.
pub(super) struct Documented {
    pub(super) incident: Incident,
    pub(super) changes: BTreeMap<ChangeId, Change>,
    pub(super) timeline: Timeline,
    pub(super) feedback: Vec<Feedback>,
}

/// Reads all that is shown of an incident.
pub(super) fn documented(moment: &Moment<'_>, id: &Id) -> Result<Documented, ApiError> {
    let incident = moment.incident(id)?;
    let changes = named_changes(moment, &incident)?;
    let (timeline, feedback) = query::timeline_of(moment, &incident)?;
    Ok(Documented { incident, changes, timeline, feedback })
}

/// In which form a timeline is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum TimelineForm {
    #[default]
    Json,
    Svg,
    Text,
}

impl TimelineForm {
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        let parse = |text: &str| match text {
            "json" => Ok(Self::Json),
            "svg" => Ok(Self::Svg),
            "text" => Ok(Self::Text),
            other => Err(format!("{other:?} is none of json, svg, text")),
        };
        Ok(params.one("format", parse)?.unwrap_or_default())
    }

    /// The timeline in this form.
    pub(super) fn reply(self, timeline: &Answered<Timeline>, range: Range) -> Response {
        let (entries, at) = (&timeline.body.entries, timeline.at);
        match self {
            Self::Json => json(timeline),
            Self::Svg => {
                let sheet = Sheet::WIDE;
                let picture = picture::picture(entries, range, at, &sheet);
                let drawn = picture::svg(&picture, &sheet, "p", true);
                let mut response = typed("image/svg+xml", drawn.into_bytes());
                let policy = header::HeaderValue::from_static(PICTURE_POLICY);
                response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
                response
            }
            Self::Text => {
                let sheet = Sheet::columns(COLUMNS);
                let picture = picture::picture(entries, range, at, &sheet);
                let drawn = picture::text(&picture, &sheet);
                typed("text/plain; charset=utf-8", drawn.into_bytes())
            }
        }
    }
}

/// In which form a post-mortem is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum DocumentForm {
    Markdown,
    Html,
    Json,
}

impl DocumentForm {
    /// As the query says, else as the headers say it is wanted.
    fn of(params: &Params, headers: &HeaderMap) -> Result<Self, ApiError> {
        let parse = |text: &str| match text {
            "markdown" => Ok(Self::Markdown),
            "html" => Ok(Self::Html),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is none of markdown, html, json")),
        };
        if let Some(form) = params.one("format", parse)? {
            return Ok(form);
        }
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let accepts = |media_type| accept.is_some_and(|accept| accept.contains(media_type));
        Ok(if accepts("text/html") {
            Self::Html
        } else if accepts("application/json") {
            Self::Json
        } else {
            Self::Markdown
        })
    }
}

impl Api {
    /// A post-mortem in the form that is asked for.
    pub(super) async fn postmortem(
        &self,
        id: Id,
        params: &Params,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let (when, form) = (params.when()?, DocumentForm::of(params, headers)?);
        let document = self.document(when, id, params.actors()?).await?;
        Ok(match form {
            DocumentForm::Json => json(&document),
            DocumentForm::Markdown => {
                typed("text/markdown; charset=utf-8", markdown(&document.body).into_bytes())
            }
            DocumentForm::Html => {
                let frame = Frame { at: document.at, fixed: when.at.is_some() };
                let page =
                    page::document(frame, &document.body, Range::default(), &self.trackers(), None);
                html(page.map_err(|error| unwritten(&error))?)
            }
        })
    }

    /// A post-mortem; who changed what is told where `actors` asks for it.
    pub(super) async fn document(
        &self,
        when: When,
        id: Id,
        actors: bool,
    ) -> Result<Answered<PostMortem>, ApiError> {
        let Answered { at, config, body } =
            self.answered(when, move |moment| documented(moment, &id)).await?;
        let engine = self.parts.engine.clone();
        let work = move || {
            let model = engine.model();
            let named_at = named_at(&engine, &model, &body.incident);
            let document = postmortem(Sources {
                incident: &body.incident,
                entries: &body.timeline.entries,
                changes: &body.changes,
                named_at,
                actors,
            });
            Ok(Answered { at, config, body: document })
        };
        self.in_turn(work).await
    }
}

/// When the first suspect was first put first: looked for among the starts of symptoms, with one
/// look back from the first, and halving after that. `None`: it never was, or what that would be
/// read from is dropped.
fn named_at(engine: &Handle, model: &Arc<Model>, incident: &Incident) -> Option<Time> {
    let suspect = incident.suspects.first()?;
    if !matches!(incident.answer, Answer::Likely | Answer::Suspects) {
        return None;
    }
    let is_named = |at: Time| {
        let assessed = engine.as_of(model, at).ok()?;
        let then = assessed.incident(&incident.first_alert.0).ok()??;
        let named = matches!(then.answer, Answer::Likely | Answer::Suspects);
        let first = then.suspects.first()?;
        Some(named && first.changes.iter().any(|id| suspect.changes.contains(id)))
    };
    let mut times: Vec<_> = incident.families.iter().map(|family| family.starts_at).collect();
    times.sort();
    times.dedup();
    let (mut low, mut high) = (0, times.len().checked_sub(1)?);
    if is_named(*times.first()?)? {
        return times.first().copied();
    }
    for _ in 0..LOOKS_MAX {
        if low + 1 >= high {
            break;
        }
        let middle = low.midpoint(high);
        if is_named(*times.get(middle)?)? { high = middle } else { low = middle }
    }
    times.get(high).copied()
}
