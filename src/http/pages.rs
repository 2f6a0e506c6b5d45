//! What people see in a browser: the same reads as the API's, written as pages.

use std::collections::BTreeMap;

use warp::{
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use super::{
    Api, Request,
    documents::documented,
    params::{LIST, MOMENT, Params, Selection, When, cursor},
    query::{self, Moment},
    reply::{ApiError, typed},
    route::Id,
};
use crate::{
    clock,
    correlate::{Incident, State},
    event::{Change, ChangeId},
    feed::Carries,
    hearing::Hearing,
    page::{self, Frame, encoded},
    picture::Range,
    say::show_moment,
    store::Paged,
};

/// A page, and what is posted from one.
#[derive(Clone, Debug)]
pub(super) enum View {
    Home,
    Incident(Id),
    Document(Id),
    Explore,
    Login,
    Asset(String),
    /// Feedback from a form.
    Feedback(Id),
    /// A note from a form.
    Note(Id),
    /// An action item from a form.
    Action(Id),
}

impl View {
    /// The path's form: what it is counted under.
    pub(super) const fn route(&self) -> &'static str {
        match self {
            Self::Home => "/",
            Self::Incident(_) => "/incidents/{id}",
            Self::Document(_) => "/incidents/{id}/postmortem",
            Self::Explore => "/explore",
            Self::Login => "/login",
            Self::Asset(_) => "/assets/{name}",
            Self::Feedback(_) => "/incidents/{id}/feedback",
            Self::Note(_) => "/incidents/{id}/notes",
            Self::Action(_) => "/incidents/{id}/actions",
        }
    }

    pub(super) const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Home | Self::Incident(_) | Self::Document(_) | Self::Explore | Self::Asset(_) => {
                &[Method::GET, Method::HEAD]
            }
            Self::Login => &[Method::GET, Method::HEAD, Method::POST],
            Self::Feedback(_) | Self::Note(_) | Self::Action(_) => &[Method::POST],
        }
    }

    /// Whether it is shown without a token.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Login | Self::Asset(_))
    }

    const fn parameters(&self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Home => &[&LIST, &["state"], &MOMENT],
            Self::Incident(_) => &[&["start", "end"], &MOMENT],
            Self::Document(_) => &[&["start", "end", "sent", "actors"], &MOMENT],
            Self::Explore => &[&["start", "end", "match[]"], &MOMENT],
            Self::Login => &[&["next"]],
            Self::Asset(_) | Self::Feedback(_) | Self::Note(_) | Self::Action(_) => &[],
        }
    }
}

