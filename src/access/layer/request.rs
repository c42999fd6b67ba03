//! The input of a call: its metadata and the frame of its one message.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use tonic::Code;

use crate::{
    access::wire,
    error::{Error, Result},
    format, limits,
    proto::pb::ErrorReason,
};

/// Names the encoding of the messages of a call.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// Names the encodings that the server accepts.
pub const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// The one accepted encoding.
pub const IDENTITY: &str = "identity";
/// The key under which the metadata of a refusal names it.
pub const ACCEPTED_KEY: &str = "accepted";

/// A flag and the length precede a message.
pub const FRAME_HEAD_BYTES: usize = 5;

/// How much earlier than the caller the server gives up. So its answer still arrives, and the transport does
/// not end the call with a status of its own.
const MARGIN_MAX: Duration = Duration::from_millis(5);

/// Reads one of the contract's metadata.
pub fn metadata<'a>(headers: &'a HeaderMap, key: &'static str) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(key).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let fits = |text: &&str| {
        !text.is_empty()
            && text.len() <= limits::METADATA_BYTES_MAX
            && format::is_printable_ascii(text)
    };
    match (value.to_str().ok().filter(fits), values.next()) {
        (Some(text), None) => Ok(Some(text)),
        _ => {
            let max = limits::METADATA_BYTES_MAX;
            let text = format!("must occur once, with 1 to {max} printable ASCII characters");
            Err(Error::invalid_field(key, "MALFORMED", text))
        }
    }
}

/// The time at which a call that began at `started` has to be answered, and the deadline of its handler. An
/// open stream lasts as long as its caller waits.
pub fn deadlines(
    headers: &HeaderMap,
    started: Instant,
    streams: bool,
) -> (Instant, Option<Instant>) {
    let asked = deadline(headers);
    let wait = asked.unwrap_or(limits::DEADLINE_DEFAULT);
    let answer = started + wait.min(limits::DEADLINE_MAX);
    if streams {
        // A deadline beyond all time is none.
        (answer, asked.and_then(|asked| started.checked_add(asked)))
    } else {
        (answer, Some(answer))
    }
}

/// The timeout of the caller, if it names one.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let asked = match unit {
        "H" => Duration::from_secs(number * 60 * 60),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(asked.saturating_sub((asked / 10).min(MARGIN_MAX)))
}

/// Refuses a call whose messages are encoded.
pub fn check_encoding(headers: &HeaderMap) -> Result<()> {
    let encoding = headers.get(ENCODING);
    match encoding.filter(|encoding| *encoding != IDENTITY) {
        Some(encoding) => Err(compressed(encoding)),
        None => Ok(()),
    }
}

/// Receives the request: its one complete frame, and the message in it. A request that is too large or is no
/// frame is refused as soon as that is known, whatever its client sends next. Its message has at most `max`
/// bytes. `count` is called with the length before the rest arrives; its result is returned.
pub async fn receive<R>(
    headers: &HeaderMap,
    mut body: Body,
    max: usize,
    count: impl Fn(usize) -> Result<R>,
) -> Result<(Bytes, Bytes, R)> {
    check_encoding(headers)?;
    let mut received = Bytes::new();
    let mut pieces = BytesMut::new();
    let mut begun = None;
    while let Some(frame) = body.frame().await {
        // A client that leaves amid its request gets no answer.
        let Ok(data) = frame.map_err(|_| wire::malformed())?.into_data() else {
            continue;
        };
        // Nearly every request arrives in one piece, which is not copied.
        if received.is_empty() && pieces.is_empty() {
            received = data;
        } else {
            if pieces.is_empty() {
                pieces.extend_from_slice(&std::mem::take(&mut received));
            }
            pieces.extend_from_slice(&data);
        }
        let so_far = if pieces.is_empty() {
            &received[..]
        } else {
            &pieces[..]
        };
        if begun.is_none()
            && let Some(length) = announced(so_far, max)?
        {
            begun = Some((length + FRAME_HEAD_BYTES, count(length)?));
        }
        if begun
            .as_ref()
            .is_some_and(|(length, _)| so_far.len() > *length)
        {
            return Err(wire::malformed());
        }
    }
    if !pieces.is_empty() {
        received = pieces.freeze();
    }
    let (length, counted) = begun.ok_or_else(wire::malformed)?;
    if length != received.len() {
        return Err(wire::malformed());
    }
    let message = received.slice(FRAME_HEAD_BYTES..);
    Ok((received, message, counted))
}

/// The length of the message that a frame begins with, once it is known.
pub fn announced(frame: &[u8], max: usize) -> Result<Option<usize>> {
    let Some(([flag, length @ ..], _)) = frame.split_first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(None);
    };
    match flag {
        0 => {}
        1 => return Err(compressed_without_encoding()),
        _ => return Err(wire::malformed()),
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > max {
        return Err(too_large(max));
    }
    Ok(Some(length))
}

fn compressed(encoding: &HeaderValue) -> Error {
    let named = encoding.to_str().unwrap_or("the encoding");
    let text = format!("{named:?} is not supported; send requests uncompressed ({IDENTITY})");
    Error::new(Code::Unimplemented, ErrorReason::Unimplemented, text).with(ACCEPTED_KEY, IDENTITY)
}

/// The error for a compressed message without `grpc-encoding`, which the gRPC specification makes INTERNAL.
fn compressed_without_encoding() -> Error {
    let text = "the message is marked as compressed, but grpc-encoding names no encoding";
    Error::new(Code::Internal, ErrorReason::MalformedRequest, text)
}

