//! The one table of errors, as `application/problem+json` (RFC 9457), and replies in JSON.

use serde::Serialize;
use serde_json::{Value, json as value};
use warp::{
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use crate::{
    problem,
    store::StoreError,
    wire::{Refused, Rejected, source::Dialect},
};

/// How many seconds to stay away from what is behind, or full: that passes soon.
const SOON: u64 = 1;
/// How many seconds to stay away from what is broken or overrun.
const LATER: u64 = 5;

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct ApiError(Box<Problem>);

#[derive(Debug)]
struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    hint: Option<String>,
    rejected: Vec<Rejected>,
    problems: Vec<problem::Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of an error.
#[derive(Serialize)]
struct Body<'a> {
    status: u16,
    title: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rejected: &'a [Rejected],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [problem::Problem],
}

impl ApiError {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            status,
            detail: detail.into(),
            field: None,
            hint: None,
            rejected: Vec::new(),
            problems: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// A parameter of the query is not what it should be.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, detail);
        error.0.field = Some(name.to_owned());
        error
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allowed}"))
            .header(header::ALLOW, &allowed)
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .header(header::WWW_AUTHENTICATE, "Bearer realm=\"antecede\"")
    }

    /// Whether somebody has to say who they are.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.0.status == StatusCode::UNAUTHORIZED
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// What was posted cannot be read.
    pub(super) fn unreadable(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What it says: status, words, and a hint.
    pub(super) fn words(&self) -> (StatusCode, String, Option<String>) {
        let Problem { status, detail, field, hint, .. } = &*self.0;
        let words =
            field.as_ref().map_or_else(|| detail.clone(), |field| format!("{field}: {detail}"));
        (*status, words, hint.clone())
    }

    /// None of what was posted was understood.
    pub(super) fn all_rejected(rejected: Vec<Rejected>) -> Self {
        Self::rejected("nothing in the body could be taken", rejected)
    }

    /// These were not understood; all else is stored.
    pub(super) fn some_rejected(rejected: Vec<Rejected>) -> Self {
        Self::rejected("the others are stored", rejected)
    }

    fn rejected(detail: &str, rejected: Vec<Rejected>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, detail);
        error.0.rejected = rejected;
        error
    }

    /// The body is packed in a way that we cannot unpack.
    pub(super) fn encoding_not_understood() -> Self {
        let detail = "the body is compressed: send it with gzip, or as it is";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .header(header::ACCEPT_ENCODING, "gzip")
    }

    fn unavailable(detail: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// The engine is not as far as is needed.
    pub(super) fn not_yet(detail: impl Into<String>) -> Self {
        Self::unavailable(detail, SOON)
    }

    /// All readers are busy.
    pub(super) fn busy() -> Self {
        Self::unavailable("too many queries run at once", LATER)
    }

    /// Our own fault; the log says which.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this failed; the daemon's log says why")
    }

    /// The configuration's files cannot be used; what was in force stays.
    pub(super) fn unusable(problems: Vec<problem::Problem>) -> Self {
        let detail = "the configuration cannot be used: the old one stays in force";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
        error.0.problems = problems;
        error
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// The same in the form that a source's clients expect.
    pub(super) fn in_dialect(self, dialect: Dialect) -> Response {
        let thing = match dialect {
            Dialect::Own => return self.into_response(),
            Dialect::Alertmanager => "alert",
            Dialect::PagerDuty | Dialect::Datadog | Dialect::Grafana => "event",
        };
        let Problem { status, detail, field, hint: _, rejected, problems: _, headers } = *self.0;
        let reasons = rejected.iter().map(|Rejected { index, field, reason }| match &**field {
            "" => format!("{thing} {index} {reason}"),
            field => format!("{thing} {index}: {field} {reason}"),
        });
        let detail = field.map_or_else(|| detail.clone(), |field| format!("{field}: {detail}"));
        let said: Vec<_> = reasons.chain([detail]).collect();
        let mut response = match dialect {
            Dialect::PagerDuty => json(&value!({
                "status": "invalid event", "message": "Event object is invalid", "errors": said,
            })),
            Dialect::Datadog => json(&value!({ "errors": said })),
            Dialect::Grafana => json(&value!({ "message": said.join("; ") })),
            Dialect::Alertmanager | Dialect::Own => json(&said.join("; ")),
        };
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }

    pub(super) fn into_response(self) -> Response {
        let Problem { status, detail, field, hint, rejected, problems, headers } = *self.0;
        let body = Body {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default(),
            detail: &detail,
            field: field.as_deref(),
            hint: hint.as_deref(),
            rejected: &rejected,
            problems: &problems,
        };
        let mut response = typed("application/problem+json", to_json(&body));
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::unavailable(error.to_string(), SOON),
            StoreError::Dropped { .. } => {
                let detail = format!("an answer as of then takes more: {error}");
                let mut gone = Self::new(StatusCode::GONE, detail);
                gone.0.field = Some("at".to_owned());
                gone.hint("ask without `at`: incidents of then are kept as they were told last")
            }
            StoreError::Unavailable(_) | StoreError::Unsynced { .. } => {
                tracing::error!(%error, "a store cannot be used");
                Self::unavailable("the store is not available", LATER)
            }
            StoreError::Damaged { .. } | StoreError::Refused { .. } => {
                tracing::error!(%error, "a store cannot be used");
                Self::internal()
            }
        }
    }
}

impl From<Refused> for ApiError {
    fn from(Refused { field, reason }: Refused) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, reason);
        error.0.field = field;
        error
    }
}

/// A reply that says nothing but that all is well.
pub(super) fn empty() -> Response {
    Response::new(Vec::new().into())
}

/// That a post was taken, as the clients of another product expect to hear it.
pub(super) fn foreign(dialect: Dialect, seq: u64, id: Option<&str>) -> Response {
    let (status, body) = match dialect {
        Dialect::PagerDuty => {
            let mut body = value!({ "status": "success", "message": "Event processed" });
            if let (Some(id), Some(fields)) = (id, body.as_object_mut()) {
                fields.insert("dedup_key".to_owned(), Value::from(id));
            }
            (StatusCode::ACCEPTED, body)
        }
        Dialect::Datadog => {
            (StatusCode::ACCEPTED, value!({ "status": "ok", "event": { "id": seq } }))
        }
        Dialect::Grafana => (StatusCode::OK, value!({ "message": "Annotation added", "id": seq })),
        Dialect::Own | Dialect::Alertmanager => (StatusCode::OK, Value::Null),
    };
    let mut response = json(&body);
    *response.status_mut() = status;
    response
}

/// That a sender of CloudEvents may post here, from wherever it asks and as often as it likes.
pub(super) fn handshake(origin: Option<&HeaderValue>) -> Response {
    let mut response = empty();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = origin {
        headers.insert("webhook-allowed-origin", origin.clone());
        headers.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    response
}

/// A reply in JSON.
pub(super) fn json(body: &impl Serialize) -> Response {
    typed("application/json", to_json(body))
}

/// A reply of this media type.
pub(super) fn typed(media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    // Replies hold strings, numbers and maps with string keys: JSON can say all of them.
    serde_json::to_vec(body).unwrap_or_default()
}
