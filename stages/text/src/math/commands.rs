//! What LaTeX commands and Unicode characters mean to the reader of expressions.

use super::node::Function;

/// What a LaTeX command stands for.
pub(super) enum Meaning {
    /// White space.
    Space,
    /// Nothing at all: styling.
    Nothing,
    /// The text in its braces, which is read as if the command were not there.
    Text,
    /// An operator, a bracket or another sign.
    Sign(&'static str),
    /// A known function.
    Function(Function),
    /// A fraction, a root and the like, which the parser knows by this name.
    Structure(&'static str),
}

/// Returns what a command stands for; `None` for a letter with a name, `\alpha`.
pub(super) fn meaning(command: &str) -> Option<Meaning> {
    if let Some(function) = function(command) {
        return Some(Meaning::Function(function));
    }
    let sign = match command {
        "cdot" | "times" | "ast" | "bullet" => "*",
        "div" => "/",
        "pm" => "±",
        "mp" => "∓",
        "le" | "leq" | "leqslant" | "leqq" => "<=",
        "ge" | "geq" | "geqslant" | "geqq" => ">=",
        "lt" => "<",
        "gt" => ">",
        "ne" | "neq" | "not=" => "!=",
        "approx" | "simeq" | "sim" | "doteq" | "approxeq" => "~",
        "equiv" | "cong" => "≡",
        "in" => "∈",
        "cup" | "bigcup" => "∪",
        "cap" | "bigcap" => "∩",
        "setminus" | "smallsetminus" => "∖",
        "infty" | "infinity" => "∞",
        "emptyset" | "varnothing" => "∅",
        "circ" | "degree" | "deg" => "°",
        "langle" => "(",
        "rangle" => ")",
        "lvert" | "rvert" | "vert" | "mid" | "lVert" | "rVert" | "Vert" => "|",
        "lfloor" => "⌊",
        "rfloor" => "⌋",
        "lceil" => "⌈",
        "rceil" => "⌉",
        "lbrace" => "\\{",
        "rbrace" => "\\}",
        "lbrack" => "[",
        "rbrack" => "]",
        "land" | "wedge" => "and",
        "lor" | "vee" => "or",
        "neg" | "lnot" | "not" => "not",
        "to" | "rightarrow" | "implies" | "Rightarrow" | "longrightarrow" | "Longrightarrow" | "iff" | "therefore"
        | "because" => "→",
        "ldots" | "cdots" | "dots" | "dotsc" | "dotsb" | "dotsm" | "vdots" => "…",
        "prime" => "'",
        "colon" => ":",
        _ => "",
    };
    if !sign.is_empty() {
        return Some(Meaning::Sign(sign));
    }
    Some(match command {
        "quad" | "qquad" | "hspace" | "vspace" | "hskip" | "newline" | "space" | "enspace" | "thinspace" => {
            Meaning::Space
        }
        "left" | "right" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl" | "Bigr" | "biggl" | "biggr"
        | "Biggl" | "Biggr" | "displaystyle" | "textstyle" | "scriptstyle" | "limits" | "nolimits" | "large"
        | "Large" | "LARGE" | "huge" | "Huge" | "small" | "tiny" | "normalsize" | "bf" | "rm" | "it" | "sf" | "tt"
        | "em" | "bfseries" | "centering" | "hline" | "nonumber" | "notag" | "boxed" | "fbox" | "strut" | "color" => {
            Meaning::Nothing
        }
        "text" | "textbf" | "textit" | "textrm" | "textnormal" | "textsf" | "texttt" | "mathrm" | "mbox" | "hbox"
        | "operatorname" | "mathbf" | "mathit" | "mathsf" | "mathtt" | "mathbb" | "mathcal" | "boldsymbol" | "emph"
        | "underline" | "mathop" | "mathord" => Meaning::Text,
        "frac" | "dfrac" | "tfrac" | "cfrac" => Meaning::Structure("frac"),
        "sqrt" => Meaning::Structure("sqrt"),
        "binom" | "dbinom" | "tbinom" => Meaning::Structure("binom"),
        "overline" | "bar" | "vec" | "hat" | "widehat" | "tilde" | "overrightarrow" | "dot" | "ddot" | "widetilde" => {
            Meaning::Structure("accent")
        }
        "angle" | "triangle" | "measuredangle" | "parallelogram" | "odot" => Meaning::Structure("figure"),
        "sum" => Meaning::Structure("sum"),
        "prod" => Meaning::Structure("prod"),
        "int" | "iint" | "oint" => Meaning::Structure("int"),
        "lim" => Meaning::Structure("lim"),
        "begin" => Meaning::Structure("begin"),
        "end" => Meaning::Structure("end"),
        "pmod" | "bmod" | "mod" => Meaning::Structure("mod"),
        _ => return None,
    })
}

/// Returns the function of a name, in LaTeX and in plain text.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" | "tg" => Function::Tan,
        "cot" | "ctg" => Function::Cot,
        "sec" => Function::Sec,
        "csc" => Function::Csc,
        "arcsin" | "asin" => Function::Arcsin,
        "arccos" | "acos" => Function::Arccos,
        "arctan" | "atan" => Function::Arctan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "ln" => Function::Ln,
        "log" => Function::Log,
        "lg" => Function::Lg,
        "exp" => Function::Exp,
        "max" => Function::Max,
        "min" => Function::Min,
        "gcd" => Function::Gcd,
        "lcm" => Function::Lcm,
        _ => return None,
    })
}

