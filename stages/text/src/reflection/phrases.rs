//! Phrases by which a sentence opens a re-evaluation, confirms, corrects or concludes, and states a value, as parts of
//! patterns, in the languages that models mostly think in.

/// What may come before a phrase that opens.
pub(super) const LEADS: &str = "but|so|oh|ok|okay|well|and|no|yes|now|hm+|wait|alright|然而|但是?|那么?|aber|mais|pero|mas|\
    ma|но|ну|нет|nein|non|não";

/// Phrases that open a check: who is to check, then the check.
#[rustfmt::skip]
pub(super) const CHECKS: [(&str, &str); 8] = [
    (
        concat!(
            r"(?:let(?:'s|’s| me| us)|i(?:'ll|’ll| will| should| must| can| could| need to| want to| have to)|",
            r"we(?: should| can| could| need to|'ll)|to|just to|by way of a|a|sanity|for a)?\s*",
            r"(?:just |quickly |also |now |first |then )*",
        ),
        concat!(
            r"(?:(?:re-?|double[- ]?|cross[- ]?)?",
            r"(?:check(?:ing)?|verif(?:y|ying|ication)|confirm|examine|test|make sure)|",
            r"re-?(?:consider|compute|calculate|count|do|think|evaluate|derive|visit|trace|read|work)|",
            r"(?:think|look|try|go|count|compute|calculate|do|work|read)(?: [a-z]+){0,4} (?:again|once more))(?-u:\b)",
        ),
    ),
    (
        "(?:让|讓|我们|我們|我|来|來|再|重新|最后|最後|下面|现在|那)*",
        "(?:检查|檢查|验算|驗算|验证|驗證|核对|核對|确认|確認|检验|檢驗|复查|重新|再(?:算|想|看|次))",
    ),
    ("", "(?:もう一度|念のため|では|検算|確認|確かめ|見直)"),
    ("", "(?:다시|확인|검산|검토)"),
    (
        "(?:давайте |давай |надо |нужно )?(?:ещё раз |еще раз )?",
        "(?:(?:пере)?провер|пересчита|убедимся|ещё раз|еще раз)",
    ),
    (
        "(?:(?:lass(?:en|t)?|ich|wir|zur|das|nun|jetzt|mal|mich|uns|sie) )*",
        "(?:(?:über|nach)?prüf|probe|kontroll|nachrechn|rechnen? (?:wir |ich )?(?:das )?(?:noch ?(?:ein)?mal|nach)|\
        noch ?(?:ein)?mal)",
    ),
    (
        "(?:(?:je|nous|on|pour|va|vais|allons|il faut) )*",
        "(?:re)?(?:vérifi|calculons à nouveau|contrôl|recalcul|revoyons|revérif)",
    ),
    (
        "(?:(?:vamos a|voy a|hay que|para|déjame|permíteme|vamos|deixe-me|deixa-me|per) )*",
        "(?:comprob|comprueb|verifi[cqo]|revis|recalcul|repas|confer|ricontroll|controlli|ricalcol)",
    ),
];

/// Phrases that open by a doubt.
#[rustfmt::skip]
pub(super) const DOUBTS: [&str; 11] = [
    r"(?:wait|hold on|hang on|hm+|actually|on second thoughts?|oops|not so fast)(?-u:\b)",
    r"is (?:that|this|it) (?:really )?(?:right|correct|true)(?-u:\b)",
    r"i (?:think i )?(?:made|may have made|might have made) (?:a|an) (?:mistake|error)(?-u:\b)",
    concat!(
        r"(?:that|this|it|something)(?:(?:'s|’s| is| was| looks| seems) (?:not (?:right|correct)|wrong|off|incorrect)|",
        r"(?: can't| cannot) be (?:right|correct)| doesn't (?:seem|look) (?:right|correct))(?-u:\b)",
    ),
    "(?:等等|等一下|等下|等一等|稍等|慢着|慢著|不对|不對|其实|其實|仔细想|嗯|咦|哦不|糟糕)",
    "(?:待って|ちょっと待|いや|あれ|実は|違う)",
    "(?:잠깐|잠시만|아니|음)",
    "(?:подожди|погоди|постой|стоп|хм|на самом деле|минут|секунд)",
    "(?:moment|warte|halt|eigentlich|tatsächlich|stimmt das|ist das (?:richtig|korrekt))",
    "(?:attend[sz]|un instant|une minute|en fait|est-ce (?:que c'est )?(?:correct|exact|juste))",
    "(?:esper[ae]|un momento|um momento|en realidad|na verdade|¿es (?:correcto|cierto)|aspetta|in realtà|peraí)",
];

