use super::*;

const ANSWER: &str = "Water boils at a lower temperature in the mountains, because the air presses less on it. \
    At 3,000 metres it boils at 90 degrees. Pasta takes longer there: give it a quarter more time.";
const QUESTION: &str = "Why does my pasta take so long to cook when I am in the mountains, and what can I do about it?";

fn assert_is(score: f64, expected: f64) {
    assert!((score - expected).abs() < 1e-9, "{score}, not {expected}");
}

fn concise(answer: &str) -> f64 {
    conciseness(answer, QUESTION, 100)
}

#[test]
fn an_answer_that_says_something_is_concise_however_short() {
    assert_is(concise(ANSWER), 1.0);
    assert_is(concise("Lower air pressure."), 1.0);
    assert_is(concise("水在高山上沸点较低，所以面条要多煮一会儿。"), 1.0);
    assert_is(concise(""), 0.0);
    assert_is(concise("…"), 0.0);
}

#[test]
fn waste_lowers_conciseness_wherever_it_stands() {
    for (before, after) in [
        ("Sure! Great question. ", ""),
        ("Certainly, I'd be happy to help! ", ""),
        ("Thank you for your question! Here is the answer: ", ""),
        ("", " I hope this helps! Let me know if you have any other questions."),
        ("You ask why pasta takes so long to cook in the mountains, and what can I do about it. ", ""),
        ("", " In the mountains, water boils at a lower temperature, because the air presses less on it."),
        ("It is important to note that ", ""),
        ("好问题！很高兴为您解答。", "希望对您有帮助！"),
        ("", " Yes. Yes. Yes. Yes. Yes. Yes."),
    ] {
        let score = concise(&format!("{before}{ANSWER}{after}"));
        assert!(score < 0.97, "{before}…{after}: {score}");
    }
    assert_is(concise("Sure! Great question. I hope this helps!"), 0.0);
}

#[test]
fn repeating_an_answer_lowers_conciseness() {
    let scores: Vec<f64> = (1..5).map(|times| conciseness(&format!("{ANSWER} ").repeat(times), QUESTION, 0)).collect();
    assert!(scores.is_sorted_by(|one, two| one > two), "{scores:?}");
    assert!(scores[3] < 0.3, "{scores:?}");
}

#[test]
fn over_the_budget_conciseness_falls_to_0() {
    let num_words = words(ANSWER).len();
    let of = |budget| conciseness(ANSWER, "", budget);
    for budget in [num_words, num_words * 2, 0] {
        assert_is(of(budget), 1.0);
    }
    assert!(of(num_words * 3 / 4) > 0.5 && of(num_words * 3 / 4) < 0.8);
    assert_is(of(num_words / 2 - 1), 0.0);
}

fn sentences(count: usize) -> String {
    let words = "plum pear sum field water stone house river cloud tree road lamp".split(' ').collect::<Vec<_>>();
    let sentence = |n: usize| {
        let pick = |step: usize| words[(n * step + step) % words.len()];
        format!(
            "Of the {} number {n}, which {} and {} have, we keep the {} for {}. ",
            pick(1),
            pick(5),
            pick(7),
            pick(11),
            pick(3)
        )
    };
    (0..count).map(sentence).collect()
}

#[test]
fn readable_answers_are_well_structured() {
    let long = format!("{}\n\n{}\n\n{}", sentences(6), sentences(5), sentences(4));
    let steps =
        "Do this:\n\n1. Fill a pot.\n\n   Use cold water.\n\n2. Heat it.\nIt takes a while.\n\n3. Wait.\n   - Stir.\n";
    let headed = format!("# Title\n\n## One\n\n{}\n\n## Two\n\n{}\n", sentences(3), sentences(4));
    let table = "| a | b |\n|---|---|\n| one | two |\n| three | four |\n\nThat is all.";
    for answer in
        [ANSWER, "42", "The total is:\n\n**42**", &long, steps, &headed, table, "```\nfor x in y:\n    print(x)\n```"]
    {
        assert_is(structure(answer), 1.0);
    }
    assert_is(structure(""), 0.0);
    assert_is(structure("# \n\n- \n"), 0.0);
}

#[test]
fn walls_are_badly_structured() {
    let (short, long) = (structure(&sentences(7)), structure(&sentences(40)));
    assert_is(short, 1.0);
    assert!(long < 0.25, "{long}");
    assert!(structure(&format!("- One.\n- {}", sentences(40))) < 0.25);
    assert!(structure(&format!("```\n{}\n```", sentences(40))) < 0.25);
}

#[test]
fn marks_that_mean_nothing_lower_the_score() {
    let headings = "## Water\n\nIt boils early.\n\n## Air\n\nIt presses less.\n\n## Pasta\n\nIt takes longer.\n";
    let bold = "**Water**\n\nIt boils early.\n\n**Air**\n\nIt presses less.\n";
    let lone = "Here:\n\n- Only one.\n";
    let empty = format!("{ANSWER}\n\n- \n- \n- \n");
    let same = "- Stir it.\n- Stir it.\n- Stir it.\n- Heat it.\n";
    let uneven = "| a | b |\n|---|---|\n| one |\n";
    let no_rule = "| a | b |\n| c | d |\n";
    for bad in [headings, bold, lone, &empty, same, uneven, no_rule] {
        let score = structure(bad);
        assert!(score <= 0.5, "{bad}: {score}");
    }
}

#[test]
fn nothing_that_is_added_raises_structure() {
    for answer in [ANSWER.to_owned(), sentences(12)] {
        let before = structure(&answer);
        for added in ["# Title\n\n", "- \n", "## A\n## B\n", "| x |\n\n", "- one\n\n"] {
            assert!(structure(&format!("{added}{answer}")) <= before.max(0.99), "{added}");
        }
    }
}

#[test]
fn any_text_has_scores_between_0_and_1() {
    let odd = [
        "#",
        "# ",
        "**",
        "****",
        "- ",
        "1.",
        "1.é",
        "|",
        "||",
        "|-|",
        "```",
        "\n",
        " ",
        "é",
        "。",
        "'",
        "•",
        "•é",
        "99999999999.",
    ];
    for one in odd {
        for two in odd {
            for three in odd {
                let text = format!("{one}{two}\n{three}");
                let scores = [structure(&text), conciseness(&text, one, 1), conciseness(&text, "", 0)];
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{text:?}: {scores:?}");
            }
        }
    }
}
