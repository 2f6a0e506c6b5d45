//! Who is heard: heartbeats in, and who is silent out.

use chrono::TimeDelta;
use serde::Serialize;
use warp::reply::Response;

use super::{
    Api, Request,
    body::capped,
    reply::{ApiError, json},
    route::Id,
};
use crate::{
    clock,
    event::Time,
    feed::{Carries, FeedName},
    hearing::FeedState,
};

/// What is said to who is there.
#[derive(Serialize)]
struct Beaten {
    feed: FeedName,
    heard_at: Time,
}

/// All feeds, as of now: who is silent depends on it.
#[derive(Serialize)]
struct Feeds {
    at: Time,
    feeds: Vec<Feed>,
}

/// One feed.
#[derive(Serialize)]
struct Feed {
    name: FeedName,
    carries: Carries,
    /// `null`: nobody knows yet how often it is heard.
    every_seconds: Option<i64>,
    configured: bool,
    first_heard: Option<Time>,
    last_heard: Option<Time>,
    silent: bool,
}

impl From<FeedState> for Feed {
    fn from(state: FeedState) -> Self {
        let FeedState { name, carries, every, configured, heard, silent } = state;
        Self {
            name,
            carries,
            every_seconds: every.as_ref().map(TimeDelta::num_seconds),
            configured,
            first_heard: heard.map(|(first, _)| first),
            last_heard: heard.map(|(_, last)| last),
            silent,
        }
    }
}

impl Api {
    /// A feed says that it is there. What else it says is read, so that whatever posts here can go on
    /// to say it, and left alone.
    pub(super) async fn heartbeat(
        &self,
        Id(feed): Id,
        request: Request,
    ) -> Result<Response, ApiError> {
        let body_bytes_max = self.parts.admission.borrow().body_bytes_max;
        drop(capped(&request.headers, request.body, body_bytes_max).await?);
        let (feed, heard_at) = (FeedName(feed), clock::now());
        if self.parts.hearing.beat(&feed, heard_at) {
            return Ok(json(&Beaten { feed, heard_at }));
        }
        let error = ApiError::not_found(format!("there is no feed {:?}", feed.0));
        Err(error.hint("add it to the configuration, as [[feed]] with `name` and `every`"))
    }

    /// Who is heard, and who is silent.
    pub(super) fn feeds(&self) -> Response {
        let at = clock::now();
        let feeds = self.parts.hearing.feeds(at).into_iter().map(Feed::from).collect();
        json(&Feeds { at, feeds })
    }
}
