use serde_json::json;

use super::*;
use crate::{Message, char_level};

const NEWLINE: &str =
    "{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{{ '\\n' }}{% endif %}{% endfor %}";

fn special() -> SpecialTokens {
    SpecialTokens { bos: None, eos: "<eos>".to_owned(), pad: "<pad>".to_owned() }
}

fn chat(template: Option<&str>) -> Chat {
    let specials = ["<pad>", "<eos>", "<think>", "</think>"].map(str::to_owned);
    Chat::new(char_level(["1+2=?\n3 "].into_iter(), &specials).unwrap(), template, special()).unwrap()
}

#[test]
fn prompts_are_dressed_and_completions_end() {
    let chat = chat(Some(NEWLINE));
    assert_eq!(chat.tokenizer.decode(&chat.prompt_ids(&"1+2=?".into()).unwrap()), "1+2=?\n");
    let ids = chat.completion_ids(&chat.prompt_ids(&"1+2=?".into()).unwrap(), "<think>3").unwrap();
    assert_eq!(ids.last(), Some(&chat.eos));
    assert_eq!(chat.completion_text(&ids), "<think>3");
}

#[test]
fn a_folder_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    chat(Some(NEWLINE)).save(dir.path()).unwrap();
    let loaded = Chat::load(dir.path()).unwrap();
    assert_eq!(loaded.template.unwrap().source(), NEWLINE);
    assert_eq!((loaded.eos, loaded.pad), (1, 0));
}

#[test]
fn a_prefilled_thought_is_noticed() {
    let template =
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}";
    let opening_of = |chat: Chat, prompt: &Prompt| chat.opening(&chat.prompt_ids(prompt).unwrap());
    let opening = |template: Option<&str>| opening_of(chat(template), &"1".into());
    assert_eq!(opening(Some(template)), "<think>\n");
    assert_eq!(opening(Some(&template.replace('\n', "\n\n</think>\n\n"))), "<think>\n\n</think>\n\n");
    assert_eq!((opening(Some(NEWLINE)), opening(None)), (String::new(), String::new()));
    // It may depend on the row.
    let switch = "{% if thinks %}<think>{% else %}<think></think>{% endif %}";
    let row = Prompt::from("1").with_template_args(json!({ "thinks": true }).as_object().unwrap().clone());
    assert_eq!(opening_of(chat(Some(switch)), &row), "<think>");
    assert_eq!(opening(Some(switch)), "<think></think>");
}

#[test]
fn what_the_template_has_written_is_not_written_again() {
    let template =
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}";
    for (template, completion, learnt) in [
        (template, "<think>\n1\n 2", "1\n 2<eos>"),
        (template, "<think>1 2", "1 2<eos>"),
        (template, "1 2", "1 2<eos>"),
        (template, "1 2<eos>", "1 2<eos>"),
        (&*template.replace('\n', ""), "<think>\n1", "\n1<eos>"),
        (&*template.replace('\n', "\n</think>\n"), "<think>\n</think>\n1", "1<eos>"),
        (NEWLINE, "<think>\n1", "<think>\n1<eos>"),
    ] {
        let chat = chat(Some(template));
        let ids = chat.completion_ids(&chat.prompt_ids(&"1+2=?".into()).unwrap(), completion).unwrap();
        assert_eq!(chat.tokenizer.decode(&ids), learnt, "{completion:?} after {template:?}");
    }
}

#[test]
fn an_id_beyond_the_embedding_is_refused_with_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    chat(Some(NEWLINE)).save(dir.path()).unwrap();
    fs_err::write(dir.path().join("config.json"), r#"{ "vocab_size": 5, "eos_token_id": [1, 2] }"#).unwrap();
    let loaded = Chat::load(dir.path()).unwrap();
    assert_eq!((loaded.vocabulary(), loaded.ends.clone()), (5, vec![1, 2]));
    let error = loaded.prompt_ids(&"3".into()).unwrap_err().to_string();
    assert!(error.contains("the token `3` has id 9") && error.contains("5 rows"), "{error}");
    assert_eq!(loaded.completion_text(&[3, 2, 4]), loaded.tokenizer.decode(&[3]));
}

