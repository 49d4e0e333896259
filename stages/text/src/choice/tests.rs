//! Phrasings of choices, right and hostile.

use super::*;

/// Asserts what each answer chooses, printed, or `-` for nothing.
fn check(options: &[(char, String)], cases: &[(&str, &str)]) {
    for (answer, expected) in cases {
        let found = chosen(answer, options).map_or("-".to_owned(), |chosen| chosen.to_string());
        assert_eq!(found, *expected, "{answer:?}");
    }
}

fn lengths() -> Vec<(char, String)> {
    ('A'..).zip(["10 cm", "12 cm", "13 cm", "none of these"].map(str::to_owned)).collect()
}

#[test]
fn one_letter_in_every_dress() {
    let dressed = "C|c|C.|(C)|( C )|[C]|{C}|<C>|C)|**C**|**(C)**|__C__|`C`|\"C\"|Ｃ|（Ｃ）|Ⓒ|$C$|\\(C\\)|C!|> C|- C|4. C\
        |✅ C|\\boxed{C}|\\boxed{\\mathrm{C}}|\\fbox{c}|$$\\boxed{\\textbf{(C)}\\ 13}$$|\\boxed{\\text{C. } 13}\
        |\\boxed{13 (C)}|option c|Choice C.|Letter C|Definitely C.|```\nC\n```|{\"answer\": \"C\"}";
    for answer in dressed.split('|') {
        check(&[], &[(answer, "C")]);
    }
}

#[test]
fn statements() {
    let stated = "The answer is C.|The answer is **C**.|the answer is c|So the correct answer is option C: 13 cm.\
        |The best choice here is (C), as both sides agree.|The answer to question 2.5 is C\
        |The option that is not prime is C.|Answer: C|**Answer:** C|Final answer\nC|## Answer\n\n(C) 13|Ans. C\
        |My pick: C|Correct: C|#### C|x = 13\n#### (C)|I choose C|I'd go with C.|We select option (C)|I would say C\
        |I think it's C|It must be C.|So it has to be C.|That would be option C.|C it is.|C is the answer.\
        |C is the correct option.|Option C is right.|Therefore C is true.|Thus (C).|\\therefore C|Only C works.\
        |By elimination, C.|13 matches choice (C).|C. 13 cm|C: 13 cm|C 13 cm|C - 13 cm|C, since it is odd.\
        |C) 13\n\nExplanation: A) is too small.|A long thought.\n\nC|Answer: C\n\nWhy: A fails, B fails.";
    let abroad = "答案是C|答案：（C）|【答案】C|故选C。|所以本题选 C|正确答案为 C 选项|C选项正确。|C、光合作用|正解はCです|答えは（C）|정답은 C입니다\
        |La bonne réponse est la C.|Réponse : C|Die richtige Antwort lautet C.|Richtig ist C|La respuesta es C.\
        |Elijo C|A resposta é C.|La risposta è C.|Ответ: C|Đáp án là C";
    for answer in stated.split('|').chain(abroad.split('|')) {
        check(&[], &[(answer, "C")]);
    }
}

#[test]
fn refusals() {
    check(
        &[],
        &[
            ("Not C", "-"),
            ("The answer isn't C.", "-"),
            ("C is wrong.", "-"),
            ("I would never choose C", "-"),
            ("I don't think C is right.", "-"),
            ("anything but C", "-"),
            ("C不正确", "-"),
            ("Die Antwort ist nicht C", "-"),
            ("A, not C", "A"),
            ("A rather than C", "A"),
            ("A because C is false", "A"),
            ("It is not C but A.", "A"),
            ("Option C is incorrect, so A it is.", "A"),
            ("C) is wrong, B) is wrong, A) is right", "A"),
            ("Neither B nor C fits, so it must be A.", "A"),
            ("A正确，C错误。", "A"),
            ("If the answer is C, then 1 = 2.", "-"),
            ("Many students choose C, but the answer is A.", "A"),
            ("Bob says the answer is C.", "-"),
            ("Is it C?", "-"),
            ("Let's consider option C", "-"),
        ],
    );
}

#[test]
fn several_letters() {
    check(
        &[],
        &[
            ("A or C", "A or C"),
            ("either A or C", "A or C"),
            ("A/C", "A or C"),
            ("The answer is A or possibly C.", "A or C"),
            ("A? C?", "A or C"),
            ("答案是A或C", "A or C"),
            ("A, C", "A, C"),
            ("(A) (C)", "A, C"),
            ("A. C.", "A, C"),
            ("CA", "A, C"),
            ("A和C", "A, C"),
            ("\\boxed{A} \\boxed{C}", "A, C"),
            ("\\boxed{A, C}", "A, C"),
            ("The answer is A. The answer is C.", "A, C"),
            ("choice A choice C", "A, C"),
            ("A is correct. B is wrong. C is correct.", "A, C"),
            ("A. 10 cm\nB. 12 cm\nC. 13 cm", "A, B, C"),
            ("A\n\nC", "A, C"),
            ("A (60%), C (40%)", "A, C"),
            ("A. But the answer is C.", "A, C"),
            ("The answer is A, but it could also be C.", "A, C"),
            ("The answer is A. Wait, C is correct.", "A, C"),
            ("#### A\n#### C", "A, C"),
        ],
    );
}

