//! One call: taken from the ring, and completed once, whoever makes it.

use std::sync::Arc;

use tracing::Span;
use wavekv_shm::body::{self, Field};
use wavekv_shm::writer::{WriteError, Writer};
use wavekv_shm::{Completion, Region, Submission};

use super::answers;
use super::peer::Peer;
use crate::collection::Collection;
use crate::engine::batch::Answers;
use crate::model::{Error, ErrorKind, Invalid};
use crate::service::came_to;
use crate::telemetry::metrics::{Outcome, Timed};

/// A call in progress.
#[derive(Debug)]
pub(super) struct Call {
    peer: Arc<Peer>,
    number: u64,
    answer: Region,
    computes: bool,
    completed: bool,
    timed: Timed,
    /// Ends with the call.
    _span: Span,
}

impl Call {
    /// Counts the call until it is completed.
    pub(super) fn begin(
        peer: &Arc<Peer>,
        submission: &Submission,
        computes: bool,
        (timed, span): (Timed, Span),
    ) -> Self {
        peer.begin(computes);
        Self {
            peer: Arc::clone(peer),
            number: submission.call,
            answer: submission.answer,
            computes,
            completed: false,
            timed,
            _span: span,
        }
    }

    /// Bytes that the answer may take.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.answer.bytes).unwrap_or(usize::MAX)
    }

    /// Completes it with the answers of a batch, or with the error that the batch came to.
    pub(super) fn finish<A, T: Field>(
        mut self,
        answers: Result<Answers<A>, Error>,
        put: impl FnMut(A, &Collection, &mut Writer) -> Result<T, WriteError>,
    ) {
        let mut writer = self.writer();
        let body = match answers {
            Ok(answers) => {
                came_to::entries(&answers).for_each(|outcome| self.timed.entry(outcome));
                answers::batch(answers, &mut writer, put)
            }
            Err(error) => return self.fail(&error),
        };
        self.complete_with(body, writer);
    }

    /// Completes it with a body that names no tensor.
    pub(super) fn answer<T: Field>(mut self, answer: &T) {
        let writer = self.writer();
        self.complete_with(Ok(body::encode(answer)), writer);
    }

    /// Completes it with an error of the whole call.
    pub(super) fn fail(mut self, error: &Error) {
        self.complete_failed(error);
    }

    fn writer(&self) -> Writer {
        Writer::new(Arc::clone(&self.peer.memory), self.answer)
    }

    fn complete_with(&mut self, body: Result<Vec<u8>, WriteError>, mut writer: Writer) {
        match body.and_then(|body| writer.put(&body)) {
            Ok(body) => {
                self.timed.came_to(Outcome::Ok);
                self.complete(false, body);
            }
            Err(WriteError::Full { .. }) => {
                let expected = "more: the answers do not fit";
                let invalid = Invalid::new("answer.bytes", self.answer.bytes, expected);
                self.complete_failed(&invalid.into());
            }
            Err(WriteError::Outside(outside)) => self.give_up(&outside),
        }
    }

    fn complete_failed(&mut self, error: &Error) {
        self.timed.came_to(came_to::error(error));
        let failure = body::encode(&answers::failure(error));
        // The descriptor was refused if there is no room for a sentence.
        match self.writer().put(&failure) {
            Ok(body) => self.complete(true, body),
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, why: &dyn std::error::Error) {
        self.completed = true;
        self.peer.give_up(why.to_string(), self.computes);
    }

    fn complete(&mut self, failed: bool, body: Region) {
        self.completed = true;
        let completion = Completion {
            call: self.number,
            boot_epoch: self.peer.boot_epoch,
            failed,
            body,
        };
        self.peer.end(&completion, self.computes);
    }
}

impl Drop for Call {
    /// A call that nobody completed, because the daemon stops or has a bug, is not waited for.
    fn drop(&mut self) {
        if !self.completed {
            let message = "the call was not made: the daemon is stopping";
            self.complete_failed(&Error::new(ErrorKind::Unavailable, message));
        }
    }
}