/// Whole words, then parts of words, that say that something is as it was found.
#[rustfmt::skip]
pub(super) const CONFIRMING: [&[&str]; 2] = [
    &["indeed", "correct", "confirm(?:s|ed)?", "match(?:es)?", "agrees?", "consistent", "checks out", "same", "holds",
      "verified", "right", "works", "still", "yes", "good", "great", "perfect", "as (?:before|expected|found|claimed)",
      "stimmt", "korrekt", "richtig", "passt", "en effet", "exact", "juste", "confirme", "correcto", "confirma",
      "coincide", "efectivamente", "en efecto", "correto", "confere", "corretto", "infatti", "giusto"],
    &["确实", "確實", "正确", "正確", "一致", "吻合", "没错", "沒錯", "无误", "無誤", "成立", "相符", "符合", "对的", "正是", "仍然",
      "確かに", "正しい", "合って", "合う", "맞", "일치", "действительно", "верно", "правильно", "совпада", "подтвержд", "сходится",
      "bestätigt", "tatsächlich", "vérifié", "cohérent"],
];

/// Those that say that something is wrong.
#[rustfmt::skip]
pub(super) const CORRECTING: [&[&str]; 2] = [
    &["wrong", "mistaken?", "incorrect(?:ly)?", "errors?", "instead", "rather than", "should (?:be|have)", "forgot",
      "missed", "overlooked", "oops", "miscounted", "miscalculated", "misread", "contradict(?:s|ion)",
      "too (?:many|few|large|small|high|low)",
      "(?:not|n't|n’t|cannot|never)(?: be| seem| look| quite)? (?:right|correct|match|agree|true|consistent|work|hold)",
      "(?:not|n't|n’t|cannot|never)(?: be)? (?:equal|[0-9]+)",
      "falsch", "fehler", "vergessen", "sondern", "faux", "fausse", "erreur", "oublie", "tromp[eé]e", "esqueci",
      "error", "incorrecto", "errado", "erro", "sbagliato", "errore"],
    &["不对", "不對", "(?:^|[^没沒不])[错錯]", "漏", "忘", "应该是", "應該是", "而不是", "不一致", "不符", "矛盾", "間違", "ではなく", "忘れ",
      "틀렸", "실수", "아니라", "ошиб", "неверно", "неправильно", "забыл", "а не ", "oublié", "trompé", "equivoqué", "olvidé"],
];

/// Those that draw a conclusion.
#[rustfmt::skip]
pub(super) const CONCLUDING: [&[&str]; 2] = [
    &["so", "thus", "hence", "therefore", "answer", "should be", "must be", "instead", "not", "total", "also", "daher",
      "somit", "insgesamt", "donc", "alors", "entonces", "luego", "por (?:lo )?tanto", "portanto", "logo", "quindi",
      "dunque"],
    &["所以", "因此", "故", "应该", "應該", "答案", "而不是", "共", "したがって", "よって", "答え", "따라서", "그러므로", "답",
      "значит", "итак", "поэтому", "ответ", "réponse"],
];

/// Words that state a number, and those that state the answer.
#[rustfmt::skip]
pub(super) const STATING: [&[&str]; 2] = [
    &["is", "are", "was", "be", "equals?", "gives?", "gets?", "got", "makes?", "total", "left", "answer", "result",
      "ist", "sind", "ergibt", "gibt", "sont", "est", "vaut", "fait", "font", "es", "son", "da", "fa"],
    &["é ", "è ", "égale", "是", "为", "為", "得到?", "等于", "等於", "共有?", "剩下?", "答案", "结果", "結果", "равно", "равен",
      "ответ", "это", "は", "답은"],
];
#[rustfmt::skip]
pub(super) const ANSWERING: [&[&str]; 2] = [
    &["answer", "result", "solution", "total", "antwort", "ergebnis", "respuesta", "resposta", "risposta"],
    &["réponse", "答案", "结果", "結果", "答え", "정답", "답은", "ответ", "результат"],
];

/// What comes before the name of an answer that is no number.
#[rustfmt::skip]
pub(super) const NAMING: [&str; 3] = [
    concat!(
        r"(?:answer|option|choice)\s+(?:is|must be|should be|remains)[\s:*(]*",
        r"(?:indeed |still |therefore |actually |really |option |choice |the |a |an )*([\p{L}][\p{L} '-]{0,30})",
    ),
    r"答案(?:就|仍然|还|應|应该|应)*(?:是|为|為|选|：)[\s:：*（(]*([\p{L}]{1,12})",
    r"\\boxed\{\s*(?:\\text\{)?\(?([A-Za-z][A-Za-z ]{0,30})",
];
