//! Refuses a request over `grpc.max_message_bytes` by the length that it announces, before any of it is kept. The
//! transport has the same limit, but its sentence names no setting.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use tonic::codegen::StdError;
use tonic::codegen::http::Request;

use crate::model::Invalid;
use crate::service::status::status;

/// Of what precedes a message.
const PREFIX_BYTES: usize = 5;

/// The same request with messages of at most `most` bytes.
pub(super) fn limited<B>(request: Request<B>, most: usize) -> Request<Limited<B>> {
    request.map(|body| Limited {
        body,
        lengths: Lengths::new(most),
    })
}

/// A body of messages that fails at the first that is too long.
#[derive(Debug)]
pub(super) struct Limited<B> {
    body: B,
    lengths: Lengths,
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            self.lengths.check(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Follows the prefixes of the messages, however the body is cut: a flag, then the length in four bytes, most significant
/// first.
#[derive(Debug)]
struct Lengths {
    most: usize,
    /// The last bytes of the prefix; the flag has left it when the length is there.
    prefix: u32,
    /// Bytes of the prefix that have come.
    known: usize,
    /// Bytes of the message that have not.
    ahead: usize,
}

impl Lengths {
    fn new(most: usize) -> Self {
        Self {
            most,
            prefix: 0,
            known: 0,
            ahead: 0,
        }
    }

    fn check(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while let Some((byte, after)) = data.split_first() {
            if self.ahead > 0 {
                let passed = self.ahead.min(data.len());
                self.ahead -= passed;
                data.advance(passed);
                continue;
            }
            self.prefix = self.prefix << 8 | u32::from(*byte);
            self.known += 1;
            data = after;
            if self.known == PREFIX_BYTES {
                self.known = 0;
                self.ahead = self.admitted(self.prefix as usize)?;
            }
        }
        Ok(())
    }

    fn admitted(&self, length: usize) -> Result<usize, Status> {
        if length <= self.most {
            return Ok(length);
        }
        let expected = format!("at most {} bytes, grpc.max_message_bytes", self.most);
        let invalid = Invalid::new("the message", format!("{length} bytes long"), expected);
        Err(status(&invalid.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let prefix = length.to_be_bytes();
        let content = vec![0xff; length as usize];
        [&[1], prefix.as_slice(), &content].concat()
    }

    #[test]
    fn the_first_message_that_is_too_long_is_found_however_the_body_is_cut() {
        let fits = [message(300), message(0), message(299), message(1)].concat();
        let body = [fits.as_slice(), &message(301)].concat();
        for piece in [1, 2, 3, 4, 5, 6, 299, 1000, body.len()] {
            let mut lengths = Lengths::new(300);
            let mut passed = 0;
            let refused = body.chunks(piece).find_map(|data| {
                let refused = lengths.check(data).err();
                passed += data.len();
                refused
            });
            let sentence =
                "the message is 301 bytes long: expected at most 300 bytes, grpc.max_message_bytes";
            assert_eq!(refused.unwrap().message(), sentence);
            // As soon as its length has come.
            let announced = fits.len() + PREFIX_BYTES;
            assert_eq!(passed, announced.next_multiple_of(piece).min(body.len()));
        }
    }
}