#[test]
fn of_several_templates_the_file_and_then_the_default_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    chat(Some("config")).save(dir.path()).unwrap();
    let source = || Chat::load(dir.path()).map(|chat| chat.template.unwrap().source().to_owned());
    let path = dir.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
    config["chat_template"] = json!([{ "name": "tool_use", "template": "a" }, { "name": "default", "template": "b" }]);
    fs_err::write(&path, config.to_string()).unwrap();
    assert_eq!(source().unwrap(), "b");
    config["chat_template"] = json!([{ "name": "tool_use", "template": "a" }, { "name": "rag", "template": "b" }]);
    fs_err::write(&path, config.to_string()).unwrap();
    let error = source().unwrap_err().to_string();
    assert!(error.contains("`tool_use`, `rag`"), "{error}");
    fs_err::write(dir.path().join("chat_template.jinja"), "c").unwrap();
    assert_eq!(source().unwrap(), "c");
}

#[test]
fn another_end_and_another_template_are_learnt_and_saved() {
    let dir = tempfile::tempdir().unwrap();
    let chat = chat(None).with_end("?").unwrap().with_template("{{ messages[0].content }}{{ eos_token }}").unwrap();
    assert_eq!(chat.ends, [chat.eos, 1], "the old end still ends a completion");
    let prompt = chat.prompt_ids(&"1".into()).unwrap();
    assert_eq!(chat.tokenizer.decode(&prompt), "1?");
    assert_eq!(chat.tokenizer.decode(&chat.completion_ids(&prompt, "2").unwrap()), "2?");
    chat.save(dir.path()).unwrap();
    let loaded = Chat::load(dir.path()).unwrap();
    assert_eq!((loaded.eos, loaded.template.unwrap().source()), (chat.eos, "{{ messages[0].content }}{{ eos_token }}"));
    let error = super::Chat::load(dir.path()).unwrap().with_end("<stop>").unwrap_err().to_string();
    assert!(error.contains("`<stop>` is none of its tokens"), "{error}");
}

