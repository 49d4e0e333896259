use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Checks answers against one instruction.
fn check(name: &str, kwargs: &Value, answers: &[(&str, bool)]) {
    let gold = json!({ "instruction_id_list": [name], "kwargs": [kwargs] }).to_string();
    for (answer, followed) in answers {
        assert_eq!(report(&gold, answer), Ok(vec![(name.to_owned(), *followed)]), "{name} {kwargs} {answer:?}");
    }
}

#[test]
fn keywords() {
    let both = json!({ "keywords": ["otter", "river"] });
    check(
        "keywords:existence",
        &both,
        &[("An OTTER in the rivers", true), ("An otter", false), ("rive otters", false)],
    );
    check("keywords:existence", &json!({ "keywords": ["a.c"] }), &[("A.C.", true), ("abc", false)]);
    let twice = json!({ "keyword": "tin", "relation": "at least", "frequency": 2 });
    check("keywords:frequency", &twice, &[("Tin satin", true), ("tin", false)]);
    let rarely = json!({ "keyword": "tin", "relation": "less than", "frequency": 2 });
    check("keywords:frequency", &rarely, &[("tin", true), ("tin, tin", false)]);
    let forbidden = json!({ "forbidden_words": ["cat", "hat"] });
    check("keywords:forbidden_words", &forbidden, &[("concatenate", true), ("a Hat.", false), ("cat-like", false)]);
    let letter = json!({ "letter": "Q", "let_relation": "at least", "let_frequency": 2 });
    check("keywords:letter_frequency", &letter, &[("Quick quiz", true), ("quick", false)]);
    let sign = json!({ "letter": "#", "let_relation": "less than", "let_frequency": 2 });
    check("keywords:letter_frequency", &sign, &[("#one", true), ("#one #two", false)]);
}

#[test]
fn lengths() {
    let words = json!({ "relation": "less than", "num_words": 3 });
    check(
        "length_constraints:number_words",
        &words,
        &[("two words", true), ("don't go", false), ("well-known x", false)],
    );
    check("length_constraints:number_words", &words, &[("नमस्ते दुनिया", true)]);
    let parts = json!({ "num_paragraphs": 2 });
    check(
        "length_constraints:number_paragraphs",
        &parts,
        &[("a\n***\nb", true), ("***a***b***", true), ("a\n\nb", false), ("a******b", false), ("a *** b *** c", false)],
    );
    let first = json!({ "num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Honey" });
    check(
        "length_constraints:nth_paragraph_first_word",
        &first,
        &[
            ("Bees.\n\nhoney, they say", true),
            ("Bees.\n\n\"Honey\" is", true),
            ("Bees.\n\nThe honey", false),
            ("Bees.\nHoney", false),
            ("Bees.\n\nhoney\n\nwax", false),
            ("Bees.\n\n\n\nhoney", false),
        ],
    );
}

#[test]
fn marks() {
    let two = json!({ "num_placeholders": 2 });
    check("detectable_content:number_placeholders", &two, &[("[a] [b c]", true), ("[a\nb] [c]", false)]);
    let bullets = json!({ "num_bullets": 2 });
    check(
        "detectable_format:number_bullet_lists",
        &bullets,
        &[
            ("* a\n  - b", true),
            ("*a\n**b**\n-c", true),
            ("* a * b", false),
            ("- a\n- b\n- c", false),
            ("*\n* a", false),
        ],
    );
    let highlights = json!({ "num_highlights": 2 });
    check(
        "detectable_format:number_highlighted_sections",
        &highlights,
        &[("*a* and **b**", true), ("***a***", true), ("*a*\n*b", false), ("** ** * *", false), ("****", false)],
    );
    let sections = json!({ "section_spliter": "Part", "num_sections": 2 });
    check(
        "detectable_format:multiple_sections",
        &sections,
        &[("Part 1 a\nPart2 b", true), ("part 1, part 2", false), ("Part I, Part II", false)],
    );
    check("detectable_format:title", &json!({}), &[("<<Tea>> is", true), ("<< >>", false), ("<Tea>", false)]);
    let postscript = json!({ "postscript_marker": "P.P.S" });
    check(
        "detectable_content:postscript",
        &postscript,
        &[("Bye.\np. p.s. x", true), ("P.S. x", false), ("PPS", false)],
    );
}

