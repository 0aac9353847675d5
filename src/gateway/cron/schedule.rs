//! When a job is due: once at a time, every so many milliseconds, or by a cron expression in a
//! zone. Pure: times go in and out as Unix milliseconds.

use super::expr::Expr;
use super::zone::{Local, Zone};
use crate::limits;
use crate::wire::hash::sha256;
use crate::wire::text::date_ms;
use serde::{Deserialize, Serialize};

/// The `schedule` of a job, as on the wire and in `cron/jobs.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Schedule {
    /// Once.
    At {
        /// RFC 3339; without an offset it is UTC.
        at: String,
    },
    /// At an interval.
    Every {
        /// Milliseconds, at least 1.
        every_ms: u64,
        /// A time from which the interval counts; absent is the creation of the job.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        anchor_ms: Option<u64>,
    },
    /// By the calendar.
    Cron {
        /// Five or six fields, see [`Expr`].
        expr: String,
        /// IANA name, `UTC` or `+02:00`; absent is the zone of the gateway's host.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tz: Option<String>,
        /// A window in which jobs are spread; 0 is exactly on time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stagger_ms: Option<u64>,
    },
}

impl Schedule {
    /// `kind` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::At { .. } => "at",
            Self::Every { .. } => "every",
            Self::Cron { .. } => "cron",
        }
    }

    /// Comes once and never again.
    pub fn is_once(&self) -> bool {
        matches!(self, Self::At { .. })
    }

    /// The zone it asks for by name.
    pub fn zone_name(&self) -> Option<&str> {
        match self {
            Self::Cron { tz, .. } => tz.as_deref(),
            _ => None,
        }
    }

    /// The first time behind `after`; a single time is given also when it is past. `None`: it
    /// will not come. `id` decides where in its window a staggered job stands.
    ///
    /// # Errors
    /// What is wrong with the schedule, for people.
    pub fn next(&self, after: u64, id: &str, zone: &Zone) -> Result<Option<u64>, String> {
        match self {
            Self::At { at } => time_ms(at, &Zone::UTC).map(Some),
            Self::Every { every_ms, anchor_ms } => {
                let every = (*every_ms).max(limits::CRON_EVERY_MS);
                let anchor = anchor_ms.unwrap_or(0);
                if after < anchor {
                    return Ok(Some(anchor));
                }
                let passed = (after - anchor) / every + 1;
                Ok(passed.checked_mul(every).and_then(|ms| ms.checked_add(anchor)))
            }
            Self::Cron { expr, stagger_ms, .. } => {
                let expr = Expr::parse(expr).map_err(|why| bad_expr(expr, &why))?;
                let window = match stagger_ms {
                    Some(window) => (*window).min(limits::CRON_STAGGER_MAX_MS),
                    None if expr.is_top_of_hour() => limits::CRON_STAGGER_MS,
                    None => 0,
                };
                let late = place(id, window);
                let from = after.saturating_sub(late) / 1000;
                let next = expr.next(i64::try_from(from).unwrap_or(i64::MAX / 4), zone);
                Ok(next.and_then(|at| u64::try_from(at).ok()).map(|at| at * 1000 + late))
            }
        }
    }
}

fn bad_expr(expr: &str, why: &str) -> String {
    let shown: String = expr.chars().take(64).collect();
    format!("invalid cron expression \"{shown}\": {why}; try \"0 7 * * *\" (daily at 07:00)")
}

/// Where a job stands in a window: always the same for the same job.
fn place(id: &str, window: u64) -> u64 {
    let digest = sha256(id.as_bytes());
    let number = u64::from_be_bytes(*digest.first_chunk::<8>().unwrap_or(&[0; 8]));
    number.checked_rem(window).unwrap_or(0)
}

/// Unix milliseconds of `2026-11-22`, `2026-11-22T09:30[:15[.250]]`, with `Z`, `+01:00` or
/// nothing behind it; nothing means the zone that is given.
///
/// # Errors
/// That it is no time, with an example.
pub fn time_ms(text: &str, zone: &Zone) -> Result<u64, String> {
    read_time(text.trim(), zone).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        format!("\"{shown}\" is no time: write it like 2026-02-01T16:00:00Z")
    })
}

