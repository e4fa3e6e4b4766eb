//! Logarithmic axes: where they begin and end, and where their lines are.

/// The part of an axis that is shown, in its own unit.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) struct Scale {
    pub(in crate::formats) low: f64,
    pub(in crate::formats) high: f64,
    /// With a label, ascending.
    pub(in crate::formats) ticks: Vec<f64>,
    /// Lines without one.
    pub(in crate::formats) lines: Vec<f64>,
}

/// Room at each end, as a factor.
const ROOM: f64 = 1.25;
/// An axis of more decades has labels at powers of ten only.
const FEW_DECADES: f64 = 3.0;

impl Scale {
    /// Around all of `values`, with ticks at 1, 2 and 5 times a power of ten, or only at those powers.
    pub(in crate::formats) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values);
        let few = (high / low).log10() < FEW_DECADES;
        let labelled: &[u32] = if few { &[1, 2, 5] } else { &[1] };
        let lines = lines(low, high);
        let ticks = lines.iter().filter(|(lead, _)| labelled.contains(lead));
        Self {
            low,
            high,
            ticks: ticks.map(|&(_, line)| line).collect(),
            lines: lines.iter().map(|&(_, line)| line).collect(),
        }
    }

    /// Around all of `values`, with ticks at those.
    pub(in crate::formats) fn at(mut values: Vec<f64>) -> Self {
        let (low, high) = ends(values.iter().copied());
        values.sort_by(f64::total_cmp);
        values.dedup();
        Self {
            low,
            high,
            ticks: values,
            lines: Vec::new(),
        }
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let known = values.filter(|value| value.is_finite() && *value > 0.0);
    let (low, high) = known.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        // Nothing to show: any axis will do.
        return (1.0, 10.0);
    }
    (low / ROOM, high * ROOM)
}

/// Every multiple of a power of ten by 1 to 9 from `low` to `high`, with that multiple.
fn lines(low: f64, high: f64) -> Vec<(u32, f64)> {
    let decades = low.log10().floor() as i32..=high.log10().floor() as i32;
    decades
        .flat_map(|decade| (1..10).map(move |lead| (lead, decade)))
        .filter_map(|(lead, decade)| Some((lead, format!("{lead}e{decade}").parse().ok()?)))
        .filter(|(_, line)| (low..=high).contains(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[f64]) -> Vec<f64> {
        Scale::around(values.iter().copied()).ticks
    }

    fn same(found: &[f64], expected: &[f64]) -> bool {
        let pairs = found.iter().zip(expected);
        found.len() == expected.len() && pairs.into_iter().all(|(a, b)| (a / b - 1.0).abs() < 1e-9)
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert!(same(&ticks(&[0.3, 2.0]), &[0.5, 1.0, 2.0]));
        assert!(same(&ticks(&[0.001, 3.0]), &[0.001, 0.01, 0.1, 1.0]));
        let scale = Scale::at(vec![131_072.0, 8192.0, 8192.0]);
        assert!(same(&scale.ticks, &[8192.0, 131_072.0]));
        assert!(scale.low < 8192.0 && scale.high > 131_072.0);
    }

    #[test]
    fn an_axis_of_nothing_has_ends_too() {
        let scale = Scale::around([f64::NAN, 0.0].into_iter());
        assert!(same(&[scale.low, scale.high], &[1.0, 10.0]));
        assert!(Scale::at(vec![]).ticks.is_empty());
    }
}
