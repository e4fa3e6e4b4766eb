//! Every verb and flag, declared once with its help.

mod bench;
mod capacity;
mod collections;
mod daemon;
mod snapshots;
mod top;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use wavekv_client::{Address, Mode};
use wavekv_trace::Dtype;

pub(crate) use bench::Bench;
pub(crate) use capacity::Capacity;
pub(crate) use collections::{
    CollectionsVerb, Export, ExportFormat, Fork, Ls, Order, Restore, Save, Several, Show, Verify,
};
pub(crate) use daemon::{Config, EventLevel, Events};
pub(crate) use snapshots::{RmSnapshots, SnapshotsVerb};
pub(crate) use top::Top;
pub(crate) use watch::Watch;

const AFTER_HELP: &str = "\
Environment:
  WAVEKV_ADDRESS  where the daemon listens, unless --address says so
  NO_COLOR        no colours, on a terminal either

Exit codes:
  0  done; or ended by Ctrl-C, for --watch, top and events --follow; health: calls are answered, whatever else there is to see to
  1  the daemon refused, its answer failed, a file cannot be written, verify found damage, capacity's plan does not hold, or Ctrl-C came
     before the end
  2  wrong usage, or a file that is no trace or no report
  3  cannot connect to the daemon, or the connection broke
  4  health: the daemon answers no calls, since it opens its collections or stops";

