use super::*;

/// Checks the kinds of the re-evaluations of each thought: `c` confirms, `x` changes.
fn check(cases: &[(&str, &str)]) {
    for (expected, thought) in cases {
        let found = reevaluations("", thought, 9);
        let kinds: String = found.iter().map(|one| if one.kind == Kind::Confirms { 'c' } else { 'x' }).collect();
        assert_eq!(kinds, *expected, "{thought}: {found:?}");
    }
}

#[test]
fn a_check_that_confirms_counts() {
    check(&[
        ("c", "5 * 7 = 35, so there are 35. Let me check: 35 / 7 = 5. Indeed, it is 35."),
        ("c", "5*7 = 35. Let me verify: 7+7+7+7+7 = 35, which matches."),
        ("c", "8-8=0,+1=1,+2=3,+4=7.check 8-8+1+2+4=7"),
        ("c", "Each of 5 friends gets 4 plums, so 5*4=20 plums. Hmm, is that right? 20/5 = 4. Yes, that is correct."),
        ("c", "So 3x = 15 and x = 5. Let me double-check by putting it back: 3*5 + 4 = 19. That matches."),
        ("c", "The area is 6*4/2 = 12. Wait. Let me go through it again: 0.5*6*4 = 12. So it is 12."),
        (
            "c",
            "If \\(4x = 3\\), then \\(x = \\frac{3}{4}\\). Let me check: \\(4 \\cdot \\frac{3}{4} = 3\\), which is right.",
        ),
    ]);
}

#[test]
fn a_check_is_of_numbers_that_follow_from_the_question() {
    let count = |question, thought| reevaluations(question, thought, 9).len();
    let check = "So x = 12. Let me check: 12 / 4 = 3, which is right.";
    assert_eq!((count("Solve x / 4 = 3.", check), count("Solve it.", check)), (1, 0));
    let constant = "5-3=1,+7=9,-6=17,+9=17.check 8+9=17";
    assert_eq!(count("5-3+7-6+5=?", constant), 0, "8 is from nowhere: this would check any 17");
    let planted = "1+2=4,-5=9,+5=14,+5=9,+5=14.check 9-5=4.check 9+5=14.check 4+5=9";
    assert_eq!(count("2-1+1=?", planted), 0, "numbers that were planted to be checked");
    let known = "5-3=2,+7=9,-6=3,+5=8.check 9-1=8";
    assert_eq!(count("5-3+7-6+5=?", known), 0, "8 and 9 are known, 1 is from nowhere");
    let follows = "3*4 = 12, so it is 12. 12+2 = 14, so it is 14. Let me check: 14-2 = 12, so it is indeed 14.";
    assert_eq!(count("3 boxes of 4 pens and 2 more?", follows), 1);
}

#[test]
fn a_change_of_the_value_counts() {
    check(&[
        ("x", "5*7 = 35. So the answer is 35. Wait, I forgot the 2 pens. 35 + 2 = 37. So the answer is 37, not 35."),
        ("x", "It is 2*3+2*4=14. Hmm, wait. It asks for the area, not that. 3*4 = 12. So the answer should be 12."),
        ("x", "f(3) = 2*3+1 = 8. So f(3) = 8. Hmm, 2*3+1 = 7, not 8."),
        (
            "cx",
            "3*4=12. It is 12. Let me check: 12/3=4, which matches. Actually, I missed 2 pens. 12+2=14. Thus it is 14.",
        ),
    ]);
}

#[test]
fn other_languages_count_as_well() {
    check(&[
        ("c", "一共3×5=15个，答案是15。让我检查一下：15÷5=3，确实是15。"),
        ("c", "总数是15*4=60。所以答案是60。等等，让我验算：60÷15=4，没错，答案是60。"),
        ("x", "3×5=15，所以答案是15。不对，我忘了还有2支笔。15+2=17，所以答案应该是17，而不是15。"),
        ("c", "Also 3 · 5 = 15, die Antwort ist 15. Moment, prüfen wir das: 15 / 5 = 3. Das stimmt, es ist 15."),
        ("x", "Donc 3 × 5 = 15. Attends, j'ai oublié les 2 stylos. 15 + 2 = 17. Donc la réponse est 17."),
        ("c", "Entonces 3 * 5 = 15. Verifiquemos: 15 / 3 = 5. Correcto, es 15."),
        ("c", "Итак, 3*5=15. Проверим: 15/5=3, верно, значит ответ 15."),
        ("x", "3×5=15です。いや、2本のペンを忘れていた。15+2=17。よって答えは17です。"),
        ("c", "따라서 3×5=15이다. 검산: 15÷5=3. 맞다."),
    ]);
}

