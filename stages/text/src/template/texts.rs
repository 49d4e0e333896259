//! Templates of a text: `{{ prompt }} Put the answer in \\boxed{}.`

use std::collections::BTreeMap;

use minijinja::Environment;
use minijinja::value::Value;

use super::{own_variables, parse, render};
use crate::Error;

/// A template in Jinja that reads some texts.
#[derive(Clone, Debug)]
pub struct TextTemplate {
    name: String,
    source: String,
    environment: Environment<'static>,
}

impl TextTemplate {
    /// Parses a template; errors call it `name`. It must read one of `variables`, and no other variable.
    pub fn parse(name: &str, source: &str, variables: &[&str]) -> Result<Self, Error> {
        let failed = |reason: String| Error::Template { name: name.to_owned(), reason };
        let environment = parse(name, source.to_owned())?;
        let read = own_variables(&environment, &["raise_exception", "namespace", "range", "dict"])
            .map_err(|error| failed(format!("{error:#}")))?;
        let known = variables.iter().map(|variable| format!("`{variable}`")).collect::<Vec<_>>().join(", ");
        if let Some(other) = read.iter().find(|read| !variables.contains(&read.as_str())) {
            return Err(failed(format!("it reads `{other}`, which it is not given; help: it may read {known}")));
        }
        if read.is_empty() {
            let example = variables[0];
            let reason = format!(
                "it reads no variable, so it is the same for all rows; help: write `{{{{ {example} }}}}` where that \
                 belongs; it may read {known}"
            );
            return Err(failed(reason));
        }
        Ok(Self { name: name.to_owned(), source: source.to_owned(), environment })
    }

    /// Returns the template as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the text with these values for its variables.
    pub fn render(&self, values: &[(&str, &str)]) -> Result<String, Error> {
        let bytes = values.iter().map(|(_, value)| value.len()).sum();
        let values: BTreeMap<&str, Value> = values.iter().map(|(name, value)| (*name, Value::from(*value))).collect();
        render(&self.name, &self.environment, bytes, || Value::from(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(source: &str) -> Result<TextTemplate, Error> {
        TextTemplate::parse("rewrite", source, &["prompt", "thought"])
    }

    #[test]
    fn a_template_is_put_around_texts() {
        let rendered = |source: &str| template(source).unwrap().render(&[("prompt", "{{ 1+1 }}"), ("thought", "a")]);
        assert_eq!(
            rendered("Solve: {{ prompt }}\nAnswer in \\boxed{}.").unwrap(),
            "Solve: {{ 1+1 }}\nAnswer in \\boxed{}."
        );
        assert_eq!(rendered("{% set x = thought | upper %}{{ x }}").unwrap(), "A");
    }

    #[test]
    fn a_template_that_cannot_be_meant_is_refused() {
        for (source, expected) in [
            ("Answer in \\boxed{}.", "it reads no variable"),
            (
                "{{ prompt }} {{ answer }}",
                "it reads `answer`, which it is not given; help: it may read `prompt`, `thought`",
            ),
            ("{{ prompt", "syntax error"),
        ] {
            let error = template(source).unwrap_err().to_string();
            assert!(error.contains(expected) && error.starts_with("template `rewrite`"), "{source}: {error}");
        }
    }
}