fn read_time(text: &str, zone: &Zone) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = i64::try_from(date_ms(date)?).ok()?;
    let rest = match rest.strip_prefix(['T', 't', ' ']) {
        Some(rest) => rest,
        None if rest.is_empty() => "00:00",
        None => return None,
    };
    let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at_checked(at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let fraction = fraction.get(..3).unwrap_or(fraction);
    let digits = |text: &str, len| {
        let plain = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<i64>().ok()).flatten()
    };
    let ms = digits(&format!("{fraction:0<3}"), 3)?;
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| digits(second, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = midnight / 1000 + hour * 3600 + minute * 60 + second;
    let at = match offset {
        "" => match zone.find(local) {
            Local::At(at) | Local::Skipped(at) => at,
        },
        "Z" | "z" => local,
        offset => match Zone::plain(offset)? {
            Zone::Fixed(offset) => local - i64::from(offset),
            Zone::Table(_) => return None,
        },
    };
    u64::try_from(at.checked_mul(1000)?.checked_add(ms)?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::zone::tests::{BERLIN, by_rule};
    use super::*;
    use crate::wire::text::rfc3339_ms;

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn times_as_people_write_them() {
        let berlin = by_rule(BERLIN);
        for (text, zone, want) in [
            ("2026-02-01T16:00:00Z", &Zone::UTC, "2026-02-01T16:00:00.000Z"),
            ("2026-02-01T16:00:00.25+01:00", &Zone::UTC, "2026-02-01T15:00:00.250Z"),
            ("2026-02-01 16:00", &Zone::UTC, "2026-02-01T16:00:00.000Z"),
            ("2026-02-01", &Zone::UTC, "2026-02-01T00:00:00.000Z"),
            ("2026-07-01T16:00:00", &berlin, "2026-07-01T14:00:00.000Z"),
            ("2026-07-01T16:00:00Z", &berlin, "2026-07-01T16:00:00.000Z"),
            ("2026-03-29T02:30:00", &berlin, "2026-03-29T01:30:00.000Z"),
            ("2024-02-29T23:59:59.999-0530", &Zone::UTC, "2024-03-01T05:29:59.999Z"),
        ] {
            assert_eq!(time_ms(text, zone).map(rfc3339_ms).as_deref(), Ok(want), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2026-02-30",
            "2026-02-01T24:00",
            "2026-02-01T1:00",
            "2026-02-01Tx",
            "2026-02-01T00:00:00+99:00",
            "1969-12-31T00:00:00Z",
            "2026-02-01T00:00:00Zz",
            "1970-01-01T00:00:00+01:00",
        ] {
            let error = time_ms(text, &Zone::UTC).expect_err(text);
            assert!(error.contains("2026-02-01T16:00:00Z"), "{error}");
        }
    }

    #[test]
    fn intervals_count_from_their_anchor() {
        let every = |every_ms, anchor_ms| Schedule::Every { every_ms, anchor_ms };
        let next = |schedule: &Schedule, after| schedule.next(after, "j", &Zone::UTC).expect("ok");
        let hourly = every(3_600_000, Some(NOW));
        assert_eq!(next(&hourly, NOW), Some(NOW + 3_600_000));
        assert_eq!(next(&hourly, NOW + 3_600_000 - 1), Some(NOW + 3_600_000));
        assert_eq!(next(&hourly, NOW + 3_600_000), Some(NOW + 7_200_000));
        assert_eq!(next(&hourly, NOW - 5), Some(NOW));
        assert_eq!(next(&every(u64::MAX, Some(5)), NOW), None, "never, and no overflow");
        let floor = every(1, Some(NOW));
        assert_eq!(next(&floor, NOW), Some(NOW + limits::CRON_EVERY_MS), "never in a circle");
    }

    #[test]
    fn full_hours_are_spread_and_stay_where_they_are() {
        let cron =
            |expr: &str, stagger_ms| Schedule::Cron { expr: expr.to_owned(), tz: None, stagger_ms };
        let hourly = cron("0 * * * *", None);
        let first = hourly.next(NOW, "a", &Zone::UTC).expect("ok").expect("a time");
        let late = first % 3_600_000;
        assert!(late > 0 && late < limits::CRON_STAGGER_MS, "{late}");
        let second = hourly.next(first, "a", &Zone::UTC).expect("ok").expect("a time");
        assert_eq!(second - first, 3_600_000);
        let other = hourly.next(NOW, "b", &Zone::UTC).expect("ok").expect("a time");
        assert_ne!(other % 3_600_000, late);
        for exact in [cron("0 * * * *", Some(0)), cron("0 7 * * *", None), cron("1 * * * *", None)]
        {
            let next = exact.next(NOW, "a", &Zone::UTC).expect("ok").expect("a time");
            assert_eq!(next % 60_000, 0, "{exact:?}");
        }
        let wide = cron("0 7 * * *", Some(u64::MAX));
        let next = wide.next(NOW, "a", &Zone::UTC).expect("ok").expect("a time");
        assert!(next < NOW + 86_400_000 + limits::CRON_STAGGER_MAX_MS);
        let error = cron("x", None).next(NOW, "a", &Zone::UTC).expect_err("no expression");
        assert!(error.contains("\"x\"") && error.contains("0 7 * * *"), "{error}");
    }
}
