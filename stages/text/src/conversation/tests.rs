use serde_json::json;

use super::*;

fn parsed(list: Value) -> Result<(Prompt, String), String> {
    turns(list.as_array().unwrap()).and_then(split)
}

#[test]
fn a_conversation_of_two_plain_turns_is_a_prompt_and_a_completion() {
    let plain = json!([{ "role": "user", "content": "2+2" }, { "role": "assistant", "content": "4", "name": null }]);
    assert_eq!(parsed(plain), Ok(("2+2".into(), "4".to_owned())));
    let sharegpt = json!([{ "from": "human", "value": "2+2" }, { "from": "gpt", "value": "4" }]);
    assert_eq!(parsed(sharegpt), Ok(("2+2".into(), "4".to_owned())));
}

#[test]
fn every_turn_before_the_last_is_part_of_the_prompt() {
    let list = json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "a" },
        { "role": "assistant", "content": null, "tool_calls": [{ "name": "f" }] }, { "role": "tool", "content": "b" },
        { "role": "assistant", "content": [{ "type": "text", "text": "c" }] }]);
    let (prompt, completion) = parsed(list.clone()).unwrap();
    assert_eq!((completion.as_str(), prompt.last_text().as_ref()), ("c", "a"));
    let mut before = list.as_array().unwrap()[..4].to_vec();
    before[2].as_object_mut().unwrap().remove("content");
    assert_eq!(serde_json::to_value(&prompt).unwrap(), json!(before), "null is no content");
    assert_ne!(prompt.key(), Prompt::from("a").key());
    let more = prompt.with_text_before("x ");
    assert_eq!((more.last_text().as_ref(), more.turns().len()), ("x a", 4));
}

#[test]
fn values_for_the_template_stay_with_a_prompt() {
    let args = json!({ "enable_thinking": false }).as_object().unwrap().clone();
    let prompt = Prompt::from("a").with_template_args(args.clone());
    assert_eq!((prompt.last_text().as_ref(), prompt.template_args()), ("a", Some(&args)));
    assert_ne!(prompt.key(), Prompt::from("a").key());
    let longer = prompt.with_turns_before(vec![Message::new("user", "b"), Message::new("assistant", "c")]);
    let texts: Vec<_> = longer.texts().into_iter().map(Cow::into_owned).collect();
    assert_eq!((texts, longer.template_args()), (["b", "c", "a"].map(str::to_owned).to_vec(), Some(&args)));
    assert_eq!(earlier(&longer)[0].0, Prompt::from("b").with_template_args(args));
    let written = serde_json::to_value(&prompt).unwrap();
    assert_eq!(written["template-args"], json!({ "enable_thinking": false }));
    assert_eq!(serde_json::from_value::<Prompt>(written).unwrap(), prompt);
}

#[test]
fn an_earlier_turn_is_learnt_after_the_turns_before_it() {
    let list = json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" },
        { "role": "user", "content": "c" }, { "role": "assistant", "content": "", "tool_calls": [{}] },
        { "role": "tool", "content": "d" }, { "role": "assistant", "content": "e", "thinking": "f" },
        { "role": "user", "content": "g" }, { "role": "assistant", "content": "h" }]);
    let (prompt, last) = parsed(list).unwrap();
    let earlier = earlier(&prompt);
    assert_eq!((earlier.len(), last.as_str()), (2, "h"));
    assert_eq!(earlier[0], ("a".into(), "b".to_owned()));
    assert_eq!((earlier[1].0.turns().len(), earlier[1].1.as_str()), (5, "<think>\nf\n</think>\n\ne"));
}

#[test]
fn speakers_have_many_names() {
    let list = json!([{ "from": "System", "value": "s" }, { "from": "Human", "value": "a" },
        { "from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}" },
        { "from": "observation", "value": "o" }, { "from": "GPT", "value": "b" }]);
    let turns = turns(list.as_array().unwrap()).unwrap();
    let roles: Vec<&str> = turns.iter().map(|turn| turn.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant"]);
    assert_eq!(turns[2].more["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(turns[2].content, Value::Null);
}

#[test]
fn templates_find_a_thought_under_the_names_that_they_know() {
    for key in THOUGHTS {
        let turn =
            Message { more: [(key.to_owned(), "t".into())].into_iter().collect(), ..Message::new("assistant", "a") };
        let seen = turn.for_template().into_owned();
        assert_eq!((&seen.more[THOUGHT], &seen.more["thinking"]), (&json!("t"), &json!("t")), "{key}");
    }
}

#[test]
fn a_thought_beside_the_content_comes_before_it_in_tags() {
    let list = json!([{ "role": "user", "content": "2+2" },
        { "role": "assistant", "content": "4", "reasoning_content": "two and two" }]);
    assert_eq!(parsed(list).unwrap().1, "<think>\ntwo and two\n</think>\n\n4");
}

#[test]
fn what_cannot_be_learnt_is_refused_with_its_turn() {
    let user = json!({ "role": "user", "content": "a" });
    for (list, expected) in [
        (json!([]), "empty"),
        (json!([user]), "the last turn is the user's"),
        (json!([{ "role": "assistant", "content": "b" }]), "only an assistant's turn"),
        (json!([user, { "role": "assistant", "content": " " }]), "has no text"),
        (json!([user, { "role": "assistant", "content": "", "tool_calls": [{}] }]), "`tool_calls`"),
        (json!([user, { "role": "assistant", "content": "", "tool_calls": [] }]), "has no text"),
        (json!([{ "from": "narrator", "value": "a" }]), "`from` of turn 1 is `narrator`"),
        (json!([user, { "role": "assistant", "content": [{ "type": "image" }] }]), "turn 2 has a part that is no text"),
        (json!([user, { "role": "assistant", "content": "</think>b", "thinking": "c" }]), "twice"),
        (json!([user, { "content": "b" }]), "turn 2: missing field `role`"),
        (json!([user, 3]), "turn 2 is no object"),
        (json!([user, { "role": "assistant", "content": 3 }]), "`content` of turn 2"),
    ] {
        let error = parsed(list.clone()).unwrap_err();
        assert!(error.contains(expected), "{list}: {error}");
    }
}
