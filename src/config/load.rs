//! From arguments, environment and file to checked settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser as _;
use figment::Figment;
use figment::error::Kind;

use super::check::Failure;
use super::flags::Flags;
use super::layers::{self, Layers};
use super::{ConfigError, SettingError, Settings, pages};

/// Names the file when no flag does.
const FILE_VARIABLE: &str = "WAVEKV_CONFIG";

/// What the command line, the environment and the file come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Checked.
    pub settings: Settings,
    /// What is to be printed instead of serving, if anything is: the settings, or what is generated of the flags.
    pub print: Option<Vec<u8>>,
    /// The file that was read, if one was named.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// What does not depend on settings.
    fn printing(page: Vec<u8>) -> Self {
        Self {
            settings: Settings::default(),
            print: Some(page),
            file: None,
        }
    }
}

impl Settings {
    /// Loads the settings of a daemon that was started with `args`, the program's name first.
    ///
    /// # Errors
    /// [`ConfigError`]: a flag is not understood or asks for help, the file cannot be read, or settings are refused (all
    /// of them are named at once).
    pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Loaded, ConfigError> {
        load(args, std::env::vars_os().collect())
    }
}

fn load(
    args: impl IntoIterator<Item = OsString>,
    variables: Vec<(OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let mut flags = Flags::try_parse_from(args)?;
    if let Some(shell) = flags.print_completions {
        return Ok(Loaded::printing(pages::completions(shell)));
    }
    if flags.print_manual {
        return Ok(Loaded::printing(pages::manual()?));
    }
    let print_config = flags.print_config;
    let variable = variables
        .iter()
        .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let file = flags
        .config
        .take()
        .or_else(|| variable.map(|(_, value)| PathBuf::from(value)));

    let mut layers = Layers::of_defaults().map_err(|error| refused(*error, &Figment::new()))?;
    if let Some(path) = &file {
        layers = layers.file(path)?;
    }
    let environment = layers::environment(variables.into_iter(), layers.defaults())?;
    for assignment in environment.into_iter().chain(flags.assignments()?) {
        layers = layers.assignment(assignment);
    }
    if !layers.unknown.is_empty() {
        return Err(ConfigError::Settings(layers.unknown));
    }
    let settings = check(&layers.settings)?;
    let printed = print_config.then(|| settings.to_toml()).transpose()?;
    Ok(Loaded {
        settings,
        print: printed.map(String::into_bytes),
        file,
    })
}

fn check(figment: &Figment) -> Result<Settings, ConfigError> {
    let settings: Settings = figment.extract().map_err(|error| refused(error, figment))?;
    let with_origin = |Failure {
                           setting,
                           got,
                           expected,
                       }| SettingError::Invalid {
        setting: setting.to_owned(),
        got,
        expected,
        origin: origin(setting, figment),
    };
    let failures: Vec<_> = settings.failures().into_iter().map(with_origin).collect();
    if failures.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigError::Settings(failures))
    }
}

fn origin(setting: &str, figment: &Figment) -> String {
    match figment.find_metadata(setting) {
        Some(metadata) if metadata.name.starts_with("wavekv::") => "the default".to_owned(),
        Some(metadata) => metadata.name.to_string(),
        None => "an unknown place".to_owned(),
    }
}

/// Values of a wrong type.
fn refused(errors: figment::Error, figment: &Figment) -> ConfigError {
    let refused = errors.into_iter().map(|error| {
        let setting = error.path.join(".");
        let origin = origin(&setting, figment);
        let (got, expected) = got_and_expected(error.kind);
        SettingError::Invalid {
            setting,
            got,
            expected,
            origin,
        }
    });
    ConfigError::Settings(refused.collect())
}