/// Returns the sign that a Unicode character stands for.
pub(super) fn character(c: char) -> Option<&'static str> {
    Some(match c {
        '+' => "+",
        '-' | '−' | '–' | '—' | '‐' | '‑' | '－' => "-",
        '*' | '×' | '·' | '∙' | '⋅' | '∗' | '•' => "*",
        '/' | '÷' | '∕' | '⁄' => "/",
        '^' => "^",
        '_' => "_",
        '!' => "!",
        '(' | '⟨' => "(",
        ')' | '⟩' => ")",
        '[' => "[",
        ']' => "]",
        '{' => "{",
        '}' => "}",
        '|' | '∣' => "|",
        ',' | '、' => ",",
        ';' => ";",
        ':' | '∶' => ":",
        '=' => "=",
        '<' => "<",
        '>' => ">",
        '≤' | '⩽' | '≦' => "<=",
        '≥' | '⩾' | '≧' => ">=",
        '≠' => "!=",
        '≈' | '≃' | '∼' | '≅' => "~",
        '≡' => "≡",
        '±' => "±",
        '∓' => "∓",
        '∪' => "∪",
        '∩' => "∩",
        '∖' => "∖",
        '∈' => "∈",
        '∞' => "∞",
        '∅' | 'Ø' => "∅",
        '°' | 'º' | '˚' => "°",
        '%' | '‰' => "%",
        '\'' | '′' | '’' | '‘' => "'",
        '"' | '″' | '“' | '”' | '`' | '«' | '»' | '「' | '」' => "\"",
        '&' => "&",
        '⌊' => "⌊",
        '⌋' => "⌋",
        '⌈' => "⌈",
        '⌉' => "⌉",
        '→' | '⇒' | '∴' | '∵' | '⟹' | '⟶' | '↦' | '⇔' => "→",
        '…' | '⋯' => "…",
        '.' | '。' => ".",
        '?' | '？' => "?",
        '¬' => "not",
        '∧' => "and",
        '∨' => "or",
        _ => return None,
    })
}

/// Returns the sign that a word of prose stands for: an operation, a separator, a negation.
pub(super) fn word_sign(word: &str) -> Option<&'static str> {
    Some(match word {
        "and" | "und" | "et" | "y" | "和" | "与" | "及" | "和及" | "と" | "와" | "и" => "and",
        "or" | "oder" | "ou" | "或" | "或者" | "或是" | "または" | "또는" | "или" => "or",
        "not" | "isn't" | "aren't" | "cannot" | "never" | "nicht" | "non" | "不是" | "不等于" | "не" => "not",
        "minus" | "negative" | "负" | "減" | "减" => "-",
        "plus" | "加" => "+",
        "times" | "乘" | "乘以" => "*",
        "percent" | "pct" | "percentage" | "prozent" | "pourcent" | "百分" => "%",
        "degree" | "degrees" | "度" => "°",
        "infinity" | "infinite" => "∞",
        _ => return None,
    })
}

/// Returns the digits that a superscript or subscript character stands for, with the sign before them.
pub(super) fn script(c: char) -> Option<(&'static str, char)> {
    let digit = |base: u32| char::from_digit(c as u32 - base, 10).expect("a digit of the block");
    Some(match c {
        '⁰' | '⁴'..='⁹' => ("^", digit(0x2070)),
        '¹' => ("^", '1'),
        '²' => ("^", '2'),
        '³' => ("^", '3'),
        '⁻' => ("^", '-'),
        'ⁿ' => ("^", 'n'),
        '₀'..='₉' => ("_", digit(0x2080)),
        _ => return None,
    })
}

/// Returns the numerator and the denominator of a character for a fraction.
pub(super) fn vulgar_fraction(c: char) -> Option<(u32, u32)> {
    Some(match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅐' => (1, 7),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        '⅑' => (1, 9),
        '⅒' => (1, 10),
        _ => return None,
    })
}
