//! Other systems at equal error.

use super::report::{Context, Point};

/// Errors below this are as good as equal: what rounding to bf16 does to an exact answer.
pub(super) const AS_EXACT: f64 = 0.01;

/// The other systems of a context, in order of appearance.
pub(super) fn systems(context: &Context) -> Vec<&str> {
    let mut systems = Vec::new();
    for point in context.points.iter().filter(|point| !point.is_ours()) {
        if !systems.contains(&point.system.as_str()) {
            systems.push(&point.system);
        }
    }
    systems
}

/// The fastest point of `system` that is no less exact than `point`.
pub(super) fn best<'a>(context: &'a Context, system: &str, point: &Point) -> Option<&'a Point> {
    fastest(context, system, point.error_mean?.max(AS_EXACT))
}

/// The fastest point of `system` with at most this mean error.
pub(super) fn fastest<'a>(context: &'a Context, system: &str, error: f64) -> Option<&'a Point> {
    context
        .points
        .iter()
        .filter(|point| point.system == system)
        .filter(|point| point.error_mean.is_some_and(|mean| mean <= error))
        .min_by(|a, b| a.latency_p50_ms.total_cmp(&b.latency_p50_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::bench::sample;

    #[test]
    fn a_rival_must_be_as_exact() {
        let context = &sample::report_with_peers().contexts[0];
        assert_eq!(systems(context), ["pytorch", "faiss"]);
        let ours = |method: &str| {
            let found = context
                .points
                .iter()
                .find(|p| p.is_ours() && p.method == method);
            found.unwrap()
        };
        let method = |system, of| best(context, system, ours(of)).map(|p| p.method.as_str());
        assert_eq!(method("pytorch", "exact"), Some("eager bf16"));
        assert_eq!(method("faiss", "exact"), None);
        assert_eq!(method("faiss", "adaptive:0.1"), Some("ivf nprobe=16 k=256"));
        assert_eq!(method("faiss", "retroinfer"), Some("ivf nprobe=4 k=64"));
    }
}
