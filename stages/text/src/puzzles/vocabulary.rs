//! The words that questions are made of.

/// Names of people.
pub(super) const NAMES: &[&str] = &[
    "Ada", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack", "Kate", "Leo", "Mia", "Noah",
    "Olga", "Paul", "Rosa", "Sam", "Tara", "Victor", "Wendy", "Yusuf", "Zoe", "Anton", "Bella", "Carlos", "Diana",
    "Erik",
];

/// Words to sort. Several share their first letters.
pub(super) const WORDS: &[&str] = &[
    "anchor", "ankle", "apple", "apron", "arrow", "badger", "bamboo", "banana", "barrel", "basket", "beacon", "beaver",
    "bottle", "branch", "bridge", "bronze", "bucket", "butter", "button", "cabin", "cactus", "camel", "candle",
    "canvas", "carpet", "carrot", "castle", "cellar", "cherry", "circle", "copper", "corner", "cotton", "cousin",
    "cradle", "dagger", "desert", "dinner", "doctor", "dolphin", "donkey", "dragon", "drawer", "eagle", "engine",
    "fabric", "falcon", "feather", "fence", "finger", "flower", "forest", "fossil", "garden", "garlic", "ginger",
    "glacier", "goblet", "grape", "gravel", "guitar", "hammer", "harbor", "harvest", "helmet", "honey", "island",
    "ivory", "jacket", "jungle", "kettle", "kitchen", "ladder", "lantern", "lemon", "lizard", "magnet", "mango",
    "marble", "market", "meadow", "mirror", "monkey", "mountain", "needle", "nephew", "ocean", "olive", "onion",
    "orange", "orchard", "oyster", "paddle", "palace", "parcel", "parrot", "pebble", "pencil", "pepper", "pigeon",
    "pillow", "planet", "pocket", "potato", "prison", "pumpkin", "rabbit", "ribbon", "river", "rocket", "saddle",
    "salmon", "school", "shadow", "shelter", "silver", "spider", "spoon", "spring", "statue", "stone", "summer",
    "temple", "thread", "ticket", "tiger", "timber", "tomato", "tunnel", "turtle", "valley", "velvet", "village",
    "violin", "walnut", "wagon", "water", "whistle", "window", "winter", "wizard", "yellow", "zebra", "zipper",
];

/// Returns a list in words, `a, b and c`.
pub(super) fn list(items: &[impl AsRef<str>]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// Returns a text with its first letter as a capital.
pub(super) fn capitalised(text: &str) -> String {
    let Some(at) = text.find(char::is_alphabetic) else { return text.to_owned() };
    let letter = text[at..].chars().next().map_or(0, char::len_utf8);
    format!("{}{}{}", &text[..at], text[at..at + letter].to_uppercase(), &text[at + letter..])
}
