//! Semantics of templates, and the cost of hostile ones.

use serde_json::json;

use super::*;

fn special() -> SpecialTokens {
    SpecialTokens { bos: None, eos: "<eos>".to_owned(), pad: "<pad>".to_owned() }
}

fn turn(role: &str) -> Message {
    Message::new(role, " hi ")
}

fn render(source: &str) -> Result<String, Error> {
    ChatTemplate::named("model/chat_template.jinja", source, special())?.render(&[turn("user")], false)
}

#[test]
fn python_semantics() {
    let source = "{% if messages[0]['role'] != 'user' %}\n{{ raise_exception('user first') }}\n{% endif %}\n\
                  {{ messages[0].content.strip().upper() }} {{ {'a': [1, 'é']} | tojson }}";
    let template = ChatTemplate::parse(source, special()).unwrap();
    assert_eq!(template.render(&[turn("user")], false).unwrap(), "HI {\"a\": [1, \"é\"]}");
    let error = template.render(&[turn("system")], false).unwrap_err().to_string();
    assert!(error.contains("user first"), "{error}");
    assert_eq!(render("{{ {'a': [1]} | tojson(indent=2) }}").unwrap(), "{\n  \"a\": [\n    1\n  ]\n}");
    assert_eq!(render("{{ [1, ['a', none]] }}{{ [1] | string }}").unwrap(), "[1, ['a', None]][1]");
}

#[test]
fn the_generation_block_has_no_effect_but_on_white_space() {
    for (source, expected) in [
        ("a {% generation %}b{% endgeneration %} c", "a b c"),
        ("a {%- generation -%} b {%- endgeneration -%} c", "abc"),
        ("a {%generation-%} b {%+ endgeneration %} c", "a b  c"),
    ] {
        assert_eq!(render(source).unwrap(), expected, "{source}");
    }
}

#[test]
fn templates_see_all_keys_of_a_turn_and_neither_tools_nor_documents() {
    let mut turn = turn("assistant");
    turn.more.insert("reasoning_content".to_owned(), "why".into());
    let source = "{{ messages[0].reasoning_content }} {{ messages[0].tool_calls is defined }} {{ tools is none }} \
                  {{ documents is none }} {{ enable_thinking is defined }}";
    let template = ChatTemplate::parse(source, special()).unwrap();
    assert_eq!(template.render(&[turn], false).unwrap(), "why False True True False");
    let error = render("{{ strftime_now('%d %b %Y') }}").unwrap_err().to_string();
    assert!(error.contains("today's date"), "{error}");
}

