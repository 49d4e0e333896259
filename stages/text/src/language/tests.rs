use super::*;

/// Checks the share of each text to within 0.15 of what a person counts.
fn check(target: &str, cases: &[(&str, f64)]) {
    for (text, expected) in cases {
        let share = consistency(text, target);
        assert!((share - expected).abs() <= 0.15, "{target} {text:?}: {share}, not {expected}");
    }
}

#[test]
fn short_sentences_are_told_by_their_common_words() {
    check(
        "en",
        &[
            ("Also gilt x gleich vier.", 0.0),
            ("Donc x vaut quatre.", 0.0),
            ("Entonces x es cuatro.", 0.0),
            ("Logo, a resposta é 4.", 0.0),
            ("Więc odpowiedź to 4.", 0.0),
            ("So x is four.", 1.0),
            ("Done.", 1.0),
        ],
    );
    check("de", &[("Also gilt x gleich vier.", 1.0), ("Moment, falsch.", 1.0), ("Hence x is four.", 0.0)]);
    check("es", &[("Se n = 3, então n! = 6.", 0.0), ("Si n = 3, entonces n! = 6.", 1.0)]);
    check("sv", &[("Alltså är svaret fyra.", 1.0), ("So the answer is four.", 0.0)]);
    check("sw", &[("Kwa hiyo jibu ni nne.", 1.0), ("So the answer is four.", 0.0)]);
}

#[test]
fn whole_texts() {
    let french = "Nous ajoutons les deux nombres et nous vérifions encore une fois le résultat.";
    check(
        "en",
        &[
            ("8-8得0,+1得1", 0.0),
            ("let x be 3, then x + y = 5", 1.0),
            ("We add the two numbers and then we check the result once more.", 1.0),
            ("so we add four and get seven", 1.0),
            ("first add them 然后再检查一下", 0.4),
            (french, 0.0),
        ],
    );
    check("fr", &[(french, 1.0)]);
    check("zh", &[("8-8得0,+1得1", 1.0), ("先把两个数加起来", 1.0)]);
}

#[test]
fn letters_tell_languages_of_one_script_apart() {
    check("ru", &[("Якщо n парне, то n = 2k.", 0.0), ("Если n чётно, то n = 2k.", 1.0)]);
    check("uk", &[("Якщо n парне, то n = 2k.", 1.0), ("Если n чётно, то n = 2k.", 0.0)]);
    check("en", &[("größer", 0.0), ("The naïve café of Gödel is fine.", 1.0)]);
}

#[test]
fn a_language_may_change_within_a_text() {
    check(
        "en",
        &[
            ("Let us add the numbers. Jetzt teilen wir durch zwei.", 0.5),
            ("We take the sum. Мы делим на два.", 0.5),
            ("So the result is achtzehn.", 0.8),
            ("The sum is six. La somme est six. Die Summe ist sechs.", 0.33),
        ],
    );
    check("zh", &[("我们先把它们加起来 and then we divide it", 0.5), ("所以结果是 twenty apples per box", 0.5)]);
    check("th", &[("ดังนั้นคำตอบคือสิบสอง so the answer is twelve", 0.5)]);
}

#[test]
fn mathematics_and_code_do_not_count() {
    check(
        "zh",
        &[
            ("$\\alpha = \\frac{1}{2}$ `let x = 3;`", 1.0),
            ("由 AB²+BC²=AC² 得 AC=5 cm。", 1.0),
            ("S=½ab·sin C，速度为 60 km/h。", 1.0),
            ("代码：for i in range(n): s += i", 1.0),
            ("写成 def g(a, b): return a * b 即可", 1.0),
            ("调用 np.sum(xs) 和 sum_list 得到 numApples", 1.0),
        ],
    );
    check(
        "de",
        &[
            ("Die Zeile `return the sum` ist falsch.", 1.0),
            ("import numpy as np", 1.0),
            ("for (int i = 0; i < n; i++) { sum += i; }", 1.0),
        ],
    );
    check(
        "en",
        &[
            ("```\nсумма = 1\n``` is the code.", 1.0),
            ("See https://example.org/страница for more.", 1.0),
            ("8-8=0,+1=1", 1.0),
            ("", 1.0),
        ],
    );
}

