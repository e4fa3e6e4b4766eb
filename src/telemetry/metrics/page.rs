//! An answer to a scrape: what is counted as it happens, and what was read for it.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric as Series, MetricFamily, MetricType};
use prometheus::{Error, TextEncoder};

use super::calls::Metrics;
use super::declared::{Kind, Metric};

/// What its text is: see the exposition format of Prometheus.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Figures, in order of their names when they are written.
#[derive(Debug)]
pub struct Page(Vec<MetricFamily>);

impl Page {
    /// What is counted as it happens, and of the process.
    pub fn of(metrics: &Metrics) -> Self {
        Self(metrics.registry().gather())
    }

    /// Adds a figure without labels.
    pub fn put(&mut self, metric: &Metric, value: u64) {
        self.add(metric, [(&[][..], value as f64)]);
    }

    /// The same of one that is no count.
    pub fn put_ratio(&mut self, metric: &Metric, value: f64) {
        self.add(metric, [(&[][..], value)]);
    }

    /// Adds a figure by one label.
    pub fn put_by(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        let values: Vec<_> = values.into_iter().collect();
        let values = values
            .iter()
            .map(|(label, value)| (std::slice::from_ref(label), *value as f64));
        self.add(metric, values);
    }

    /// Adds a figure that says nothing but its labels.
    pub fn put_labels(&mut self, metric: &Metric, labels: &[&str]) {
        self.add(metric, [(labels, 1.0)]);
    }

    fn add<'a>(&mut self, metric: &Metric, values: impl IntoIterator<Item = (&'a [&'a str], f64)>) {
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        let is_counter = metric.kind == Kind::Counter;
        family.set_field_type(if is_counter {
            MetricType::COUNTER
        } else {
            MetricType::GAUGE
        });
        let series = values.into_iter().map(|(labels, value)| {
            let pairs = metric.labels.iter().zip(labels);
            let pairs = pairs.map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value((*value).to_owned());
                pair
            });
            let mut series = Series::from_label(pairs.collect());
            if is_counter {
                let mut counter = Counter::default();
                counter.set_value(value);
                series.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                series.set_gauge(gauge);
            }
            series
        });
        family.set_metric(series.collect());
        self.0.push(family);
    }

    /// As Prometheus reads it.
    ///
    /// # Errors
    /// [`Error`] when a figure has no series.
    pub fn text(mut self) -> Result<String, Error> {
        self.0.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&self.0)
    }
}