/// What a page may load, and from where: nothing but its own assets and answers.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What a picture that stands alone may do: show itself.
pub(super) const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A page as a reply.
pub(super) fn html(text: String) -> Response {
    let mut response = typed("text/html; charset=utf-8", text.into_bytes());
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Leads on to another page.
pub(super) fn see_other(to: &str) -> Response {
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Leads who has no token to where they can give one, and back from there.
pub(super) fn to_login(request: &Request) -> Response {
    let query = serde_urlencoded::to_string(&request.query).unwrap_or_default();
    let next = match query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    see_other(&format!("/login?next={}", encoded(&next)))
}

impl Api {
    /// Shows a page, or takes what is posted from one.
    pub(super) async fn show(&self, view: View, request: Request) -> Result<Response, ApiError> {
        let params = Params::new(request.query.clone(), Some(view.parameters()))?;
        match view {
            View::Asset(path) => asset(&path),
            View::Login => self.login(&params, request).await,
            View::Feedback(id) => self.feedback_form(id, request).await,
            View::Note(id) => self.note_form(id, request).await,
            View::Action(id) => self.action_form(id, request).await,
            View::Home => {
                let (when, select) = (params.when()?, params.selection()?);
                self.written(when, move |moment, frame| home(moment, frame, &select)).await
            }
            View::Incident(id) => {
                let (when, select) = (params.when()?, params.selection()?);
                let range = Range { from: select.page.start, to: select.page.end };
                self.written(when, move |moment, frame| incident(moment, frame, &id, range)).await
            }
            View::Explore => {
                let (when, select) = (params.when()?, params.selection()?);
                let matchers = params.texts("match[]");
                self.written(when, move |moment, frame| explore(moment, frame, &select, &matchers))
                    .await
            }
            View::Document(id) => {
                let (when, select) = (params.when()?, params.selection()?);
                let range = Range { from: select.page.start, to: select.page.end };
                let document = self.document(when, id, params.actors()?).await?;
                let frame = Frame { at: document.at, fixed: when.at.is_some() };
                let sent = params.texts("sent").into_iter().next();
                let trackers = self.trackers();
                page::document(frame, &document.body, range, &trackers, sent.as_deref())
                    .map(html)
                    .map_err(|error| unwritten(&error))
            }
        }
    }

    /// A page made from what `work` reads.
    async fn written(
        &self,
        when: When,
        work: impl Fn(&Moment<'_>, Frame) -> Result<String, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let fixed = when.at.is_some();
        let page =
            self.answered(when, move |moment| work(moment, Frame { at: moment.at, fixed })).await?;
        Ok(html(page.body))
    }
}

pub(super) fn unwritten(error: &page::Unwritten) -> ApiError {
    tracing::error!(%error, "a page cannot be written");
    ApiError::internal()
}

fn asset(path: &str) -> Result<Response, ApiError> {
    let nothing = || ApiError::not_found("there is no such asset: load the page anew");
    let asset = page::asset(path).ok_or_else(nothing)?;
    let mut response = typed(asset.media_type, asset.content.clone().into_bytes());
    let headers = response.headers_mut();
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, for_ever);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// What is open, however old it is, and then a page of the others.
fn home(moment: &Moment<'_>, frame: Frame, select: &Selection) -> Result<String, ApiError> {
    let open = query::open_incidents(moment)?;
    let Paged { mut items, next } = query::incidents_of(moment, select)?;
    items.retain(|incident| incident.state != State::Open);
    let listed = page::Listed {
        frame,
        open: &open,
        recent: &items,
        next: next.as_ref().map(cursor),
        silent: moment.hearing.map(silent).unwrap_or_default(),
    };
    page::incidents(&listed).map_err(|error| unwritten(&error))
}

/// Who should be heard and is not.
fn silent(hearing: &Hearing) -> Vec<String> {
    let silent = hearing.feeds(clock::now()).into_iter().filter(|feed| feed.silent);
    let words = silent.map(|feed| {
        let what = match feed.carries {
            Carries::Alerts => "alerts may be missing",
            Carries::Changes => "changes may be missing",
        };
        let since = feed.heard.map_or("ever".to_owned(), |(_, last)| show_moment(last));
        format!("Not heard from {} since {since}: {what}.", feed.name)
    });
    words.collect()
}

fn incident(moment: &Moment<'_>, frame: Frame, id: &Id, range: Range) -> Result<String, ApiError> {
    let documented = documented(moment, id)?;
    let shown = page::Shown {
        frame,
        incident: &documented.incident,
        changes: &documented.changes,
        entries: &documented.timeline.entries,
        truncated: documented.timeline.truncated,
        feedback: &documented.feedback,
        range,
    };
    page::incident(&shown).map_err(|error| unwritten(&error))
}

fn explore(
    moment: &Moment<'_>,
    frame: Frame,
    select: &Selection,
    matchers: &[String],
) -> Result<String, ApiError> {
    let (start, end) = query::range_of(moment, select);
    let timeline = query::timeline(moment, select)?;
    let explored = page::Explored {
        frame,
        start,
        end,
        matchers,
        entries: &timeline.entries,
        truncated: timeline.truncated,
    };
    page::explore(&explored).map_err(|error| unwritten(&error))
}

/// The changes that an incident names.
pub(super) fn named_changes(
    moment: &Moment<'_>,
    incident: &Incident,
) -> Result<BTreeMap<ChangeId, Change>, ApiError> {
    let suspects = incident.suspects.iter().flat_map(|suspect| &suspect.changes);
    let mut changes = BTreeMap::new();
    for id in suspects.chain(&incident.responses) {
        if let Some(change) = moment.view.change(id)? {
            changes.insert(id.clone(), change);
        }
    }
    Ok(changes)
}

/// An error as a page, for who asked with a browser.
pub(super) fn failed(error: ApiError) -> Response {
    let (status, words, hint) = error.words();
    let page = page::failure(clock::now(), status.as_u16(), &words, hint.as_deref());
    let Ok(page) = page else { return error.into_response() };
    let mut response = html(page);
    *response.status_mut() = status;
    response
}

/// Whether a request was made by a page of our own: another site's must not speak for its reader.
pub(super) fn is_own(request: &Request) -> bool {
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, from)| from == host)
        }
        // Neither is sent by programs, which nobody lures.
        (None, None, _) => true,
        (None, Some(_), None) => false,
    }
}
