//! Zones from rules and from files made here, so that no test depends on the machine's tables.

use super::*;

/// A TZif file of version 2 with these changes and this rule.
pub(in crate::gateway) fn tzif(first: i32, changes: &[(i64, i32)], rule: &str) -> Vec<u8> {
    let mut offsets = vec![first];
    offsets.extend(changes.iter().map(|(_, offset)| *offset));
    let mut out = Vec::new();
    for (version, full) in [(b'2', false), (b'2', true)] {
        out.extend(b"TZif");
        out.push(version);
        out.extend([0; 15]);
        let counts = if full { (changes.len(), offsets.len(), 4) } else { (0, 0, 0) };
        for count in [0, 0, 0, counts.0, counts.1, counts.2] {
            out.extend(u32::try_from(count).expect("small").to_be_bytes());
        }
    }
    for (at, _) in changes {
        out.extend(at.to_be_bytes());
    }
    out.extend((1..=changes.len()).map(|n| u8::try_from(n).expect("few")));
    for offset in &offsets {
        out.extend(offset.to_be_bytes());
        out.extend([0, 0]);
    }
    out.extend(b"LMT\0");
    out.extend(format!("\n{rule}\n").bytes());
    out
}

pub(in crate::gateway) const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

pub(in crate::gateway) fn by_rule(rule: &str) -> Zone {
    Zone::read(&tzif(0, &[], rule)).expect("a zone")
}

fn at(text: &str) -> i64 {
    let days = crate::wire::text::date_ms(text.get(..10).expect("a date")).expect("a date") / 1000;
    let time: Vec<i64> = text[11..].split(':').map(|part| part.parse().expect("digits")).collect();
    i64::try_from(days).expect("small") + time[0] * 3600 + time[1] * 60
}

#[test]
fn rules_tell_summer_from_winter() {
    for (rule, time, hours) in [
        (BERLIN, "2026-03-29 00:59", 1),
        (BERLIN, "2026-03-29 01:00", 2),
        (BERLIN, "2026-10-25 00:59", 2),
        (BERLIN, "2026-10-25 01:00", 1),
        ("EST5EDT,M3.2.0,M11.1.0", "2026-03-08 06:59", -5),
        ("EST5EDT,M3.2.0,M11.1.0", "2026-03-08 07:00", -4),
        ("EST5EDT,M3.2.0,M11.1.0", "2026-11-01 06:00", -5),
        // The southern half, over the turn of the year.
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-12-31 23:00", 11),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2027-01-01 00:00", 11),
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-07-01 00:00", 10),
        ("<+03>-3", "2026-07-01 00:00", 3),
        ("XXX0YYY,J60/0,J300/0", "2024-03-01 00:00", 1),
        ("XXX0YYY,J60/0,J300/0", "2024-02-29 12:00", 0),
        ("XXX0YYY,59/0,J300/0", "2024-02-29 12:00", 1),
        // Clocks that go by hours beyond the day.
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29 00:59", -2),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29 01:00", -1),
    ] {
        assert_eq!(by_rule(rule).offset(at(time)), hours * 3600, "{rule} {time}");
    }
}

#[test]
fn a_table_goes_before_its_rule() {
    let change = at("2020-01-01 00:00");
    let zone = Zone::read(&tzif(-600, &[(change, 7200)], "<+03>-3")).expect("a zone");
    assert_eq!(zone.offset(change - 1), -600);
    assert_eq!(zone.offset(change), 3 * 3600, "behind its last change the rule holds");
    let bare = Zone::read(&tzif(-600, &[(change, 7200)], "")).expect("a zone");
    assert_eq!((bare.offset(change - 1), bare.offset(i64::MAX)), (-600, 7200));
}

#[test]
fn local_times_that_come_never_or_twice() {
    let berlin = by_rule(BERLIN);
    assert_eq!(berlin.find(at("2026-01-05 09:00")), Local::At(at("2026-01-05 08:00")));
    assert_eq!(berlin.find(at("2026-03-29 02:30")), Local::Skipped(at("2026-03-29 01:30")));
    assert_eq!(berlin.find(at("2026-10-25 02:30")), Local::At(at("2026-10-25 00:30")));
    assert_eq!(berlin.find(at("2026-10-25 03:00")), Local::At(at("2026-10-25 02:00")));
}

#[test]
fn names_and_plain_offsets() {
    for name in ["UTC", "utc", "Z", "Etc/UTC", "+00:00"] {
        assert_eq!(Zone::plain(name), Some(Zone::UTC), "{name}");
    }
    assert_eq!(Zone::plain("+05:30"), Some(Zone::Fixed(19_800)));
    assert_eq!(Zone::plain("-0330"), Some(Zone::Fixed(-12_600)));
    for name in ["", "+", "+25:00", "+1:00", "+01:60", "Europe/Berlin", "é"] {
        assert_eq!(Zone::plain(name), None, "{name}");
    }
    for name in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"] {
        assert!(Zone::is_name(name), "{name}");
    }
    for name in ["", "/etc/passwd", "../x", "Europe/../../x", "a b", "a//b", "a.tab", "a\0"] {
        assert!(!Zone::is_name(name), "{name}");
    }
    assert!(!Zone::is_name(&"a".repeat(limits::CRON_ZONE_NAME + 1)));
}

#[test]
fn a_damaged_file_is_an_error_at_every_length() {
    let whole = tzif(0, &[(5, 60), (9, 120)], BERLIN);
    assert!(Zone::read(&whole).is_ok());
    let body = whole.len() - BERLIN.len() - 2;
    for len in 0..body {
        assert!(Zone::read(&whole[..len]).is_err(), "{len}");
    }
    for len in body..whole.len() {
        // Without an end of line the rule may be cut: it is taken whole or refused.
        let _ = Zone::read(&whole[..len]);
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            fuzz(&bytes);
        }
    }
    assert!(Zone::read(&tzif(0, &[(9, 60), (5, 60)], "")).is_err(), "out of order");
    assert!(Zone::read(&tzif(99 * 3600, &[], "")).is_err(), "a day and more");
    assert!(Zone::read(&tzif(0, &[], "CET")).is_err(), "half a rule");
    assert!(Zone::read(b"TZif1").is_err());
}
