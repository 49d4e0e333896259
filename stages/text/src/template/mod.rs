//! Chat templates with the semantics of HF's Jinja.
//!
//! A template is a foreign program that runs for every prompt. Every step and every 64 bytes that it handles cost fuel,
//! and nested values are checked before they are printed. A template therefore ends soon and takes little memory, and
//! errors name it. It runs on a separate stack that is deep enough for all nesting that the fuel allows.

mod json;
mod marked;
mod shipped;
mod texts;

use std::sync::LazyLock;

use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{Environment, ErrorKind, Output, State, context};
use regex::Regex;
use serde_json::Map;

pub use marked::Marked;
pub use shipped::{names, shipped};
pub use texts::TextTemplate;

use crate::{Error, Message, SpecialTokens, limits};

/// Stack for one step of fuel: a level of nesting takes five steps, and less than a thousand bytes of stack to print.
const STACK_PER_FUEL: usize = 512;
/// Stack in addition to that, also for parsing: a level of nesting takes at least one byte of source.
const STACK: usize = 64 << 20;

/// A chat template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    name: String,
    source: String,
    environment: Environment<'static>,
    /// The same template; it writes marks around the assistant's text. Absent: the template has no tags for it.
    marking: Option<Environment<'static>>,
    special: SpecialTokens,
    args: Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// Parses a template from the key `chat_template`.
    pub fn parse(source: &str, special: SpecialTokens) -> Result<Self, Error> {
        Self::named("chat_template", source, special)
    }

    /// Parses a template; errors call it `name`.
    pub fn named(name: &str, source: &str, special: SpecialTokens) -> Result<Self, Error> {
        // A block that marks the assistant's text. As another block it keeps its effect on white space.
        let without_tags = |begin: &str, end: &str| {
            let text = GENERATION.replace_all(source, format!("${{1}} {begin} ${{2}}"));
            END_GENERATION.replace_all(&text, format!("${{1}} {end} ${{2}}")).into_owned()
        };
        let environment = parse(name, without_tags("if true", "endif"))?;
        let marking = GENERATION.is_match(source).then(|| parse(name, without_tags("filter marked", "endfilter")));
        let (name, source) = (name.to_owned(), source.to_owned());
        Ok(Self { name, source, environment, marking: marking.transpose()?, special, args: Map::new() })
    }

    /// Sets the template's own variables, such as `enable_thinking`; `today` is the day that `strftime_now` writes.
    ///
    /// # Errors
    /// If the template reads no variable of a name, or the day is none.
    pub fn with_args(mut self, mut args: Map<String, serde_json::Value>) -> Result<Self, Error> {
        let failed = |reason: String| Error::Template { name: self.name.clone(), reason };
        if let Some(today) = args.remove(TODAY) {
            let day = today.as_str().and_then(|day| day.parse::<Date>().ok());
            let day =
                day.ok_or_else(|| failed(format!("`{TODAY}` is {today}; help: write a day as \"2026-01-31\"")))?;
            if !self.source.contains("strftime_now") {
                return Err(failed(format!("`{TODAY}` has no effect: the template does not write today's date")));
            }
            for environment in std::iter::once(&mut self.environment).chain(&mut self.marking) {
                environment.add_function("strftime_now", move |format: String| {
                    jiff::fmt::strtime::format(&format, day)
                        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
                });
            }
        }
        let is_given = |name: &str| GIVEN.contains(&name) && name != TOOLS;
        if let Some(stranger) = args.keys().find(|name| is_given(name) || !self.names(name)) {
            let known = own_variables(&self.environment, &GIVEN).map_err(|error| failed(format!("{error:#}")))?;
            let known = match known.as_slice() {
                [] => "no variable of its own".to_owned(),
                known => format!("`{}`", known.join("`, `")),
            };
            return Err(failed(format!("it does not read `{stranger}`; help: it reads {known}")));
        }
        self.args = args;
        Ok(self)
    }

    /// Returns whether the template has a variable of this name. It may set the variable itself, to a default.
    pub fn names(&self, variable: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.source.match_indices(variable).any(|(at, _)| {
            let (before, after) = (&self.source[..at], &self.source[at + variable.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
    }

    /// Returns the template as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation; `add_generation_prompt` opens the assistant's turn.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, Error> {
        render(&self.name, &self.environment, messages.iter().map(size).sum(), || {
            self.values(messages, add_generation_prompt)
        })
    }

    /// Renders a conversation that ends with the assistant's turn, and finds what the template marks in that turn by
    /// `{% generation %}`. `asked` is the rendered conversation before the turn, with the turn opened, and `completion`
    /// the turn's text. `None` if the template marks nothing there, more than one piece, or other white space than is
    /// asked for.
    pub fn render_marked(&self, messages: &[Message], asked: &str, completion: &str) -> Result<Option<Marked>, Error> {
        let Some(marking) = &self.marking else { return Ok(None) };
        let bytes = messages.iter().map(size).sum();
        let text = render(&self.name, marking, bytes, || self.values(messages, false))?;
        Ok(Marked::find(&text, asked, completion))
    }

    fn values(&self, messages: &[Message], opens: bool) -> Value {
        let turns: Vec<Value> = messages.iter().map(|turn| Value::from(Serde(turn.for_template().as_ref()))).collect();
        let own = Value::from(Serde(&self.args));
        context! {
            messages => turns,
            add_generation_prompt => opens,
            // transformers defines these, and gives none unless its caller does.
            tools => self.args.get(TOOLS).map_or(Value::from(()), |tools| Value::from(Serde(tools))),
            documents => (),
            bos_token => self.special.bos.as_deref().unwrap_or(""),
            eos_token => self.special.eos.as_str(),
            pad_token => self.special.pad.as_str(),
            ..own
        }
    }
}

/// Parses a template; errors call it `name`.
fn parse(name: &str, source: String) -> Result<Environment<'static>, Error> {
    // Jinja reads a line break in any spelling as one.
    let source = if source.contains('\r') { source.replace("\r\n", "\n").replace('\r', "\n") } else { source };
    let failed = |reason: String| Error::Template { name: name.to_owned(), reason };
    if source.len() > limits::TEMPLATE_BYTES {
        let (has, most) = (source.len(), limits::TEMPLATE_BYTES);
        return Err(failed(format!("it has {has} bytes, of at most {most}; help: take the published template")));
    }
    let environment = deep(STACK, || environment(source)).map_err(|error| failed(error.to_string()))?;
    environment.map_err(|error| failed(format!("{error:#}")))
}

/// Renders a template with values that have this many bytes of text.
fn render(
    name: &str,
    environment: &Environment<'static>,
    bytes: usize,
    values: impl FnOnce() -> Value + Send,
) -> Result<String, Error> {
    let failed = |reason: String| Error::Template { name: name.to_owned(), reason };
    let fuel = limits::TEMPLATE_FUEL + bytes as u64 / limits::BYTES_PER_FUEL;
    let rendered = deep(STACK + fuel as usize * STACK_PER_FUEL, || {
        let mut environment = environment.clone();
        environment.set_fuel(Some(fuel));
        environment.get_template(TEMPLATE)?.render(values())
    });
    let text = rendered.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(reason(&error)))?;
    let most = limits::TEMPLATE_OUTPUT + limits::TEMPLATE_GROWTH * bytes;
    if text.len() > most {
        let reason = format!("it makes {} bytes of {bytes}, of at most {most}; help: {CURE}", text.len());
        return Err(failed(reason));
    }
    Ok(text)
}

