//! One file per verb: it makes the requests and hands the answers to `formats`.

mod bench;
mod capacity;
mod collections;
mod completions;
mod config;
mod each;
pub(crate) mod eval;
mod events;
mod generate;
mod health;
mod ingest;
mod man;
mod snapshots;
mod stats;
mod top;

use wavekv_client::Client;

use crate::arguments::{Arguments, Verb};
use crate::failure::Failure;

/// Runs the verb that was asked for.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        address,
        json,
        verb,
    } = arguments;
    let connected = async || Client::connect(&address).await;
    match verb {
        Verb::Generate(generate) => generate::run(&generate, json),
        Verb::Ingest(ingest) => ingest::run(&address, &ingest, json).await,
        Verb::Eval(eval) => eval::run(&address, &eval, json).await,
        Verb::Bench(bench) => bench::run(&address, &bench, json).await,
        Verb::Capacity(capacity) => capacity::run(&capacity, json).await,
        Verb::Collections(verb) => collections::run(&connected().await?, verb, json).await,
        Verb::Snapshots(verb) => snapshots::run(&connected().await?, verb, json).await,
        Verb::Events(events) => events::run(&connected().await?, &events, json).await,
        Verb::Config(config) => config::run(&connected().await?, &config, json).await,
        Verb::Completions { shell } => {
            completions::run(shell);
            Ok(())
        }
        Verb::Man { folder } => man::run(&folder),
        Verb::Health(watch) => health::run(&connected().await?, &watch, json).await,
        Verb::Top(top) => top::run(&connected().await?, &top, json).await,
        Verb::Stats(watch) => stats::run(&connected().await?, &watch, json).await,
    }
}
