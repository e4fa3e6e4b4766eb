//! Why the daemon has no settings.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Why the settings could not be loaded or printed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line is not understood, or asks for help or the version: its `exit` prints the right thing.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// The file that was named cannot be read.
    #[error("the configuration file cannot be read: {0}")]
    File(#[source] std::io::Error),
    /// The file is no TOML.
    #[error("the configuration file {} is not TOML: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// A variable that is a setting is not UTF-8.
    #[error("environment variable {name} is {value:?}: expected UTF-8")]
    Encoding {
        /// Of the variable.
        name: String,
        /// Of the variable.
        value: OsString,
    },
    /// `--set` without a setting.
    #[error("flag --set {got:?}: expected table.key=value")]
    Assignment {
        /// What followed `--set`.
        got: String,
    },
    /// Settings are refused.
    #[error("{}", Lines(.0))]
    Settings(Vec<SettingError>),
    /// The settings cannot be written as TOML.
    #[error("the settings cannot be printed: {0}")]
    Print(#[from] toml::ser::Error),
    /// The page of the manual cannot be made.
    #[error("the manual cannot be printed: {0}")]
    Page(#[source] std::io::Error),
}

/// Why one setting is refused. `origin` says where its value came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("unknown setting {setting} (from {origin}): expected one of {}", known.join(", "))]
    Unknown {
        /// What was set.
        setting: String,
        /// By whom.
        origin: String,
        /// What may be set there.
        known: Vec<String>,
    },
    /// It has a wrong type or is out of its range.
    #[error("setting {setting} is {got} (from {origin}): expected {expected}")]
    Invalid {
        /// Of the table and key.
        setting: String,
        /// Its value.
        got: String,
        /// What it may be.
        expected: String,
        /// By whom it was set.
        origin: String,
    },
}

/// One sentence a line.
struct Lines<'a>(&'a [SettingError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, error) in self.0.iter().enumerate() {
            let separator = if line == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}