#[test]
fn whole_answers() {
    check(
        "detectable_format:constrained_response",
        &json!({}),
        &[
            ("I looked it up. My answer is no.", true),
            ("my answer is no", false),
            ("My answer is yes. My answer is no.", false),
        ],
    );
    check(
        "detectable_format:json_format",
        &json!({}),
        &[
            ("{\"a\": [1, null]}", true),
            ("```json\n[]\n```", true),
            ("{'a': 1}", false),
            ("Here: {}", false),
            ("NaN", false),
        ],
    );
    check(
        "combination:two_responses",
        &json!({}),
        &[("a\n******\nb", true), ("a******a", false), ("a******b******c", false), ("a***b", false), ("a", false)],
    );
    let request = json!({ "prompt_to_repeat": "Name a tree." });
    check(
        "combination:repeat_prompt",
        &request,
        &[
            ("name a tree.\nOak", true),
            ("Name a tree.", false),
            ("Name a tree. -", false),
            ("Sure. Name a tree. Oak", false),
        ],
    );
    let end = json!({ "end_phrase": "That is all!" });
    check("startend:end_checker", &end, &[("So: THAT IS ALL!\" ", true), ("That is all! Bye", false)]);
    check("startend:quotation", &json!({}), &[(" \"a\" ", true), ("\"", false), ("“a”", false), ("\"a\".", false)]);
    check("punctuation:no_comma", &json!({}), &[("a; b，c", true), ("a, b", false)]);
}

#[test]
fn case() {
    let two = json!({ "capital_relation": "at least", "capital_frequency": 2 });
    check(
        "change_case:capital_word_frequency",
        &two,
        &[
            ("I'M", true),
            ("NEW-BORN R2-D2", true),
            ("CAN'T", true),
            ("GO—NOW", true),
            ("GO/NOW", false),
            ("I'm", false),
            ("McGEE U.S.", false),
            ("A:1", false),
        ],
    );
    check(
        "change_case:english_capital",
        &json!({}),
        &[
            ("WHO IS THERE? 3 OWLS.", true),
            ("OWL", true),
            ("WHO IS there?", false),
            ("123", false),
            ("LE CHAT EST SUR LA TABLE AVEC UN AUTRE CHAT ET IL DORT.", false),
            ("ЭТО НЕ АНГЛИЙСКИЙ", false),
        ],
    );
    check(
        "change_case:english_lowercase",
        &json!({}),
        &[
            ("old oak, over the hills", true),
            ("Old oak", false),
            ("das ist nicht die sprache, um die es hier geht", false),
        ],
    );
}

#[test]
fn all_instructions_must_be_followed_and_nulls_are_no_arguments() {
    let gold = json!({
        "key": 1,
        "prompt": "Write.",
        "instruction_id_list": ["keywords:existence", "length_constraints:number_words"],
        "kwargs": [
            { "keywords": ["sea"], "num_words": null, "relation": null },
            { "keywords": null, "num_words": 3.0, "relation": "at least" },
        ],
    })
    .to_string();
    assert_eq!(verify(&gold, "the deep sea"), Verdict::Correct);
    assert_eq!(verify(&gold, "the sea"), Verdict::Wrong);
    assert_eq!(verify(&gold, "a long, long way"), Verdict::Wrong);
    assert_eq!(verify(&gold, " \n"), Verdict::AnswerUnparsed);
    let found = report(&gold, "the sea").map(|found| found.into_iter().map(|(_, followed)| followed).collect());
    assert_eq!(found, Ok(vec![true, false]));
}

#[test]
fn forms_of_gold() {
    let kwargs = json!({ "num_bullets": 1 });
    let name = "detectable_format:number_bullet_lists";
    for gold in [
        json!([{ "instruction_id": name, "kwargs": kwargs }]),
        json!([{ "instruction_id": [name], "kwargs": [kwargs] }]),
        json!({ "instruction_id": name, "kwargs": kwargs }),
        json!({ "instruction_id_list": [name], "kwargs": [kwargs] }),
        json!([{ "instruction_id": "punctuation:no_comma" }, { "instruction_id": name, "kwargs": kwargs }]),
        json!({ "func_name": "verify_bullet_points", "N": 1, "quantifier": null, "options": null }),
    ] {
        assert_eq!(verify(&gold.to_string(), "* a"), Verdict::Correct, "{gold}");
        assert_eq!(verify(&gold.to_string(), "a"), Verdict::Wrong, "{gold}");
    }
}