fn got_and_expected(kind: Kind) -> (String, String) {
    if let Kind::InvalidType(got, expected) | Kind::InvalidValue(got, expected) = kind {
        (got.to_string(), expected)
    } else if let Kind::UnknownVariant(got, known) = kind {
        (format!("{got:?}"), format!("one of {known:?}"))
    } else {
        (
            "not understood".to_owned(),
            format!("another value: {kind}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;
    use crate::config::LogFormat;

    /// Loads as the daemon does, from a file of this text.
    fn load_all(
        file: &str,
        variables: &[(&str, &str)],
        args: &[&str],
    ) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wavekvd.toml");
        fs_err::write(&path, file).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let named = [(FILE_VARIABLE.into(), path.into_os_string())];
        let args = ["wavekvd"].iter().chain(args).map(OsString::from);
        load(args, variables.chain(named).collect())
    }

    fn sentence(file: &str, variables: &[(&str, &str)], args: &[&str]) -> String {
        load_all(file, variables, args).unwrap_err().to_string()
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let loaded = load(["wavekvd".into()], Vec::new()).unwrap();
        let expected = Loaded {
            settings: Settings::default(),
            print: None,
            file: None,
        };
        assert_eq!(loaded, expected);
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = "[index]\nsink_tokens = 1\nrecent_tokens = 2\ncluster_tokens = 3\nseed = 4";
        let variables = [
            ("WAVEKV_INDEX__RECENT_TOKENS", "20"),
            ("WAVEKV_INDEX__CLUSTER_TOKENS", "30"),
        ];
        let args = [
            "--set",
            "index.cluster_tokens=40",
            "--set=index.cluster_tokens=50",
        ];
        let index = load_all(file, &variables, &args).unwrap().settings.index;
        assert_eq!(
            (
                index.sink_tokens,
                index.recent_tokens,
                index.cluster_tokens,
                index.seed
            ),
            (1, 20, 50, 4)
        );
    }

    #[test]
    fn every_kind_of_value_can_come_from_a_variable() {
        let variables = [
            ("WAVEKV_DATA_DIR", "123"),
            ("WAVEKV_SHUTDOWN_GRACE", "1m 5s"),
            ("WAVEKV_GRPC__LISTEN", ""),
            ("WAVEKV_GRPC__ALLOW_NON_LOOPBACK", "true"),
            ("WAVEKV_MEMORY__BUDGET", "1.5GiB"),
            ("WAVEKV_GRPC__MAX_MESSAGE_BYTES", "2097152"),
            ("WAVEKV_ATTEND__TARGET_ERROR", "0.25"),
            ("WAVEKV_LOG__FORMAT", "json"),
        ];
        let settings = load_all("", &variables, &[]).unwrap().settings;
        assert_eq!(settings.data_dir, PathBuf::from("123"));
        assert_eq!(settings.shutdown_grace, Duration::from_secs(65));
        assert_eq!(
            (settings.grpc.listen, settings.grpc.allow_non_loopback),
            (None, true)
        );
        assert_eq!(settings.memory.budget, ByteSize::mib(1536));
        assert_eq!(settings.grpc.max_message_bytes, ByteSize::mib(2));
        assert!((settings.attend.target_error - 0.25).abs() < f64::EPSILON);
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn the_usual_settings_have_flags_of_their_own() {
        let args = [
            "--data-dir=/d",
            "--listen=[::1]:1",
            "--unix-socket=/s",
            "--memory-budget=1GiB",
            "--log-level=warn",
            "--log-format=json",
            "--print-config",
        ];
        let loaded = load_all("", &[], &args).unwrap();
        let settings = loaded.settings;
        assert_eq!(loaded.print, Some(settings.to_toml().unwrap().into_bytes()));
        assert_eq!(
            (settings.data_dir, settings.grpc.unix_socket),
            ("/d".into(), "/s".into())
        );
        assert_eq!(settings.grpc.listen, Some("[::1]:1".parse().unwrap()));
        assert_eq!(settings.memory.budget, ByteSize::gib(1));
        assert_eq!(
            (&*settings.log.level, settings.log.format),
            ("warn", LogFormat::Json)
        );
    }

    #[test]
    fn other_programs_variables_are_left_alone() {
        let variables = [
            ("WAVEKV_ADDRESS", "x"),
            ("WAVEKV_REQUIRE_ISA", "avx2"),
            ("WAVEKV_GRPC", "x"),
            ("A__B", "x"),
        ];
        assert_eq!(
            load_all("", &variables, &[]).unwrap().settings,
            Settings::default()
        );
    }

    #[test]
    fn a_setting_that_does_not_exist_is_named_with_its_place() {
        let file = sentence("[grpc]\nlisen = \"x\"", &[], &[]);
        assert!(
            file.contains("unknown setting grpc.lisen (from file ") && file.contains("grpc.listen"),
            "{file}"
        );
        let table = sentence("[gprc]\nlisten = \"x\"", &[], &[]);
        assert!(table.contains("unknown setting gprc"), "{table}");
        let variable = sentence("", &[("WAVEKV_GRPC__LISEN", "x")], &[]);
        assert!(
            variable.contains("grpc.lisen (from environment variable WAVEKV_GRPC__LISEN)"),
            "{variable}"
        );
        for flag in ["index.sed=1", "index=1", "grpc.listen.port=1", "=1"] {
            let flag = sentence("", &[], &["--set", flag]);
            assert!(
                flag.contains("unknown setting") && flag.contains("flag --set"),
                "{flag}"
            );
        }
        assert!(sentence("", &[], &["--set", "index.seed"]).contains("table.key=value"));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place_and_what_was_expected() {
        let wide = sentence("", &[], &["--listen", "0.0.0.0:7600"]);
        assert_eq!(
            wide,
            "setting grpc.listen is \"0.0.0.0:7600\" (from flag --listen): expected a loopback address such as \
             \"127.0.0.1:7600\", or grpc.allow_non_loopback = true"
        );
        for (setting, value, expected) in [
            ("data_dir", "", "the path of a directory"),
            ("shutdown_grace", "2h", "0s to 1h"),
            ("shutdown_grace", "10", "a duration"),
            ("grpc.listen", "localhost:7600", "an IP address and port"),
            ("grpc.allow_non_loopback", "yes", "a boolean"),
            ("grpc.max_message_bytes", "2GiB", "1MiB to 1GiB"),
            ("http.listen", "10.0.0.1:1", "a loopback address such as"),
            ("shm.allow_uids", "1000,you", "numbers such as"),
            ("shm.max_connections", "4097", "0 to 4096"),
            ("shm.max_arena_bytes", "63KiB", "64KiB to 1TiB"),
            ("shm.max_ring_entries", "1", "2 to 4096"),
            ("shm.spin_us", "1000001", "0 to 1000000"),
            ("memory.budget", "15MiB", "16MiB or more"),
            ("memory.budget", "lots", "a size such as"),
            ("compute.threads", "-1", "u32"),
            ("compute.threads", "1025", "0 to 1024"),
            ("compute.background_threads", "257", "0 to 256"),
            ("index.sink_tokens", "1025", "0 to 1024"),
            ("index.recent_tokens", "8193", "0 to 8192"),
            ("index.segment_tokens", "63", "64 to 65536"),
            (
                "index.segment_tokens",
                "8193",
                "a multiple of index.decode_segment_tokens",
            ),
            ("index.decode_segment_tokens", "0", "16 to 8192"),
            ("index.cluster_tokens", "1", "2 to 64"),
            ("index.kmeans_iterations", "65", "1 to 64"),
            (
                "index.seed",
                "9223372036854775808",
                "0 to 9223372036854775807",
            ),
            ("attend.target_error", "0", "above 0 and below 1"),
            ("attend.target_error", "NaN", "above 0 and below 1"),
            ("limits.max_collections", "0", "1 to 16777216"),
            ("limits.max_tokens_per_layer", "x", "u32"),
            ("log.format", "xml", "text"),
            ("trace.otlp_endpoint", "localhost", "http://, a host"),
            ("trace.sample_ratio", "1.5", "0 to 1"),
        ] {
            let variable = format!("WAVEKV_{}", setting.to_uppercase().replace('.', "__"));
            let sentence = sentence("", &[(&variable, value)], &[]);
            let start = format!("setting {setting} is ");
            assert!(
                sentence.starts_with(&start) && sentence.contains(expected),
                "{sentence}"
            );
            assert!(
                sentence.contains(&format!("(from environment variable {variable})")),
                "{sentence}"
            );
        }
    }

    #[test]
    fn all_failures_are_named_at_once() {
        let file = "[index]\nsink_tokens = 9999\n[compute]\nthreads = 9999";
        let sentences = sentence(file, &[], &["--set=memory.budget=1KiB"]);
        assert_eq!(sentences.lines().count(), 3, "{sentences}");
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_named() {
        let missing = load(
            ["wavekvd", "--config", "/no/such.toml"].map(OsString::from),
            Vec::new(),
        );
        assert!(missing.unwrap_err().to_string().contains("/no/such.toml"));
        let syntax = sentence("[grpc]\nlisten = ", &[], &[]);
        assert!(
            syntax.contains("wavekvd.toml is not TOML") && syntax.contains("line 2"),
            "{syntax}"
        );
        let of_a_table = sentence("grpc = 5", &[], &[]);
        assert!(
            of_a_table.contains("setting grpc is") && of_a_table.contains("wavekvd.toml"),
            "{of_a_table}"
        );
    }

    #[test]
    fn what_is_printed_loads_to_the_same() {
        let args = [
            "--set=memory.budget=1234567890",
            "--set=shutdown_grace=90s",
            "--listen=",
        ];
        let settings = load_all("", &[], &args).unwrap().settings;
        let printed = settings.to_toml().unwrap();
        assert_eq!(
            load_all(&printed, &[], &[]).unwrap().settings,
            settings,
            "{printed}"
        );
    }
}
