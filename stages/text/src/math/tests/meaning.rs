//! Tables of answers that mean the same, and of answers that do not.

use super::super::{Tolerance, canonical, explain, verify, verify_within};
use super::check;
use crate::Verdict::{Correct, Wrong};

#[test]
fn a_gold_answer_is_never_cut_down() {
    check(
        Wrong,
        &[
            ("x^2+y^2=1", "1"),
            ("2x+y+1=0", "0"),
            ("2x+y+1=0", "5x+3y=0"),
            ("x=-6, x=2", "2"),
            ("5 or 9", "9"),
            ("\\text{June 20}", "20"),
            ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "2"),
            ("8x^2-3xy+y^2", "2"),
            ("2,4,8", "8"),
            ("f(x) = 3x - 2", "2"),
            ("(3, 4)", "4"),
            ("[0, 5]", "5"),
            ("\\frac{c}{5}", "5"),
            ("1:58 am", "58"),
        ],
    );
}

#[test]
fn currencies_are_told_apart() {
    check(
        Correct,
        &[
            ("\\$5", "$5"),
            ("$5", "5 dollars"),
            ("5元", "5 yuan"),
            ("¥5", "5 yuan"),
            ("5 €", "5"),
            ("5", "5 €"),
            ("$x+5$", "$5+x$"),
        ],
    );
    check(Wrong, &[("$5", "5 €"), ("\\$5", "€5"), ("5 €", "5 yuan"), ("$5", "5 cents"), ("£5", "¥5")]);
}

#[test]
fn roundings_of_many_digits() {
    check(
        Correct,
        &[
            ("1/3", "33.333333%"),
            ("1/3", "33.3333%"),
            ("10^{-5.4}", "3.98107170553497 \\cdot 10^{-6}"),
            ("x=10^{-5.4}", "x=3.98107e-6"),
            ("\\sqrt2 \\approx 1.41", "1.41"),
            ("\\sqrt2 \\approx 1.41", "\\sqrt2"),
            ("1.414", "\\sqrt2 \\approx 1.414"),
        ],
    );
    check(
        Wrong,
        &[
            ("1/3", "33.333%"),
            ("10^{-5.4}", "3.99 \\cdot 10^{-6}"),
            ("\\sqrt2 \\approx 1.41", "1.42"),
            ("5", "4.5 \\approx 5"),
            ("1.5", "\\sqrt2 \\approx 1.5"),
        ],
    );
}

#[test]
fn identities_operators_and_upright_units() {
    check(
        Correct,
        &[
            ("x^2-1", "x^2 - 1 = (x-1)(x+1)"),
            ("2", "\\log 100 = 2"),
            (
                "\\sum_{n=0}^{\\infty} \\frac{2}{2 n+1} x^{2 n+1}",
                "2 \\sum_{n=0}^{\\infty} \\frac{x^{2 n + 1}}{2 n + 1}",
            ),
            ("\\sum_{m=0}^{\\infty}(-1)^{m+1} x^{m}", "\\sum_{m=0}^{\\infty} - (-1)^{m} x^{m}"),
            ("y = \\frac14 \\sin 2t \\mathrm{~m}", "y = \\frac14 \\sin 2t"),
            ("e^{x} \\left[c_1 \\cos 2 x\\right]", "c_1 e^x \\cos(2x)"),
        ],
    );
    check(
        Wrong,
        &[
            ("x^2-1", "x^2 - 1 = (x-1)(x+2)"),
            ("3", "\\log 100 = 3"),
            ("\\sum_{n=0}^{\\infty} 2x^n", "3 \\sum_{n=0}^{\\infty} x^n"),
            ("\\sum_{n=0}^{\\infty} x^n", "\\sum_{n=1}^{\\infty} x^n"),
        ],
    );
}

#[test]
fn markdown_and_statements_in_several_languages() {
    check(
        Correct,
        &[
            ("9", "**Answer:** 9"),
            ("9", "The answer is **9**."),
            ("9", "**Final Answer: 9**"),
            ("9", "### Final Answer\n\n**9**"),
            ("9", "*9*"),
            ("9", "Final answer: `9`"),
            ("9", "The answer is\n\\[\n9\n\\]"),
            ("5", "The answer is 5. I checked it 2 times."),
            ("5", "25(.20)=5\nA: 5"),
            ("9", "一共9个苹果。"),
            ("9", "答案：9元"),
            ("9", "答案是**9**。"),
            ("9", "答えは9個です。"),
            ("9", "정답은 9개입니다."),
            ("9", "Ответ: 9"),
            ("9", "Die Antwort ist 9."),
            ("9", "La réponse est 9."),
            ("9", "La respuesta es 9."),
            ("9", "９"),
            ("7", "The largest $n$ is 7."),
            ("28", "The final answer is $28 \\%$. I hope it is correct."),
            ("\\text{Evelyn}", "The answer is Evelyn."),
            ("１２月２５日", "12月25日"),
            ("7", "7 (I am 80% sure)"),
            ("7", "\\boxed{4} was a slip. Final answer: the final answer is 7."),
        ],
    );
}

