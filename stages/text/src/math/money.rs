//! Currencies: an amount in one is not the same amount in another. Amounts are never converted, and one without a
//! currency may be in any.

/// Currencies, a bit each: some signs stand for two.
type Currencies = u16;

const DOLLAR: Currencies = 1;
const EURO: Currencies = 1 << 1;
const STERLING: Currencies = 1 << 2;
const YUAN: Currencies = 1 << 3;
const YEN: Currencies = 1 << 4;
const RUPEE: Currencies = 1 << 5;
const WON: Currencies = 1 << 6;
const RUBLE: Currencies = 1 << 7;
/// A hundredth of a dollar or a euro.
const CENT: Currencies = 1 << 8;

const SIGNS: [(char, Currencies); 9] = [
    ('€', EURO),
    ('£', STERLING),
    ('¥', YUAN | YEN),
    ('￥', YUAN | YEN),
    ('元', YUAN),
    ('₹', RUPEE),
    ('₩', WON),
    ('₽', RUBLE),
    ('¢', CENT),
];

const WORDS: [(&str, Currencies); 17] = [
    ("dollar", DOLLAR),
    ("dollars", DOLLAR),
    ("usd", DOLLAR),
    ("euro", EURO),
    ("euros", EURO),
    ("eur", EURO),
    ("gbp", STERLING),
    ("yuan", YUAN),
    ("rmb", YUAN),
    ("cny", YUAN),
    ("yen", YEN),
    ("jpy", YEN),
    ("rupee", RUPEE),
    ("rupees", RUPEE),
    ("inr", RUPEE),
    ("cent", CENT),
    ("cents", CENT),
];

/// Returns whether two amounts are in different currencies.
pub(super) fn differ(one: &str, two: &str) -> bool {
    let (one, two) = (currencies(one), currencies(two));
    one != 0 && two != 0 && one & two == 0
}

/// Returns the currencies that a text may be in; 0 if it names none.
fn currencies(text: &str) -> Currencies {
    let signs = text.chars().filter_map(|c| SIGNS.iter().find(|(sign, _)| *sign == c)).map(|(_, currency)| currency);
    let words = text.split(|c: char| !c.is_alphabetic()).filter_map(|word| {
        let word = word.to_lowercase();
        WORDS.iter().find(|(name, _)| *name == word).map(|(_, currency)| currency)
    });
    let dollar = if has_dollar(text) { DOLLAR } else { 0 };
    signs.chain(words).fold(dollar, |all, one| all | one)
}

/// Whether a dollar is meant: `\$5`, or `$5` without a second `$`, which would delimit mathematics.
fn has_dollar(text: &str) -> bool {
    let plain = text.replace("\\$", "");
    let is_price = plain
        .split_once('$')
        .is_some_and(|(_, after)| !after.contains('$') && after.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    plain.len() < text.len() || is_price
}
