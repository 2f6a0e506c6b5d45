//! Action items: sent on to where work is kept, as far as the configuration says where that is.

use serde::{Deserialize, Serialize};
use warp::{http::StatusCode, reply::Response};

use super::{
    Api, Request,
    body::capped,
    pages::see_other,
    reply::{ApiError, json},
    route::Id,
};
use crate::{
    notify::{ActionItem, Desk},
    page::encoded,
};

/// So long a title may be, in characters: what trackers take.
const TITLE_MAX: usize = 250;
/// So long a description may be.
const DESCRIPTION_MAX: usize = 16 << 10;

/// An action item as it is posted.
#[derive(Deserialize)]
struct Written {
    to: String,
    title: String,
    #[serde(default)]
    description: String,
}

/// That it is kept, and will be sent.
#[derive(Serialize)]
struct Kept {
    id: String,
}

impl Api {
    /// What action items may be sent to.
    pub(super) fn trackers(&self) -> Vec<&'static str> {
        self.parts.desk.as_ref().map(Desk::words).unwrap_or_default()
    }

    /// Takes an action item, as programs post it.
    pub(super) async fn act(
        &self,
        id: Id,
        request: Request,
        body_bytes_max: usize,
    ) -> Result<Response, ApiError> {
        let body = capped(&request.headers, request.body, body_bytes_max).await?;
        let written = serde_json::from_slice(&body)
            .map_err(|error| ApiError::unreadable(error.to_string()))?;
        let kept = self.keep(&id, written).await?;
        let mut response = json(&kept);
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }

    /// Takes an action item from a form; leads back to the post-mortem.
    pub(super) async fn action_form(&self, id: Id, request: Request) -> Result<Response, ApiError> {
        let written: Written = self.form(request).await?;
        let to = written.to.clone();
        self.keep(&id, written).await?;
        let (id, to) = (encoded(&id.0), encoded(&to));
        Ok(see_other(&format!("/incidents/{id}/postmortem?sent={to}#actions")))
    }

    async fn keep(&self, id: &Id, written: Written) -> Result<Kept, ApiError> {
        let Written { to, title, description } = written;
        let title = title.trim().to_owned();
        if title.is_empty() || title.chars().count() > TITLE_MAX {
            let detail = format!("has to have 1 to {TITLE_MAX} characters");
            return Err(ApiError::parameter("title", detail));
        }
        if description.len() > DESCRIPTION_MAX {
            return Err(ApiError::parameter("description", "is too long"));
        }
        let incident = self.incident_id(id).await?;
        let Some(desk) = self.parts.desk.clone() else { return Err(self.nowhere(&to)) };
        let item = ActionItem { incident, title, description };
        let name = to.clone();
        let kept = self.in_turn(move || Ok(desk.take(&name, &item)?)).await?;
        kept.map(|id| Kept { id: id.0 }).ok_or_else(|| self.nowhere(&to))
    }

    fn nowhere(&self, to: &str) -> ApiError {
        let error = ApiError::parameter("to", format!("nothing called {to:?} is configured"));
        match self.trackers()[..] {
            [] => error.hint("add [actions.webhook], [actions.linear] or [actions.jira]"),
            ref known => error.hint(format!("there is {}", known.join(", "))),
        }
    }
}