#[test]
fn expressions_are_compared_by_value() {
    check(
        Correct,
        &[
            ("x+1", "1+x"),
            ("2(x+1)", "2x+2"),
            ("(x+1)(x-1)", "x^2-1"),
            ("n^2", "n^{2}"),
            ("\\frac{x+2}{7}", "\\frac{x}{7}+\\frac{2}{7}"),
            ("2\\sqrt{3}", "\\sqrt{12}"),
            ("\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}"),
            ("\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt{2}}{2}"),
            ("\\sqrt[3]{-8}", "-2"),
            ("\\frac{\\pi}{6}", "\\pi/6"),
            ("1000000", "10^6"),
            ("10{,}000", "10000"),
            ("120", "5!"),
            ("10", "\\binom{5}{2}"),
            ("2", "\\log_2 4"),
            ("\\ln 8", "3\\ln 2"),
            ("\\sin 30^\\circ", "\\frac12"),
            ("\\sin\\frac{\\pi}{3}", "\\frac{\\sqrt3}{2}"),
            ("\\tan^2(y)+1", "\\sec^2(y)"),
            ("1+i", "i+1"),
            ("-1", "i^2"),
            ("e^{2x}", "(e^x)^2"),
            ("0.1\\overline{6}", "1/6"),
            ("p-q", "-q+p"),
            ("4210_5", "4210_{5}"),
            ("65", "\\sum_{k=1}^{5}(3k+4)"),
            ("4.123105625617661", "\\sqrt{17}"),
            ("1/12", "0.0833333333"),
            ("f(x) = x", "f(x)=x"),
            (
                "\\begin{pmatrix}6\\\\8\\end{pmatrix}",
                "\\begin{pmatrix}1\\\\2\\end{pmatrix}+\\begin{pmatrix}5\\\\6\\end{pmatrix}",
            ),
        ],
    );
    check(
        Wrong,
        &[
            ("2\\sqrt{3}", "\\sqrt{13}"),
            ("x+1", "x+2"),
            ("\\pi", "3.14"),
            ("\\pi", "\\frac{22}{7}"),
            ("1/3", "0.33"),
            ("0.5000001", "1/2"),
            ("\\sqrt{2}", "1.41421357"),
            ("4210_5", "4210_6"),
            ("2", "\\frac{1+\\sqrt{5}}{2}"),
            ("x^2", "x^3"),
            ("\\sqrt{x^2}", "x"),
            ("e^{\\pi\\sqrt{163}}", "262537412640768744"),
        ],
    );
}

#[test]
fn lists_sets_and_intervals() {
    check(
        Correct,
        &[
            ("1,2", "2,1"),
            ("\\{1,2\\}", "\\{2,1\\}"),
            ("\\{1,2\\}", "1 and 2"),
            ("1, 2", "\\boxed{1} \\text{ and } \\boxed{2}"),
            ("\\pm 3", "3, -3"),
            ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
            ("a=2, b=3", "b=3, a=2"),
            ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
            ("[0,1)", "0 \\le x < 1"),
            ("x \\in [-2,7]", "-2 \\le x \\le 7"),
            ("(-\\infty,3)", "x < 3"),
            ("(-\\infty,-1)\\cup(2,\\infty)", "x<-1 or x>2"),
            ("1\\leq|z|\\leq 2", "[-2,-1]\\cup[1,2]"),
            ("(1,2)", "(x, y) = (1, 2)"),
            ("\\emptyset", "no solution"),
            ("1,22", "1.22"),
            ("\\{x | x > 3\\}", "(3, \\infty)"),
        ],
    );
    check(
        Wrong,
        &[
            ("1,2", "2"),
            ("\\pm 3", "3"),
            ("a=2, b=3", "a=3, b=2"),
            ("(1,2)", "\\{1,2\\}"),
            ("[0,1]", "(0,1)"),
            ("1,2", "1,2,3"),
            ("(-\\infty,3)", "x \\le 3"),
            ("\\emptyset", "0"),
        ],
    );
}

#[test]
fn relations() {
    check(
        Correct,
        &[
            ("x<3", "3>x"),
            ("x<1", "-x>-1"),
            ("x \\ge 3", "x \\geq 3"),
            ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}"),
            ("x^2/4 + y^2/3 = 1", "x^2/16 + y^2/12 = 1/4"),
            ("x=4", "4"),
            ("4", "x=4"),
            ("21", "36 - 11 - 4 = 21"),
            ("x \\neq 3", "x != 3"),
            ("f(2) < f(1)", "f(1) > f(2)"),
            ("1/3", "x = 1/3 \\approx 0.33"),
        ],
    );
    check(
        Wrong,
        &[
            ("x<3", "3"),
            ("x<3", "x<4"),
            ("x<3", "x>3"),
            ("7 = 11a+c", "11a+c"),
            ("5", "x \\ge 5"),
            ("5", "4 = 5"),
            ("5", "\\boxed{1=2=3=4=5}"),
            ("5", "4 \\ne 5"),
            ("x^2+y^2=1", "x+y=1"),
        ],
    );
}

