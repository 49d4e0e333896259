//! The gold answer: the forms of JSON in which sets of prompts publish their instructions.
//!
//! | form | sets |
//! |---|---|
//! | `{"instruction_id_list": ["a:b"], "kwargs": [{"x": 1}]}` | google/IFEval, a row or those two columns of it |
//! | `[{"instruction_id": "a:b", "kwargs": {"x": 1}}]` | a list of instructions |
//! | `[{"instruction_id": ["a:b"], "kwargs": [{"x": 1}]}]` | allenai/IF_multi_constraints_upto5, written as JSON |
//! | `{"func_name": "f", "N": 1, …}` | allenai/RLVR-IFeval |
//!
//! Other columns of a row are no business of this module. Arguments that are null are not there.

use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::{IFEVAL, Instruction, rlvr};

/// An instruction of a gold answer with its arguments.
type Given = (&'static Instruction, Arguments);

/// Returns the instructions of a gold answer.
pub(super) fn read(gold: &str) -> Result<Vec<Given>, String> {
    let given = match serde_json::from_str(gold) {
        Ok(Value::Object(row)) => of_object(&row)?,
        Ok(Value::Array(list)) => {
            let mut given = Vec::new();
            for item in &list {
                given.extend(of_object(item.as_object().ok_or("an instruction is not an object")?)?);
            }
            given
        }
        Ok(_) => return Err("the instructions are neither a list nor an object".to_owned()),
        Err(why) => return Err(format!("the instructions are not JSON: {why}")),
    };
    if given.is_empty() { Err("there is no instruction".to_owned()) } else { Ok(given) }
}

fn of_object(object: &Map<String, Value>) -> Result<Vec<Given>, String> {
    if let Some(name) = object.get("func_name") {
        let mut arguments = object.clone();
        arguments.remove("func_name");
        return Ok(vec![(named(name, &rlvr::FUNCTIONS)?, Arguments::new(arguments))]);
    }
    let kwargs = object.get("kwargs");
    match object.get("instruction_id_list").or_else(|| object.get("instruction_id")) {
        Some(Value::Array(names)) => {
            let kwargs = kwargs.and_then(Value::as_array).filter(|kwargs| kwargs.len() == names.len());
            let kwargs = kwargs.ok_or("`kwargs` is not a list with an entry for each instruction")?;
            names.iter().zip(kwargs).map(|(name, kwargs)| one(name, Some(kwargs))).collect()
        }
        Some(name) => Ok(vec![one(name, kwargs)?]),
        None => Err("the key `instruction_id_list`, `instruction_id` or `func_name` is missing".to_owned()),
    }
}

fn one(name: &Value, kwargs: Option<&Value>) -> Result<Given, String> {
    let arguments = match kwargs {
        Some(Value::Object(kwargs)) => kwargs.clone(),
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(format!("the arguments of {name} are not an object")),
    };
    Ok((named(name, &IFEVAL)?, Arguments::new(arguments)))
}

fn named(name: &Value, table: &'static [Instruction]) -> Result<&'static Instruction, String> {
    let known = table.iter().find(|Instruction(known, ..)| name.as_str() == Some(known));
    known.ok_or_else(|| format!("the instruction {name} is not known"))
}