/// The command line of WaveKV, a KV-cache storage daemon with a vector-database API.
#[derive(Debug, Parser)]
#[command(name = "wavekv", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Where the daemon listens: `unix:/path/to.sock`, `http://host:port`, `https://host:port`, or
    /// `shm:/path/to.shm.sock`
    #[arg(
        long,
        global = true,
        env = "WAVEKV_ADDRESS",
        default_value = "http://127.0.0.1:7600"
    )]
    pub(crate) address: Address,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List, describe, fork, move, save, check and remove collections
    #[command(subcommand)]
    Collections(CollectionsVerb),
    /// List and remove snapshots
    #[command(subcommand)]
    Snapshots(SnapshotsVerb),
    /// Store a trace's K and V in a new collection; its layers become layers 0, 1, …
    Ingest(Ingest),
    /// Make an attention trace without a model: clustered keys, sinks, local bias, needles
    Generate(Generate),
    /// Replay a trace's queries against the daemon and compare each mode with exact attention in f64
    Eval(Eval),
    /// Measure time, bytes and error of each mode on contexts of growing length; writes a page, plots and JSON
    Bench(Bench),
    /// Say how much memory and disk a context needs, and measure it on a daemon of its own; writes a page, plots and JSON
    Capacity(Box<Capacity>),
    /// Whether the daemon answers calls, and what else somebody should look at
    Health(Watch),
    /// Sizes of the daemon
    Stats(Watch),
    /// What the daemon is doing: how much, how fast, with which collections; live on a terminal, else a page an interval
    Top(Top),
    /// What happened in the daemon, the oldest first; with --json an object a line
    Events(Events),
    /// The settings that hold in the daemon
    Config(Config),
    /// Print what has a shell complete verbs, flags and their values
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual, a page a verb
    Man {
        /// Where the pages go; made when there is none
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// A trace file (safetensors)
    pub(crate) trace: PathBuf,
    /// Of the new collection
    #[arg(long)]
    pub(crate) name: String,
    /// Of the new collection
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
    /// Kind of its index [default: as the daemon is configured]
    #[arg(long, value_enum)]
    pub(crate) index: Option<IndexKind>,
    /// What its tokens outlive [default: as the daemon is configured]
    #[arg(long, value_enum)]
    pub(crate) durability: Option<Durability>,
    /// Remove it so long after its last use, as in 90m or 7d [default: never]
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// Let the daemon remove it when the disk is over its budget and nothing like it was unused for longer
    #[arg(long)]
    pub(crate) expendable: bool,
    /// Tokens of one insert
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) tokens_per_insert: u32,
    /// Cluster all layers at the end, instead of leaving it to the daemon's background
    #[arg(long)]
    pub(crate) cluster: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The file to write
    pub(crate) out: PathBuf,
    /// Length of the sequence
    #[arg(long, default_value_t = 8192)]
    pub(crate) tokens: usize,
    /// KV heads of a layer
    #[arg(long, default_value_t = 2)]
    pub(crate) kv_heads: usize,
    /// Query heads of a KV head
    #[arg(long, default_value_t = 4)]
    pub(crate) group: usize,
    /// Elements of a key
    #[arg(long, default_value_t = 64)]
    pub(crate) head_dim: usize,
    /// Elements of a value [default: those of a key]
    #[arg(long)]
    pub(crate) value_dim: Option<usize>,
    /// Layers
    #[arg(long, default_value_t = 1)]
    pub(crate) layers: usize,
    /// Element type of K and V: bf16, f16 or f32
    #[arg(long, default_value_t = Dtype::F16)]
    pub(crate) dtype: Dtype,
    /// Of all randomness; the same seed gives the same file
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Tokens that answer one of the last 64 queries each
    #[arg(long, default_value_t = 8)]
    pub(crate) needles: usize,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Eval {
    /// A trace file (safetensors)
    pub(crate) trace: PathBuf,
    /// Which of the trace's queries to ask
    #[arg(long, value_enum, default_value_t = QuerySet::Last)]
    pub(crate) queries: QuerySet,
    /// exact, retroinfer, budget:SHARE, budget:SHARE:ESTIMATED or adaptive:TARGET; may be repeated
    /// [default: exact, retroinfer, budget:0.018, adaptive:0.1, adaptive:0.05, adaptive:0.02]
    #[arg(long = "mode")]
    pub(crate) modes: Vec<Mode>,
    /// Kind of the index [default: as the daemon is configured]
    #[arg(long, value_enum)]
    pub(crate) index: Option<IndexKind>,
    /// Also a row for each layer
    #[arg(long)]
    pub(crate) per_layer: bool,
    /// Have the daemon measure the error of every answer, and compare that with the true one
    #[arg(long)]
    pub(crate) audit: bool,
    /// Print a page of Markdown
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Keep the collection that the replay made
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexKind {
    /// Clusters: the few that matter exactly, the others from their statistics
    Wave,
    /// None: everything is read
    Flat,
    /// FAISS inverted lists
    Ivf,
    /// A FAISS HNSW graph
    Hnsw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// Nothing: the collection ends with the daemon
    None,
    /// The daemon, however it ends
    Process,
    /// A loss of power: every insert waits for the disk
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuerySet {
    /// The last 64, as in decode: K and V up to them are stored and clustered, then a token at a time
    Last,
    /// The 64 that are spread over the second half; the daemon clusters by itself what lies between them
    Spread,
    /// Both, one after the other
    All,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(line: &str) -> clap::Error {
        Arguments::try_parse_from(line.split(' ')).unwrap_err()
    }

    #[test]
    fn the_declarations_are_sound() {
        Arguments::command().debug_assert();
        assert!(
            Arguments::command()
                .render_help()
                .to_string()
                .contains("3  cannot connect")
        );
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        let arguments =
            Arguments::parse_from(["wavekv", "stats", "--json", "--address", "unix:/a.sock"]);
        assert!(arguments.json && arguments.address == Address::Unix("/a.sock".into()));
    }

    #[test]
    fn modes_repeat_in_order() {
        let line = "wavekv eval t --mode exact --mode budget:0.1:0.2 --mode adaptive:0.02";
        let Verb::Eval(eval) = Arguments::parse_from(line.split(' ')).verb else {
            panic!("another verb")
        };
        let names: Vec<String> = eval.modes.iter().map(Mode::to_string).collect();
        assert_eq!(names, ["exact", "budget:0.1:0.2", "adaptive:0.02"]);
        assert_eq!(eval.queries, QuerySet::Last);
    }

    #[test]
    fn wrong_usage_is_code_2_and_names_what_was_expected() {
        for (line, expected) in [
            (
                "wavekv stats --address nowhere",
                "unix:/path/to.sock, http://host:port, https://host:port or shm:/path/to.shm.sock",
            ),
            ("wavekv eval t --mode fast", "exact, retroinfer"),
            ("wavekv bench", "--out <DIR>"),
            ("wavekv bench --out d --traces-only", "<TRACE>"),
            ("wavekv generate t --dtype f8", "expected bf16, f16 or f32"),
            ("wavekv eval t --index lsh", "wave, flat, ivf, hnsw"),
            (
                "wavekv ingest t --name n --tokens-per-insert 0",
                "1..=65536",
            ),
            ("wavekv ingest t --name n --ttl soon", "expected number"),
            ("wavekv eval t --json --markdown", "cannot be used with"),
            ("wavekv collections rm", "<NAMES>..."),
            (
                "wavekv collections export chat --format csv --out f",
                "arrow, parquet",
            ),
            (
                "wavekv collections export chat --format arrow",
                "--out <OUT>",
            ),
            ("wavekv collections verify", "<NAME>"),
            (
                "wavekv collections verify --all chat",
                "cannot be used with",
            ),
            ("wavekv stats --watch=0", "0.1 to 86400"),
            (
                "wavekv collections ls --sort size",
                "name, model, tokens, layers, bytes",
            ),
            ("wavekv colections ls", "'collections'"),
            ("wavekv stats --wach", "'--watch'"),
        ] {
            let error = refused(line);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!(
            refused("wavekv --version").kind(),
            ErrorKind::DisplayVersion
        );
    }
}
