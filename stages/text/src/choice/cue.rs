//! The words around an option's letter: what an answer says about it.
//!
//! Each pattern reads a window that ends, or begins, at the letter. A refusal is looked for first, then what the
//! answer states, what it concludes, and what it merely calls right.

use super::list::Group;
use super::pattern::{self, patterns};

/// How an answer stands to options that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Refused ("not B", "B is wrong"), supposed ("if B"), or chosen by others ("many choose B").
    Refused,
    /// Said outright: "the answer is B", "I choose B".
    Stated,
    /// What the rest leads to: "so B".
    Concluded,
    /// "B is correct". In a question for the wrong statement this is a step on the way.
    Right,
    /// "This matches B".
    Matched,
    /// None of these.
    Named,
}

patterns! {
    /// "Not B", "rather than B", "eliminate B".
    REFUSED_BEFORE = r"(?:
        \b(?: not|never|neither|nor|cannot|except(?:_for)?|exclud(?:e|es|ed|ing)|eliminat(?:e|es|ed|ing)
            |reject(?:s|ed|ing)?|rul(?:e|es|ed|ing)_out|discard(?:s|ed|ing)?|dismiss(?:es|ed|ing)?|rather_than
            |instead_of|unlike|than|without|anything_but|all_but|versus|vs\.?|doubt(?:_that)?(?:_it_is|_it's)?
            |(?:wrong|incorrect|mistake|error)_to|pas|nicht|kein|keine|no_(?:es|elijo) )
        |n't|(?:^|\s)(?:не|não|non)
        |不是|不选|不選|不能选|不应选|不为|排除|并非
    ) (?: _(?: choose|select|pick|say|think|believe|go_with|agree_with ) (?: _that )? )? CLOSE $";

    /// "B is wrong", "B cannot be right".
    REFUSED_AFTER = r#"^ [)\]"]* \s* (?: [:(-]\s* )? (?:
        (?: is|are|was|were|would_be|must_be|seems?|looks? )_ ADVERB (?: not|wrong|incorrect|false|invalid|impossible
            |untrue|eliminated|ruled_out|excluded|rejected|out|too|less|unlikely )\b
        |(?: is|are|was|were|do|does|did|ca|wo|would|could )n't\b
        |(?: cannot|can_not|(?:do|does|did|will|would|could|should)_not|fails? )\b
        |can_be_(?: eliminated|ruled|excluded|rejected|discarded )
        |(?: both_ )? (?: wrong|incorrect )\b | [✗✘❌×❎]
        |n'est_pas|ne_sont|(?:est|sont)_(?: fausse?s?|faux|incorrecte?s? )
        |(?:ist|sind)_(?: nicht|falsch ) | no_es|(?:es|son)_(?: falsas?|incorrectas? ) | não | не(?: \s|верн|правильн )
        |(?: 选项|選項|项|項 )? (?: 是|为|為|均|都 )?
            (?: 错|錯|不正|不對|不对|不是|不符合|不成立|不选|不能|有误|排除 )
        |(?: は|が )(?: 誤|間違|不正解|正しくな|違 ) | では(?: な|あり ) | (?: 은|는|이|가 )\s*(?: 아니|틀 )
    )"#;

    /// "If the answer is B", "consider B", "many students choose B".
    REPORTED = r"(?:
        \b(?: if|whether|unless|suppose|supposing|assume|assuming )_ (?: [a-z']+_ ){0,4}
        |\b(?: consider|considering|check|checking|test|testing|try|trying|examine|evaluate|evaluating|compare|comparing
            |look_at|looking_at|regarding|about|in )_
        |\b(?: students?|people|someone|others|some|many|most|one )_
            (?: (?: may|might|would|could|often|mistakenly|incorrectly|wrongly|will|also )_ )*
            (?: think|believe|say|choose|pick|select|answer|guess|assume|claim ) [^.!?\n;,]{0,40}
        |\b(?: says|said|claims|claimed|thinks|believes )\s [^.!?\n;,]{0,40}
        |\b(?: initially,?|at_first,?|first_thought|tempted|tempting|mistaken|mistakenly|mistake|common_error )\s
            [^.!?\n;,]{0,40}
    ) CLOSE $";

    /// The question's options, said again: "the choices are: …".
    RESTATED = r"(?: ^|[^\p{L}] ) (?:
        (?: options|choices|alternatives ) (?: \s* (?: given\s* )? (?: are|is|were|include ) | [^.!?\n:,]{0,40} : )
        | (?: each|every|following|these|of_the )_(?: answer|option|choice|statement|alternative ) [^.!?\n:]{0,60} :
    ) [\s,:]* $";
    /// Not the question's options but the chosen ones.
    MY_OPTIONS = r"\b(?: correct|right|true|best|final|my|our )_(?: options|choices|alternatives ) \s* (?: are|is|: )";

    /// "The answer is B", "the option that matches: B".
    NOUN_IS = r#"(?: ^|[^\p{L}] ) NOUN ["')\]]* (?: \(s\) )? (?:
        (?: [^.!?\n;:] | \.\d ){0,70}? (?: \bVERB | 's\s | \s[éè]\s | là\s | это\s | [:=→] | => | \s-\s )
    ) FILLER $"#;
    /// "Correct: B", and a heading: "Answer" on a line of its own.
    HEADING = r"(?: (?: ^|[^\p{L}] ) (?: correct|right|final|verdict|richtig|korrekt|correcta ) \s* (?: :|is\b|ist\b )
        | (?: ^|\n ) [\s\#]* (?: (?: the|final|correct|my )_ )* NOUN \s* [-\n] \s* ) FILLER $";

    /// "I choose B", "it is B", "it could be B", "not A but B".
    CHOSEN_BEFORE = r#"(?:
        \b(?: choose|chose|choosing|pick|picked|picking|select|selected|selecting|go(?:ing)?_(?:with|for)
            |opt(?:ed|ing)?_for|settled?_(?:on|for)|vote_for|choisis|choisissons|wähle|elijo|escolho
            |scelgo|conclude_that|(?:looks|seems)_like|es_la ) | выбираю
        |\bi(?: 'd|'ll|'m )?_ (?: (?: would|will|have_to|must|going|to|firmly|strongly )_ )*
            (?: say|answer|guess|think|believe|take|get|conclude ) (?: _that )?
        |\b(?: it|this|that|which|das|dies )(?: 's|_is|_was|_ist ) | c'est
        |\b(?: must|has_to|have_to|should|would|will|could|might|may|can|needs?_to|ought_to|got_to )_
            (?: (?: only|also|then|therefore|well|just|very )_ )* be
        |(?: ^|[.!?;,\n-]\s* )(?: (?: nope|wait|actually|sorry|or_rather|correction )\b [,:.]? | no[,:!] | no\.\x20 )
        |,_no
        |(?: ^|[.!?\n]\s* )(?: mark|circle|tick )
        |(?: \bnot|n't ) CLOSE ["'(]? [A-J] [)"']? \s* ,? \s* (?: but|rather|instead ) (?: _rather )?
    ) FILLER $"#;

    /// The same in languages without spaces between words, and Korean.
    CHOSEN_BEFORE_EAST = r"(?:
        (?: 答案|正解|正[确確](?:的)?(?: 选项|選項|答案|说法|是 )|应选|應選|故选|故選|选择?|選擇?|答え?|解答|回答
            |정답|답안?|คำตอบ )
        \]? (?: 应该|應該|应|應|就|只能|可能 )? (?: 是|为|為|选|選|は|が|은|는|이|คือ )?
        [\s:,]* (?: 选项|選項 )? \s*
    ) $";

    /// "Answer B", without a verb.
    LABELLED = r"(?: ^|[^\p{L}] ) (?: answer|ans|réponse|antwort|respuesta|resposta|risposta|ответ
        |(?:correct|right|best|final|chosen|selected)_(?:answer|option|choice)s? ) \.? \x20* $";
    LABEL_END = r#"^ [)\]"]* \s* (?: $ | [.,;!?\n。(:] | \d | (?: because|since|as|answer|option|choice|and|or )\b )"#;

    /// "Is it B?"
    ASKED = r#"^ [)\]"']* \s* \?"#;
    /// "#### B".
    HEADED = r"\#{4} FILLER $";
    LINE_END = r#"^ [)\]."]* \s* (?: \n|$ )"#;

    /// "B it is", "B is the answer".
    CHOSEN_AFTER = r#"^ (?:
        [)\]"]* ,? \s* (?: it_is|is_it ) \s* (?: [.!,\n]|$ )
        |[)\].:"]* \s* (?:
            (?: is|are|was|must_be|has_to_be|would_be|will_be|should_be )_ ADVERB (?: answers?
                |(?: correct|right|best|true|appropriate|only_(?:correct|valid|possible) )_
                    (?: answers?|options?|choices?|ones?|solutions?|statements?|alternatives?|selections?|picks? ) )\b
            |est_la_(?: bonne|réponse ) | est_le_bon | ist_die_(?: richtige|antwort|lösung )
            |es_la_(?: respuesta|correcta|opción_correcta ) | é_a_(?: resposta|correta|alternativa ) | è_la_risposta
            |(?: 选项|選項 )? (?: 是|为|為|就是 )(?: 最佳|唯一 )?(?: 正[确確] )?的?(?: 答案|选项|選項 )
            |が(?: 正解|答え ) | (?: 가|이 )\s*(?: 정답|답 )
        )
    )"#;

    /// "So B".
    CONCLUDED_BEFORE = r"(?:
        (?: \b(?: so|thus|hence|therefore|then|consequently|ergo|finally|by_elimination|donc|portanto|quindi )
            | значит|поэтому | [∴→⇒] | => | -> ) FILLER
        |(?: 所以|因此|故|即|则|那么 )(?: 是|为 )? [\s:,]*
    ) $";

    /// "Only B works".
    ALONE_BEFORE = r"\b(?: only|leaving|leaves ) FILLER $";

    /// "B is correct".
    RIGHT_AFTER = r#"^ [)\].:"]* \s* (?: (?: options?|choices? )_ )? (?:
        is_the_only_(?: answer|option|choice|one|statement|alternative )\b |
        (?: is|are|was|were|must_be|would_be|has_to_be|seems|looks )_ ADVERB
            (?: correct|right|true|valid|accurate|best|appropriate )\b
        |[:(-]\s* (?: correct|right )\b | [(:-]?\s* [✓✔✅√]
        |(?:est|sont)_(?: juste|correcte?|vraie? )s? | (?:ist|sind)_(?: richtig|korrekt )
        |(?:es|son)_(?: correctas?|verdaderas? ) | (?:é|são)_corretas? | верн|правильн
        |(?: 选项|選項|项|項 )? (?: 是|均|都 )? (?: 正[确確]|对|對|符合|成立 ) | が正し
    )"#;

    /// "This matches B".
    MATCHED_BEFORE = r"\b(?: corresponds?_to|match(?:es|ing|ed)?(?:_with)?|leads?_(?:us_)?to|points?_to|gives?|yields?
        |get|represented_by|equals?|labell?ed|listed_as|found_in|is ) FILLER $";
}