#[test]
fn prose_in_the_clothes_of_a_formula_counts() {
    check(
        "en",
        &[
            ("$我们先把两个数加起来$", 0.0),
            ("\\(wir addieren jetzt die beiden Zahlen\\)", 0.0),
            ("The pen costs $5 and the book costs $7 more.", 1.0),
        ],
    );
}

#[test]
fn names_do_not_count_against_a_text() {
    check(
        "en",
        &[
            ("Mr. Weber sold 4 pears to Jürgen in São Paulo.", 1.0),
            ("Dr. Núñez lives in Den Haag.", 1.0),
            ("王先生 has four pears and a plum, and so on and so on.", 0.85),
        ],
    );
    check("zh", &[("李四用 Python 和 MacBook Pro 工作。", 1.0), ("变量 total 表示总数。", 1.0)]);
    check("fr", &[("Jean achète deux livres chez Smith & Sons à New York.", 1.0)]);
}

#[test]
fn capitals_do_not_hide_a_language() {
    check("en", &[("WIR ADDIEREN JETZT DIE ZAHLEN", 0.0), ("Wir Addieren Jetzt Die Beiden Zahlen", 0.0)]);
    check("zh", &[("Let Me Check This Again", 0.0), ("Eighteen.", 0.0)]);
}

#[test]
fn chinese_and_japanese_are_told_apart() {
    check(
        "ja",
        &[("答えは三個です。", 1.0), ("東京", 1.0), ("我们把它们加起来。", 0.0), ("首先計算總和然後除以二", 0.0)],
    );
    check("zh", &[("答えは三個です。", 0.0), ("我们把它们加起来。", 1.0), ("首先計算總和然後除以二", 1.0)]);
    check("ko", &[("먼저 두 수를 더한다.", 1.0), ("首先把两个数相加。", 0.0)]);
}

#[test]
fn words_of_scripts_with_marks_stay_whole() {
    check("hi", &[("इसलिए उत्तर बारह है।", 1.0), ("म्हणून उत्तर बारा आहे आणि ते बरोबर आहे.", 0.0)]);
    check("fa", &[("پس جواب این است که دو برابر شود", 1.0), ("هذا هو الجواب الذي كان لدينا", 0.0)]);
}

#[test]
fn a_target_may_have_a_region_or_be_unknown() {
    check("pt-BR", &[("Então a resposta é quatro.", 1.0), ("Entonces la respuesta es cuatro.", 0.0)]);
    check("zh_Hant", &[("所以答案是四。", 1.0)]);
    check("et", &[("Seega on vastus neli, sest me liitsime need kokku.", 1.0)]);
    check("sr", &[("Дакле, одговор је четири.", 1.0), ("Dakle, odgovor je četiri.", 1.0), ("So it is four.", 0.0)]);
}

#[test]
fn a_share_is_between_0_and_1_for_any_text() {
    let odd = [
        "`",
        "$",
        "\\",
        "\\(",
        "```$`\\[",
        "<",
        "</",
        "<>",
        "</>",
        "f(",
        "a)",
        "(\"",
        "www.",
        "http://",
        "ー",
        "\u{301}",
        "'",
        "a'",
        "’’",
        "_",
        "a.",
        "\u{fffc}",
        "é\u{301}",
        "return",
        "def é(",
        "\u{1f600}",
        "а",
        "$$$",
        "٣",
        "import \u{20ac}",
    ];
    for one in odd {
        for two in odd {
            for target in ["en", "zh", "ru", "hi", "", "-", "xx"] {
                let share = consistency(&format!("{one}{two}"), target);
                assert!((0.0..=1.0).contains(&share), "{one:?} {two:?} {target:?}: {share}");
            }
        }
    }
}
