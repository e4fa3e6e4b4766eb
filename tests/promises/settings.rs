//! Settings, as an operator of the process meets them: where they come from, and what is said of a wrong one.

use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::harness::Daemon;
use crate::harness::daemon::{command, refusal};

#[test]
fn the_printed_settings_are_those_that_hold_and_load_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wavekvd.toml");
    fs_err::write(
        &file,
        "[index]\nsink_tokens = 1\nrecent_tokens = 2\nseed = 3",
    )
    .unwrap();
    let from_everywhere = printed(
        command()
            .arg("--config")
            .arg(&file)
            .env("WAVEKV_INDEX__RECENT_TOKENS", "20")
            .env("WAVEKV_INDEX__SEED", "30")
            .args(["--set", "index.seed=300"]),
    );
    let settings: toml::Table = from_everywhere.parse().unwrap();
    let index = |key: &str| settings["index"][key].as_integer();
    let found = ["sink_tokens", "recent_tokens", "seed"].map(index);
    assert_eq!(found, [Some(1), Some(20), Some(300)]);

    fs_err::write(&file, &from_everywhere).unwrap();
    assert_eq!(
        printed(command().env("WAVEKV_CONFIG", &file)),
        from_everywhere
    );
}

fn printed(command: &mut Command) -> String {
    let output = command.arg("--print-config").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_wrong_setting_is_refused_with_its_name_and_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wavekvd.toml");
    fs_err::write(&file, "[memory]\nbudget = \"lots\"").unwrap();
    let data_dir = folder.path().join("data");
    let command = || {
        let mut command = command();
        command.arg("--data-dir").arg(&data_dir);
        command
    };
    for (said, named) in [
        (
            refusal(command().args(["--set", "index.sink_tokens=1025"])).await,
            "setting index.sink_tokens is 1025 (from flag --set",
        ),
        (
            refusal(command().args(["--set", "index.sinks=4"])).await,
            "unknown setting index.sinks (from flag --set",
        ),
        (
            refusal(command().env("WAVEKV_ATTEND__TARGET_ERROR", "1")).await,
            "setting attend.target_error is 1 (from environment variable",
        ),
        (
            refusal(command().args(["--set", "audit.share=1.5"])).await,
            "setting audit.share is 1.5 (from flag --set",
        ),
        (
            refusal(command().args(["--disk-budget", "64KiB"])).await,
            "setting disk.budget is 64KiB (from flag --disk-budget",
        ),
        (
            refusal(command().arg("--config").arg(&file)).await,
            "setting memory.budget is string \"lots\" (from file",
        ),
        (
            refusal(command().args(["--log-level", "wavekv=loud"])).await,
            "log.level",
        ),
    ] {
        assert!(said.contains(named) && said.contains("expected"), "{said}");
    }
    assert!(!data_dir.exists());
}

#[tokio::test]
async fn a_wider_address_is_refused_unless_it_is_allowed() {
    let said = refusal(command().args(["--listen", "0.0.0.0:0"])).await;
    let named = "setting grpc.listen is \"0.0.0.0:0\" (from flag --listen)";
    assert!(said.contains(named), "{said}");
    assert!(said.contains("grpc.allow_non_loopback"), "{said}");
    let wide = ["grpc.listen=0.0.0.0:0", "grpc.allow_non_loopback=true"];
    Daemon::with(&wide).tcp_address("0.0.0.0").await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_had_is_named() {
    let other = Daemon::with(&["grpc.listen=127.0.0.1:0"]);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("taken.sock");
    let _held = UnixListener::bind(&socket).unwrap();
    let start = || {
        let mut command = command();
        command.arg("--data-dir").arg(folder.path().join("data"));
        command
    };
    let mut command = start();
    command.args(["--listen", "", "--unix-socket"]).arg(&socket);
    let said = refusal(&mut command).await;
    assert!(said.contains("grpc.unix_socket is "), "{said}");
    let address = other.tcp_address("127.0.0.1").await;
    let said = refusal(start().args(["--listen", &address])).await;
    assert!(
        said.contains(&format!("grpc.listen is {address}")),
        "{said}"
    );
}