/// Returns how an answer stands to a group of letters in its plain text.
pub(super) fn standing(text: &str, group: &Group) -> Standing {
    let (before, after) = (pattern::before(text, group.start), pattern::after(text, group.end));
    let is_clear = group.is_marked() || group.ends_clause;
    let is_restated = RESTATED.is_match(before) && !MY_OPTIONS.is_match(before);
    let is_refused = || REFUSED_BEFORE.is_match(before) || REFUSED_AFTER.is_match(after) || REPORTED.is_match(before);
    if is_restated || is_refused() {
        Standing::Refused
    } else if ASKED.is_match(after) {
        Standing::Named
    } else if is_stated(before, after, is_clear) || !group.is_small() && CHOSEN_AFTER.is_match(after) {
        Standing::Stated
    } else if group.is_small() {
        Standing::Named
    } else if is_clear && CONCLUDED_BEFORE.is_match(before) || ALONE_BEFORE.is_match(before) {
        Standing::Concluded
    } else if RIGHT_AFTER.is_match(after) {
        Standing::Right
    } else if is_clear && MATCHED_BEFORE.is_match(before) {
        Standing::Matched
    } else {
        Standing::Named
    }
}

fn is_stated(before: &str, after: &str, is_clear: bool) -> bool {
    NOUN_IS.is_match(before)
        || HEADING.is_match(before)
        || is_clear && CHOSEN_BEFORE.is_match(before)
        || CHOSEN_BEFORE_EAST.is_match(before)
        || LABELLED.is_match(before) && LABEL_END.is_match(after)
        || HEADED.is_match(before) && LINE_END.is_match(after)
}
