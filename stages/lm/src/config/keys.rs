//! Typed access to the keys of a JSON object; errors name the key that is missing or of the wrong type.

use serde_json::{Map, Value};

use super::Error;
use crate::limits;

/// Typed access to the keys of one JSON object; a `null` counts as absent, as in transformers.
pub(crate) struct Keys<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Keys<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        let value = self.get(key).ok_or_else(|| key_error(key, "missing".to_owned()))?;
        value.as_str().ok_or_else(|| key_error(key, format!("expected text, found {}", short(value))))
    }

    /// A positive whole number that is a size: of at most [`limits::SIZE`].
    pub(crate) fn count(&self, key: &str) -> Result<i64, Error> {
        self.count_to(key, limits::SIZE)
    }

    /// A positive whole number of at most `most`.
    pub(crate) fn count_to(&self, key: &str, most: i64) -> Result<i64, Error> {
        let value = self.get(key).ok_or_else(|| key_error(key, "missing".to_owned()))?;
        match value.as_i64() {
            Some(count) if (1..=most).contains(&count) => Ok(count),
            Some(count) if count > most => {
                Err(key_error(key, format!("{count} is more than {most}, the most there is")))
            }
            _ => Err(key_error(key, format!("expected a positive integer, found {}", short(value)))),
        }
    }

    /// A size, or the default where the key is absent.
    pub(crate) fn count_or(&self, key: &str, default: i64) -> Result<i64, Error> {
        if self.get(key).is_some() { self.count(key) } else { Ok(default) }
    }

    /// A whole number from 0 up, or the default where the key is absent.
    pub(crate) fn whole_or(&self, key: &str, default: i64) -> Result<i64, Error> {
        match self.get(key).map(|value| (value, value.as_i64())) {
            None => Ok(default),
            Some((_, Some(count))) if count >= 0 => Ok(count),
            Some((value, _)) => {
                Err(key_error(key, format!("expected a whole number from 0 up, found {}", short(value))))
            }
        }
    }

    /// A finite positive number.
    pub(crate) fn number(&self, key: &str) -> Result<f64, Error> {
        let value = self.get(key).ok_or_else(|| key_error(key, "missing".to_owned()))?;
        match value.as_f64() {
            Some(number) if number.is_finite() && number > 0.0 => Ok(number),
            _ => Err(key_error(key, format!("expected a positive number, found {}", short(value)))),
        }
    }

    /// A finite positive number, or the default where the key is absent.
    pub(crate) fn number_or(&self, key: &str, default: f64) -> Result<f64, Error> {
        if self.get(key).is_some() { self.number(key) } else { Ok(default) }
    }

    /// Like [`Keys::number`], but `None` if the key is absent or 0, which transformers treats as absent.
    pub(crate) fn number_unless_zero(&self, key: &str) -> Result<Option<f64>, Error> {
        match self.get(key).map(Value::as_f64) {
            None | Some(Some(0.0)) => Ok(None),
            Some(_) => self.number(key).map(Some),
        }
    }

    /// True or false; an absent key is false.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Error> {
        self.flag_or(key, false)
    }

    /// True or false, or the default where the key is absent.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(key_error(key, format!("expected true or false, found {}", short(value)))),
        }
    }
}

/// Formats a value for a message, shortened if it is long.
fn short(value: &Value) -> String {
    const SHOWN: usize = 64;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

pub(crate) fn key_error(key: &str, reason: String) -> Error {
    Error::Key { key: key.to_owned(), reason }
}
