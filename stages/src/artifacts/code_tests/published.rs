//! The forms in which data sets publish tests.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{TestsForm, packed};
use crate::artifacts::fields::{self, number_of, parse_json, text_of};
use crate::artifacts::lines::RawRow;
use crate::checks::{CallCase, Checker, Rule, Runner, StreamCase, Tests};

/// Reads a row's tests, which have the form `form`.
pub(super) fn read(row: &RawRow<'_>, form: TestsForm) -> Result<Tests, String> {
    match form {
        TestsForm::Livecodebench => livecodebench(row),
        TestsForm::Taco => taco(row),
        TestsForm::CodeContests => code_contests(row),
        TestsForm::Cases => cases(row),
        TestsForm::Kodcode => kodcode(row),
        TestsForm::Humaneval => humaneval(row),
        TestsForm::Mbpp => mbpp(row),
        TestsForm::Ifeval => ifeval(row),
    }
}

/// The public tests, then the private ones. A function's arguments are JSON, one on each line.
fn livecodebench(row: &RawRow<'_>) -> Result<Tests, String> {
    let (public, private) = (needed(row, "public_test_cases")?, needed(row, "private_test_cases")?);
    let public = parsed(&public, "public_test_cases")?;
    let private = match private.as_ref() {
        // Small ones are plain.
        Value::String(text) if !text.trim_start().starts_with('[') => {
            let of_field = |reason| format!("`private_test_cases`: {reason}");
            let text = packed::unpack(text, row.budget).map_err(of_field)?;
            Cow::Owned(parse_json(&text).map_err(of_field)?)
        }
        value => parsed(value, "private_test_cases")?,
    };
    let all = list(&public, "public_test_cases")?.iter().chain(list(&private, "private_test_cases")?);
    let all: Vec<&Value> = all.collect();
    let is_call = |case: &&Value| case["testtype"] == "functional";
    if !all.iter().any(is_call) {
        let cases = all.into_iter().map(|case| stream(case, "test case")).collect::<Result<_, _>>()?;
        return Ok(Tests::Streams { cases, time_limit: None, checker: Checker::default() });
    }
    if !all.iter().all(is_call) {
        return Err("some of its test cases call a function, and others do not".to_owned());
    }
    let metadata = needed(row, "metadata")?;
    let metadata = parsed(&metadata, "metadata")?;
    let function = metadata["func_name"].as_str().ok_or("`metadata` has no `func_name`")?.to_owned();
    let cases = all.into_iter().map(|case| {
        let StreamCase { input, output } = stream(case, "test case")?;
        let arguments = input.lines().filter(|line| !line.trim().is_empty()).map(|line| json(line, "an argument"));
        Ok::<_, String>(CallCase {
            arguments: arguments.collect::<Result<_, _>>()?,
            expected: vec![json(&output, "a result")?],
        })
    });
    Ok(Tests::Calls { function, cases: cases.collect::<Result<_, _>>()?, time_limit: None })
}

/// Inputs and outputs are texts, or lists of lines. Of a function, an input is the list of its arguments.
fn taco(row: &RawRow<'_>) -> Result<Tests, String> {
    let field = single(row, "input_output")?;
    let field = parsed(&field, "input_output")?;
    let (inputs, outputs) = (list(&field["inputs"], "inputs")?, list(&field["outputs"], "outputs")?);
    let pairs = equally_many(inputs, outputs)?;
    let time_limit = seconds(row)?;
    let Some(function) = field["fn_name"].as_str() else {
        let cases = pairs.map(|(input, output)| {
            Ok::<_, String>(StreamCase { input: lines(input, "an input")?, output: lines(output, "an output")? })
        });
        return Ok(Tests::Streams { cases: cases.collect::<Result<_, _>>()?, time_limit, checker: Checker::default() });
    };
    let cases = pairs.map(|(input, output)| {
        let arguments = list(input, "the arguments of a call")?.clone();
        Ok::<_, String>(CallCase { arguments, expected: results(output) })
    });
    Ok(Tests::Calls { function: function.to_owned(), cases: cases.collect::<Result<_, _>>()?, time_limit })
}

