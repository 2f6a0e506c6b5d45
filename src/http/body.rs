//! A request's body, read from the stream up to a limit, and unpacked where it is gzip; its
//! `Content-Type` is not looked at.

use std::{
    io::{self, Write as _},
    pin::Pin,
    time::Duration,
};

use flate2::write::MultiGzDecoder;
use futures_util::{Stream, StreamExt as _};
use warp::{
    Buf, Filter,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    hyper::body::Bytes,
    reject::Rejection,
};

use super::reply::ApiError;

/// The chunks of a body as they come.
pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// A body that takes longer is given up; one of the largest takes 3 s at 20 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The body, not yet read.
pub(super) fn streamed() -> impl Filter<Extract = (Body,), Error = Rejection> + Copy {
    warp::body::stream().map(|chunks| -> Body { boxed(chunks) })
}

fn boxed(chunks: impl Stream<Item = Result<impl Buf, warp::Error>> + Send + 'static) -> Body {
    Box::pin(chunks.map(|chunk| {
        // It is handed over, not copied.
        chunk.map(|mut buffer| buffer.copy_to_bytes(buffer.remaining()))
    }))
}

/// The whole body, however it is transferred: at most `max` bytes, before and after it is unpacked.
pub(super) async fn capped(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Vec<u8>, ApiError> {
    let sink = Sink::of(headers, max)?;
    tokio::time::timeout(READ_TIMEOUT, collect(body, sink, max)).await.unwrap_or_else(|_elapsed| {
        let detail = format!("the body did not come within {} s", READ_TIMEOUT.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

async fn collect(mut body: Body, mut sink: Sink, max: usize) -> Result<Vec<u8>, ApiError> {
    let mut room = max;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
        })?;
        room = room.checked_sub(chunk.len()).ok_or_else(|| too_large(max))?;
        sink.write(&chunk).map_err(|error| refusal(&error, max))?;
    }
    sink.finish().map_err(|error| refusal(&error, max))
}

fn too_large(max: usize) -> ApiError {
    let detail = format!("the body is larger than {max} bytes: split it");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn refusal(error: &io::Error, max: usize) -> ApiError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return too_large(max);
    }
    ApiError::new(StatusCode::BAD_REQUEST, format!("the body is no gzip: {error}"))
}

/// Where a body goes, by its `Content-Encoding`; it is unpacked as it comes.
enum Sink {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Sink {
    fn of(headers: &HeaderMap, max: usize) -> Result<Self, ApiError> {
        let capped = Capped { bytes: Vec::new(), max };
        let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
        match encoding.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Ok(Self::Plain(capped)),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(capped)))),
            Some(_) => Err(ApiError::encoding_not_understood()),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(capped) => capped.write_all(chunk),
            Self::Gzip(unpacked) => unpacked.write_all(chunk),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(capped) => Ok(capped.bytes),
            Self::Gzip(unpacked) => Ok(unpacked.finish()?.bytes),
        }
    }
}

/// Bytes up to a limit: a small body may unpack to any size.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
