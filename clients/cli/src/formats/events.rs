//! What happened in the daemon.

use std::time::{Duration, UNIX_EPOCH};

use console::style;
use serde_json::{Map, Value, json};
use wavekv_client::wire;
use wavekv_client::wire::events_response::Told;

use super::plain;

/// A word of the daemon's as an object: an event, or how many were lost.
pub(crate) fn json(word: &wire::EventsResponse) -> Value {
    let boot_epoch = word.boot_epoch;
    match &word.told {
        Some(Told::Event(event)) => {
            let fields = event.fields.iter();
            let fields = fields.map(|field| (field.name.clone(), Value::from(&*field.value)));
            json!({
                "boot_epoch": boot_epoch,
                "sequence": event.sequence,
                "unix_ms": event.unix_ms,
                "level": level(event.level()),
                "target": event.target,
                "message": event.message,
                "fields": fields.collect::<Map<String, Value>>(),
            })
        }
        Some(Told::Lost(lost)) => json!({ "boot_epoch": boot_epoch, "lost": lost }),
        None => Value::Null,
    }
}

/// The same as a line: when, how much it matters, which room, what, and of what.
pub(crate) fn line(word: &wire::EventsResponse) -> String {
    match &word.told {
        Some(Told::Event(event)) => {
            let word = format!("{:<5}", level(event.level()));
            let word = match event.level() {
                wire::EventLevel::Error => style(word).red().bold(),
                wire::EventLevel::Warn => style(word).yellow(),
                wire::EventLevel::Info | wire::EventLevel::Unspecified => style(word).green(),
            };
            let fields = event.fields.iter();
            let fields = fields
                .map(|field| format!(" {}={}", style(&field.name).dim(), plain(&field.value)));
            format!(
                "{} {word} {:<10} {}{}",
                date(event.unix_ms),
                room(&event.target),
                plain(&event.message),
                fields.collect::<String>()
            )
        }
        Some(Told::Lost(lost)) => format!("({lost} earlier events are not kept any more)"),
        None => String::new(),
    }
}

fn date(unix_ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    at.map_or_else(
        || "-".to_owned(),
        |at| humantime::format_rfc3339_millis(at).to_string(),
    )
}

/// `engine` of `wavekv::engine::retention`; what is in no room is the process's own.
fn room(target: &str) -> &str {
    target.split("::").nth(1).unwrap_or(target)
}

fn level(level: wire::EventLevel) -> &'static str {
    match level {
        wire::EventLevel::Unspecified => "-",
        wire::EventLevel::Info => "info",
        wire::EventLevel::Warn => "warn",
        wire::EventLevel::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_when_which_room_what_and_of_what() {
        let event = wire::Event {
            sequence: 7,
            unix_ms: 1_700_000_000_123,
            level: wire::EventLevel::Warn.into(),
            target: "wavekv::engine::background".into(),
            message: "segment not built".into(),
            fields: vec![wire::EventField {
                name: "collection".into(),
                value: "ns/chat".into(),
            }],
        };
        let word = wire::EventsResponse {
            boot_epoch: 3,
            told: Some(Told::Event(event)),
        };
        let line = line(&word);
        for part in [
            "2023-11-14T22:13:20.123Z",
            "warn",
            "engine",
            "segment not built",
            "ns/chat",
        ] {
            assert!(line.contains(part), "{line}");
        }
        let value = json(&word);
        assert_eq!(
            (&value["sequence"], &value["boot_epoch"]),
            (&7.into(), &3.into())
        );
        assert_eq!(value["fields"]["collection"], "ns/chat");
        let lost = wire::EventsResponse {
            boot_epoch: 3,
            told: Some(Told::Lost(9)),
        };
        assert_eq!(json(&lost)["lost"], 9);
        assert_eq!(room("wavekvd"), "wavekvd");
    }
}
