//! Next times of expressions; rows marked with a zone are those observed of the reference's
//! own parser, but for the hour that repeats.

use super::super::zone::tests::{BERLIN, by_rule};
use super::*;
use crate::wire::text::{http_date_ms, rfc3339_ms};

fn parse_time(text: &str) -> i64 {
    let ms = super::super::schedule::time_ms(text, &Zone::UTC).expect("a time");
    i64::try_from(ms / 1000).expect("small")
}

fn shown(at: i64) -> String {
    let text = rfc3339_ms(at.unsigned_abs() * 1000);
    text.get(..19).expect("a time").to_owned()
}

fn next(expr: &str, zone: &Zone, from: &str, count: usize) -> Vec<String> {
    let expr = Expr::parse(expr).expect(expr);
    let mut at = parse_time(from);
    let mut out = Vec::new();
    while out.len() < count
        && let Some(next) = expr.next(at, zone)
    {
        assert!(next > at);
        at = next;
        out.push(shown(at));
    }
    out
}

#[test]
fn tables_of_times() {
    let from = "2026-02-01T00:00:00Z";
    for (expr, want) in [
        ("*/15 * * * *", &["2026-02-01T00:15:00", "2026-02-01T00:30:00"][..]),
        ("0 7 * * *", &["2026-02-01T07:00:00", "2026-02-02T07:00:00"]),
        ("30 0 7 * * *", &["2026-02-01T07:00:30", "2026-02-02T07:00:30"]),
        ("* * * * * *", &["2026-02-01T00:00:01", "2026-02-01T00:00:02"]),
        ("0 0 L * *", &["2026-02-28T00:00:00", "2026-03-31T00:00:00"]),
        ("0 0 * * 5#2", &["2026-02-13T00:00:00", "2026-03-13T00:00:00"]),
        ("0 0 * * 5L", &["2026-02-27T00:00:00", "2026-03-27T00:00:00"]),
        ("@daily", &["2026-02-02T00:00:00", "2026-02-03T00:00:00"]),
        ("@hourly", &["2026-02-01T01:00:00", "2026-02-01T02:00:00"]),
        ("@yearly", &["2027-01-01T00:00:00", "2028-01-01T00:00:00"]),
        ("0 0 * * 7", &["2026-02-08T00:00:00", "2026-02-15T00:00:00"]),
        ("0 0 ? * ?", &["2026-02-02T00:00:00"]),
        ("0 0 * jan,DEC sun-tue", &["2026-12-01T00:00:00", "2026-12-06T00:00:00"]),
        // Either day suffices, unless + asks for both.
        ("0 0 */2 * 1", &["2026-02-02T00:00:00", "2026-02-03T00:00:00", "2026-02-05T00:00:00"]),
        ("0 0 29 2 1", &["2026-02-02T00:00:00", "2026-02-09T00:00:00"]),
        ("0 0 29 2 +1", &["2044-02-29T00:00:00", "2072-02-29T00:00:00"]),
        // The end of a year, and the 31st.
        ("59 23 31 12 *", &["2026-12-31T23:59:00", "2027-12-31T23:59:00"]),
        ("0 0 31 * *", &["2026-03-31T00:00:00", "2026-05-31T00:00:00"]),
        ("0 0 * * wed", &["2026-02-04T00:00:00"]),
    ] {
        assert_eq!(next(expr, &Zone::UTC, from, want.len()), want, "{expr}");
    }
    let leap = next("0 0 29 2 *", &Zone::UTC, "2096-03-01T00:00:00Z", 2);
    assert_eq!(leap, ["2104-02-29T00:00:00", "2108-02-29T00:00:00"], "2100 is no leap year");
    assert!(next("0 0 30 2 *", &Zone::UTC, from, 1).is_empty(), "never, and that is soon known");
    assert_eq!(
        next("0 0 1 1 *", &Zone::Fixed(7200), from, 1),
        ["2026-12-31T22:00:00"],
        "midnight of a fixed offset"
    );
    assert!(http_date_ms("").is_none());
}

#[test]
fn clocks_that_go_forward_and_back() {
    let berlin = by_rule(BERLIN);
    let new_york = by_rule("EST5EDT,M3.2.0,M11.1.0");
    for (expr, zone, from, want) in [
        (
            "30 2 * * *",
            &berlin,
            "2026-03-28T12:00:00Z",
            &["2026-03-29T01:30:00", "2026-03-30T00:30:00"][..],
        ),
        ("0 3 * * *", &berlin, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00"]),
        (
            "30 2,3 * * *",
            &berlin,
            "2026-03-28T12:00:00Z",
            &["2026-03-29T01:30:00", "2026-03-30T00:30:00", "2026-03-30T01:30:00"],
        ),
        // What is put off does not go before what is not.
        (
            "0,30 2,3 * * *",
            &berlin,
            "2026-03-28T12:00:00Z",
            &["2026-03-29T01:00:00", "2026-03-29T01:30:00", "2026-03-30T00:00:00"],
        ),
        (
            "*/20 * * * *",
            &berlin,
            "2026-03-29T00:30:00Z",
            &["2026-03-29T00:40:00", "2026-03-29T01:00:00", "2026-03-29T01:20:00"],
        ),
        (
            "30 2 * * *",
            &berlin,
            "2026-10-24T12:00:00Z",
            &["2026-10-25T00:30:00", "2026-10-26T01:30:00"],
        ),
        (
            "0 * * * *",
            &berlin,
            "2026-10-24T23:50:00Z",
            &["2026-10-25T00:00:00", "2026-10-25T01:00:00", "2026-10-25T02:00:00"],
        ),
        (
            "30 1 * * *",
            &new_york,
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:30:00", "2026-11-02T06:30:00"],
        ),
        // The day of the zone counts, not that of UTC.
        ("0 23 * * 5", &new_york, "2026-11-05T00:00:00Z", &["2026-11-07T04:00:00"]),
    ] {
        assert_eq!(next(expr, zone, from, want.len()), want, "{expr} from {from}");
    }
}

#[test]
fn what_is_no_expression_says_why() {
    for (expr, part) in [
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("", "0 fields"),
        ("60 0 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "weekday"),
        ("5/20 0 * * *", "step follows"),
        ("*/0 * * * *", "no step"),
        ("*/90 * * * *", "no step"),
        ("50-10 0 * * *", "backwards"),
        ("0 0 * * fri-mon", "backwards"),
        ("0 0 15W * *", "working day"),
        ("0 0 * * 1#6", "1 to 5"),
        ("a * * * *", "\"a\""),
        ("0 0 * * +", "weekday"),
        ("-1 * * * *", "minute"),
        ("1,, * * * *", "minute"),
    ] {
        let error = Expr::parse(expr).expect_err(expr);
        assert!(error.contains(part), "{expr}: {error}");
    }
    assert!(Expr::parse(&"*".repeat(300)).is_err());
    for text in ["* * * * * *", "0 0 L 2 5L", "@weekly", "+", "é é é é é", "0 0 29 2 +1"] {
        fuzz(text.as_bytes());
    }
}