#[test]
fn a_template_reads_its_own_variables_and_no_others() {
    let source = "{% if enable_thinking is defined and not enable_thinking %}short{% else %}long{% endif %} {{ name }} \
                  {{ strftime_now('%d %b %Y') }}";
    let template = || ChatTemplate::parse(source, special()).unwrap();
    let with = |args: serde_json::Value| template().with_args(args.as_object().unwrap().clone());
    let text = |args| with(args).unwrap().render(&[turn("user")], false).unwrap();
    assert_eq!(text(json!({ "today": "2026-01-31" })), "long  31 Jan 2026");
    assert_eq!(text(json!({ "today": "2026-01-31", "enable_thinking": false, "name": "x" })), "short x 31 Jan 2026");
    for (args, expected) in [
        (json!({ "enable_thinkin": true }), "does not read `enable_thinkin`; help: it reads `enable_thinking`, `name`"),
        (json!({ "messages": "x" }), "does not read `messages`"),
        (json!({ "today": "31.1.2026" }), "`today` is \"31.1.2026\""),
    ] {
        let error = with(args).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let default = "{% set thinking = thinking if thinking is defined else true %}{{ thinking }}";
    let set = ChatTemplate::parse(default, special())
        .unwrap()
        .with_args(json!({ "thinking": false }).as_object().unwrap().clone());
    assert_eq!(set.unwrap().render(&[turn("user")], false).unwrap(), "False");
    let dateless = ChatTemplate::parse("x", special()).unwrap();
    let error = dateless.with_args(json!({ "today": "2026-01-31" }).as_object().unwrap().clone()).unwrap_err();
    assert!(error.to_string().contains("has no effect"), "{error}");
}

#[test]
fn none_is_not_iterable_and_a_text_is() {
    let source = "{{ tools is iterable }} {{ 'x' is iterable }} {{ [] is iterable }} {{ nothing is iterable }} {{ 3 is iterable }}";
    assert_eq!(render(source).unwrap(), "False True True True False");
}

#[test]
fn json_is_written_as_python_writes_it() {
    for (source, expected) in [
        ("{{ {'b': 1, 'a': [1, none]} | tojson }}", r#"{"b": 1, "a": [1, null]}"#),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", r#"{"a": 2, "b": 1}"#),
        ("{{ {'b': [1, 2]} | tojson(separators=(',', ':')) }}", r#"{"b":[1,2]}"#),
        ("{{ {'b': 'é'} | tojson(ensure_ascii=true) }}", r#"{"b": "\u00e9"}"#),
    ] {
        assert_eq!(render(source).unwrap(), expected, "{source}");
    }
}

/// Each case is small: a chain nested as deep as the source allows, or a loop nested as deep as the fuel allows.
#[test]
fn a_hostile_template_ends_in_an_error_that_names_it() {
    let looped = |start: &str, body: &str, end: &str| {
        format!("{{% set ns = namespace(x={start}) %}}{{% for i in range(90000) %}}{body}{{% endfor %}}{end}")
    };
    let list = |end: &str| looped("[]", "{% set ns.x = [ns.x] %}", end).replace("90000", "9000");
    let twice = |end: &str| {
        let body = "{% if i < 40 %}{% set ns.x = [ns.x, ns.x] %}{% endif %}";
        looped("[1]", body, end).replace("90000", "40")
    };
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let table = [
        ("{{ [1, [2]] | tojson(indent=2000000000) }}".to_owned(), "at most 32 blanks"),
        ("{{ 'x' * 300000000 }}".to_owned(), "too much text"),
        ("{{ 'x' * 60000000 }}".to_owned(), "too much text"),
        (looped("'x'", "{% set ns.x = ns.x ~ ns.x %}", "{{ ns.x }}"), "too much text"),
        ("{% for i in range(500) %}{{ 'x' * 4000 }}{% endfor %}".to_owned(), "of at most"),
        (loops.to_owned(), "takes too long"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(), "recursion limit"),
        ("{{ '%300000000d' | format(3) }}".to_owned(), "fuel"),
        (list("{{ ns.x }}"), "values in each other"),
        (list("{{ ns.x | tojson }}"), "values in each other"),
        (list("{{ ns.x | pprint }}"), "values in each other"),
        (twice("{{ ns.x }}"), "at once"),
        (twice("{{ ns.x | tojson }}"), "at once"),
        (twice("{{ ns.x | string }}"), "at once"),
        ("x".repeat(limits::TEMPLATE_BYTES + 1), "of at most 65536"),
    ];
    for (source, expected) in table {
        let error = render(&source).unwrap_err().to_string();
        assert!(
            error.contains("`model/chat_template.jinja`") && error.contains(expected),
            "{source:.80}: {error:.300}"
        );
    }
}

/// They may be refused or rendered, but must not overflow the stack, which would end the process.
#[test]
fn chains_and_deep_values_do_not_overflow_the_stack() {
    let chain = |link: &str, count: usize| format!("{{{{ 1{} }}}}", link.repeat(count));
    let chains = [chain("|e", 8_000), chain("~1", 8_000), chain("**1", 8_000), chain(".b", 30_000)];
    let nots = format!("{{{{ {}1 }}}}", "not ".repeat(8_000));
    let minus = format!("{{{{ {}1 }}}}", "-".repeat(8_000));
    let equal = "{% set ns = namespace(x=[], y=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}\
                 {% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}";
    let joined = "{% set ns = namespace(x=[]) %}{% for i in range(30000) %}{% set ns.x = [ns.x] %}{% endfor %}\
                  {{ (ns.x ~ 'a') | length }}";
    for source in chains.iter().map(String::as_str).chain([nots.as_str(), &minus, equal, joined]) {
        let _ = render(source);
    }
}
