//! Parquet and Arrow IPC: converts columns to the JSON objects that the same rows would be as JSON lines.
//!
//! A list becomes an array, a struct an object, a dictionary entry its value, NaN null, and bytes text if they are
//! UTF-8. Other types (times, maps) become an empty object, which no reader accepts as text: such a column is allowed
//! as long as no field names it.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, types as ty};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde_json::{Map, Number, Value};

use super::budget::Budget;
use super::{Broken, Location, Record, Records};
use crate::limits;

/// Most bytes of a Parquet file's footer, which is parsed as a whole before anything else is known.
const FOOTER: u64 = 256 << 20;

pub(super) fn parquet(file: fs_err::File, budget: &Budget) -> Result<Records, Broken> {
    let file = file.into_file();
    check_footer(&file).map_err(Broken::whole)?;
    rows(budget, || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(limits::PARQUET_ROWS);
        let schema = builder.schema().clone();
        Ok::<_, ParquetError>((schema, builder.build()?))
    })
}

pub(super) fn arrow_file(file: fs_err::File, budget: &Budget) -> Result<Records, Broken> {
    rows(budget, || {
        let reader = FileReader::try_new(BufReader::new(file), None)?;
        Ok::<_, ArrowError>((reader.schema(), reader))
    })
}

pub(super) fn arrow_stream(bytes: impl BufRead + 'static, budget: &Budget) -> Result<Records, Broken> {
    rows(budget, || {
        let reader = StreamReader::try_new(bytes, None)?;
        Ok::<_, ArrowError>((reader.schema(), reader))
    })
}

fn check_footer(file: &File) -> Result<(), String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut end = [0; 8];
    let at = length.checked_sub(8).ok_or("it ends too early")?;
    file.read_exact_at(&mut end, at).map_err(|error| error.to_string())?;
    let footer = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if footer > FOOTER.min(at) {
        return Err(format!(
            "its footer would have {footer} bytes, of at most {}; help: write it again",
            FOOTER.min(at)
        ));
    }
    Ok(())
}

/// Opens a reader, and converts its batches row by row, because a batch may claim any number of rows.
fn rows<B, E: fmt::Display>(
    budget: &Budget,
    open: impl FnOnce() -> Result<(SchemaRef, B), E>,
) -> Result<Records, Broken>
where
    B: Iterator<Item = Result<RecordBatch, ArrowError>> + 'static,
{
    let (schema, mut batches) = caught(open).map_err(Broken::whole)?;
    check_schema(&schema).map_err(Broken::whole)?;
    let budget = budget.clone();
    let mut batch: Option<(RecordBatch, usize)> = None;
    let mut before = 0;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            if let Some((rows, next)) = batch.as_mut().filter(|(rows, next)| *next < rows.num_rows()) {
                let row = *next;
                *next += 1;
                before += 1;
                return Some(record(rows, row, &budget, Location::Row(before)));
            }
            match caught(|| batches.next().transpose()) {
                Ok(next) => batch = Some((next?, 0)),
                Err(error) => return Some(Err(Broken::from(Location::Row(before + 1), error))),
            }
        }
    })))
}

fn record(rows: &RecordBatch, row: usize, budget: &Budget, location: Location) -> Result<Record, Broken> {
    let fields = caught(|| Ok::<_, String>(fields(rows, row))).map_err(|reason| Broken::from(location, reason))?;
    budget.take_row(&fields).map_err(|reason| Broken::from(location, reason))?;
    Ok(Record { location, fields: Ok(fields) })
}

fn check_schema(schema: &SchemaRef) -> Result<(), String> {
    let columns = schema.fields().len();
    if columns > limits::COLUMNS {
        return Err(format!("{columns} columns, of at most {}; help: write the ones that are read", limits::COLUMNS));
    }
    let mut inner: Vec<(&DataType, usize)> = schema.fields().iter().map(|field| (field.data_type(), 1)).collect();
    while let Some((ty, depth)) = inner.pop() {
        if depth > limits::NESTING {
            return Err(format!("a column is nested more than {} times; help: leave it out", limits::NESTING));
        }
        match ty {
            DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) | DataType::Map(of, _) => {
                inner.push((of.data_type(), depth + 1));
            }
            DataType::Struct(of) => inner.extend(of.iter().map(|field| (field.data_type(), depth + 1))),
            DataType::Dictionary(_, of) => inner.push((of, depth + 1)),
            _ => {}
        }
    }
    Ok(())
}

/// Calls a reader and turns its panics into errors: it panics on some broken files.
fn caught<T, E: fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(text.unwrap_or("the reader gave up").to_owned())
        }
    }
}

fn fields(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect()
}

fn value(column: &dyn Array, row: usize) -> Value {
    use DataType as T;
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        T::Null => Value::Null,
        T::Boolean => column.as_boolean().value(row).into(),
        T::Int8 => column.as_primitive::<ty::Int8Type>().value(row).into(),
        T::Int16 => column.as_primitive::<ty::Int16Type>().value(row).into(),
        T::Int32 => column.as_primitive::<ty::Int32Type>().value(row).into(),
        T::Int64 => column.as_primitive::<ty::Int64Type>().value(row).into(),
        T::UInt8 => column.as_primitive::<ty::UInt8Type>().value(row).into(),
        T::UInt16 => column.as_primitive::<ty::UInt16Type>().value(row).into(),
        T::UInt32 => column.as_primitive::<ty::UInt32Type>().value(row).into(),
        T::UInt64 => column.as_primitive::<ty::UInt64Type>().value(row).into(),
        T::Float16 => short(column.as_primitive::<ty::Float16Type>().value(row).to_f32()),
        T::Float32 => short(column.as_primitive::<ty::Float32Type>().value(row)),
        T::Float64 => column.as_primitive::<ty::Float64Type>().value(row).into(),
        T::Decimal128(..) => column.as_primitive::<ty::Decimal128Type>().value_as_string(row).into(),
        T::Utf8 => column.as_string::<i32>().value(row).into(),
        T::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        T::Utf8View => column.as_string_view().value(row).into(),
        T::Binary => text(column.as_binary::<i32>().value(row)),
        T::LargeBinary => text(column.as_binary::<i64>().value(row)),
        T::List(_) => list(&column.as_list::<i32>().value(row)),
        T::LargeList(_) => list(&column.as_list::<i64>().value(row)),
        T::FixedSizeList(..) => list(&column.as_fixed_size_list().value(row)),
        T::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let key = value(dictionary.keys(), row).as_u64().expect("a valid key is an index");
            value(dictionary.values(), key as usize)
        }
        T::Struct(names) => {
            let columns = names.iter().zip(column.as_struct().columns());
            Value::Object(columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect())
        }
        _ => no_form(),
    }
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|row| value(items, row)).collect()
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| no_form(), Value::from)
}

/// Keeps the shortest digits of a single-precision number: 0.1, not 0.10000000149011612.
fn short(number: f32) -> Value {
    let number = number.to_string().parse().ok().and_then(Number::from_f64);
    number.map_or(Value::Null, Value::Number)
}

fn no_form() -> Value {
    Value::Object(Map::new())
}
