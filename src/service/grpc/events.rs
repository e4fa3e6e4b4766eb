//! The call of `AdminService` that tells what happened.

use tokio::sync::mpsc::{self, Sender};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use wavekv_proto::v1;

use crate::model::{BootEpoch, Error, Invalid};
use crate::service::grpc::snapshots::Answers;
use crate::service::validate;
use crate::telemetry::EventLog;
use crate::telemetry::events::{Event, EventLevel};

/// Events that are taken from the log at once, and that wait for the caller to read them.
const AT_ONCE: usize = 64;

/// What a caller wants to be told.
struct Telling {
    log: EventLog,
    level: EventLevel,
    /// Told or passed over.
    seen: u64,
    /// Nothing after this one, where there is no following.
    end: Option<u64>,
}

/// Tells the events that were asked for.
///
/// # Errors
/// [`Invalid`] when the request asks for what there cannot be.
pub(super) fn told(
    log: EventLog,
    boot_epoch: BootEpoch,
    stopped: watch::Receiver<bool>,
    request: &v1::EventsRequest,
) -> Result<Answers<v1::EventsResponse>, Error> {
    let level = validate::event_level(request.min_level)?;
    let (seen, last) = (request.after_sequence, log.last());
    if seen > last {
        let expected = format!("at most {last}, the last event since the daemon's start");
        return Err(Invalid::new("after_sequence", seen, expected).into());
    }
    let end = (!request.follow).then_some(last);
    let telling = Telling {
        log,
        level,
        seen,
        end,
    };
    let (teller, told) = mpsc::channel(AT_ONCE);
    tokio::spawn(telling.tell(teller, stopped));
    let told = ReceiverStream::new(told).map(move |told| {
        Ok(v1::EventsResponse {
            boot_epoch: boot_epoch.0,
            told: Some(told),
        })
    });
    Ok(Box::pin(told))
}

impl Telling {
    /// Tells until there is nothing more, the caller is gone or the daemon stops, which is told before.
    async fn tell(
        mut self,
        teller: Sender<v1::events_response::Told>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut came = self.log.came();
        loop {
            let is_stopping = *stopped.borrow();
            came.mark_unchanged();
            if self.tell_kept(&teller).await.is_err() || self.end.is_some() || is_stopping {
                return;
            }
            tokio::select! {
                _ = came.changed() => {}
                _ = stopped.changed() => {}
                () = teller.closed() => return,
            }
        }
    }

    /// Tells what the log has by now.
    async fn tell_kept(&mut self, teller: &Sender<v1::events_response::Told>) -> Result<(), Gone> {
        use v1::events_response::Told;
        while self.seen < self.end.unwrap_or_else(|| self.log.last()) {
            let since = self.log.since(self.seen, self.level, AT_ONCE);
            self.seen = since.seen;
            if since.lost > 0 {
                teller.send(Told::Lost(since.lost)).await?;
            }
            let wanted = since.events.iter();
            let wanted = wanted.filter(|event| self.end.is_none_or(|end| event.sequence <= end));
            for happened in wanted {
                teller.send(Told::Event(event(happened))).await?;
            }
        }
        Ok(())
    }
}

/// The caller.
struct Gone;

impl<T> From<mpsc::error::SendError<T>> for Gone {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self
    }
}

fn event(event: &Event) -> v1::Event {
    let level = match event.level {
        EventLevel::Info => v1::EventLevel::Info,
        EventLevel::Warn => v1::EventLevel::Warn,
        EventLevel::Error => v1::EventLevel::Error,
    };
    let fields = event.fields.iter().map(|(name, value)| v1::EventField {
        name: (*name).to_owned(),
        value: value.clone(),
    });
    v1::Event {
        sequence: event.sequence,
        unix_ms: event.unix_ms,
        level: level.into(),
        target: event.target.to_owned(),
        message: event.message.clone(),
        fields: fields.collect(),
    }
}
