//! Events: what the log has of levels info and above, kept for those who ask what happened.
//!
//! The last `KEPT` are in a ring, which is the only place that has them: who follows reads on from the last that it has read, and
//! whoever is too slow for that finds a gap in the numbers. So nobody is waited for, and a follower costs no memory.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;

/// Events that are kept.
const KEPT: usize = 1024;
/// Bytes of a message or a value that are kept.
const LONGEST: usize = 1024;
/// What begins the targets of this daemon: what libraries have to say is for the log alone.
const OWN: &str = "wavekv";

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventLevel {
    /// As it should be.
    Info,
    /// Not as it should be, and the daemon copes.
    Warn,
    /// Somebody has to see to it.
    Error,
}

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// 1 for the first.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// How much it matters.
    pub level: EventLevel,
    /// Of the source that it comes from.
    pub target: &'static str,
    /// The sentence.
    pub message: String,
    /// What it is about, in the order that it was logged in.
    pub fields: Vec<(&'static str, String)>,
}

/// The events of this process. Clones are the same.
#[derive(Clone, Debug)]
pub struct EventLog {
    clock: Clock,
    kept: Arc<Mutex<VecDeque<Arc<Event>>>>,
    /// The sequence of the last.
    last: Arc<watch::Sender<u64>>,
}

/// What came after some event.
#[derive(Debug, Default)]
pub struct Since {
    /// So many, of any level, are not kept any more, before the next ones.
    pub lost: u64,
    /// The next ones that were asked for.
    pub events: Vec<Arc<Event>>,
    /// Up to this one all were looked at.
    pub seen: u64,
}

impl EventLog {
    /// Empty.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            kept: Arc::default(),
            last: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The sequence of the last event; 0 of none.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Tells, by the sequence of the last, when others came.
    pub fn came(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The events after `sequence` that are kept and of a level or above: the first `most` of them.
    pub fn since(&self, sequence: u64, level: EventLevel, most: usize) -> Since {
        let kept = self.kept.lock();
        let mut since = Since {
            seen: sequence,
            ..Since::default()
        };
        if let Some(first) = kept.front() {
            since.lost = (first.sequence - 1).saturating_sub(sequence);
        }
        let after = kept.partition_point(|event| event.sequence <= sequence);
        for event in kept.range(after..) {
            if since.events.len() == most {
                break;
            }
            since.seen = event.sequence;
            if event.level >= level {
                since.events.push(Arc::clone(event));
            }
        }
        since
    }

    /// What keeps the events of a subscriber.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let own = Targets::new().with_target(OWN, LevelFilter::INFO);
        Keep(self.clone()).with_filter(own)
    }

    fn keep(&self, level: EventLevel, target: &'static str, told: Told) {
        let mut kept = self.kept.lock();
        let sequence = kept.back().map_or(0, |last| last.sequence) + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Event {
            sequence,
            unix_ms: self.clock.unix_ms(),
            level,
            target,
            message: told.message,
            fields: told.fields,
        }));
        // Within the lock, so that it never goes back.
        self.last.send_replace(sequence);
    }
}

/// The layer.
struct Keep(EventLog);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => EventLevel::Error,
            Level::WARN => EventLevel::Warn,
            _ => EventLevel::Info,
        };
        let mut told = Told::default();
        event.record(&mut told);
        self.0.keep(level, metadata.target(), told);
    }
}

/// What an event says.
#[derive(Default)]
struct Told {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Short::default();
        // It ends early where it is cut.
        let _ = write!(text, "{value:?}");
        match field.name() {
            "message" => self.message = text.0,
            name => self.fields.push((name, text.0)),
        }
    }
}

/// The beginning of a text, at most [`LONGEST`] bytes of it.
#[derive(Default)]
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(&text[..end]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The events that `work` logs.
    fn logged(work: impl FnOnce()) -> EventLog {
        let log = EventLog::new(Clock::start());
        let subscriber = tracing_subscriber::registry().with(log.layer());
        tracing::subscriber::with_default(subscriber, work);
        log
    }

    #[test]
    fn events_are_kept_with_their_level_message_and_fields() {
        let log = logged(|| {
            tracing::debug!("too fine");
            tracing::info!(target: "h2", "of a library");
            tracing::info!(collection = %"ns/a", tokens = 7, "created");
            tracing::error!(why = ?Some("x"), "failed");
        });
        let since = log.since(0, EventLevel::Info, 10);
        assert_eq!((since.lost, since.seen, log.last()), (0, 2, 2));
        let [created, failed] = &*since.events else {
            panic!("{since:?}");
        };
        assert_eq!((created.sequence, created.level), (1, EventLevel::Info));
        assert_eq!(created.message, "created");
        let fields: Vec<(&str, &str)> = created
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(fields, [("collection", "ns/a"), ("tokens", "7")]);
        assert!(created.unix_ms > 0 && created.target.starts_with("wavekv::telemetry"));
        assert_eq!(failed.fields[0].1, "Some(\"x\")");
        let worse = log.since(0, EventLevel::Warn, 10);
        assert_eq!((worse.events.len(), worse.seen), (1, 2));
        assert_eq!(log.since(1, EventLevel::Info, 10).events.len(), 1);
        assert!(log.since(2, EventLevel::Info, 10).events.is_empty());
    }

    #[test]
    fn a_ring_that_is_full_tells_what_is_lost_and_pages_have_an_end() {
        let log = logged(|| {
            for number in 0..KEPT + 5 {
                tracing::info!(number, "came");
            }
        });
        let since = log.since(0, EventLevel::Info, 3);
        assert_eq!((since.lost, since.events.len()), (5, 3));
        assert_eq!(since.seen, since.events[2].sequence);
        let next = log.since(since.seen, EventLevel::Info, usize::MAX);
        assert_eq!((next.lost, next.events.len()), (0, KEPT - 3));
        assert_eq!(next.seen, log.last());
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "é".repeat(LONGEST);
        let log = logged(|| tracing::warn!(long, "{}", "x".repeat(LONGEST + 1)));
        let since = log.since(0, EventLevel::Info, 1);
        assert_eq!(since.events[0].message.len(), LONGEST);
        assert_eq!(since.events[0].fields[0].1.len(), LONGEST);
    }
}
