//! Traces: where the settings name a collector, it is sent what became of a call, from the call to the stages of its
//! arithmetic, in the trace that the caller names.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::harness::mode::budget;
use crate::harness::{Collection, Daemon, Sequence, Shape};

const TRACE: [u8; 16] = [0xab; 16];
const CALLER: [u8; 8] = [0xcd; 8];
const TRACE_PARENT: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01";

/// What was sent.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0.lock().await.extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// One that listens, and the setting that names it.
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setting = format!(
            "trace.otlp_endpoint=http://{}",
            listener.local_addr().unwrap()
        );
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, setting)
    }
}

/// Has a daemon answer an attend: of a trace over gRPC, or of none over shared memory. What its collector was sent until it
/// ended.
async fn spans(trace_parent: Option<&str>, share: &str) -> Vec<Span> {
    let (collector, endpoint) = Collector::start().await;
    let mut daemon = Daemon::with(&[&endpoint, share]);
    let client = daemon.client().await;
    let shape = Shape::default();
    let collection = Collection::create(&client, shape).await;
    let sequence = Sequence::random(shape, 400, 1);
    collection.insert(&sequence, 0..400).await;
    collection.settle().await;
    let caller = match trace_parent {
        Some(parent) => client.clone().with_trace_parent(parent).unwrap(),
        None => daemon.shm_client().await,
    };
    let collection = collection.on(&caller);
    collection.attend(&sequence, &[399], budget(0.2)).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().await.success(), "{}", daemon.log());
    let spans = collector.0.lock().await;
    spans.clone()
}

#[tokio::test]
async fn the_stages_of_a_call_are_one_trace_with_its_caller_above() {
    let spans = spans(Some(TRACE_PARENT), "trace.sample_ratio=0").await;
    // Of the calls without a caller's trace, none is sent.
    assert!(
        spans.iter().all(|span| span.trace_id == TRACE),
        "{spans:#?}"
    );
    // Each beside what it is below.
    for (name, above) in [
        ("service.attend", ""),
        ("engine.compute", "service.attend"),
        ("engine.attend", "engine.compute"),
        ("collection.attend", "engine.attend"),
        ("collection.head", "collection.attend"),
        ("collection.steady", "collection.head"),
        ("index.survey", "collection.head"),
        ("index.select", "collection.head"),
        ("collection.retrieve", "collection.head"),
        ("index.estimate", "collection.head"),
    ] {
        let mut found = spans.iter().filter(|span| span.name == name).peekable();
        assert!(found.peek().is_some(), "no {name} in {spans:#?}");
        for span in found {
            let parent = spans
                .iter()
                .find(|parent| parent.span_id == span.parent_span_id);
            if above.is_empty() {
                assert_eq!(span.parent_span_id, CALLER, "{name}");
            } else {
                assert_eq!(parent.unwrap().name, above, "{name}");
            }
            assert!(
                span.start_time_unix_nano <= span.end_time_unix_nano,
                "{span:?}"
            );
        }
    }
}

#[tokio::test]
async fn calls_without_a_trace_of_their_caller_begin_one_each() {
    let spans = spans(None, "trace.sample_ratio=1").await;
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
    let attends: Vec<_> = roots.filter(|span| span.name == "service.attend").collect();
    assert_eq!(attends.len(), 1, "{spans:#?}");
    let below = spans
        .iter()
        .filter(|span| span.name == "engine.compute" && span.parent_span_id == attends[0].span_id);
    assert_eq!(below.count(), 1, "{spans:#?}");
}
