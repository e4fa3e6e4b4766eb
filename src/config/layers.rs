//! The places that settings come from, one over the other.

use std::ffi::OsString;
use std::path::Path;

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::{ConfigError, SettingError, Settings};

const PREFIX: &str = "WAVEKV_";

/// One setting as a variable or a flag gives it.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) setting: String,
    pub(super) value: String,
    pub(super) origin: String,
}

/// The settings that `variables` hold. One without `__` may be another program's, so it is left alone unless it is a
/// setting.
pub(super) fn environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
    defaults: &Dict,
) -> Result<Vec<Assignment>, ConfigError> {
    let mut assignments = Vec::new();
    for (name, value) in variables {
        let Some((name, tail)) = name
            .to_str()
            .and_then(|name| Some((name, name.strip_prefix(PREFIX)?)))
        else {
            continue;
        };
        let setting = tail.to_ascii_lowercase().replace("__", ".");
        if !tail.contains("__")
            && !matches!(defaults.get(&setting), Some(value) if value.as_dict().is_none())
        {
            continue;
        }
        let origin = format!("environment variable {name}");
        let name = name.to_owned();
        let value = value
            .into_string()
            .map_err(|value| ConfigError::Encoding { name, value })?;
        assignments.push(Assignment {
            setting,
            value,
            origin,
        });
    }
    Ok(assignments)
}

/// Settings in order of precedence, each with the place that it came from.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) settings: Figment,
    pub(super) unknown: Vec<SettingError>,
    defaults: Dict,
}

impl Layers {
    pub(super) fn of_defaults() -> Result<Self, Box<Error>> {
        let defaults = Serialized::defaults(Settings::default());
        let figment = Figment::from(&defaults);
        let defaults = defaults
            .data()?
            .remove(&Profile::Default)
            .unwrap_or_default();
        Ok(Self {
            settings: figment,
            unknown: Vec::new(),
            defaults,
        })
    }

    pub(super) fn defaults(&self) -> &Dict {
        &self.defaults
    }

    /// Puts a file over what is there.
    pub(super) fn file(mut self, path: &Path) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(path).map_err(ConfigError::File)?;
        let dict: Dict = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let origin = format!("file {}", path.display());
        for (key, value) in &dict {
            match (value.as_dict(), self.defaults.get(key).map(Value::as_dict)) {
                (_, None) => self.unknown(key.clone(), &origin),
                (Some(table), Some(Some(known))) => {
                    let unknown = table.keys().filter(|key| !known.contains_key(*key));
                    for setting in unknown
                        .map(|inner| format!("{key}.{inner}"))
                        .collect::<Vec<_>>()
                    {
                        self.unknown(setting, &origin);
                    }
                }
                // A value where a table belongs, or the reverse: a wrong type, as any other.
                (_, Some(_)) => {}
            }
        }
        self.settings = self.settings.merge(Layer { origin, dict });
        Ok(self)
    }

    /// Puts one setting over what is there.
    pub(super) fn assignment(mut self, assignment: Assignment) -> Self {
        let Assignment {
            setting,
            value,
            origin,
        } = assignment;
        let default = match setting.split_once('.') {
            Some((table, key)) => self
                .defaults
                .get(table)
                .and_then(Value::as_dict)
                .and_then(|table| table.get(key)),
            None => self.defaults.get(&setting),
        };
        let value = match default {
            Some(Value::String(..)) => Value::from(value),
            Some(Value::Dict(..)) | None => {
                self.unknown(setting, &origin);
                return self;
            }
            Some(_) => number_or_boolean(value),
        };
        let nested = figment::util::nest(&setting, value);
        let dict = nested.into_dict().unwrap_or_default();
        self.settings = self.settings.merge(Layer { origin, dict });
        self
    }

    /// Notes a setting that does not exist, beside those that do in its table.
    fn unknown(&mut self, setting: String, origin: &str) {
        let table = setting.split_once('.').map(|(table, _)| table);
        let siblings = table.and_then(|table| Some((table, self.defaults.get(table)?.as_dict()?)));
        let known = match siblings {
            Some((table, keys)) => keys.keys().map(|key| format!("{table}.{key}")).collect(),
            None => self.defaults.keys().cloned().collect(),
        };
        self.unknown.push(SettingError::Unknown {
            setting,
            origin: origin.to_owned(),
            known,
        });
    }
}

/// What is neither stays text, and is refused for its type.
fn number_or_boolean(text: String) -> Value {
    let boolean = text.parse().map(|value: bool| Value::from(value)).ok();
    let natural = || text.parse().map(|value: u64| Value::from(value)).ok();
    let integer = || text.parse().map(|value: i64| Value::from(value)).ok();
    let real = || text.parse().map(|value: f64| Value::from(value)).ok();
    let parsed = boolean.or_else(natural).or_else(integer).or_else(real);
    parsed.unwrap_or_else(|| Value::from(text))
}

/// Values of one place.
struct Layer {
    origin: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}
