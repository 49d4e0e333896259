//! Units of measurement behind a number: what they are worth in SI base units, and which are mere words.

use super::number::{Rational, small};

/// Exponents of metre, kilogram, second, ampere, kelvin, mole, candela, radian, bit and money.
pub(super) type Dimensions = [i8; 10];

/// A unit, as it is written behind a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unit {
    /// A unit with a known value.
    Known {
        factor: Rational,
        dimensions: Dimensions,
    },
    Percent,
    /// A noun: `apples`.
    Noun(String),
}

const METRE: Dimensions = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const KILOGRAM: Dimensions = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const SECOND: Dimensions = [0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
const AMPERE: Dimensions = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const KELVIN: Dimensions = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
const MOLE: Dimensions = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
const CANDELA: Dimensions = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
/// The dimensions of an angle.
pub(super) const ANGLE: Dimensions = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const BIT: Dimensions = [0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const CUBIC: Dimensions = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const NEWTON: Dimensions = [1, 1, -2, 0, 0, 0, 0, 0, 0, 0];
const PASCAL: Dimensions = [-1, 1, -2, 0, 0, 0, 0, 0, 0, 0];
const JOULE: Dimensions = [2, 1, -2, 0, 0, 0, 0, 0, 0, 0];
const WATT: Dimensions = [2, 1, -3, 0, 0, 0, 0, 0, 0, 0];
const VOLT: Dimensions = [2, 1, -3, -1, 0, 0, 0, 0, 0, 0];
const OHM: Dimensions = [2, 1, -3, -2, 0, 0, 0, 0, 0, 0];
const FARAD: Dimensions = [-2, -1, 4, 2, 0, 0, 0, 0, 0, 0];
const HENRY: Dimensions = [2, 1, -2, -2, 0, 0, 0, 0, 0, 0];
const TESLA: Dimensions = [0, 1, -2, -1, 0, 0, 0, 0, 0, 0];
const WEBER: Dimensions = [2, 1, -2, -1, 0, 0, 0, 0, 0, 0];
const COULOMB: Dimensions = [0, 0, 1, 1, 0, 0, 0, 0, 0, 0];
const HERTZ: Dimensions = [0, 0, -1, 0, 0, 0, 0, 0, 0, 0];

/// A unit: its names, its numerator and denominator in SI base units, its dimensions, and whether SI prefixes go with it.
struct Row(&'static [&'static str], i64, i64, Dimensions, bool);

const UNITS: &[Row] = &[
    Row(&["m", "meter", "meters", "metre", "metres", "米"], 1, 1, METRE, true),
    Row(&["厘米"], 1, 100, METRE, false),
    Row(&["毫米"], 1, 1000, METRE, false),
    Row(&["千米", "公里"], 1000, 1, METRE, false),
    Row(&["in", "inch", "inches"], 254, 10_000, METRE, false),
    Row(&["ft", "foot", "feet"], 3048, 10_000, METRE, false),
    Row(&["yd", "yard", "yards"], 9144, 10_000, METRE, false),
    Row(&["mi", "mile", "miles"], 1_609_344, 1000, METRE, false),
    Row(&["angstrom", "Å"], 1, 10_000_000_000, METRE, false),
    Row(&["g", "gram", "grams", "克"], 1, 1000, KILOGRAM, true),
    Row(&["千克", "公斤"], 1, 1, KILOGRAM, false),
    Row(&["t", "tonne", "tonnes", "吨"], 1000, 1, KILOGRAM, false),
    Row(&["lb", "lbs", "pound", "pounds"], 45_359_237, 100_000_000, KILOGRAM, false),
    Row(&["oz", "ounce", "ounces"], 45_359_237, 1_600_000_000, KILOGRAM, false),
    Row(&["s", "sec", "secs", "second", "seconds", "秒"], 1, 1, SECOND, true),
    Row(&["min", "mins", "minute", "minutes", "分钟"], 60, 1, SECOND, false),
    Row(&["h", "hr", "hrs", "hour", "hours", "小时"], 3600, 1, SECOND, false),
    Row(&["d", "day", "days", "天"], 86_400, 1, SECOND, false),
    Row(&["week", "weeks"], 604_800, 1, SECOND, false),
    Row(&["A", "amp", "amps", "ampere", "amperes"], 1, 1, AMPERE, true),
    Row(&["K", "kelvin", "kelvins"], 1, 1, KELVIN, true),
    Row(&["mol", "mole", "moles"], 1, 1, MOLE, true),
    Row(&["cd", "candela"], 1, 1, CANDELA, true),
    Row(&["°", "degree", "degrees", "deg", "度"], 1, 1, ANGLE, false),
    Row(&["bit", "bits"], 1, 1, BIT, true),
    Row(&["byte", "bytes", "B"], 8, 1, BIT, true),
    Row(&["L", "l", "liter", "liters", "litre", "litres", "升"], 1, 1000, CUBIC, true),
    Row(&["毫升"], 1, 1_000_000, CUBIC, false),
    Row(&["cc"], 1, 1_000_000, CUBIC, false),
    Row(&["N", "newton", "newtons"], 1, 1, NEWTON, true),
    Row(&["Pa", "pascal", "pascals"], 1, 1, PASCAL, true),
    Row(&["atm", "atmosphere", "atmospheres"], 101_325, 1, PASCAL, false),
    Row(&["bar"], 100_000, 1, PASCAL, true),
    Row(&["J", "joule", "joules"], 1, 1, JOULE, true),
    Row(&["cal", "calorie", "calories"], 4184, 1000, JOULE, true),
    Row(&["eV", "electronvolt", "electronvolts"], 0, 1, JOULE, true),
    Row(&["Wh"], 3600, 1, JOULE, true),
    Row(&["W", "watt", "watts"], 1, 1, WATT, true),
    Row(&["V", "volt", "volts"], 1, 1, VOLT, true),
    Row(&["Ω", "Omega", "ohm", "ohms"], 1, 1, OHM, true),
    Row(&["F", "farad", "farads"], 1, 1, FARAD, true),
    Row(&["H", "henry", "henries"], 1, 1, HENRY, true),
    Row(&["T", "tesla", "teslas"], 1, 1, TESLA, true),
    Row(&["Wb", "weber"], 1, 1, WEBER, true),
    Row(&["C", "coulomb", "coulombs"], 1, 1, COULOMB, true),
    Row(&["Hz", "hertz"], 1, 1, HERTZ, true),
    Row(&["mph"], 1_609_344, 3_600_000, [1, 0, -1, 0, 0, 0, 0, 0, 0, 0], false),
    Row(&["kph", "kmh"], 1000, 3600, [1, 0, -1, 0, 0, 0, 0, 0, 0, 0], false),
];

/// SI prefixes: names, and the power of ten.
const PREFIXES: &[(&str, &str, i32)] = &[
    ("p", "pico", -12),
    ("n", "nano", -9),
    ("μ", "micro", -6),
    ("µ", "micro", -6),
    ("m", "milli", -3),
    ("c", "centi", -2),
    ("d", "deci", -1),
    ("k", "kilo", 3),
    ("M", "mega", 6),
    ("G", "giga", 9),
    ("T", "tera", 12),
];

/// The charge of an electron in units of 10^-28 coulombs, exact by the definition of 2019.
const ELECTRON_CHARGE: i64 = 1_602_176_634;

/// Returns the value of a unit by its name.
pub(super) fn known(name: &str) -> Option<(Rational, Dimensions)> {
    if let Some(row) = row(name) {
        return Some((value(row), row.3));
    }
    PREFIXES.iter().find_map(|(short, long, power)| {
        let rest = name.strip_prefix(long).filter(|rest| rest.len() > 2).or_else(|| name.strip_prefix(short))?;
        let row = row(rest).filter(|row| row.4)?;
        let is_long = name.starts_with(long) && rest.len() > 2;
        // A short prefix goes with a symbol, a long one with a word.
        (is_long || rest.chars().count() <= 3).then(|| (value(row) * super::number::power_of_ten(*power), row.3))
    })
}

fn row(name: &str) -> Option<&'static Row> {
    UNITS.iter().find(|row| row.0.contains(&name))
}