#[test]
fn quantities() {
    check(
        Correct,
        &[
            ("5 cm", "50 mm"),
            ("5", "5 cm"),
            ("20 $cm^{2}$", "20"),
            ("\\frac{68}{3}\\text{ pounds}", "\\boxed{\\frac{68}{3}}"),
            ("99\\pi", "99\\pi\\text{ square inches}"),
            ("9.8", "9.8 \\text{ m/s}^2"),
            ("36 km/h", "10 m/s"),
            ("90^\\circ", "\\frac{\\pi}{2}"),
            ("1000000", "1 million"),
            ("62.5\\%", "0.625"),
            ("9 (apples)", "9"),
            ("12:30", "12:30"),
            ("1:03", "1:03 PM"),
            ("7:32", "7/32"),
            ("5 hours 30 minutes", "5.5 hours"),
        ],
    );
    check(
        Wrong,
        &[
            ("5 cm", "5 m"),
            ("5", "5 million"),
            ("5", "5 dozen"),
            ("5", "5k"),
            ("5", "5x"),
            ("5", "5 x 10"),
            ("5", "5²"),
            ("5", "5 squared"),
            ("5", "5!"),
            ("5", "minus 5"),
            ("5", "5 hours 30 minutes"),
            ("20 $cm^{2}$", "2"),
            ("12:30", "2:5"),
            ("6", "0x6"),
            ("90", "\\frac{\\pi}{2}"),
        ],
    );
}

#[test]
fn what_hedges_or_denies_is_refused() {
    for answer in [
        "It is not 5",
        "The answer is 4, not 5",
        "3 or 4 or 5",
        "The answer is 4. Or 5",
        "5 (or 6)",
        "4, 5",
        "less than 5",
        "The answer is 4\nThe answer is 5",
        "\\boxed{5} \\boxed{4}",
        "5 5 5",
        "\\boxed{5",
        "}5",
        "5/",
        "not \\boxed{5}",
        "00000005",
        "I got 5, not 6.",
        "[4,5]",
        "√5",
        "log 5",
        "at most 5",
        "5 + 1",
        "Answer key: 1,2,3,4,5",
    ] {
        assert_ne!(verify("5", answer), Correct, "{answer}");
    }
    check(
        Correct,
        &[
            ("7", "The answer is 3. No, the answer is 7"),
            ("5", "The answer is 5, because 4 is not enough."),
            ("4 or 5", "5 or 4"),
        ],
    );
}

#[test]
fn equal_answers_have_one_vote() {
    for [one, two] in
        [["1/2", "0.5"], ["\\sqrt{12}", "2\\sqrt3"], ["x = 4", "4"], ["1, 2", "2, 1"], ["9 apples", "**9**"]]
    {
        assert_eq!(canonical(one), canonical(two), "{one} {two}");
        assert!(canonical(one).is_some());
    }
    assert_ne!(canonical("1/2"), canonical("1/3"));
    assert_eq!(canonical(""), None);
}

#[test]
fn an_explanation_tells_what_was_read() {
    let told = explain("18", "She earns 9 * 2 dollars.\n**Answer:** $18", None);
    assert_eq!(told.verdict, Correct);
    assert_eq!(told.found.as_deref(), Some("18"));
    assert_eq!((told.read, told.gold), (vec!["18".to_owned()], vec!["18".to_owned()]));
    assert_eq!(explain("5", "It is not 5", None).place, "refused: the expression is denied");
    assert_eq!(explain("5", "", None).place, "no answer was found");
}

#[test]
fn numbers_within_a_tolerance() {
    let (share, amount, figures) = (Tolerance::Relative(0.01), Tolerance::Absolute(0.1), Tolerance::Figures(3));
    for (gold, answer, tolerance, is_right) in [
        ("9.81 m/s^2", "9.8", share, true),
        ("9.81 m/s^2", "9.5", share, false),
        ("4.5e33", "4.52 \\times 10^{33}", share, true),
        ("1.6 cm", "16.1 mm", share, true),
        ("1.6 cm", "1.6 kg", share, false),
        ("2.5 kJ", "2500 J", share, true),
        ("3 \\mu m", "3000 nm", share, true),
        ("-40", "40", share, false),
        ("100", "101", share, true),
        ("100", "101.01", share, false),
        ("5", "5.1", amount, true),
        ("5", "5.11", amount, false),
        ("0.006", "0.00598", Tolerance::Figures(1), true),
        ("20.39", "20.4", figures, true),
        ("20.39", "20.45", figures, false),
        ("x", "5", share, false),
        ("\\pi", "3.14", figures, true),
        ("a = 12", "12.05", share, true),
    ] {
        let verdict = verify_within(gold, answer, Some(tolerance));
        assert_eq!(verdict == Correct, is_right, "{gold} {answer} {tolerance:?}");
    }
    assert_eq!(verify("9.81", "9.8"), Wrong);
}