#[test]
fn refused_gold() {
    let one = |name: &str, kwargs: Value| json!({ "instruction_id_list": [name], "kwargs": [kwargs] }).to_string();
    for (gold, why) in [
        ("no commas".to_owned(), "not JSON"),
        ("3".to_owned(), "neither a list nor an object"),
        ("[]".to_owned(), "there is no instruction"),
        ("[\"punctuation:no_comma\"]".to_owned(), "not an object"),
        ("{\"kwargs\": []}".to_owned(), "is missing"),
        ("{\"instruction_id_list\": [\"punctuation:no_comma\"]}".to_owned(), "`kwargs` is not a list"),
        ("{\"instruction_id_list\": [\"punctuation:no_comma\"], \"kwargs\": []}".to_owned(), "an entry for each"),
        ("[{\"instruction_id\": \"punctuation:no_comma\", \"kwargs\": 3}]".to_owned(), "not an object"),
        ("{\"func_name\": \"validate_rhymes\"}".to_owned(), "not known"),
        ("{\"func_name\": \"verify_bullet_points\"}".to_owned(), "`N` is missing"),
        (one("punctuation:no_dots", json!({})), "not known"),
        (one("punctuation:no_comma", json!({ "num_words": 2 })), "no argument is called `num_words`"),
        (one("keywords:existence", json!({ "keywords": null })), "`keywords` is missing"),
        (one("keywords:existence", json!({ "keywords": [] })), "not a list of texts"),
        (one("keywords:forbidden_words", json!({ "forbidden_words": ["a", 3] })), "not a list of texts"),
        (one("startend:end_checker", json!({ "end_phrase": " " })), "not a text"),
        (one("detectable_format:number_bullet_lists", json!({ "num_bullets": -1 })), "not a count"),
        (one("detectable_format:number_bullet_lists", json!({ "num_bullets": 1.5 })), "not a count"),
        (one("length_constraints:number_words", json!({ "num_words": 2, "relation": "near" })), "neither"),
        (one("language:response_language", json!({ "language": "tlh" })), "cannot be told"),
        (
            one("keywords:letter_frequency", json!({ "letter": "ab", "let_relation": "at least", "let_frequency": 1 })),
            "not one letter",
        ),
        (
            one(
                "length_constraints:nth_paragraph_first_word",
                json!({ "num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a" }),
            ),
            "not between",
        ),
    ] {
        let error = report(&gold, "a, b").expect_err(&gold);
        assert!(error.contains(why), "{gold}: {error}");
        assert_eq!(verify(&gold, ""), Verdict::GoldUnparsed, "{gold}");
    }
}

#[test]
fn functions_of_rlvr() {
    for (gold, right, wrong) in [
        (json!({ "func_name": "verify_keyword_frequency", "word": "oak", "N": 1 }), "An Oak, soaked", "oak oak"),
        (json!({ "func_name": "verify_letter_frequency", "letter": "o", "N": 1 }), "Oo", "oo"),
        (json!({ "func_name": "verify_paragraph_count", "N": 2 }), "a\n* * *\nb", "a\n***\nb"),
        (json!({ "func_name": "verify_paragraph_count", "N": 1 }), "a", "* * *\na"),
        (
            json!({ "func_name": "validate_word_constraint", "N": 15, "quantifier": "around" }),
            "a ".repeat(17).as_str(),
            "a",
        ),
        (json!({ "func_name": "validate_word_constraint", "N": 2, "quantifier": "at most" }), "a-b c", "a b c"),
        (json!({ "func_name": "verify_sentence_constraint", "N": 3, "quantifier": "around" }), "Ab cd. Ef gh.", "Ab."),
        (json!({ "func_name": "validate_paragraphs", "N": 2, "first_word": "So", "i": 2 }), "a\n\nSo b", "So\n\nso"),
        (json!({ "func_name": "verify_postscript", "postscript_marker": "P.S." }), "a P.S. b", "a P.S."),
        (json!({ "func_name": "validate_choice", "options": ["red", "blue"] }), "a blue one", "red or blue"),
        (json!({ "func_name": "validate_sections", "N": 1, "section_splitter": "Act" }), "Act 1", "Act one"),
        (json!({ "func_name": "validate_repeat_prompt", "original_prompt": "Go." }), "Go. Yes", "Yes"),
    ] {
        assert_eq!(verify(&gold.to_string(), right), Verdict::Correct, "{gold} {right:?}");
        assert_eq!(verify(&gold.to_string(), wrong), Verdict::Wrong, "{gold} {wrong:?}");
    }
}

#[test]
fn sentences_are_counted() {
    for (text, count) in [
        ("No full stop", 1),
        ("One. Two! Three? four", 4),
        ("Mr. Hill met Dr. Lee at 3.15 p.m. in the U.S. They ate.", 2),
        ("J. Hill wrote it. E.g. this, i.e. that.", 2),
        ("\"Stop!\" he said. (So he did.) Then we left.", 4),
        ("Wait... what? Well... The end.", 3),
        ("1. Wash it\n2. Dry it", 3),
        ("Really?! Yes!!! **Done.**", 3),
        ("A heading\nand a line", 1),
        ("... ! ? * - ...", 0),
        ("See example.org. It is v1.2.3.", 2),
        ("In 1990. the", 1),
        ("Bye. P.S. I forgot it.", 3),
        ("", 0),
    ] {
        assert_eq!(sentences::count(text), count, "{text:?}");
    }
}

