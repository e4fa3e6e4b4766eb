//! The command line of the daemon.

use std::path::PathBuf;

use clap::Parser;
use clap_complete::Shell;

use super::ConfigError;
use super::layers::Assignment;

/// The WaveKV daemon: a KV-cache storage daemon with a vector-database API.
///
/// Settings come from a TOML file, then from environment variables (`WAVEKV_GRPC__LISTEN` is `grpc.listen`), then from
/// flags; the later win. wavekvd.example.toml lists them all.
#[derive(Debug, Parser)]
#[command(name = "wavekvd", version)]
pub(super) struct Flags {
    /// TOML file of settings; the default is the variable `WAVEKV_CONFIG`, and then none.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print the settings that hold, as a TOML file, and exit.
    #[arg(long)]
    pub(super) print_config: bool,

    /// Print what has this shell complete the flags, and exit.
    #[arg(long, value_name = "SHELL", hide = true)]
    pub(super) print_completions: Option<Shell>,

    /// Print the page of the manual, and exit.
    #[arg(long, hide = true)]
    pub(super) print_manual: bool,

    /// Set any setting, as in `--set memory.budget=8GiB`; may come several times.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    set: Vec<String>,

    /// Set `data_dir`: directory of everything that the daemon keeps.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,

    /// Set `grpc.listen`: IP address and port; "" for no TCP.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Set `grpc.unix_socket`: path of the Unix socket.
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<String>,

    /// Set `memory.budget`: memory for all collections together, such as 4GiB.
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<String>,

    /// Set `disk.budget`: what all collections may store together, such as 100GiB; 0 for no limit.
    #[arg(long, value_name = "SIZE")]
    disk_budget: Option<String>,

    /// Set `log.level`: off, error, warn, info, debug or trace; or directives.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// Set `log.format`: text or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Flags {
    /// What the flags set, in order of precedence: `--set` wins over a flag of its own.
    pub(super) fn assignments(self) -> Result<Vec<Assignment>, ConfigError> {
        let named = [
            ("--data-dir", "data_dir", self.data_dir),
            ("--listen", "grpc.listen", self.listen),
            ("--unix-socket", "grpc.unix_socket", self.unix_socket),
            ("--memory-budget", "memory.budget", self.memory_budget),
            ("--disk-budget", "disk.budget", self.disk_budget),
            ("--log-level", "log.level", self.log_level),
            ("--log-format", "log.format", self.log_format),
        ];
        let named = named.into_iter().filter_map(|(flag, setting, value)| {
            let (setting, origin) = (setting.to_owned(), format!("flag {flag}"));
            Some(Ok(Assignment {
                setting,
                value: value?,
                origin,
            }))
        });
        let set = self
            .set
            .into_iter()
            .map(|assignment| match assignment.split_once('=') {
                Some((setting, value)) => Ok(Assignment {
                    setting: setting.trim().to_owned(),
                    value: value.to_owned(),
                    origin: format!("flag --set {assignment}"),
                }),
                None => Err(ConfigError::Assignment { got: assignment }),
            });
        named.chain(set).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::command().debug_assert();
    }
}
