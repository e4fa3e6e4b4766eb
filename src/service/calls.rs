//! The calls in progress: counted, so that a stop waits for them and for nothing else, and measured.
//!
//! A call is in progress from its request until its answer has left. The transport takes all of a body that it is given,
//! whether or not the client reads; an answer is therefore handed over in pieces, as the client takes them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::watch;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::transport::server::UdsConnectInfo;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use crate::service::came_to;
use crate::telemetry::metrics::{Metrics, Operation, Outcome, Timed, Transport};
use crate::telemetry::traces::{self, TRACE_PARENT};

/// What the transport is given of an answer at once; most answers are smaller.
const PIECE_BYTES: usize = 1 << 20;

/// Counts calls. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    /// The calls begun; its receivers are the calls in progress.
    begun: Arc<watch::Sender<u64>>,
    metrics: Arc<Metrics>,
}

/// One call in progress.
#[derive(Debug)]
pub(super) struct Call(
    #[expect(dead_code, reason = "counted while it lives")] watch::Receiver<u64>,
);

impl Calls {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            begun: Arc::new(watch::Sender::new(0)),
            metrics,
        }
    }

    /// What measures them.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Begins to measure a call over gRPC.
    fn timed<R>(&self, request: &Request<R>) -> Timed {
        let is_unix = request.extensions().get::<UdsConnectInfo>().is_some();
        let transport = if is_unix {
            Transport::GrpcUnix
        } else {
            Transport::GrpcTcp
        };
        let operation = Operation::of_path(request.uri().path());
        self.metrics.begin(operation, transport)
    }

    /// Waits until no call has been in progress for as long as `quiet`.
    pub(super) async fn none_for(&self, quiet: Duration) {
        loop {
            self.begun.closed().await;
            let before = *self.begun.borrow();
            tokio::time::sleep(quiet).await;
            if *self.begun.borrow() == before {
                return;
            }
        }
    }

    /// Counts one until it is dropped.
    pub(super) fn begin(&self) -> Call {
        self.begun.send_modify(|begun| *begun += 1);
        Call(self.begun.subscribe())
    }
}

impl<S> Layer<S> for Calls {
    type Service = Counted<S>;

    fn layer(&self, service: S) -> Counted<S> {
        Counted {
            service,
            calls: self.clone(),
        }
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(super) struct Counted<S> {
    service: S,
    calls: Calls,
}

impl<S, R, B> Service<Request<R>> for Counted<S>
where
    S: Service<Request<R>, Response = Response<B>, Future: Send + 'static>,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let call = self.calls.begin();
        let mut timed = self.calls.timed(&request);
        let span = span(&request, timed.operation());
        let answer = span.in_scope(|| self.service.call(request));
        Box::pin(async move {
            let answer = answer.instrument(span).await?;
            // One that is refused has the reason before its body, which is none.
            if let Some(outcome) = outcome(answer.headers()) {
                timed.came_to(outcome);
            }
            Ok(answer.map(|body| Answer {
                body,
                rest: Bytes::new(),
                timed,
                _call: call,
            }))
        })
    }
}

/// Of a call until its answer begins to leave, in the trace that its caller names.
fn span<R>(request: &Request<R>, operation: Operation) -> Span {
    let span = traces::call(operation);
    if !span.is_disabled() {
        let parent = request.headers().get(TRACE_PARENT);
        if let Some(parent) = parent.and_then(|parent| parent.to_str().ok()) {
            traces::continue_trace(&span, parent);
        }
    }
    span
}

/// The answer to a call, in pieces.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    /// What the body has given and the transport has not taken.
    rest: Bytes,
    /// Until the last piece is taken.
    timed: Timed,
    _call: Call,
}

/// What a call has come to, where these headers say it.
fn outcome(headers: &HeaderMap) -> Option<Outcome> {
    let status = Status::from_header_map(headers)?;
    Some(came_to::code(status.code()))
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            match frame?.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => {
                    if let Some(outcome) = trailers.trailers_ref().and_then(outcome) {
                        self.timed.came_to(outcome);
                    }
                    return Poll::Ready(Some(Ok(trailers)));
                }
            }
        }
        let piece = PIECE_BYTES.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}
