//! Small text codecs: dates, ids, escaping for logs and for JSON, spelling suggestions.

/// RFC 3339 in UTC with milliseconds (`2026-01-31T23:59:59.999Z`) from Unix milliseconds.
/// Years beyond 9999 keep their digits.
pub fn rfc3339_ms(unix_ms: u64) -> String {
    let (days, in_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, ms) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Gregorian year, month and day from days since 1970-01-01 (Howard Hinnant's `civil_from_days`:
/// years start in March, so that the leap day is the last of its year).
pub fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.saturating_add(719_468);
    let (era, in_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01 of a Gregorian date: the inverse of [`civil`], `None` for days that no
/// month has and for years before 1970.
pub fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let march_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let in_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year;
    let days = (era * 146_097 + in_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// The date of Unix milliseconds in UTC, `2026-11-22`.
pub fn date(unix_ms: u64) -> String {
    let (year, month, day) = civil(unix_ms / 86_400_000);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Unix milliseconds of the midnight that such a date begins with.
pub fn date_ms(text: &str) -> Option<u64> {
    let plain =
        |part: &str, width| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !plain(year, 4) || !plain(month, 2) || !plain(day, 2) {
        return None;
    }
    let days = days(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    Some(days * 86_400_000)
}

/// Unix milliseconds of an IMF-fixdate (RFC 9110 section 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`.
/// The weekday need not be right; a leap second is the second after it.
pub fn http_date_ms(text: &str) -> Option<u64> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |text: &str, width: usize, most: u64| {
        let plain = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| plain && *number <= most)
    };
    let (weekday, rest) = text.strip_suffix(" GMT")?.split_once(", ")?;
    if !DAYS.contains(&weekday) {
        return None;
    }
    let mut words = rest.split(' ');
    let day = number(words.next()?, 2, 31)?;
    let month = words.next()?;
    let month = (1..).zip(MONTHS).find_map(|(at, name)| (name == month).then_some(at))?;
    let days = days(number(words.next()?, 4, 9999)?, month, day)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 2, 23)?;
    let minute = number(clock.next()?, 2, 59)?;
    let second = number(clock.next()?, 2, 60)?;
    if words.next().is_some() || clock.next().is_some() {
        return None;
    }
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// The text of a version 4 UUID (RFC 9562) from 16 random bytes: lower case, 36 characters.
pub fn uuid_v4(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xF << 76) | 0x4 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xFFFF,
        bits >> 64 & 0xFFFF,
        bits >> 48 & 0xFFFF,
        bits & 0xFFFF_FFFF_FFFF
    )
}

/// `text` for a log line or a terminal: control characters, line and paragraph separators,
/// zero-width and bidirectional marks become `\u{..}` (or `\n`, `\r`, `\t`), a backslash is
/// doubled, and what would exceed `max_bytes` is cut with an ellipsis. The result is at most
/// `max_bytes` long (an ellipsis takes 3) and has one line.
pub fn escape_log(text: &str, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "\u{2026}";
    let mut out = String::new();
    // The longest prefix of `out` that leaves room for the ellipsis.
    let mut fits = 0;
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if is_deceptive(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        if out.len() > max_bytes {
            out.truncate(fits);
            if max_bytes >= ELLIPSIS.len() {
                out.push_str(ELLIPSIS);
            }
            return out;
        }
        if out.len().saturating_add(ELLIPSIS.len()) <= max_bytes {
            fits = out.len();
        }
    }
    out
}

/// Characters that move the cursor, hide text or turn its direction (Unicode TR 36).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Appends `text` as a JSON string with its quotes (RFC 8259 section 7): only what must be
/// escaped is, so UTF-8 passes through as it is.
pub fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    json_escape(out, text);
    out.push(b'"');
}

/// The inside of a JSON string: for one that is written in pieces.
pub fn json_escape(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            0..=0x1F => b'u',
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain..at).unwrap_or_default());
        plain = at.saturating_add(1);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
}