/// Returns the variables that a template reads and does not set, without those that it is given.
fn own_variables(environment: &Environment<'static>, given: &[&str]) -> Result<Vec<String>, minijinja::Error> {
    let mut names: Vec<String> = environment.get_template(TEMPLATE)?.undeclared_variables(false).into_iter().collect();
    names.retain(|name| !given.contains(&name.as_str()));
    names.sort_unstable();
    Ok(names)
}

const TEMPLATE: &str = "chat";
/// The argument with the day that `strftime_now` writes.
const TODAY: &str = "today";
/// The variable with the tools that the model may call; only a row has them.
pub const TOOLS: &str = "tools";
/// What every template is given, and cannot be set.
const GIVEN: [&str; 12] = [
    "messages",
    "add_generation_prompt",
    "tools",
    "documents",
    "bos_token",
    "eos_token",
    "pad_token",
    "raise_exception",
    "strftime_now",
    "namespace",
    "range",
    "dict",
];

static GENERATION: LazyLock<Regex> = LazyLock::new(|| tag("generation"));
static END_GENERATION: LazyLock<Regex> = LazyLock::new(|| tag("endgeneration"));

/// Matches a tag without arguments in all spellings: `{% name %}`, `{%- name -%}`, ….
fn tag(name: &str) -> Regex {
    Regex::new(&format!(r"(\{{%[-+]?)\s*{name}\s*([-+]?%\}})")).expect("a constant pattern")
}

