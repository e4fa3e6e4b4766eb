//! Other systems at equal error.

use super::report::{Context, Point};

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

/// The fastest point of `system` that is exact, or has no larger mean error than `error`.
pub(super) fn fastest<'a>(
    context: &'a Context,
    system: &str,
    error: Option<f64>,
) -> Option<&'a Point> {
    let no_worse = |mean: Option<f64>| mean.zip(error).is_some_and(|(mean, error)| mean <= error);
    context
        .points
        .iter()
        .filter(|point| point.system == system)
        .filter(|point| point.exact || no_worse(point.error_mean))
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
        let method =
            |system, error| fastest(context, system, error).map(|point| point.method.as_str());
        assert_eq!(method("pytorch", Some(1e-6)), Some("eager bf16"));
        assert_eq!(method("pytorch", None), Some("eager bf16"));
        assert_eq!(method("faiss", Some(1e-6)), None);
        assert_eq!(method("faiss", None), None);
        assert_eq!(method("faiss", Some(0.07)), Some("ivf nprobe=16 k=256"));
        assert_eq!(method("faiss", Some(0.21)), Some("ivf nprobe=4 k=64"));
    }
}