/// The candidate most like `word`, for "did you mean": ASCII case is ignored, one swap of
/// neighbours counts as one edit. `None` when the nearest differs in more than a third of the
/// longer word (at least one edit is always allowed), or when `word` is longer than 64
/// characters. The first of several equals wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let word: Vec<char> = word.chars().take(LONGEST + 1).map(|c| c.to_ascii_lowercase()).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> =
            candidate.chars().take(LONGEST + 1).map(|c| c.to_ascii_lowercase()).collect();
        let allowed = (word.len().max(other.len()) / 3).max(1);
        if other.len() > LONGEST || word.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let distance = edit_distance(&word, &other);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insert, delete, replace, swap neighbours, one each.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&above, j) + usize::from(x != y);
            let mut cost = replaced.min(at(&above, j + 1) + 1).min(left + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
            left = cost;
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(a.len())
}

/// Escaping any text must give one clean line and a valid JSON string.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for max in [0, 2, 3, 17, 1 << 20] {
        let line = escape_log(&text, max);
        assert!(line.len() <= max && !line.chars().any(is_deceptive));
    }
    let mut json = Vec::new();
    json_string(&mut json, &text);
    let back: Option<String> = serde_json::from_slice(&json).ok();
    assert_eq!(back.as_deref(), Some(&*text));
    if let Some(ms) = http_date_ms(&text).filter(|_| !text.contains(":60")) {
        let read = rfc3339_ms(ms);
        let same = |ours: std::ops::Range<usize>, theirs| read.get(ours) == text.get(theirs);
        assert!(same(0..4, 12..16) && same(8..10, 5..7) && same(11..19, 17..25), "{text}: {read}");
    }
    let (word, other) = text.split_at(text.floor_char_boundary(text.len() / 2));
    if let Some(found) = nearest(word, [other, "gateway", "agents"]) {
        assert!([other, "gateway", "agents"].contains(&found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_740_787_200_001, "2025-03-01T00:00:00.001Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339_ms(ms), want);
        }
        assert!(rfc3339_ms(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn plain_dates() {
        for text in ["1970-01-01", "2024-02-29", "2026-11-22", "9999-12-31"] {
            assert_eq!(date(date_ms(text).unwrap()), text);
        }
        for text in ["", "2026-2-01", "2026-02-30", "2026-13-01", "1969-12-31", "2026-02-01-1"] {
            assert_eq!(date_ms(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates() {
        for (text, want) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"),
            ("Tue, 29 Feb 2000 23:59:59 GMT", "2000-02-29T23:59:59.000Z"),
            ("Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00.000Z"),
            ("Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00.000Z"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59.000Z"),
            // Not the weekday, which nobody needs.
            ("Mon, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
        ] {
            assert_eq!(http_date_ms(text).map(rfc3339_ms).as_deref(), Some(want), "{text}");
            fuzz(text.as_bytes());
        }
        for text in [
            "",
            "GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Mon, 29 Feb 2100 00:00:00 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 x GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date_ms(text), None, "{text}");
        }
        // Every day of two centuries is there and back.
        for day in 0..73_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }

    #[test]
    fn uuids() {
        assert_eq!(uuid_v4([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn log_lines() {
        assert_eq!(escape_log("plain \u{fc}", 100), "plain \u{fc}");
        assert_eq!(escape_log("a\nb\u{1b}[31m\u{202e}\\", 100), "a\\nb\\u{1b}[31m\\u{202e}\\\\");
        assert_eq!(escape_log("abcdef", 6), "abcdef");
        assert_eq!(escape_log("abcdefg", 6), "abc\u{2026}");
        assert_eq!(escape_log("ab\n", 3), "\u{2026}");
        assert_eq!(escape_log("abc", 2), "");
        assert_eq!(escape_log("abc", 0), "");
    }

    #[test]
    fn json_strings() {
        let mut out = Vec::new();
        json_string(&mut out, "a\"b\\c\n\u{1}\u{1f}\u{7f}\u{1F600}\u{8}\u{c}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a\\\"b\\\\c\\n\\u0001\\u001f\u{7f}\u{1F600}\\b\\f\""
        );
        fuzz("\u{0}\u{202e}x\u{1F600}gatwya".as_bytes());
        fuzz(&[0xff, 0xfe]);
    }

    #[test]
    fn suggestions() {
        let keys = ["gateway", "agents", "models", "port"];
        assert_eq!(nearest("gatewya", keys), Some("gateway"));
        assert_eq!(nearest("Agent", keys), Some("agents"));
        assert_eq!(nearest("prt", keys), Some("port"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
        assert_eq!(nearest("x", ["y"]), Some("y"));
    }
}