#[test]
fn words_may_be_the_work() {
    let sydney = "The largest city of Australia, and so its capital, would be Sydney. So the answer is Sydney. ";
    let work = "Wait, the question asks for the capital rather than the largest city, and the capital of Australia was \
        built between Sydney and Melbourne as a compromise, namely Canberra. ";
    check(&[
        ("x", &format!("{sydney}{work}So the answer is Canberra, not Sydney.")),
        ("", &format!("{sydney}Wait, wait, wait. So the answer is Canberra, not Sydney.")),
    ]);
}

#[test]
fn words_of_reflection_alone_count_nothing() {
    check(&[
        ("", ""),
        ("", "wait wait wait"),
        ("", "Let me check. Let me check. Let me check."),
        ("", "等等等等等等。让我检查。让我检查。没错。"),
        ("", "5 * 7 = 35. So it is 35. Wait, let me check. Yes, it is indeed 35."),
        ("", "The sum is 7. Wait. Hmm. Actually. So the sum is 8, not 7."),
        ("", "8-8=0,+1=1,+2=3,+4=7.check 7"),
        ("", "Wait, so the answer is 35."),
    ]);
}

#[test]
fn padding_is_no_work() {
    let padding = "Let me check everything with great care once more, because it is always good to be careful about \
        every single thing that one does, and being careful is a habit of good thinkers. ";
    check(&[("", &format!("The answer is 35. {padding}So the answer is indeed 35."))]);
}

#[test]
fn sums_that_check_nothing_count_nothing() {
    for (sum, why) in [
        ("5 * 7 = 35", "it was there before"),
        ("7 * 5 = 35", "in another order"),
        ("35 = 35", "no sum"),
        ("35 * 1 = 35", "trivial"),
        ("35 + 0 = 35", "trivial"),
        ("12 + 23 = 35", "of numbers that have nothing to do with it"),
        ("5 * 8 = 35", "wrong"),
    ] {
        check(&[("", &format!("5 * 7 = 35. So it is 35. Let me check: {sum}, so it is indeed 35."))]);
        assert!(!why.is_empty());
    }
}

#[test]
fn each_value_is_confirmed_once_and_no_change_goes_back() {
    let checked = "5 * 7 = 35. Let me check: 35/7 = 5, so it is indeed 35. ";
    check(&[
        ("c", &format!("{checked}Let me check: 35/7 = 5, so it is indeed 35.")),
        ("c", &format!("{checked}Let me check: 35/5 = 7, so it is indeed 35.")),
        ("x", "7+2=9. So it is 9. Wait, that's wrong, 9-1=8. So it is 8. Wait, that's wrong, 8+1=9. So it is 9."),
    ]);
}

#[test]
fn the_cap_and_the_range_hold() {
    let thought =
        "5*7 = 35. It is 35. Let me check: 35/7=5, so 35 is right. Actually, I missed 2 pens. 35+2=37. So it is 37.";
    let found = reevaluations("", thought, 9);
    let texts: Vec<&str> = found.iter().map(|one| &thought[one.range.clone()]).collect();
    assert_eq!(texts, ["Let me check: 35/7=5, so 35 is right.", "Actually, I missed 2 pens. 35+2=37. So it is 37."]);
    assert_eq!(reevaluations("", thought, 1).len(), 1);
    assert_eq!(reevaluations("", thought, 0), []);
}

#[test]
fn sums_are_worked_out_exactly() {
    for (text, comes_out) in [
        ("3 * 4 + 2 = 14", true),
        ("3 * (4 + 2) = 18", true),
        ("3(4 + 2) = 18", true),
        ("2^10 = 1024", true),
        ("1,000 + 24 = 1,024", true),
        ("0.1 + 0.2 = 0.3", true),
        ("\\frac{1}{2} + \\frac{1}{3} = \\frac{5}{6}", true),
        ("5 boxes × 4 plums = 20 plums", true),
        ("22 / 7 ≈ 3.14", true),
        ("7 - 10 = -3", true),
        ("22 / 7 = 3.14", false),
        ("22 / 7 ≈ 3.5", false),
        ("3 + 4 = 8", false),
        ("1 / 0 = 3", false),
        ("2^99 = 3", false),
        ("999999999999999 ^ 16 = 3", false),
        ("x + 3 = 7", false),
        ("3 = 3", false),
        ("((((((3 + 4 = 7", true),
        ("= = + 3 =", false),
    ] {
        assert_eq!(!sums::read(text).sums.is_empty(), comes_out, "{text}");
    }
}

#[test]
fn any_text_can_be_read() {
    let odd = [
        "Wait",
        "\\frac{",
        "}{",
        "\\",
        "**",
        "1,",
        "1.",
        "=",
        "≈",
        "^",
        "é",
        "等等",
        "answer is",
        "\\boxed{",
        "½",
        "٣",
        "{1}{0}",
        "-",
        "…",
    ];
    for one in odd {
        for two in odd {
            for three in odd {
                assert!(reevaluations("", &format!("{one}{two} {three}"), 9).is_empty());
            }
        }
    }
}
