//! The flags of verbs on the daemon as a whole.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with what happens, until Ctrl-C or the end of the daemon
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Of this level and above only
    #[arg(long, value_enum, default_value_t = EventLevel::Info)]
    pub(crate) level: EventLevel,
    /// Those after this one only, by its number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) after: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventLevel {
    /// All
    Info,
    /// What is not as it should be
    Warn,
    /// What somebody has to see to
    Error,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Those that are not as they are by default only
    #[arg(long)]
    pub(crate) diff: bool,
}