#[test]
fn word_lists_are_sorted() {
    assert!(sentences::ABBREVIATIONS.is_sorted() && sentences::STARTERS.is_sorted());
}

#[test]
fn languages_are_told() {
    for (code, text) in [
        ("en", "The owl sat in the old tree and said nothing."),
        ("de", "Die Eule saß in dem alten Baum und sagte nichts."),
        ("fr", "La chouette était dans le vieil arbre et ne disait rien."),
        ("es", "El búho estaba en el viejo árbol y no decía nada."),
        ("pt", "A coruja estava na velha árvore e não dizia nada."),
        ("it", "Il gufo era nel vecchio albero e non diceva niente."),
        ("pl", "Sowa siedziała na starym drzewie i nic nie mówiła."),
        ("fi", "Pöllö istui vanhassa puussa, mutta se ei sanonut mitään."),
        ("sw", "Bundi alikaa katika mti wa zamani na hakusema kitu."),
        ("vi", "Con cú ngồi trên cái cây già và không nói gì."),
        ("ru", "Сова сидела на старом дереве и ничего не говорила."),
        ("uk", "Сова сиділа на старому дереві і нічого не казала."),
        ("bg", "Совата седеше на старото дърво и не казваше нищо."),
        ("ar", "جلست البومة على الشجرة القديمة ولم تقل شيئا في الليل."),
        ("fa", "جغد روی درخت پیر نشسته بود و چیزی نمی‌گفت."),
        ("ur", "الو پرانے درخت پر بیٹھا تھا اور کچھ نہیں کہتا تھا۔"),
        ("hi", "उल्लू पुराने पेड़ पर बैठा था और कुछ नहीं बोला।"),
        ("mr", "घुबड जुन्या झाडावर बसले होते आणि काही बोलले नाही."),
        ("ne", "लाटोकोसेरो पुरानो रूखमा बसेको थियो र केही बोलेन।"),
        ("ja", "ふくろうは古い木にとまって、何も言わなかった。"),
        ("zh", "猫头鹰坐在老树上，什么也没说。"),
        ("ko", "부엉이는 오래된 나무에 앉아 아무 말도 하지 않았다."),
        ("ta", "ஆந்தை பழைய மரத்தில் அமர்ந்திருந்தது."),
        ("kn", "ಗೂಬೆ ಹಳೆಯ ಮರದ ಮೇಲೆ ಕುಳಿತಿತ್ತು."),
    ] {
        for asked in
            ["en", "de", "es", "pl", "ru", "uk", "bg", "ar", "fa", "ur", "hi", "mr", "ne", "ja", "zh", "ta", code]
        {
            assert_eq!(languages::is_in(text, asked), Ok(asked == code), "{asked} {text:?}");
        }
    }
    for (code, text, is_in) in [
        ("en", "12 + 30 = 42", false),
        ("kn", "The owl sat in the old tree. ಗೂಬೆ", false),
        ("kn", "ಗೂಬೆ ಹಳೆಯ ಮರದ ಮೇಲೆ (Bubo bubo) ಕುಳಿತಿತ್ತು.", true),
        ("zh-cn", "什么也没说", true),
    ] {
        assert_eq!(languages::is_in(text, code), Ok(is_in), "{code} {text:?}");
    }
}

/// A gold answer with all instructions of IFEval.
fn all() -> String {
    let value = |argument: &str| match argument {
        "relation" | "let_relation" | "capital_relation" => json!("at least"),
        "keywords" | "forbidden_words" => json!(["a", "é"]),
        "letter" | "prompt_to_repeat" => json!("İ"),
        "language" => json!("hi"),
        "keyword" | "first_word" | "end_phrase" | "postscript_marker" | "section_spliter" => json!("P.S."),
        _ => json!(1),
    };
    let kwargs = |arguments: &[&str]| arguments.iter().map(|name| ((*name).to_owned(), value(name))).collect();
    let one = |Instruction(name, arguments, _): &Instruction| json!({ "instruction_id": name, "kwargs": Value::Object(kwargs(arguments)) });
    Value::Array(IFEVAL.iter().map(one).collect()).to_string()
}

proptest! {
    #[test]
    fn any_text_has_a_result_for_every_instruction(answer in r"(?s)(.|[*'. \n\[\]<>`A.?!-]){0,60}") {
        prop_assert_eq!(report(&all(), &answer).map(|found| found.len()), Ok(IFEVAL.len()));
    }
}

#[test]
fn giant_answers_have_a_result() {
    for unit in ["*", "[", "<<", "\n", ". ", "'", "{\"a\":", "ß", "A.B ", "p.", "word "] {
        let answer = unit.repeat(100_000);
        assert_eq!(report(&all(), &answer).map(|found| found.len()), Ok(IFEVAL.len()), "{unit:?}");
    }
}
