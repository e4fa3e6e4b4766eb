//! Whether the daemon is well.

use comfy_table::{Cell, Color};
use serde_json::{Value, json};
use wavekv_client::wire::{HealthResponse, Severity};

use super::{plain, table, wrong};

/// As an object, with the words that HTTP has.
pub(crate) fn json(health: &HealthResponse) -> Value {
    let reasons = health.reasons.iter().map(|reason| {
        json!({
            "severity": severity(reason.severity()),
            "code": reason.code,
            "sentence": reason.sentence,
        })
    });
    json!({
        "boot_epoch": health.boot_epoch,
        "ready": health.ready,
        "status": status(health),
        "reasons": reasons.collect::<Vec<_>>(),
    })
}

/// In a word, and why.
pub(crate) fn text(health: &HealthResponse) -> String {
    let word = match status(health) {
        "ok" => "ready",
        "degraded" => "ready, degraded",
        unavailable => unavailable,
    };
    if health.reasons.is_empty() {
        return word.to_owned();
    }
    let mut reasons = table(&["severity", "code", "reason"], 3, false);
    for reason in &health.reasons {
        let severity = severity(reason.severity());
        let severity = match reason.severity() {
            Severity::Unavailable => wrong(severity),
            Severity::Degraded | Severity::Unspecified => Cell::new(severity).fg(Color::Yellow),
        };
        let cells = [&reason.code, &reason.sentence].map(|text| Cell::new(plain(text)));
        reasons.add_row([severity].into_iter().chain(cells));
    }
    format!("{word}\n\n{reasons}")
}

fn status(health: &HealthResponse) -> &'static str {
    match (health.ready, health.reasons.is_empty()) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "unavailable",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Unspecified => "-",
        Severity::Degraded => "degraded",
        Severity::Unavailable => "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavekv_client::wire::HealthReason;

    fn health(ready: bool, reasons: &[(Severity, &str, &str)]) -> HealthResponse {
        let reasons = reasons
            .iter()
            .map(|(severity, code, sentence)| HealthReason {
                severity: (*severity).into(),
                code: (*code).into(),
                sentence: (*sentence).into(),
            });
        HealthResponse {
            boot_epoch: 7,
            ready,
            reasons: reasons.collect(),
        }
    }

    #[test]
    fn a_daemon_that_is_well_is_ready_and_nothing_else() {
        let well = health(true, &[]);
        assert_eq!(text(&well), "ready");
        let expected = json!({ "boot_epoch": 7, "ready": true, "status": "ok", "reasons": [] });
        assert_eq!(json(&well), expected);
    }

    #[test]
    fn every_reason_has_its_severity_its_code_and_its_sentence() {
        let low = (Severity::Degraded, "disk_low", "there is little room");
        let degraded = health(true, &[low]);
        let said = text(&degraded);
        assert!(said.starts_with("ready, degraded\n"), "{said}");
        for word in ["disk_low", "there is little room"] {
            assert!(said.contains(word), "{said}");
        }
        let stopping = (
            Severity::Unavailable,
            "stopping",
            "the daemon is\x1bstopping",
        );
        let unavailable = health(false, &[stopping, low]);
        let said = text(&unavailable);
        assert!(said.starts_with("unavailable\n"), "{said}");
        assert!(said.contains("the daemon is stopping"), "{said}");
        let value = json(&unavailable);
        assert_eq!(value["status"], "unavailable");
        assert_eq!(value["reasons"][0]["severity"], "unavailable");
        assert_eq!(value["reasons"][1]["code"], "disk_low");
    }
}