/// Returns what a function may return: some results are in a list of one and others are not, so both count as right, as
/// in the checker of APPS and TACO, from which the others have such tests.
fn results(output: &Value) -> Vec<Value> {
    let inner = output.as_array().filter(|items| items.len() == 1).map(|items| items[0].clone());
    std::iter::once(output.clone()).chain(inner).collect()
}

fn code_contests(row: &RawRow<'_>) -> Result<Tests, String> {
    for name in ["input_file", "output_file"] {
        if let Some(file) = row.value(name).and_then(Value::as_str).filter(|file| !file.is_empty()) {
            return Err(format!("its programs read or write the file `{file}`, and not the standard streams"));
        }
    }
    let mut cases = Vec::new();
    for name in ["public_tests", "private_tests", "generated_tests"] {
        let Some(tests) = row.value(name) else { continue };
        let (inputs, outputs) = (list(&tests["input"], name)?, list(&tests["output"], name)?);
        for (input, output) in equally_many(inputs, outputs)? {
            cases.push(StreamCase { input: lines(input, name)?, output: lines(output, name)? });
        }
    }
    Ok(Tests::Streams { cases, time_limit: seconds(row)?, checker: Checker::default() })
}

/// All cases have a function's name, or none has.
fn cases(row: &RawRow<'_>) -> Result<Tests, String> {
    let field = single(row, "test_cases")?;
    let field = parsed(&field, "test_cases")?;
    let all = list(&field, "test_cases")?;
    let name = |case: &Value| case["fn_name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let Some(function) = all.first().and_then(name) else {
        let is_call = |case: &Value| name(case).is_some() || case["type"] == "function_call";
        if all.iter().any(is_call) {
            return Err("some of its test cases call a function, and others do not".to_owned());
        }
        let cases = all.iter().map(|case| stream(case, "test case")).collect::<Result<_, _>>()?;
        return Ok(Tests::Streams { cases, time_limit: None, checker: Checker::default() });
    };
    let cases = all.iter().map(|case| {
        if name(case).as_ref() != Some(&function) {
            return Err("its test cases call several functions".to_owned());
        }
        let arguments = parsed(&case["input"], "input")?;
        let output = parsed(&case["output"], "output")?;
        Ok(CallCase { arguments: list(&arguments, "input")?.clone(), expected: results(&output) })
    });
    let cases = cases.collect::<Result<_, _>>()?;
    Ok(Tests::Calls { function, cases, time_limit: None })
}

fn kodcode(row: &RawRow<'_>) -> Result<Tests, String> {
    let test = single(row, "test")?;
    let functions = row.value("test_info").and_then(Value::as_array);
    // With several functions, the test names those that it imports.
    let function = functions.filter(|functions| functions.len() == 1).and_then(|one| one[0]["function_name"].as_str());
    Ok(Tests::Program { code: text_of(&test, "test")?, runner: Runner::Pytest, function: function.map(str::to_owned) })
}

fn humaneval(row: &RawRow<'_>) -> Result<Tests, String> {
    let test = single(row, "test")?;
    let function = row.text("entry_point")?;
    let code = format!("{}\n\ncheck({function})\n", text_of(&test, "test")?.trim_end());
    Ok(Tests::Program { code, runner: Runner::Python, function: Some(function) })
}

fn mbpp(row: &RawRow<'_>) -> Result<Tests, String> {
    let asserts = single(row, "test_list")?;
    let mut code = Vec::new();
    if let Some(imports) = row.value("test_imports") {
        code.push(lines(imports, "test_imports")?);
    }
    code.extend(row.optional_text("test_setup_code")?);
    code.push(lines(&asserts, "test_list")?);
    code.retain(|part| !part.trim().is_empty());
    Ok(Tests::Program { code: code.join("\n"), runner: Runner::Python, function: None })
}