fn too_large(max: usize) -> Error {
    let text = format!("the request is larger than {max} bytes");
    Error::new(Code::ResourceExhausted, ErrorReason::RequestTooLarge, text)
        .with("limit", max.to_string())
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use http::HeaderValue;
    use http_body_util::StreamBody;

    use super::*;

    async fn receive(headers: &HeaderMap, body: Body) -> Result<(Bytes, Bytes)> {
        let received = super::receive(headers, body, limits::REQUEST_BYTES_MAX, |_| Ok(()));
        received.await.map(|(frame, message, _)| (frame, message))
    }

    fn headers(values: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (key, value) in values {
            headers.append(*key, HeaderValue::from_static(value));
        }
        headers
    }

    fn in_pieces(pieces: &[&[u8]]) -> Body {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Bytes::copy_from_slice(piece))
            .map(|piece| Ok::<_, std::convert::Infallible>(http_body::Frame::data(piece)))
            .collect();
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    #[test]
    fn deadlines_are_read_in_every_unit() {
        let read = |value| deadline(&headers(&[("grpc-timeout", value)]));

        assert_eq!(read("2S"), Some(Duration::from_millis(1_995)));
        assert_eq!(read("10m"), Some(Duration::from_millis(9)));
        let long = Duration::from_secs(99_999_999 * 3_600) - MARGIN_MAX;
        assert_eq!(read("99999999H"), Some(long));
        for value in ["", "S", "5", "5x", "-5S", "999999999S", "+5S", "5.5S"] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    /// An answer still has to come within the longest deadline.
    #[test]
    fn a_stream_goes_on_for_as_long_as_its_caller_waits() {
        let started = Instant::now();
        let hour = headers(&[("grpc-timeout", "1H")]);
        let answer = started + limits::DEADLINE_MAX;

        assert_eq!(deadlines(&hour, started, false), (answer, Some(answer)));
        let (opened, ends) = deadlines(&hour, started, true);
        assert_eq!(opened, answer);
        let hour = Duration::from_secs(3_600);
        assert_eq!(ends, Some(started + hour - MARGIN_MAX));
        let (opened, ends) = deadlines(&headers(&[]), started, true);
        assert_eq!((opened, ends), (started + limits::DEADLINE_DEFAULT, None));
    }

    #[test]
    fn metadata_is_there_once_and_prints() {
        let read = |values: &[_]| {
            metadata(&headers(values), "clientela-actor").map(|value| value.map(str::to_owned))
        };

        assert_eq!(read(&[]).unwrap(), None);
        let actor = ("clientela-actor", "staff/anna");
        assert_eq!(read(&[actor]).unwrap().as_deref(), Some("staff/anna"));
        assert!(read(&[actor, actor]).is_err());
        assert!(read(&[("clientela-actor", "")]).is_err());
        assert!(read(&[("clientela-actor", "a\tb")]).is_err());
    }

    #[tokio::test]
    async fn a_request_is_one_whole_frame_however_it_is_cut() {
        for pieces in [
            &[b"\0\0\0\0\x02ab".as_slice()] as &[_],
            &[b"\0\0".as_slice(), b"\0\0\x02a", b"", b"b"],
        ] {
            let (frame, message) = receive(&headers(&[]), in_pieces(pieces)).await.unwrap();
            assert_eq!(frame, b"\0\0\0\0\x02ab".as_slice());
            assert_eq!(message, b"ab".as_slice());
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_one_frame_is_malformed() {
        for pieces in [
            &[] as &[&[u8]],
            &[b"\0\0\0".as_slice()],
            &[b"\0\0\0\0\x02a"],
            &[b"\0\0\0\0\x02abc"],
            &[b"\0\0\0\0\x01a\0\0\0\0\x01b"],
            &[b"\x07\0\0\0\x01a"],
        ] {
            let error = receive(&headers(&[]), in_pieces(pieces)).await.unwrap_err();
            assert_eq!(error.reason(), ErrorReason::MalformedRequest, "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn compressed_requests_are_not_taken() {
        let flagged = receive(&headers(&[]), in_pieces(&[b"\x01\0\0\0\x01a"])).await;
        let gzip = headers(&[("grpc-encoding", "gzip")]);
        let named = receive(&gzip, in_pieces(&[b"\x01\0\0\0\x01a"])).await;

        assert_eq!(flagged.unwrap_err().code(), Code::Internal);
        assert_eq!(named.unwrap_err().code(), Code::Unimplemented);
    }

    #[tokio::test]
    async fn a_request_beyond_the_limit_is_refused_at_its_length() {
        let head = futures::stream::iter([Ok::<_, std::convert::Infallible>(
            http_body::Frame::data(Bytes::from_static(b"\0\0\x10\0\x01")),
        )]);
        let never_whole = head.chain(futures::stream::pending());

        let error = receive(&headers(&[]), Body::new(StreamBody::new(never_whole)))
            .await
            .unwrap_err();

        assert_eq!(error.reason(), ErrorReason::RequestTooLarge);
        assert_eq!(error.metadata("limit"), Some("1048576"));
    }

    #[tokio::test]
    async fn a_request_that_goes_on_after_its_frame_is_refused_at_once() {
        let piece = |_| Ok(http_body::Frame::data(Bytes::from_static(b"\0\0\0\0\x01a")));
        let endless = futures::stream::iter(0..).map(piece);
        let endless = endless.map(|frame: Result<_, std::convert::Infallible>| frame);

        let error = receive(&headers(&[]), Body::new(StreamBody::new(endless)))
            .await
            .unwrap_err();

        assert_eq!(error.reason(), ErrorReason::MalformedRequest);
    }
}
