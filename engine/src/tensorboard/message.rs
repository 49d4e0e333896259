//! The messages in an event file, with the fields that r1flow writes; the names and numbers are those of TensorFlow's
//! `event.proto`, `summary.proto`, `histogram.proto` and `tensor.proto`. A reader skips fields that it does not know.

use prost::{Message, Oneof};

/// The version of the format: from 2 on, the start of a session drops what earlier files have of later steps.
pub const FILE_VERSION: &str = "brain.Event:2";

/// What one record holds.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The step.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// What happened.
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

/// What an event tells.
#[derive(Clone, PartialEq, Oneof)]
pub enum What {
    /// [`FILE_VERSION`], in the first event of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// Values of a step.
    #[prost(message, tag = "5")]
    Summary(Summary),
    /// That a process began.
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// A session's beginning.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    /// [`SESSION_START`].
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// The status of a session that begins.
pub const SESSION_START: i32 = 1;

/// Values of a step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values, each under its own tag.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A value under a tag.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name; the part before the first `/` is the group that TensorBoard shows it in.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// Which plugin shows it; absent for scalars and histograms.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
    /// The value.
    #[prost(oneof = "Datum", tags = "2, 5, 8")]
    pub datum: Option<Datum>,
}

/// A value.
#[derive(Clone, PartialEq, Oneof)]
pub enum Datum {
    /// A number.
    #[prost(float, tag = "2")]
    Scalar(f32),
    /// Numbers, counted.
    #[prost(message, tag = "5")]
    Histogram(Histogram),
    /// Text.
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

/// Which plugin shows a tag.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// The plugin.
    #[prost(message, optional, tag = "1")]
    pub plugin: Option<Plugin>,
}

/// A plugin of TensorBoard.
#[derive(Clone, PartialEq, Message)]
pub struct Plugin {
    /// `text`.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Numbers, counted in buckets.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The least.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The greatest.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// How many there are.
    #[prost(double, tag = "3")]
    pub num: f64,
    /// Their sum.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    /// The upper end of each bucket; a bucket begins where the one before it ends, the first one at `min`.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    /// How many are in each bucket.
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// A string, as a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// [`STRINGS`].
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Its shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Scalar>,
    /// Its only element, UTF-8.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub strings: Vec<Vec<u8>>,
}

/// The element type of strings.
pub const STRINGS: i32 = 7;

/// The shape of a single element: no dimensions. TensorBoard would draw a table for a list.
#[derive(Clone, PartialEq, Message)]
pub struct Scalar {}

impl Value {
    /// Makes a number under a tag.
    pub(super) fn scalar(tag: String, number: f64) -> Self {
        Self { tag, metadata: None, datum: Some(Datum::Scalar(number as f32)) }
    }

    /// Makes a histogram under a tag.
    pub(super) fn histogram(tag: String, histogram: Histogram) -> Self {
        Self { tag, metadata: None, datum: Some(Datum::Histogram(histogram)) }
    }

    /// Makes a text under a tag; TensorBoard shows it as Markdown.
    pub(super) fn text(tag: String, text: String) -> Self {
        let tensor = Tensor { dtype: STRINGS, shape: Some(Scalar {}), strings: vec![text.into_bytes()] };
        let metadata = Some(Metadata { plugin: Some(Plugin { name: "text".to_owned() }) });
        Self { tag, metadata, datum: Some(Datum::Tensor(tensor)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are put together by hand from the field numbers and wire types of the `.proto` files.
    #[test]
    fn events_have_the_bytes_of_the_format() {
        let version =
            Event { wall_time: 1.0, step: 0, what: Some(What::FileVersion(FILE_VERSION.to_owned())) }.encode_to_vec();
        let expected = [&[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x1a, 13][..], b"brain.Event:2"].concat();
        assert_eq!(version, expected);

        let start =
            Event { wall_time: 0.0, step: 300, what: Some(What::SessionLog(SessionLog { status: SESSION_START })) };
        assert_eq!(start.encode_to_vec(), [0x10, 0xac, 0x02, 0x3a, 2, 0x08, 1]);

        let scalar = Summary { value: vec![Value::scalar("a".to_owned(), 1.0)] };
        assert_eq!(scalar.encode_to_vec(), [0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f]);

        let text = Value::text("t".to_owned(), "hi".to_owned()).encode_to_vec();
        let tensor = [0x42, 8, 0x08, 7, 0x12, 0, 0x42, 2, b'h', b'i'];
        let metadata = [&[0x4a, 8, 0x0a, 6, 0x0a, 4][..], b"text"].concat();
        assert_eq!(text, [&[0x0a, 1, b't'][..], &tensor, &metadata].concat());

        let histogram = Histogram { num: 1.0, bucket_limit: vec![0.0], bucket: vec![1.0], ..Histogram::default() };
        let one = 1.0_f64.to_le_bytes();
        let packed = [&[0x19][..], &one, &[0x32, 8], &[0; 8], &[0x3a, 8], &one].concat();
        assert_eq!(histogram.encode_to_vec(), packed);
    }
}
