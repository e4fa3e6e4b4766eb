//! Settings of the daemon.

use toml::Table;
use wavekv_client::ClientError;

/// What the daemon has told.
///
/// # Errors
/// [`ClientError::Protocol`] when it is no TOML.
pub(crate) fn read(told: &str) -> Result<Table, ClientError> {
    told.parse()
        .map_err(|error: toml::de::Error| ClientError::Protocol {
            what: format!("settings that are no TOML: {error}"),
        })
}

/// The settings that are not as in `defaults`.
pub(crate) fn different(settings: Table, defaults: &Table) -> Table {
    let different =
        settings
            .into_iter()
            .filter_map(|(key, value)| match (value, defaults.get(&key)) {
                (toml::Value::Table(table), Some(toml::Value::Table(defaults))) => {
                    let table = different(table, defaults);
                    (!table.is_empty()).then_some((key, toml::Value::Table(table)))
                }
                (value, default) => (default != Some(&value)).then_some((key, value)),
            });
    different.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_stays_in_its_table() {
        let defaults = read("a = 1\nb = 2\n[t]\nc = 3\nd = 4\n[u]\ne = 5").unwrap();
        let settings = read("a = 1\nb = 3\n[t]\nc = 3\nd = 5\n[u]\ne = 5").unwrap();
        let different = different(settings, &defaults);
        assert_eq!(different.to_string(), "b = 3\n\n[t]\nd = 5\n");
        assert!(read("= 1").is_err());
    }
}
