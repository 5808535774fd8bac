//! Bodies that come compressed (`Content-Encoding: gzip`).
//!
//! A gzip file has one member or several, one behind the other: programs that write in parts or in parallel make several.
//! All of them are read. What is no whole member breaks the body off, so nothing is lost silently.

use std::error::Error;
use std::io::Write;
use std::mem;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::{TryStreamExt, stream};

use super::problem::Problem;

/// So many bytes unpack to about a megabyte at most, before it is looked at how many they are.
const STEP_BYTES: usize = 1_024;

/// What is handed on at once.
const PIECE_BYTES: usize = 64 * 1_024;

/// Lets the routes take bodies that are compressed: what they see, and what their limit is for, is unpacked. Not for a route
/// that verifies the bytes that were sent.
pub fn with_gzip(routes: Router) -> Router {
    routes.layer(middleware::from_fn(async |mut request: Request, next: Next| -> Response {
        match is_compressed(request.headers()) {
            Ok(false) => next.run(request).await,
            Ok(true) => {
                for header in [header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
                    request.headers_mut().remove(header);
                }
                next.run(request.map(unpacked)).await
            }
            Err(problem) => problem.into_response(),
        }
    }))
}

/// Whether the body is compressed in the one way that is taken.
fn is_compressed(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| Problem::unknown_encoding())?;
        let named = value.split(',').map(|coding| coding.trim().to_ascii_lowercase());
        codings.extend(named.filter(|coding| !coding.is_empty() && coding != "identity"));
    }
    match codings.as_slice() {
        [] => Ok(false),
        [coding] if coding == "gzip" || coding == "x-gzip" => Ok(true),
        _ => Err(Problem::unknown_encoding()),
    }
}

fn unpacked(packed: Body) -> Body {
    let unpacking = Unpacking {
        packed: packed.into_data_stream(),
        piece: Bytes::new(),
        decoder: Some(MultiGzDecoder::new(Vec::new())),
        has_begun: false,
    };
    Body::from_stream(stream::try_unfold(unpacking, Unpacking::next))
}

struct Unpacking {
    packed: BodyDataStream,
    piece: Bytes,
    /// None: the body is at its end.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    has_begun: bool,
}

impl Unpacking {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Box<dyn Error + Send + Sync>> {
        while let Some(decoder) = &mut self.decoder {
            let ready = decoder.get_ref().len();
            if ready >= PIECE_BYTES || (ready > 0 && self.piece.is_empty()) {
                let unpacked = Bytes::from(mem::take(decoder.get_mut()));
                return Ok(Some((unpacked, self)));
            }
            if !self.piece.is_empty() {
                let step = self.piece.split_to(STEP_BYTES.min(self.piece.len()));
                decoder.write_all(&step)?;
            } else if let Some(piece) = self.packed.try_next().await? {
                self.has_begun |= !piece.is_empty();
                self.piece = piece;
            } else {
                // A client that compresses whatever it sends says so of nothing, too.
                let rest = self.decoder.take().filter(|_| self.has_begun);
                let rest = rest.map_or_else(|| Ok(Vec::new()), MultiGzDecoder::finish)?;
                if !rest.is_empty() {
                    return Ok(Some((Bytes::from(rest), self)));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    /// What a body unpacks to that comes in pieces of so many bytes.
    async fn read(packed: &[u8], piece: usize) -> Option<Vec<u8>> {
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            packed.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let body = unpacked(Body::from_stream(stream::iter(pieces)));
        axum::body::to_bytes(body, usize::MAX).await.ok().map(|bytes| bytes.to_vec())
    }

    #[tokio::test]
    async fn all_members_of_a_body_are_read_in_whatever_pieces_they_come() {
        let large = "x,y\n".repeat(100_000);
        let members: [&[u8]; 5] = [b"phone,lead\n", b"", b"+14155550101,a\n", large.as_bytes(), b""];
        let whole = members.concat();
        let packed: Vec<u8> = members.iter().flat_map(|member| zipped(member)).collect();
        for piece in [1, 2, 7, 1_024, packed.len()] {
            assert_eq!(read(&packed, piece).await.as_ref(), Some(&whole), "in pieces of {piece}");
        }
        assert_eq!(read(&zipped(b""), 4).await, Some(Vec::new()));
        assert_eq!(read(b"", 1).await, Some(Vec::new()));
    }

    #[tokio::test]
    async fn what_is_not_whole_members_breaks_the_body_off() {
        let member = zipped(b"phone,lead\n+14155550101,a\n");
        let after = |more: &[u8]| [member.as_slice(), more].concat();
        let mut flipped = member.clone();
        let crc = flipped.len() - 6;
        flipped[crc] ^= 1;
        for (what, packed) in [
            ("a text", after(b"more")),
            ("a byte", after(b"\0")),
            ("zeros", after(&[0; 512])),
            ("the beginning of a header", after(&member[..5])),
            ("half a member", after(&member[..member.len() / 2])),
            ("all but the last byte of a member", after(&member[..member.len() - 1])),
            ("a wrong sum", after(&flipped)),
            ("a text in between", [member.as_slice(), b"x", member.as_slice()].concat()),
        ] {
            for piece in [1, 1_024, packed.len()] {
                assert_eq!(read(&packed, piece).await, None, "{what} in pieces of {piece}");
            }
        }
        for cut in 1..member.len() {
            assert_eq!(read(&member[..cut], member.len()).await, None, "cut at {cut}");
        }
    }

    #[test]
    fn an_encoding_is_known_in_whatever_case_and_no_other_is_taken() {
        for (values, expected) in [
            (&[][..], Some(false)),
            (&["identity"], Some(false)),
            (&["Identity", ""], Some(false)),
            (&["gzip"], Some(true)),
            (&["GZip"], Some(true)),
            (&[" x-gzip , identity"], Some(true)),
            (&["br"], None),
            (&["gzip, gzip"], None),
            (&["gzip", "deflate"], None),
            (&["zip"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(is_compressed(&headers).ok(), expected, "{values:?}");
        }
    }
}