#[test]
fn no_letters() {
    let none = "|...|I don't know|A lot of them|The answer is a triangle.|A good question!|I am sorry|Because of it.\
        |Éa|KLM|A = 5|f(C)|P(C) = 1|x_C|C^2|C'|AC = 3|The answer is x^2 + C.|20 °C|vitamin B12|e.g. this|A-D\
        |\\boxed{}|\\boxed{C = 3}|\\binom{C}{2}|C# and C++|Let B be the midpoint.|The circle C has radius 5.|\u{200b}";
    for answer in none.split('|') {
        check(&[], &[(answer, "-")]);
    }
}

#[test]
fn reasons_do_not_choose() {
    let steps = "The option with 5 is A. ".to_owned() + &"Then we go on and on. ".repeat(20);
    check(
        &[],
        &[
            (&format!("First.\n{steps}\nThe answer is C."), "C"),
            ("Which is false?\nA is true, B is true.\nSo the answer is C.", "C"),
            ("A) 10 - no.\nB) 12 - no.\nC) 13 - yes.\n\nAnswer: C", "C"),
            ("The choices are: A. 10 and B. 12. I choose C.", "C"),
            ("Let A be the area. P(A|B) = 1. Hence the answer is C.", "C"),
            ("The answer is C. A would be right only for x < 0.", "C"),
            ("The option of step 1 is A. The option of step 2 is B. #### C", "C"),
        ],
    );
}

#[test]
fn texts_of_options() {
    check(
        &lengths(),
        &[
            ("12 cm", "B"),
            ("$12$ cm.", "B"),
            ("\\boxed{12\\text{ cm}}", "B"),
            ("The answer is 12 CM because it is.", "B"),
            ("#### 12 cm", "B"),
            ("None of these.", "D"),
            ("B: 12 cm", "B"),
            ("12 cm (B)", "B"),
            ("The answer is 12 cm, which is option B.", "B"),
            ("12", "-"),
            ("112 cm", "-"),
            ("none", "-"),
            ("12 cm or 13 cm", "-"),
            ("not 12 cm", "-"),
            ("B: 13 cm", "B, C"),
            ("B, which is 13 cm.", "B, C"),
            ("The answer is 13 cm (B).", "B, C"),
            ("\\boxed{B. 13 cm}", "B, C"),
            ("The answer is 12 cm. The answer is 13 cm.", "B, C"),
            ("The answer is A.\n13 cm is too long.", "A"),
        ],
    );
    let pairs = ["A", "O", "AB", "both A and B"].map(str::to_owned);
    let pairs: Vec<(char, String)> = ('A'..).zip(pairs).collect();
    check(&pairs, &[("A", "A"), ("O", "B"), ("AB", "C"), ("The answer is both A and B.", "D"), ("C. AB", "C")]);
}

#[test]
fn golds() {
    for (gold, answer, verdict) in [
        ("(B)", "b", Verdict::Correct),
        ("B. 12 cm", "B", Verdict::Correct),
        ("\\boxed{B}", "B", Verdict::Correct),
        ("12 cm", "B", Verdict::Correct),
        ("12 cm", "C", Verdict::Wrong),
        ("12 cm", "nothing", Verdict::AnswerUnparsed),
        ("12", "B", Verdict::GoldUnparsed),
        ("1", "A", Verdict::GoldUnparsed),
        ("", "A", Verdict::GoldUnparsed),
        ("A or B", "A", Verdict::GoldUnparsed),
        ("ABD", "A, B and D", Verdict::Correct),
        ("A and D", "DA", Verdict::Correct),
        ("[\"A\", \"D\"]", "A和D", Verdict::Correct),
        ("ABD", "A, B", Verdict::Wrong),
        ("ABD", "ABCD", Verdict::Wrong),
        ("AB", "A or B", Verdict::Wrong),
        ("A", "AB", Verdict::Wrong),
    ] {
        assert_eq!(verify(gold, answer, &lengths()), verdict, "{gold:?} {answer:?}");
    }
}

#[test]
fn long_answers_are_read_from_their_end() {
    for unit in ["7 ", "A ", "A\n", "\\boxed{", "The answer is A. ", "é", "{", "\"A\"", "\\boxed{A} ", "A. x B. y\n"] {
        let noise = unit.repeat((1 << 20) / unit.len());
        assert_ne!(verify("C", &noise, &lengths()), Verdict::Correct, "{unit:?}");
        assert_eq!(verify(&noise, "C", &lengths()), Verdict::GoldUnparsed, "{unit:?}");
    }
    let long = "It is known. ".repeat(100_000);
    assert_eq!(extract(&(long + "The answer is C.")).map(|chosen| chosen.to_string()).as_deref(), Some("C"));
}
