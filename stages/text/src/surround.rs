//! What a stage puts around the prompts of its rows before the chat template renders them: a system text, and a
//! template around the text of each user turn.

use std::borrow::Cow;

use serde_json::Value;

use crate::template::TextTemplate;
use crate::{Error, Message, Prompt};

/// What is put around prompts; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Surround {
    /// The system turn of prompts that have none.
    pub system: Option<String>,
    /// The template around the text of each user turn.
    pub template: Option<TextTemplate>,
}

impl Surround {
    /// Returns the source of the template around user turns.
    pub fn template_source(&self) -> Option<&str> {
        self.template.as_ref().map(TextTemplate::source)
    }

    /// Returns the prompt with everything around it.
    pub fn around<'a>(&self, prompt: &'a Prompt) -> Result<Cow<'a, Prompt>, Error> {
        if self.system.is_none() && self.template.is_none() {
            return Ok(Cow::Borrowed(prompt));
        }
        let mut turns = prompt.turns().into_owned();
        if let Some(template) = &self.template {
            for turn in turns.iter_mut().filter(|turn| turn.role == "user") {
                let text = turn.text().unwrap_or_default().into_owned();
                turn.content = Value::String(template.render(&[("prompt", &text)])?);
            }
        }
        if let Some(system) = &self.system
            && turns.first().is_none_or(|turn| turn.role != "system")
        {
            turns.insert(0, Message::new("system", system));
        }
        Ok(Cow::Owned(prompt.with_turns(turns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_text_and_a_template_surround_the_users_texts() {
        let template = TextTemplate::parse("prompt-template", "Q: {{ prompt }}\nThink first.", &["prompt"]).unwrap();
        let surround = Surround { system: Some("Be brief.".to_owned()), template: Some(template) };
        let texts = |prompt: &Prompt| -> Vec<String> {
            let around = surround.around(prompt).unwrap();
            around.turns().iter().map(|turn| format!("{}|{}", turn.role, turn.text().unwrap())).collect()
        };
        assert_eq!(texts(&"2+2".into()), ["system|Be brief.", "user|Q: 2+2\nThink first."]);
        let rounds = [("system", "Own."), ("user", "a"), ("assistant", "b"), ("user", "c")];
        let rounds = Prompt::of_turns(rounds.iter().map(|(role, text)| Message::new(role, *text)).collect());
        let expected = ["system|Own.", "user|Q: a\nThink first.", "assistant|b", "user|Q: c\nThink first."];
        assert_eq!(texts(&rounds), expected);
    }

    #[test]
    fn without_anything_a_prompt_stays_as_it_is() {
        let prompt = Prompt::from("2+2");
        assert!(matches!(Surround::default().around(&prompt).unwrap(), Cow::Borrowed(same) if *same == prompt));
    }
}
