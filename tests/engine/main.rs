//! The engine of `clients/engine` with its cache in a real daemon, over shared memory and gRPC: small models of random weights
//! answer as with a cache of their own. `make demo` has real ones.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails fails its test"
)]

#[path = "../harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the promises are tested with the rest of it"
)]
mod harness;

mod local;
mod weights;

use std::time::Duration;

use wavekv_client::blocking::Client;
use wavekv_client::{Address, Code, ConnectOptions, Mode};
use wavekv_engine::{DaemonCache, EngineError, Generation, KvCache, Model};

use self::harness::Daemon;
use self::local::LocalCache;
use self::weights::{VOCABULARY, model};

/// Tokens that are generated.
const TOKENS: usize = 40;
/// Of a prompt that takes several pieces, and makes segments.
const PROMPT: u32 = 700;
const PIECE: usize = 256;

fn client(address: &Address) -> Client {
    let options = ConnectOptions {
        wait_for_restart: Duration::from_mins(1),
        ..ConnectOptions::default()
    };
    Client::connect_with(address, options).unwrap()
}

fn cache(client: &Client, name: &str, model: &Model) -> DaemonCache {
    DaemonCache::create(client, name, model.shape(), "random").unwrap()
}

fn prompt(seed: u32) -> Vec<u32> {
    (0..PROMPT)
        .map(|at| (at * at + seed * at + 7 * seed) % VOCABULARY)
        .collect()
}

/// What follows a prompt.
fn continued<C: KvCache>(generation: &mut Generation<'_, C>, tokens: usize) -> Vec<u32> {
    (0..tokens)
        .map(|_| generation.next_token().unwrap())
        .collect()
}

fn alone(model: &Model, prompt: &[u32]) -> Vec<u32> {
    let mut generation = Generation::new(model, LocalCache::new(model.shape()), 0);
    generation.read(prompt, PIECE, |_| {}).unwrap();
    continued(&mut generation, TOKENS)
}

#[test]
fn tokens_are_those_of_a_cache_of_ones_own_over_both_transports() {
    let daemon = Daemon::start();
    let model = model();
    let prompt = prompt(1);
    let expected = alone(&model, &prompt);
    for address in [
        Address::Unix(daemon.socket()),
        Address::Shm(daemon.shm_socket()),
    ] {
        let client = client(&address);
        let mut read = 0;
        let mut generation = Generation::new(&model, cache(&client, "one", &model), 0);
        generation
            .read(&prompt, PIECE, |tokens| read += tokens)
            .unwrap();
        assert_eq!(read, prompt.len());
        generation.cache().cluster().unwrap();
        assert_eq!(continued(&mut generation, TOKENS), expected);

        let cache = generation.cache();
        assert_eq!(cache.len(), prompt.len() + TOKENS);
        let used = cache.take_used();
        assert_eq!((used.exact, used.estimated), (used.visible, 0));
        generation.into_cache().delete().unwrap();
    }
}

#[test]
fn a_fork_goes_its_own_way_and_a_mode_reads_less() {
    let daemon = Daemon::start();
    let client = client(&Address::Shm(daemon.shm_socket()));
    let model = model();
    let prompt = prompt(2);
    let mut generation = Generation::new(&model, cache(&client, "trunk", &model), 0);
    generation.read(&prompt, PIECE, |_| {}).unwrap();
    let trunk = generation.into_cache();
    trunk.cluster().unwrap();

    let mut branch = Generation::new(&model, trunk.fork("branch").unwrap(), prompt.len());
    branch.cache().set_mode(Mode::Adaptive { target: 0.2 });
    branch.read(&[3, 1, 4], 1, |_| {}).unwrap();
    let used = branch.cache().take_used();
    assert!(used.exact < used.visible, "{used:?}");
    assert_eq!(used.exact + used.coded + used.estimated, used.visible);

    assert_eq!(trunk.len(), prompt.len());
    let mut exact = Generation::new(&model, trunk, prompt.len() - 1);
    // The last token once more: what is stored already is not stored twice.
    let error = exact.read(&prompt[prompt.len() - 1..], 1, |_| {});
    assert!(error.is_ok(), "{error:?}");
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_and_started_again_goes_on_with_the_same_tokens() {
    for shared_memory in [false, true] {
        let mut daemon = Daemon::start();
        let client = client(&if shared_memory {
            Address::Shm(daemon.shm_socket())
        } else {
            Address::Unix(daemon.socket())
        });
        let model = model();
        let prompt = prompt(3);
        let mut generation = Generation::new(&model, cache(&client, "killed", &model), 0);
        generation.read(&prompt, PIECE, |_| {}).unwrap();
        let mut said = continued(&mut generation, TOKENS / 2);
        daemon.kill();
        daemon.start_again();
        said.extend(continued(&mut generation, TOKENS / 2));
        assert_eq!(said, alone(&model, &prompt));
    }
}

#[test]
fn what_cannot_be_generated_is_an_error_with_a_sentence() {
    let daemon = Daemon::start();
    let client = client(&Address::Shm(daemon.shm_socket()));
    let model = model();
    let first = cache(&client, "name", &model);
    let taken = DaemonCache::create(&client, "name", model.shape(), "random").unwrap_err();
    assert!(
        matches!(&taken, EngineError::Daemon(error) if error.code() == Some(Code::AlreadyExists)),
        "{taken}"
    );
    let mut generation = Generation::new(&model, first, 0);
    let nothing = generation.next_token().unwrap_err();
    assert!(matches!(nothing, EngineError::NoPrompt), "{nothing}");
    let long = vec![1; model.shape().context + 1];
    let long = generation.read(&long, usize::MAX, |_| {}).unwrap_err();
    let sentence = long.to_string();
    assert!(sentence.contains("expected at most"), "{sentence}");
    assert!(generation.cache().is_empty());
}
