//! Hides a fact in a long text, reads the text into the daemon, and asks for the fact.
//!
//! The question is asked once in each mode, of a fork of the text's collection, so that the text is read once. Start reading in
//! `tell`.
#![forbid(unsafe_code)]

mod story;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use candle_core::quantized::gguf_file::Content;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use wavekv_client::blocking::Client;
use wavekv_client::{Address, ConnectOptions, Mode};
use wavekv_engine::{DaemonCache, EngineError, Generation, Model, Tokens, Used};

use story::Story;

/// How long a generation goes on trying when the daemon is away.
const RESTART: Duration = Duration::from_mins(1);
/// Bytes of an element of K and V in the daemon.
const BF16: usize = 2;
const BAR: &str = "{wide_bar} {pos} of {len} tokens, {per_sec}";

/// A small inference engine whose KV cache is in the daemon.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// GGUF file of a Llama-like model with its tokenizer.
    weights: PathBuf,
    /// Files of the long text, one after the other
    #[arg(required = true)]
    text: Vec<PathBuf>,
    /// Where the daemon listens: `shm:/path/to.shm.sock`, `unix:/path/to.sock` `http://host:port` or `https://host:port`
    #[arg(long, env = "WAVEKV_ADDRESS")]
    address: Address,
    /// Of the text with the fact and the question
    #[arg(long, default_value_t = 4096)]
    tokens: usize,
    /// Tokens of the text that are computed at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1024))]
    piece: u32,
    /// How the question is answered: exact, retroinfer, budget:SHARE or adaptive:TARGET; may be repeated
    #[arg(long = "mode", default_values = ["adaptive:0.05", "exact"])]
    modes: Vec<Mode>,
    /// Tokens of an answer, at most
    #[arg(long, default_value_t = 16)]
    answer: usize,
}

fn main() -> ExitCode {
    match tell(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tell(arguments: &Arguments) -> Result<(), EngineError> {
    let options = ConnectOptions {
        wait_for_restart: RESTART,
        ..Default::default()
    };
    let client = Client::connect_with(&arguments.address, options)?;
    let mut file = fs_err::File::open(&arguments.weights)?;
    let content = Content::read(&mut file)?;
    let tokens = Tokens::read(&content)?;
    let model = Model::read(&content, &mut file)?;
    let shape = model.shape();
    say(&format!(
        "{}: {} layers of {} query heads on {} KV heads of {} dimensions",
        shape.name, shape.layers, shape.q_heads, shape.kv_heads, shape.head_dim
    ));

    let story = Story::read(&arguments.text, &tokens, arguments.tokens)?;
    say(&format!(
        "hidden in {} tokens of text, at token {}: {:?}",
        story.context.len(),
        story.hidden_at,
        story::FACT.trim()
    ));
    let name = format!("engine-{}", std::process::id());
    let cache = DaemonCache::create(&client, &name, shape, &shape.name)?;
    let mut reading = Generation::new(&model, cache, 0);
    let bar = bar(story.context.len());
    reading.read(&story.context, arguments.piece as usize, |read| {
        bar.inc(read as u64);
    })?;
    let seconds = bar.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let cache = reading.into_cache();
    cache.cluster()?;
    let held = (cache.len() * shape.kv_bytes(BF16)) as u64;
    say(&format!(
        "read at {:.0} tokens a second; their K and V, {}, are in the daemon, and none of it here",
        cache.len() as f64 / seconds,
        ByteSize(held).display().iec()
    ));

    for &mode in &arguments.modes {
        let mut fork = cache.fork(&format!("{name}-{mode}").replace(':', "-"))?;
        fork.set_mode(mode);
        answer(&model, &tokens, &story, fork, mode, arguments.answer)?;
    }
    cache.delete()
}

/// Asks in one mode, token by token, as a decoding engine does, and shows the answer as it comes.
fn answer(
    model: &Model,
    tokens: &Tokens,
    story: &Story,
    cache: DaemonCache,
    mode: Mode,
    longest: usize,
) -> Result<(), EngineError> {
    let mut asking = Generation::new(model, cache, story.context.len());
    let watch = started();
    asking.read(&story.question, 1, |_| {})?;
    say(&format!("\n{mode}:"));
    write(&format!("  {}", story::ASKED.trim_start()));
    let mut said = Vec::new();
    while said.len() < longest {
        let token = asking.next_token()?;
        if Some(token) == tokens.end {
            break;
        }
        let before = tokens.text(&said)?;
        said.push(token);
        // A character may take several tokens: until it is whole, its place is taken by one that will be another.
        let now = tokens.text(&said)?;
        write(now.strip_prefix(&before).unwrap_or_default());
        if now.contains('\n') {
            break;
        }
    }
    let steps = story.question.len() + said.len();
    let rate = steps as f64 / watch.elapsed().as_secs_f64();
    let found = tokens.text(&said)?.contains(story::KEY);
    let used = asking.cache().take_used();
    say(&format!(
        "\n  the fact was {}; {rate:.1} tokens a second",
        if found { "found" } else { "not found" }
    ));
    say(&format!("  {}", cost(&used)));
    asking.into_cache().delete()
}

fn cost(used: &Used) -> String {
    let share = |part: u64| 100.0 * part as f64 / used.visible.max(1) as f64;
    format!(
        "of what was seen, {:.1} % exactly, {:.1} % by codes, {:.1} % by estimate: {:.1} % of the bytes of K and V; \
         estimated error {:.3} mean, {:.3} at worst",
        share(used.exact),
        share(used.coded),
        share(used.estimated),
        100.0 * used.bytes as f64 / used.full_bytes.max(1) as f64,
        used.mean_error(),
        used.worst_error
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this command that reads the clock"
)]
fn started() -> Instant {
    Instant::now()
}

/// A bar that is drawn on a terminal only.
fn bar(tokens: usize) -> ProgressBar {
    let bar = ProgressBar::new(tokens as u64);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        // The template is ours, and sound.
        Err(_) => bar,
    }
}

/// A line to standard output. A reader that has gone away is no error.
fn say(line: &str) {
    write(&format!("{line}\n"));
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
