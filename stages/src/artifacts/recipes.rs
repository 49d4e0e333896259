//! Every input of `docs/cookbook/data-sets.toml` reads made-up rows with the columns of its data set
//! (`tests/datasets/make_published.py`, which also says what is expected).

use std::path::Path;

use engine::artifact as mark;
use serde_json::{Map, Value, json};

use super::*;
use crate::testing::input;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Returns the inputs of the recipes: name, type and import keys.
fn recipes() -> Vec<(String, String, Map<String, Value>)> {
    let text = fs_err::read_to_string(Path::new(ROOT).join("docs/cookbook/data-sets.toml")).unwrap();
    let document: toml::Table = toml::from_str(&text).unwrap();
    let inputs = document["inputs"].as_table().unwrap().iter();
    let recipe = |(name, keys): (&String, &toml::Value)| {
        let mut keys = serde_json::to_value(keys).unwrap().as_object().unwrap().clone();
        // A file has neither splits nor configs.
        keys.remove("split");
        keys.remove("config");
        let types = ["prompts", "samples", "preferences"];
        let artifact = types.into_iter().find(|artifact| keys.remove(*artifact).is_some()).unwrap();
        (name.clone(), artifact.to_owned(), keys)
    };
    inputs.map(recipe).collect()
}

/// Reads the rows of a fixture, without what depends on its place.
fn read(name: &str, artifact: &str, keys: &Map<String, Value>) -> Result<Vec<Value>, String> {
    let file = Path::new(ROOT).join(format!("tests/datasets/published/{name}.jsonl"));
    let keys = Value::Object(keys.clone());
    let rows = match artifact {
        "prompts" => read_prompts(&input::<mark::Prompts>("inputs.it", &file, keys)).map(|rows| json!(rows)),
        "samples" => read_samples(&input::<mark::Samples>("inputs.it", &file, keys)).map(|rows| json!(rows)),
        _ => read_preferences(&input::<mark::Preferences>("inputs.it", &file, keys)).map(|rows| json!(rows)),
    };
    let mut rows = rows.map_err(|error| error.to_string())?.as_array().unwrap().clone();
    for row in &mut rows {
        row.as_object_mut().unwrap().shift_remove("id");
    }
    Ok(rows)
}

fn expected(name: &str) -> Vec<Value> {
    let file = Path::new(ROOT).join(format!("tests/datasets/published/{name}.expected.jsonl"));
    let text = fs_err::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_recipe_reads_rows_as_they_are_published() {
    let recipes = recipes();
    assert_eq!(recipes.len(), 42);
    for (name, artifact, keys) in recipes {
        let mut rows = read(&name, &artifact, &keys).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "gpqa" {
            for row in &mut rows {
                *row = without_letters(row);
            }
        }
        assert_eq!(rows, expected(&name), "{name}");
    }
}

/// Returns a row with lettered options as the question, the options in order, and the text of the right one.
fn without_letters(row: &Value) -> Value {
    assert_eq!(row["verify"], "choice");
    let (question, options) = row["prompt"].as_str().unwrap().split_once("\n\n").unwrap();
    let options: Vec<(&str, &str)> = options.lines().map(|line| line.split_once(") ").unwrap()).collect();
    let letters: String = options.iter().map(|(letter, _)| *letter).collect();
    assert_eq!(letters, "ABCD");
    let right = options.iter().find(|(letter, _)| *letter == row["answer"]).unwrap().1;
    let mut texts: Vec<&str> = options.iter().map(|(_, text)| *text).collect();
    texts.sort_unstable();
    json!({ "question": question, "right": right, "options": texts })
}
