//! One file per verb: it makes the requests and hands the answers to `formats`.

mod bench;
mod capacity;
mod collections;
mod each;
pub(crate) mod eval;
mod export;
mod fork;
mod generate;
mod ingest;
mod snapshots;
mod stats;
mod verify;

use wavekv_client::Client;

use crate::arguments::{Arguments, CollectionsVerb, SnapshotsVerb, Verb};
use crate::failure::Failure;

/// Runs the verb that was asked for.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        address,
        json,
        verb,
    } = arguments;
    match verb {
        Verb::Generate(generate) => generate::run(&generate, json),
        Verb::Ingest(ingest) => ingest::run(&address, &ingest, json).await,
        Verb::Eval(eval) => eval::run(&address, &eval, json).await,
        Verb::Bench(bench) => bench::run(&address, &bench, json).await,
        Verb::Capacity(capacity) => capacity::run(&capacity, json).await,
        Verb::Export(export) => export::run(&Client::connect(&address).await?, &export, json).await,
        Verb::Fork(fork) => fork::run(&Client::connect(&address).await?, &fork, json).await,
        Verb::Verify(verify) => verify::run(&Client::connect(&address).await?, &verify, json).await,
        Verb::Snapshot(snapshot) => {
            snapshots::take::run(&Client::connect(&address).await?, &snapshot, json).await
        }
        Verb::Restore(restore) => {
            snapshots::restore::run(&Client::connect(&address).await?, &restore, json).await
        }
        Verb::Snapshots(verb) => {
            let client = Client::connect(&address).await?;
            match verb {
                SnapshotsVerb::Ls => snapshots::ls::run(&client, json).await,
                SnapshotsVerb::Rm(rm) => snapshots::rm::run(&client, &rm, json).await,
            }
        }
        Verb::Stats => stats::run(&Client::connect(&address).await?, json).await,
        Verb::Collections(verb) => {
            let client = Client::connect(&address).await?;
            match verb {
                CollectionsVerb::Ls(ls) => collections::ls::run(&client, &ls, json).await,
                CollectionsVerb::Show(show) => collections::show::run(&client, &show, json).await,
                CollectionsVerb::Rm(rm) => collections::rm::run(&client, &rm, json).await,
                CollectionsVerb::Place(place) => {
                    collections::place::run(&client, &place, json).await
                }
            }
        }
    }
}
