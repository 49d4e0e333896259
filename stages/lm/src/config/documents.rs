//! `config.json` and `generation_config.json`, kept as a whole, so that unknown keys survive a round trip.

use std::path::Path;

use serde_json::{Map, Value};

use super::Error;
use super::keys::Keys;
use crate::limits;

/// A model's two documents, not checked beyond being JSON objects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Documents {
    pub(super) config: Map<String, Value>,
    pub(super) generation: Map<String, Value>,
}

impl Documents {
    /// Parses the text of a `config.json`; there is no `generation_config.json`.
    pub(crate) fn from_text(text: &str) -> Result<Self, Error> {
        Ok(Self { config: object(Path::new("config.json"), text)?, generation: Map::new() })
    }

    /// Reads `config.json`, and `generation_config.json` if it exists, from a model's folder.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("config.json");
        let config = object(&path, &outside::read_text(&path, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)?)?;
        let path = dir.join("generation_config.json");
        let generation = outside::read_text_if_there(&path, limits::CONFIG_BYTES, limits::NO_SUCH_FILE)?;
        let generation = generation.map_or(Ok(Map::new()), |text| object(&path, &text))?;
        Ok(Self { config, generation })
    }

    /// Sets a key of `config.json`.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    /// The architecture's name.
    pub(crate) fn model_type(&self) -> Result<&str, Error> {
        Keys(&self.config).text("model_type")
    }

    /// The text of `config.json`.
    pub(super) fn config_text(&self) -> String {
        pretty(&self.config)
    }

    /// The text of `generation_config.json`: special tokens that it lacks are those of `config.json`.
    pub(super) fn generation_text(&self) -> String {
        let mut generation = self.generation.clone();
        for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            if let (false, Some(value)) = (generation.contains_key(key), self.config.get(key)) {
                generation.insert(key.to_owned(), value.clone());
            }
        }
        pretty(&generation)
    }
}

fn object(path: &Path, text: &str) -> Result<Map<String, Value>, Error> {
    let failed = |reason: String| Error::Json { path: path.to_owned(), reason };
    match serde_json::from_str(text).map_err(|error| failed(error.to_string()))? {
        Value::Object(map) => Ok(map),
        _ => Err(failed("expected an object".to_owned())),
    }
}

fn pretty(map: &Map<String, Value>) -> String {
    let mut text = serde_json::to_string_pretty(map).expect("a JSON object has only string keys");
    text.push('\n');
    text
}
