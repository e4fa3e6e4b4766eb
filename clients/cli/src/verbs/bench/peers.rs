//! What others measured on the same contexts: files of the schema that this verb writes.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::formats::bench::Report;
use crate::formats::trace::Summary;

/// Reads the files; each must have a context of this run.
pub(super) fn read(paths: &[PathBuf], contexts: &[Summary]) -> Result<Vec<Report>, Failure> {
    paths.iter().map(|path| one(path, contexts)).collect()
}

fn one(path: &Path, contexts: &[Summary]) -> Result<Report, Failure> {
    let refuse = |fault: String| Failure::Peers {
        path: path.to_owned(),
        fault,
    };
    let bytes = fs_err::read(path).map_err(|error| refuse(error.to_string()))?;
    let report: Report =
        serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    let mut theirs = report.contexts.iter().map(|context| &context.trace);
    if theirs.any(|trace| contexts.contains(trace)) {
        return Ok(report);
    }
    let names: Vec<String> = report
        .contexts
        .iter()
        .map(|context| format!("{} ({})", context.name, context.trace))
        .collect();
    let fault = format!("none of its contexts is of this run: {}", names.join("; "));
    Err(refuse(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn a_report_is_read_when_a_context_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        let report = sample::report();
        fs_err::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        let same = report.contexts[0].trace.clone();
        let paths = [path.clone()];
        let read_back = read(&paths, std::slice::from_ref(&same)).unwrap();
        assert_eq!(read_back[0].contexts.len(), report.contexts.len());
        assert_eq!(read_back[0].contexts[0].trace, same);
        let other = Summary { tokens: 7, ..same };
        let sentence = read(&paths, &[other]).unwrap_err().to_string();
        assert!(sentence.contains("none of its contexts"), "{sentence}");
        fs_err::write(&path, "{}").unwrap();
        for (path, fault) in [(path, "missing field"), ("/no/such".into(), "No such file")] {
            let failure = read(&[path], &[]).unwrap_err();
            assert!(failure.to_string().contains(fault) && failure.exit_code() == 2);
        }
    }
}