#[test]
fn shipped_templates_render_a_conversation() {
    let words = ["<|im_start|>", "<|im_end|>"].map(str::to_owned);
    let all: String = (' '..='~').chain(['\n']).collect();
    let specials = [special().pad, special().eos].into_iter().chain(words).collect::<Vec<_>>();
    let chat = Chat::new(char_level([all.as_str()].into_iter(), &specials).unwrap(), None, special()).unwrap();
    let turns = [("system", "Be brief."), ("user", "1+1"), ("assistant", "2"), ("user", "2+2")];
    let prompt = Prompt::of_turns(turns.iter().map(|(role, text)| Message::new(role, *text)).collect());
    let rendered = |name: &str, prompt: &Prompt| {
        let chat = chat.clone().with_template(crate::template::shipped(name).unwrap()).unwrap();
        chat.tokenizer.decode(&chat.prompt_ids(prompt).unwrap())
    };
    assert_eq!(
        rendered("chatml", &prompt),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n\
         <|im_start|>user\n2+2<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(rendered("plain", &"2+2".into()), "2+2\n");
    let zero = rendered("r1-zero", &"2+2".into());
    assert!(zero.starts_with("A conversation between User and Assistant. The user asks"), "{zero}");
    assert!(zero.ends_with("</think> <answer> answer here </answer>.\nUser: 2+2\nAssistant:"), "{zero}");
    let zero = rendered("r1-zero", &prompt);
    assert!(zero.starts_with("Be brief.\nA conversation"), "{zero}");
    assert!(zero.ends_with("\nUser: 1+1\nAssistant: 2\nUser: 2+2\nAssistant:"), "{zero}");
}

#[test]
fn a_stop_text_ends_a_completion_wherever_tokens_break() {
    let mut chat = chat(None);
    chat.stops = vec!["=?".to_owned(), "2+".to_owned()];
    let ids = |text: &str| chat.tokenizer.encode(text).unwrap();
    assert_eq!(chat.completion_text(&ids("12+1=?")), "1");
    assert_eq!(chat.completion_text(&ids("1=?2+")), "1");
    assert_eq!(chat.completion_text(&ids("1+1")), "1+1");
    assert!(chat.is_stopped(&ids("11=?")) && !chat.is_stopped(&ids("11=?1 1 1 1 1 1")) && !chat.is_stopped(&ids("1")));
}

/// The template of TRL's assistant masks: what is marked is learnt, the end with it if it is marked.
#[test]
fn what_a_template_marks_is_learnt() {
    let row = |template: &str, completion: &str| {
        let (ids, start) = chat(Some(template)).row_ids(&"1+2=?".into(), completion).unwrap();
        let text = |ids: &[i64]| chat(None).tokenizer.decode(ids);
        (text(&ids[..start]), text(&ids[start..]))
    };
    let turns = |assistant: &str| {
        format!(
            "{{% for m in messages %}}{{% if m.role == 'user' %}}{{{{ m.content + '\\n' }}}}{{% else %}}{assistant}\
             {{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ '= ' }}}}{{% endif %}}"
        )
    };
    let expected = |before: &str, learnt: &str| (before.to_owned(), learnt.to_owned());
    let with_end = turns("{{ '= ' }} {%- generation -%} {{ m.content + '<eos>' + '\\n' }} {%- endgeneration %}");
    assert_eq!(row(&with_end, "3"), expected("1+2=?\n= ", "3<eos>"));
    assert_eq!(row(&with_end, "3<eos>"), expected("1+2=?\n= ", "3<eos>"), "no second end");
    let in_two = turns("= {% generation %}{{ m.content }}+{% endgeneration %}{% generation %}<eos>{% endgeneration %}");
    assert_eq!(row(&in_two, "3"), expected("1+2=?\n= ", "3+<eos>"));
    let takes_the_space = turns("= {%- generation %}{{ m.content }}{% endgeneration %}");
    assert_eq!(row(&takes_the_space, "3"), expected("1+2=?\n= ", "3<eos>"), "as the model is asked");
    let without_end = turns("= {% generation %}{{ m.content }}{% endgeneration %}<eos>");
    assert_eq!(row(&without_end, "3"), expected("1+2=?\n= ", "3<eos>"));
    let thought_is_context = turns(
        "= {{ m.content.split('</think>')[0] }}</think>{% generation %}{{ m.content.split('</think>')[1] }}{% endgeneration %}",
    );
    assert_eq!(row(&thought_is_context, "<think>1</think>3"), expected("1+2=?\n= <think>1</think>", "3<eos>"));
    let drops_thoughts = turns("= {% generation %}{{ m.content.split('</think>')[1] }}{% endgeneration %}");
    assert_eq!(row(&drops_thoughts, "<think>2</think>3").1, "<think>2</think>3<eos>", "nothing is lost");
    assert_eq!(row(NEWLINE, "3"), expected("1+2=?\n", "3<eos>"));
}

#[test]
fn tokens_of_the_configuration_alone_are_tokens() {
    let dir = tempfile::tempdir().unwrap();
    chat(Some(NEWLINE)).save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
    let next = chat(None).tokenizer.last_id() + 1;
    config["added_tokens_decoder"] = json!({
        "1": { "content": "<eos>", "special": true },
        (next + 1).to_string(): { "content": "<b>", "special": false },
        next.to_string(): { "content": "<a>", "special": true },
    });
    fs_err::write(&path, config.to_string()).unwrap();
    let loaded = Chat::load(dir.path()).unwrap();
    assert_eq!(loaded.tokenizer.encode("1<b><a>").unwrap()[1..], [next + 1, next]);
    config["added_tokens_decoder"] = json!({ (next + 7).to_string(): { "content": "<a>" } });
    fs_err::write(&path, config.to_string()).unwrap();
    let error = Chat::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("`<a>` has id {} there and would get {next}", next + 7)), "{error}");
}
