//! Ranges of settings.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// One setting that is out of its range.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) setting: &'static str,
    pub(super) got: String,
    pub(super) expected: String,
}

/// Collects every failure, so that an operator mends them in one go.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) failures: Vec<Failure>,
}

impl Checks {
    pub(super) fn require(
        &mut self,
        holds: bool,
        setting: &'static str,
        got: impl Display,
        expected: impl Display,
    ) {
        if !holds {
            let (got, expected) = (got.to_string(), expected.to_string());
            self.failures.push(Failure {
                setting,
                got,
                expected,
            });
        }
    }

    /// No other machine may reach an address, unless that is `allowed`.
    pub(super) fn loopback(
        &mut self,
        setting: &'static str,
        address: SocketAddr,
        allowed: bool,
        expected: &str,
    ) {
        let holds = allowed || address.ip().to_canonical().is_loopback();
        let got = format_args!("\"{address}\"");
        self.require(holds, setting, got, expected);
    }

    pub(super) fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        setting: &'static str,
        got: T,
        range: &RangeInclusive<T>,
    ) {
        let expected = format_args!("{} to {}", range.start(), range.end());
        self.require(range.contains(&got), setting, got, expected);
    }
}