fn value(row: &Row) -> Rational {
    if row.1 == 0 {
        // The electronvolt.
        return small(ELECTRON_CHARGE) * super::number::power_of_ten(-28);
    }
    Rational::new(row.1.into(), row.2.into())
}

/// Returns the number that a word multiplies by: `million`.
pub(super) fn scale(word: &str) -> Option<i64> {
    Some(match word {
        "hundred" | "hundreds" | "百" => 100,
        "thousand" | "thousands" | "千" => 1_000,
        "万" | "萬" => 10_000,
        "million" | "millions" | "mio" | "百万" => 1_000_000,
        "亿" | "億" => 100_000_000,
        "billion" | "billions" => 1_000_000_000,
        "trillion" | "trillions" => 1_000_000_000_000,
        "dozen" | "dozens" => 12,
        "score" => 20,
        "gross" => 144,
        _ => return None,
    })
}

/// Returns whether a word behind a number changes it in a way that is not computed.
pub(super) fn is_operation(word: &str) -> bool {
    const WORDS: [&str; 26] = [
        "squared",
        "cubed",
        "factorial",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "fourths",
        "fifth",
        "fifths",
        "sixths",
        "eighths",
        "tenth",
        "tenths",
        "hundredth",
        "hundredths",
        "thousandths",
        "mod",
        "modulo",
        "choose",
        "over",
        "x",
        "k",
        "divided",
    ];
    WORDS.contains(&word)
}

impl Unit {
    /// Multiplies the dimensions of two units.
    pub(super) fn product(
        one: (Rational, Dimensions),
        two: (Rational, Dimensions),
        power: i8,
    ) -> Option<(Rational, Dimensions)> {
        let mut dimensions = one.1;
        for (sum, added) in dimensions.iter_mut().zip(two.1) {
            *sum = sum.checked_add(added.checked_mul(power)?)?;
        }
        let factor = super::number::power(&two.0, &small(i64::from(power)))?;
        Some((one.0 * factor, dimensions))
    }
}
