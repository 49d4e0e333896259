//! Tests of calendar puzzles.

use super::*;

#[test]
fn dates_and_their_numbers() {
    for (date, number, weekday) in [
        ("0001-01-01", 0, "Monday"),
        ("1600-02-29", 584_081, "Tuesday"),
        ("1970-01-01", 719_162, "Thursday"),
        ("2000-02-29", 730_178, "Tuesday"),
        ("2024-12-31", 739_250, "Tuesday"),
        ("9999-12-31", 3_652_058, "Friday"),
    ] {
        let parsed = Date::parse(date).unwrap();
        assert_eq!((parsed.number(), WEEKDAYS[parsed.weekday()]), (number, weekday), "{date}");
        assert_eq!(parsed.to_string(), date);
    }
    for number in (0..3_652_059).step_by(97) {
        assert_eq!(Date::of_number(number).unwrap().number(), number);
    }
    for text in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "0000-01-01", "2024-1", "+024-01-01", "é"] {
        assert_eq!(Date::parse(text), None, "{text}");
    }
    assert_eq!((Date::of_number(-1), Date::of_number(3_652_059)), (None, None));
    assert_eq!((leaps(1896, 1904), leaps(1900, 1900), leaps(2000, 2000), leaps(1, 400)), (2, 0, 1, 97));
}

#[test]
fn answers_as_they_are_written() {
    let weekday = json!({ "puzzle": "calendar", "asks": "weekday", "date": "2024-03-05" });
    let days = json!({ "puzzle": "calendar", "asks": "days", "from": "2020-03-05", "to": "2024-04-01" });
    let date = json!({ "puzzle": "calendar", "asks": "date", "from": "2024-03-05", "days": 27 });
    let leap = json!({ "puzzle": "calendar", "asks": "leap", "year": 1900 });
    let leaps = json!({ "puzzle": "calendar", "asks": "leaps", "from": 1890, "to": 1910 });
    for (instance, answer, verdict) in [
        (&weekday, "Tuesday", Verdict::Correct),
        (&weekday, "Tue", Verdict::Correct),
        (&weekday, "5 March 2024 is a **Tuesday**.", Verdict::Correct),
        (&weekday, "The 4th is a Monday, so the answer is \\boxed{\\text{Tuesday}}.", Verdict::Correct),
        (&weekday, "Not Monday, but Tuesday", Verdict::Correct),
        (&weekday, "Monday", Verdict::Wrong),
        (&weekday, "Monday or Tuesday", Verdict::Wrong),
        (&weekday, "Tuesday (or Monday)", Verdict::Wrong),
        (&weekday, "\\boxed{Tuesday} or \\boxed{Monday}", Verdict::Wrong),
        (&weekday, "Answer: Monday\nAnswer: Tuesday", Verdict::Wrong),
        (&weekday, "Answer: Tuesday. Actually, Monday.", Verdict::Wrong),
        (&weekday, "It is not Tuesday", Verdict::Wrong),
        (&weekday, "It might be Tuesday", Verdict::Wrong),
        (&weekday, "Monday\nTuesday\nWednesday", Verdict::Wrong),
        (&weekday, "5", Verdict::AnswerUnparsed),
        (&days, "1488", Verdict::Correct),
        (&days, "1,488 days", Verdict::Correct),
        (&days, "From March 5, 2020 to 2024-04-01 there are 1488 days (4 years and 27 more).", Verdict::Correct),
        (&days, "$\\boxed{1488}$", Verdict::Correct),
        (&days, "-1488", Verdict::Wrong),
        (&days, "1488.5", Verdict::Wrong),
        (&days, "1487 or 1488", Verdict::Wrong),
        (&days, "1487", Verdict::Wrong),
        (&date, "2024-04-01", Verdict::Correct),
        (&date, "April 1st, 2024", Verdict::Correct),
        (&date, "It is 1 Apr 2024, a Monday.", Verdict::Correct),
        (&date, "27 days after 2024-03-05 is **2024-04-01**", Verdict::Correct),
        (&date, "2024/4/1", Verdict::Correct),
        (&date, "2024-04-02", Verdict::Wrong),
        (&date, "2024-03-05", Verdict::Wrong),
        (&date, "2024-04-01, 2024-04-02", Verdict::Wrong),
        (&date, "2024-04-31", Verdict::Wrong),
        (&date, "2024-04-01 or 2024-04-31", Verdict::Wrong),
        (&date, "in April", Verdict::AnswerUnparsed),
        (&leap, "no", Verdict::Correct),
        (&leap, "No, 1900 is not a leap year.", Verdict::Correct),
        (&leap, "1900 isn't a leap year", Verdict::Correct),
        (&leap, "Yes", Verdict::Wrong),
        (&leap, "yes or no", Verdict::Wrong),
        (&leap, "Yes. No.", Verdict::Wrong),
        (&leap, "yes/no", Verdict::Wrong),
        (&leap, "1900", Verdict::AnswerUnparsed),
        (&leaps, "4", Verdict::Correct),
        (&leaps, "There are 4 leap years from 1890 to 1910.", Verdict::Correct),
        (&leaps, "5", Verdict::Wrong),
    ] {
        assert_eq!(verify(instance, answer), Some(verdict), "{answer:?}");
    }
}
