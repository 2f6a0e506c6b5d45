//! What is posted from pages: feedback, notes, and the token of who logs in.

use serde::Deserialize;
use warp::{
    http::{HeaderValue, header},
    reply::Response,
};

use super::{
    Api, Request,
    body::capped,
    pages::{html, is_own, see_other, unwritten},
    params::Params,
    reply::{ApiError, json},
    route::Id,
};
use crate::{
    clock,
    correlate::{FamilySummary, Incident},
    page::{self, encoded},
    wire::{feedback, note},
};

/// The cookie that holds the token of who has logged in.
pub(super) const COOKIE: &str = "antecede_token";

#[derive(Deserialize)]
struct FeedbackForm {
    change: String,
    verdict: String,
}

#[derive(Deserialize)]
struct NoteForm {
    text: String,
    #[serde(default)]
    author: String,
}

#[derive(Deserialize)]
struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

impl Api {
    /// Feedback from a form; leads back to the incident once it is told there.
    pub(super) async fn feedback_form(
        &self,
        id: Id,
        request: Request,
    ) -> Result<Response, ApiError> {
        let FeedbackForm { change, verdict } = self.form(request).await?;
        let about = self.about(&id).await?;
        let body = serde_json::json!({"change": change, "verdict": verdict}).to_string();
        let normalised = feedback::normalise(body.as_bytes(), &about, clock::now())?;
        Ok(back_to(&id, self.said("feedback", normalised).await?.seq))
    }

    /// Feedback on an incident, as programs post it.
    pub(super) async fn feedback(
        &self,
        id: Id,
        request: Request,
        body_bytes_max: usize,
    ) -> Result<Response, ApiError> {
        let body = capped(&request.headers, request.body, body_bytes_max).await?;
        let about = self.about(&id).await?;
        let normalised = feedback::normalise(&body, &about, clock::now())?;
        Ok(json(&self.said("feedback", normalised).await?))
    }

    /// A note from a form; leads back to the incident once it is told there.
    pub(super) async fn note_form(&self, id: Id, request: Request) -> Result<Response, ApiError> {
        let NoteForm { text, author } = self.form(request).await?;
        let alert = self.first_alert(&id).await?;
        let author = Some(author.trim()).filter(|author| !author.is_empty());
        let body =
            serde_json::json!({"text": text, "author": author, "incident": alert}).to_string();
        let normalised = note::normalise(body.as_bytes(), clock::now())?;
        Ok(back_to(&id, self.said("notes", normalised).await?.seq))
    }

    /// The page that asks for the token, and what comes of one.
    pub(super) async fn login(
        &self,
        params: &Params,
        request: Request,
    ) -> Result<Response, ApiError> {
        let page = |next: &str, wrong| {
            page::login(clock::now(), next, wrong).map(html).map_err(|error| unwritten(&error))
        };
        if request.method != warp::http::Method::POST {
            let next = params.texts("next").into_iter().next().unwrap_or_default();
            return page(&next, false);
        }
        let LoginForm { token, next } = self.form(request).await?;
        let token = token.trim();
        let is_known = match &self.parts.admission.borrow().tokens {
            Some(tokens) => tokens.roles(token).is_some(),
            None => true,
        };
        if !is_known {
            return page(&next, true);
        }
        let mut response = see_other(local(&next));
        let cookie = format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
            encoded(token)
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// A form's fields; only a page of our own may post one.
    pub(super) async fn form<T: serde::de::DeserializeOwned>(
        &self,
        request: Request,
    ) -> Result<T, ApiError> {
        if !is_own(&request) {
            return Err(ApiError::forbidden("this form was posted from another site"));
        }
        let body_bytes_max = self.parts.admission.borrow().body_bytes_max;
        let body = capped(&request.headers, request.body, body_bytes_max).await?;
        serde_urlencoded::from_bytes(&body)
            .map_err(|error| ApiError::unreadable(format!("this is not such a form: {error}")))
    }

    /// What stays when an incident's id changes: the id of its first alert.
    pub(super) async fn first_alert(&self, id: &Id) -> Result<String, ApiError> {
        Ok(self.incident_of(id).await?.first_alert.0)
    }

    /// What feedback on an incident is filed under.
    async fn about(&self, id: &Id) -> Result<feedback::About, ApiError> {
        let incident = self.incident_of(id).await?;
        let labels = incident.families.first().map(FamilySummary::labels).unwrap_or_default();
        Ok(feedback::About { alert: incident.first_alert.0, labels })
    }

    /// The id that an incident has now.
    pub(super) async fn incident_id(&self, id: &Id) -> Result<String, ApiError> {
        Ok(self.incident_of(id).await?.id.0)
    }

    async fn incident_of(&self, id: &Id) -> Result<Incident, ApiError> {
        let id = id.clone();
        let engine = self.parts.engine.clone();
        let read = move || {
            let (_, found) = engine.read(|view| view.incident(&id.0).map_err(ApiError::from))?;
            let nothing = || ApiError::not_found(format!("there is no incident {:?}", id.0));
            found.ok_or_else(nothing)
        };
        self.in_turn(read).await
    }
}

fn back_to(Id(id): &Id, seq: u64) -> Response {
    see_other(&format!("/incidents/{}?wait_seq={seq}", encoded(id)))
}

/// A path of ours, whatever was asked for: a login must not lead elsewhere.
fn local(next: &str) -> &str {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(['\\', '\r', '\n', '\t']);
    if is_local { next } else { "/" }
}
