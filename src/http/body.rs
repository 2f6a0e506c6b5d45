//! A request's body, read from the stream up to a limit; its `Content-Type` is not looked at.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use warp::{
    Buf, Filter,
    http::{HeaderMap, StatusCode, header},
    reject::Rejection,
};

use super::reply::ApiError;

/// The chunks of a body as they come.
pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Vec<u8>, warp::Error>> + Send>>;

/// A body that takes longer is given up; one of the largest takes 3 s at 20 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The body, not yet read.
pub(super) fn streamed() -> impl Filter<Extract = (Body,), Error = Rejection> + Copy {
    warp::body::stream().map(|chunks| -> Body { boxed(chunks) })
}

fn boxed(chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> Body {
    Box::pin(chunks.map(|chunk| {
        chunk.map(|mut buffer| {
            let mut bytes = vec![0; buffer.remaining()];
            buffer.copy_to_slice(&mut bytes);
            bytes
        })
    }))
}

/// The whole body, of at most `max` bytes, however it is transferred.
pub(super) async fn capped(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Vec<u8>, ApiError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        let detail = "the body is compressed: send it as it is";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    tokio::time::timeout(READ_TIMEOUT, collect(body, max)).await.unwrap_or_else(|_elapsed| {
        let detail = format!("the body did not come within {} s", READ_TIMEOUT.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

async fn collect(mut body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
        })?;
        if bytes.len() + chunk.len() > max {
            let detail = format!("the body is larger than {max} bytes: split it");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