fn ifeval(row: &RawRow<'_>) -> Result<Tests, String> {
    let (ids, kwargs) = (needed(row, "instruction_id_list")?, needed(row, "kwargs")?);
    let pairs = equally_many(list(&ids, "instruction_id_list")?, list(&kwargs, "kwargs")?)?;
    let rules = pairs.map(|(id, kwargs)| {
        let kwargs = parsed(kwargs, "kwargs")?;
        // A table has a column for every parameter, so those that a rule does not have are null.
        let arguments = kwargs.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let arguments: Map<String, Value> = arguments.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok::<_, String>(Rule { id: text_of(id, "instruction_id_list")?, arguments })
    });
    Ok(Tests::Rules { rules: rules.collect::<Result<_, _>>()? })
}

fn needed<'a>(row: &'a RawRow<'_>, name: &str) -> Result<Cow<'a, Value>, String> {
    row.field(name)?.ok_or_else(|| format!("`{name}` is empty"))
}

/// Returns the field of a form that has only one: the one that `fields` maps onto `tests`, or the set's own.
fn single<'a>(row: &'a RawRow<'_>, name: &str) -> Result<Cow<'a, Value>, String> {
    if row.import.fields.has("tests") {
        return row.mapped("tests")?.ok_or_else(|| "`tests` is empty".to_owned());
    }
    needed(row, name)
}

/// Parses a value that is JSON in a text; others are returned as they are.
fn parsed<'a>(value: &'a Value, name: &str) -> Result<Cow<'a, Value>, String> {
    fields::parsed(value).map_err(|error| format!("`{name}` is {error}"))
}

fn json(text: &str, what: &str) -> Result<Value, String> {
    parse_json(text).map_err(|error| format!("{what} is {error}"))
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("`{name}` is no list"))
}

fn equally_many<'a>(
    one: &'a [Value],
    other: &'a [Value],
) -> Result<impl Iterator<Item = (&'a Value, &'a Value)>, String> {
    if one.len() == other.len() {
        return Ok(one.iter().zip(other));
    }
    Err(format!("its tests have {} inputs and {} outputs", one.len(), other.len()))
}

fn stream(case: &Value, name: &str) -> Result<StreamCase, String> {
    Ok(StreamCase { input: lines(&case["input"], name)?, output: lines(&case["output"], name)? })
}

/// Returns a text, or a list of lines as one.
fn lines(value: &Value, name: &str) -> Result<String, String> {
    match value {
        Value::Array(lines) => {
            let lines = lines.iter().map(|line| text_of(line, name));
            Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        other => text_of(other, name),
    }
}

/// Returns a row's `time_limit` in seconds: `{ seconds, nanos }`, a number, or a text such as `2.0 seconds`.
fn seconds(row: &RawRow<'_>) -> Result<Option<f64>, String> {
    let Some(limit) = row.value("time_limit") else { return Ok(None) };
    let seconds = match limit {
        Value::Object(parts) => {
            let part = |name: &str| parts.get(name).map_or(Ok(0.0), |part| number_of(part, "time_limit"));
            part("seconds")? + part("nanos")? / 1e9
        }
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => {
            let number = text.trim().trim_end_matches(|letter: char| letter.is_alphabetic()).trim();
            let is_seconds = text.trim().len() == number.len() || text.trim()[number.len()..].trim().starts_with('s');
            let number = number.parse().ok().filter(|_| is_seconds);
            number.ok_or_else(|| format!("`time_limit` is `{text}`, expected seconds"))?
        }
        number => number_of(number, "time_limit")?,
    };
    if seconds.is_finite() && seconds > 0.0 {
        return Ok(Some(seconds));
    }
    Err(format!("`time_limit` is {seconds}, expected seconds"))
}
