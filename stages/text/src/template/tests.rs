//! Semantics of templates, and the cost of hostile ones.

use super::*;

fn special() -> SpecialTokens {
    SpecialTokens { bos: None, eos: "<eos>".to_owned(), pad: "<pad>".to_owned() }
}

fn turn(role: &str) -> Message {
    Message { role: role.to_owned(), content: " hi ".to_owned() }
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
