//! What is packaged names settings that there are, flags that there are and paths that fit together: the daemon itself is asked.
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::path::Path;
use std::process::Command;

use crate::harness::daemon::command;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs_err::read_to_string(root.join("packaging").join(path)).unwrap()
}

/// The settings that a command line or an environment comes to.
fn settings(command: &mut Command) -> toml::Table {
    let output = command.arg("--print-config").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn sockets(settings: &toml::Table) -> [&str; 2] {
    [("grpc", "unix_socket"), ("shm", "socket")]
        .map(|(table, key)| settings[table][key].as_str().unwrap())
}

/// The unit with the built daemon, and a file of settings that is there.
fn unit(config: &Path) -> String {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/wavekvd.example.toml");
    fs_err::copy(example, config).unwrap();
    read("systemd/wavekvd.service")
        .replace("/usr/local/bin/wavekvd", env!("CARGO_BIN_EXE_wavekvd"))
        .replace("/etc/wavekv/wavekvd.toml", config.to_str().unwrap())
}

#[test]
fn the_unit_starts_the_daemon_with_the_directories_that_it_makes() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(&folder.path().join("wavekvd.toml"));
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let line = line
        .unwrap()
        .replace("%S", "/var/lib")
        .replace("%t", "/run");
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some(env!("CARGO_BIN_EXE_wavekvd")));
    let settings = settings(command().args(words));
    assert_eq!(settings["data_dir"].as_str(), Some("/var/lib/wavekv"));
    assert_eq!(
        sockets(&settings),
        ["/run/wavekv/wavekvd.sock", "/run/wavekv/wavekvd.shm.sock"]
    );
    for directory in ["StateDirectory=wavekv", "RuntimeDirectory=wavekv"] {
        assert!(unit.lines().any(|line| line == directory), "{directory}");
    }
    assert!(unit.contains("\nType=notify\n"));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wavekvd.service");
    let unit = unit(&folder.path().join("wavekvd.toml"));
    fs_err::write(&path, unit).unwrap();
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output();
    let Ok(verified) = verified else {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_image_has_the_data_and_the_sockets_in_its_volumes() {
    let file = read("docker/Dockerfile");
    let variables = file.lines().filter_map(|line| line.strip_prefix("ENV "));
    let variables: Vec<(&str, &str)> = variables
        .map(|line| line.split_once('=').unwrap())
        .collect();
    assert!(variables.len() > 3);
    let settings = settings(command().envs(variables.iter().copied()));
    assert_volumes(&settings, &variables);
    let volumes = file.lines().find(|line| line.starts_with("VOLUME"));
    assert_eq!(volumes, Some("VOLUME /var/lib/wavekv /run/wavekv"));
    assert_eq!(settings["http"]["listen"].as_str(), Some(""));
    let check = file.lines().find(|line| line.starts_with("HEALTHCHECK "));
    assert!(check.unwrap().ends_with(r#""wavekv health || exit 1"]"#));
    // Both binaries come from where the build puts them.
    assert!(file.contains("/target/release/wavekvd /wavekv/target/release/wavekv /usr/local/bin/"));
    assert!(file.contains("\nUSER wavekv\n"));
}

#[test]
fn the_sidecar_has_the_data_and_the_sockets_in_its_volumes() {
    let file = read("kubernetes/sidecar.yaml");
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let variables = lines.windows(2).filter_map(|pair| {
        let name = pair[0].strip_prefix("- name: WAVEKV_")?;
        let value = pair[1].strip_prefix("value: ")?.trim_matches('"');
        Some((format!("WAVEKV_{name}"), value))
    });
    let all: Vec<(String, &str)> = variables.collect();
    // The last is the engine's.
    let (engine, daemon) = all.split_last().unwrap();
    let variables: Vec<(&str, &str)> = daemon
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let settings = settings(command().envs(variables.iter().copied()));
    assert_volumes(&settings, &variables);
    assert_eq!(engine.1, format!("shm:{}", sockets(&settings)[1]));
    let http = settings["http"]["listen"].as_str().unwrap();
    let (_, port) = http.rsplit_once(':').unwrap();
    assert!(lines.contains(&format!("containerPort: {port}").as_str()));
    let probe = r#"command: ["wavekv", "health"]"#;
    assert_eq!(lines.iter().filter(|line| **line == probe).count(), 3);
    for mount in ["/run/wavekv", "/var/lib/wavekv"] {
        assert!(lines.contains(&format!("mountPath: {mount}").as_str()));
    }
}

/// Data is below its volume, since its directory is the daemon's to make; sockets are in theirs, where the command line finds them.
fn assert_volumes(settings: &toml::Table, variables: &[(&str, &str)]) {
    assert_eq!(settings["data_dir"].as_str(), Some("/var/lib/wavekv/data"));
    let sockets = sockets(settings);
    assert!(
        sockets
            .iter()
            .all(|socket| socket.starts_with("/run/wavekv/"))
    );
    let address = variables.iter().find(|(name, _)| *name == "WAVEKV_ADDRESS");
    assert_eq!(address.unwrap().1, format!("unix:{}", sockets[0]));
}

#[test]
fn what_is_generated_of_the_flags_is_printed_without_a_daemon() {
    let printed = |flags: &[&str]| {
        let output = command().args(flags).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let page = printed(&["--print-manual"]);
    assert!(
        page.contains("wavekvd 8") && page.contains(r"\-\-data\-dir"),
        "{page}"
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(&["--print-completions", shell]).contains("data-dir"));
    }
}