/// Returns the bytes of the texts of a turn.
fn size(message: &Message) -> usize {
    let content = match &message.content {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Null => 0,
        parts => parts.to_string().len(),
    };
    let more =
        if message.more.is_empty() { 0 } else { serde_json::to_string(&message.more).map_or(0, |more| more.len()) };
    message.role.len() + content + more
}
const CURE: &str = "take the template that the model was published with";

fn environment(source: String) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    // transformers renders with these two; without them templates gain stray lines.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out: &mut Output, state: &mut State, value: &Value| {
        printable(value)?;
        match f64::try_from(value.clone()) {
            Ok(number) if value.kind() == ValueKind::Number && !value.is_integer() => {
                out.write_str(&json::float(number)).map_err(minijinja::Error::from)
            }
            _ => minijinja::escape_formatter(out, state, value),
        }
    });
    environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |_: String| -> Result<String, minijinja::Error> {
        let message = "the template writes today's date, so every day would give other tokens; help: name a day, \
                       `template-args = { today = \"2026-01-31\" }`";
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    // As in Python: a text is iterable, and none is not.
    environment.add_test("iterable", |value: &Value| {
        !value.is_none() && (value.kind() == ValueKind::String || value.is_undefined() || value.try_iter().is_ok())
    });
    environment.add_filter("tojson", |value: Value, options: Kwargs| {
        printable(&value)?;
        json::python(&value, &options)
    });
    environment.add_filter("marked", |text: String| marked::mark(&text));
    environment.add_filter("pprint", |value: Value| printable(&value).map(|()| format!("{value:#?}")));
    environment.add_filter("string", |value: Value| printable(&value).map(|()| value.to_string()));
    environment.add_template_owned(TEMPLATE, source)?;
    Ok(environment)
}

/// Returns the message of an error; explains it if the template ran out of fuel.
fn reason(error: &minijinja::Error) -> String {
    let text = format!("{error:#}");
    match error.kind() {
        ErrorKind::OutOfFuel => format!("{text}: it takes too long or makes too much text; help: {CURE}"),
        _ => text,
    }
}

/// Refuses a value that would take too long or too deep a stack to print: forty lists that each contain the previous
/// one twice have 2^40 parts.
fn printable(value: &Value) -> Result<(), minijinja::Error> {
    let mut parts = 0;
    let mut rest = vec![(value.clone(), 0)];
    while let Some((value, depth)) = rest.pop() {
        parts += 1;
        let is_map = value.kind() == ValueKind::Map;
        if depth > limits::VALUE_DEPTH || parts + rest.len() > limits::VALUE_PARTS {
            let (depth, parts) = (limits::VALUE_DEPTH, limits::VALUE_PARTS);
            let message = format!("prints more than {depth} values in each other, or {parts} at once; help: {CURE}");
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
        }
        if !is_map && !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
            continue;
        }
        for part in value.try_iter()?.take(limits::VALUE_PARTS) {
            rest.push((if is_map { value.get_item(&part)? } else { part }, depth + 1));
        }
    }
    Ok(())
}

/// Runs `work` on a new thread with a stack of `stack` bytes.
fn deep<T: Send>(stack: usize, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(stack).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| std::io::Error::other("the template engine gave up"))
    })
}

#[cfg(test)]
mod tests;
