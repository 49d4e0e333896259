use super::*;

#[test]
fn hedges() {
    for hedged in [
        "maybe 7",
        "maybe，7",
        "I'm not sure, 7",
        "Probably 12.",
        "it could be 3",
        "大概是7",
        "I think 4",
        "7?",
        "Perhaps 7?",
        "The answer might be 7.",
        "The answer may be 7, but I could be wrong.",
        "If I'm not mistaken, 7.",
        "My best guess is 7.",
        "I'd say 7.",
        "It seems to be 7.",
        "I am not entirely certain, but 7.",
        "The answer is likely 7.",
        "Most likely 7.",
        "possibly 7",
        "答案可能是7",
        "也许是7",
        "我觉得是7",
        "我不太确定，应该选B",
        "我不确定。7",
        "估计是7",
        "たぶん7です",
        "아마 7",
        "Наверное, 7.",
        "Vielleicht 7.",
        "Ich glaube, es ist 7.",
        "Ich bin nicht ganz sicher: 7",
        "Das könnte 7 sein.",
        "Peut-être 7.",
        "Je pense que c'est 7.",
        "Je ne suis pas sûr, 7.",
        "Quizás 7.",
        "Creo que es 7.",
        "No estoy seguro, 7.",
    ] {
        assert!(is_hedged(hedged), "{hedged}");
    }
}

#[test]
fn plain_answers() {
    for plain in [
        "7",
        "the answer is 7",
        "surely 7",
        "certainly 7",
        "thinking 7",
        "I'm sure: 7.",
        "There is no doubt: 7.",
        "",
        "x cannot possibly be 8, so x = 7.",
        "What may be the largest angle? It is 90 degrees.",
        "Perhaps the simplest way is to factor; x = 7.",
        "Its uncertainty is 0.1 m.",
        "不可能是7，答案是8",
        "不确定性原理",
    ] {
        assert!(!is_hedged(plain), "{plain}");
    }
}

#[test]
fn what_is_not_about_the_answer_is_no_hedge() {
    for other in [
        "The probability that it might be red is 1/3.",
        "There are 6 possible outcomes.",
        "This may be written as 3/4.",
        "It could be expressed as a sum.",
        "He said \"maybe 7\", but the answer is 8.",
        "She wrote “probably 3”. It is 4.",
        "Both outcomes are equally likely, so 1/2.",
        "The most likely outcome is 7.",
        "n may be any integer greater than 2.",
        "共有6种可能的结果，概率是1/6",
        "可能性为1/3",
        "所有可能情况共12种",
        "Die Wahrscheinlichkeit beträgt 1/3.",
        "Вероятность равна 1/3.",
    ] {
        assert!(!is_hedged(other), "{other}");
    }
    assert!(is_hedged("A quotation that is \"not closed, maybe 7"));
}

#[test]
fn confidence_in_numbers() {
    for (answer, expected) in [
        ("I am 80% sure", 0.8),
        ("The answer is 12. I'm about 80% sure.", 0.8),
        ("12 (confidence: 0.8)", 0.8),
        ("Confidence: 7/10", 0.7),
        ("12 (90% confident)", 0.9),
        ("**Confidence:** 80%", 0.8),
        ("Confidence level: 95%", 0.95),
        ("I'm 80-90% sure.", 0.85),
        ("Confidence: 1", 1.0),
        ("Confidence: 0", 0.0),
        ("confidence = 0.99.", 0.99),
        ("Confidence: 8 out of 10", 0.8),
        ("with 80% confidence, 12", 0.8),
        ("My confidence in this answer is 80%.", 0.8),
        ("There is a 70% chance that my answer is right.", 0.7),
        ("The probability that this answer is correct is 0.7.", 0.7),
        ("答案是12。置信度：80%", 0.8),
        ("有80%的把握", 0.8),
        ("我有八成把握答案是12", 0.8),
        ("我有八九成把握", 0.85),
        ("百分之八十五的把握", 0.85),
        ("我百分百确定", 1.0),
        ("信心：6/10", 0.6),
        ("Ich bin mir zu 80 % sicher.", 0.8),
        ("Konfidenz: 80 %", 0.8),
        ("Je suis sûr à 80 %.", 0.8),
        ("Estoy un 80% seguro.", 0.8),
    ] {
        assert_eq!(stated_confidence(answer), Some(expected), "{answer}");
    }
}

#[test]
fn confidence_in_words() {
    for (answer, expected) in [
        ("Confidence: very low", 0.1),
        ("12 (low confidence)", 0.25),
        ("Confidence: medium", 0.5),
        ("12, high confidence", 0.75),
        ("very high confidence", 0.9),
        ("置信度：高", 0.75),
        ("Konfidenz: gering", 0.25),
    ] {
        assert_eq!(stated_confidence(answer), Some(expected), "{answer}");
    }
}

#[test]
fn the_last_confidence_counts() {
    assert_eq!(stated_confidence("At first I was 50% sure, but now: confidence 0.9"), Some(0.9));
    assert_eq!(stated_confidence("Confidence: 0.9. No, I am 40% sure."), Some(0.4));
}

#[test]
fn other_percentages_are_no_confidence() {
    for other in [
        "the answer is 80%",
        "80%",
        "80% of the students are right",
        "The 95% confidence interval is (3, 5).",
        "60% likely to rain",
        "at a confidence level of 95%",
        "We need high confidence intervals",
        "I am not 80% sure",
        "Are you 80% sure?",
        "He is 80% sure.",
        "Confidence: 150%",
        "He said \"I am 80% sure\".",
        "I am sure.",
        "The probability is 0.8",
        "没有八成把握",
        "概率为80%",
        "",
    ] {
        assert_eq!(stated_confidence(other), None, "{other}");
    }
}
