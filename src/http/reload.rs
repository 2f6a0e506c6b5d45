//! Asks for the configuration to be read anew, and tells what came of it.

use serde::Serialize;
use tokio::sync::{mpsc::error::TrySendError, oneshot};
use warp::reply::Response;

use super::{
    Api,
    reply::{ApiError, json},
};
use crate::problem::Problem;

/// Somebody asks for it, and waits for what comes of it.
#[derive(Debug)]
pub struct Reload {
    /// To whom to tell it.
    pub answer: oneshot::Sender<Result<Reloaded, Vec<Problem>>>,
}

/// The configuration was read anew and is in force.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reloaded {
    /// Its hash, as it stands in answers.
    pub config: String,
    /// Whether the state is assessed under it already; else answers say under what they are.
    pub assessed: bool,
    /// The options that were changed and cannot be while it runs: they are as they were.
    pub needs_restart: Vec<&'static str>,
}

impl Api {
    pub(super) async fn reload(&self) -> Result<Response, ApiError> {
        let Some(asked) = &self.parts.reload else {
            return Err(ApiError::not_found("there is no configuration to read anew"));
        };
        let (answer, answered) = oneshot::channel();
        asked.try_send(Reload { answer }).map_err(|refused| match refused {
            TrySendError::Full(_) => ApiError::not_yet("others wait for the same"),
            TrySendError::Closed(_) => ApiError::internal(),
        })?;
        match answered.await {
            Ok(Ok(reloaded)) => Ok(json(&reloaded)),
            Ok(Err(problems)) => Err(ApiError::unusable(problems)),
            Err(_stopped) => Err(ApiError::internal()),
        }
    }
}
