use super::*;

fn check(is_expected: bool, texts: &[&str]) {
    for text in texts {
        assert_eq!(is_readable(text, text), is_expected, "{text}");
    }
}

#[test]
fn ordinary_texts_are_readable() {
    check(
        true,
        &[
            "8-8=0,+1=1,+2=3,+4=7",
            "",
            "first we add, then we check that the sum is right",
            "1111111111",
            "He said no, no, no, and left.",
            "哈哈，答案是12。让我再检查一遍：3×4=12。对。",
        ],
    );
}

#[test]
fn what_has_no_words_may_repeat() {
    let matrix = vec![["0"; 10].join(" & "); 10].join(" \\\\\n");
    check(
        true,
        &[
            "Title\n============================================\n\nText\n--------------------------------------------",
            "| n | n² |\n|:-------------------|-------------------:|\n| 1 | 1 |",
            "Chapter 1 ........................................... 5\nChapter 2 . . . . . . . . . . . . . . . . . . 12",
            "2/3 = 0.66666666666666666666666666666666666666666…",
            "10^40 = 10000000000000000000000000000000000000000",
            "2^16 = 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2 \\cdot 2",
            "2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2 × 2",
            "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
            "Row 1: * * * * * * * *\nRow 2: * * * * * * * *\nRow 3: * * * * * * * *",
            "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n7",
            "HTHTHTHTHTHTHTHTHTHTHTHT",
            "\\begin{array}{cccccccccccccccccccccccc}",
            &matrix,
        ],
    );
}

#[test]
fn sums_and_tables_of_words_may_repeat() {
    check(
        true,
        &[
            "3 plums + 3 plums + 3 plums + 3 plums + 3 plums = 15 plums",
            "| p | q | both |\n|---|---|---|\n| true | true | true |\n| true | true | true |",
            "log log log log n",
        ],
    );
}

#[test]
fn counting_is_not_repetition() {
    let lines = |line: &dyn Fn(u32) -> String| (1..60).map(line).collect::<Vec<_>>().join("\n");
    let squares = lines(&|n| format!("f({n}) = {n}^2 = {}", n * n));
    let remainders = lines(&|n| format!("{n} mod 3 = {}", n % 3));
    let days = lines(&|n| format!("Day {n}: {} dollars", 100 + 7 * n));
    let cases = lines(&|n| format!("If x is {n}, then for the sum to be even y is {} or {}.", n + 2, n + 4));
    check(true, &[&squares, &remainders, &days, &cases]);
}

#[test]
fn loops_of_words_are_repetition() {
    check(
        false,
        &[
            "wait wait wait wait",
            "Wait. wait, WAIT… Wait!",
            "so\nso\nso\nso",
            "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈",
            "hahahahahahahahahahahaha",
            "noooooooooooooooooooooooo",
            "So x = 3. So x = 3. So x = 3. So x = 3.",
            "让我再想想。让我再想想。让我再想想。让我再想想。",
            "다시 확인해 보자. 다시 확인해 보자. 다시 확인해 보자. 다시 확인해 보자.",
            &"It may be that the sum of the first two is not what we had, so once more. ".repeat(4),
        ],
    );
}

#[test]
fn paragraphs_with_tiny_changes_are_repetition() {
    let numbers =
        (1..15).map(|n| format!("Step {n}: let me look at the sum again as it may well be wrong after all. "));
    let words = ["right", "good", "fine"].iter().cycle().take(9).map(|word| {
        format!("So that is not {word}, and I look at the first equation and at the second one, which says x = y.\n\n")
    });
    let late = (0..400).map(|n| format!("at {n} we see {},", n * n % 37)).collect::<Vec<_>>().join(" ")
        + &"and then we go back and look at it, the way we did before, and find that it is as it was, ".repeat(5);
    check(false, &[&numbers.collect::<String>(), &words.collect::<String>(), &late]);
}

#[test]
fn an_answer_may_say_the_thought_again() {
    let thought = "We add four and three, which gives seven. Then we take seven from twelve, and five are left. Two \
        of these are green, so that three are red. Half of the red ones are small. No other fits, so there is one and a \
        half, which cannot be, as plums come whole; hence the question has no answer at all.";
    assert!(!has_repetition(&format!("{thought}\n\n{thought}")));
    assert!(has_repetition(&format!("{thought}\n\n{thought}\n\n{thought}\n\n{thought}")));
}

#[test]
fn an_endless_run_is_repetition_whatever_it_is_of() {
    for piece in ["0 ", "-", "\n", "、", "3.14, ", "🙂", "| 0 "] {
        assert!(!has_repetition(&piece.repeat(300 / piece.chars().count())), "{piece:?}");
        let long = piece.repeat(1_200 / piece.chars().count());
        assert!(has_repetition(&format!("Some words before it. {long} And after.")), "{piece:?}");
    }
}

#[test]
fn code_blocks_are_not_readable() {
    assert!(has_code_block("```\ncode\n```"));
    assert!(!has_code_block("`code`"));
    let with_program = "<think>I write it.</think>```\ncode\n```";
    assert!(is_readable(with_program, "I write it.") && !is_readable(with_program, with_program));
}

#[test]
fn a_long_paragraph_is_noticed_and_many_short_ones_are_not() {
    let wall = (0..400).map(|n| format!("step {n}: {}", n * 37 % 101)).collect::<Vec<_>>().join(" ");
    assert!(has_long_paragraph(&wall));
    assert!(!has_long_paragraph(&wall.replace("step", "\n\nstep")));
    assert!(!has_long_paragraph(&wall.replace("step", "\nstep")));
    let line = "words that go on without an end, as they do where a text was wrapped by a program at\n";
    assert!(has_long_paragraph(&line.repeat(30)));
    assert!(!has_long_paragraph(&format!("- {line}").repeat(30)));
    assert!(!has_long_paragraph(&format!("It is a sentence of {}.\n", line.trim()).repeat(30)));
}
