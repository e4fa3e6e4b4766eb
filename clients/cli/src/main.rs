//! The `wavekv` command: what an operator asks of a daemon, and the evidence of its accuracy.
//!
//! `arguments/` declares every flag; `verbs/` has one file per verb, which makes the requests; `formats/` turns answers
//! into tables and JSON and makes no requests; `output.rs` alone writes to the terminal.
//!
//! This crate must not know the daemon's code, only its contract through `wavekv-client`.
#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod bar;
mod clustering;
mod failure;
mod formats;
mod machine;
mod modes;
mod output;
mod plan;
mod stopwatch;
mod suggest;
mod upload;
mod verbs;
mod watch;
mod workload;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Box::pin(verbs::run(arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
