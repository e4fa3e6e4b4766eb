//! `wavekvd.example.toml`: the documentation of the settings' types, the values of their defaults.
//!
//! `UPDATE=1 cargo test -p wavekv --lib` rewrites it.

use toml_example::TomlExample as _;

use super::Settings;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/wavekvd.example.toml");

const HEADER: &str = "\
# Settings of wavekvd, with their defaults. Name this file with --config or WAVEKV_CONFIG.
#
# Environment variables win over this file: WAVEKV_GRPC__LISTEN is `listen` in [grpc].
# Flags win over both: --set grpc.listen=..., and the usual ones have their own; see wavekvd --help.
";

/// The documentation that `TomlExample` collects, with our values for its own: it cannot know how a size is written.
fn generate() -> String {
    let values: toml::Table = Settings::default().to_toml().unwrap().parse().unwrap();
    let mut table = &values;
    let mut lines = vec![HEADER.to_owned()];
    // Without what documents the types for those who read the code.
    let in_code = |line: &&str| line.starts_with("# Table `") || line.starts_with("# All settings");
    for line in Settings::toml_example()
        .lines()
        .filter(|line| !in_code(line))
    {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            table = values[name].as_table().unwrap();
        }
        let key = line
            .split_once(" = ")
            .map(|(key, _)| key.trim_start_matches("# "));
        match key.and_then(|key| Some((key, table.get(key)?))) {
            Some((key, value)) => lines.push(format!("{key} = {value}")),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

#[test]
fn the_example_is_what_the_settings_say() {
    super::golden::assert_is(PATH, &generate());
}

#[test]
fn the_example_is_the_defaults_and_names_them_all() {
    let example = fs_err::read_to_string(PATH).unwrap();
    let values: toml::Table = example.parse().unwrap();
    let defaults: toml::Table = Settings::default().to_toml().unwrap().parse().unwrap();
    assert_eq!(values, defaults);
    assert_eq!(
        toml::from_str::<Settings>(&example).unwrap(),
        Settings::default()
    );
}
