//! The flags of `wavekv top`.

use std::time::Duration;

use clap::Args;

use super::watch::seconds;

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Ask the daemon every so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// Print what one interval has come to, and end
    #[arg(long)]
    pub(crate) once: bool,
}
