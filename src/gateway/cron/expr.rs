//! Cron expressions: five fields (minute, hour, day of month, month, weekday) or six, with
//! seconds in front; names of months and weekdays; `*`, `?`, lists, ranges, steps; `L` for the
//! last day of a month, `5L` for its last Friday, `5#2` for its second; `@daily` and its likes.
//!
//! When both days are restricted, one of them suffices, unless the weekday begins with `+`.
//! These are the rules of the reference's parser, with what it refuses refused here too. Not
//! taken: `W` (the nearest working day) and a seventh field for years.
//!
//! Clock changes, for an hour field that names hours: a time that is skipped comes as much
//! later, one that comes twice fires the first time only. With every hour (`*`) the clock that
//! counts is the one on the wall: nothing is skipped or left out, also in the hour that repeats
//! (there the reference pauses for that hour).

use super::zone::{Local, Zone};
use crate::wire::text::{civil, days};

const DAY: i64 = 86_400;
/// How far a match is looked for: the 29th of February may be eight years away, and on a given
/// weekday forty.
const YEARS: u64 = 50;

/// A parsed expression. Bit `n` of a mask says that `n` matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    last_day: bool,
    any_day: bool,
    months: u64,
    weekdays: u64,
    /// Weekday and which of its kind in the month: 1 to 5, 6 is the last.
    nth: Vec<(u64, u64)>,
    any_weekday: bool,
    both: bool,
    every_hour: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One field of an expression.
struct Field {
    name: &'static str,
    min: u64,
    max: u64,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
const MONTH_DAY: Field = Field { name: "day of month", min: 1, max: 31, names: &[] };
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS };
const WEEKDAY: Field = Field { name: "weekday", min: 0, max: 7, names: &WEEKDAYS };

impl Field {
    fn value(&self, text: &str) -> Result<u64, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = self.names.iter().position(|name| *name == lower) {
            return Ok(index as u64 + self.min);
        }
        let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        let value = plain.then(|| text.parse::<u64>().ok()).flatten();
        value.filter(|value| (self.min..=self.max).contains(value)).ok_or_else(|| {
            let (name, min, max) = (self.name, self.min, self.max);
            format!("\"{}\" is no {name}: {min} to {max}", short(text))
        })
    }

    /// Bits of a list such as `1,5-9,*/20`.
    fn mask(&self, text: &str) -> Result<u64, String> {
        let mut mask = 0;
        for part in text.split(',') {
            mask |= self.part(part)?;
        }
        Ok(mask)
    }

    fn part(&self, text: &str) -> Result<u64, String> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => {
                let number: Option<u64> = step.parse().ok();
                let number = number.filter(|n| (1..=self.max).contains(n));
                let step = number.ok_or_else(|| {
                    format!("\"{}\" is no step of a {}: 1 to {}", short(step), self.name, self.max)
                })?;
                (range, Some(step))
            }
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (self.min, self.max.min(if self.max == 7 { 6 } else { self.max })),
            (_, Some((from, to))) => (self.value(from)?, self.value(to)?),
            (_, None) if step.is_some() => {
                return Err(format!(
                    "\"{}\": a step follows * or a range such as {}-{}",
                    short(text),
                    self.min,
                    self.max
                ));
            }
            (_, None) => {
                let value = self.value(range)?;
                (value, value)
            }
        };
        if from > to {
            return Err(format!(
                "\"{}\": the range of the {} runs backwards",
                short(text),
                self.name
            ));
        }
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        Ok((from..=to).step_by(step).fold(0, |mask, value| mask | 1 << value))
    }
}

fn short(text: &str) -> String {
    text.chars().take(32).collect()
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = match text.to_ascii_lowercase().as_str() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => text,
        };
        if text.len() > 256 {
            return Err("it is longer than 256 characters".to_owned());
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (second, rest) = match fields.as_slice() {
            rest @ [_, _, _, _, _] => ("0", rest),
            [second, rest @ ..] if rest.len() == 5 => (*second, rest),
            _ => return Err(format!("it has {} fields, not five or six", fields.len())),
        };
        let [minute, hour, day, month, weekday] = rest else {
            return Err("it has not five or six fields".to_owned());
        };
        if day.contains(['W', 'w']) || !named_wed(weekday) {
            return Err("W (the nearest working day) is not taken: name the days".to_owned());
        }
        let (both, weekday) = match weekday.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, *weekday),
        };
        let (weekdays, nth) = weekdays(weekday)?;
        let (days, last_day) = month_days(day)?;
        let hours = HOUR.mask(hour)?;
        let is_any = |field: &str| matches!(field, "*" | "?");
        Ok(Self {
            seconds: SECOND.mask(second)?,
            minutes: MINUTE.mask(minute)?,
            hours,
            days,
            last_day,
            any_day: is_any(day),
            months: MONTH.mask(month)?,
            weekdays,
            nth,
            any_weekday: is_any(weekday),
            both,
            every_hour: hours == (1 << 24) - 1,
        })
    }

    /// At the full hour, every hour: what many operators write, and what is spread out.
    pub fn is_top_of_hour(&self) -> bool {
        self.minutes == 1 && self.seconds == 1 && self.every_hour
    }

    fn on_day(&self, day: u64) -> bool {
        let (year, month, of_month) = civil(day);
        if !bit(self.months, month) {
            return false;
        }
        let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
        let left = next.unwrap_or(day + 1).saturating_sub(day);
        let weekday = (day + 4) % 7;
        let by_day = bit(self.days, of_month) || (self.last_day && left == 1);
        let nth = |(wanted, which): &(u64, u64)| {
            *wanted == weekday
                && match which {
                    6 => left <= 7,
                    which => (of_month - 1) / 7 + 1 == *which,
                }
        };
        let by_weekday = bit(self.weekdays, weekday) || self.nth.iter().any(nth);
        match (self.any_day, self.any_weekday) {
            (true, true) => true,
            (true, false) => by_weekday,
            (false, true) => by_day,
            (false, false) if self.both => by_day && by_weekday,
            (false, false) => by_day || by_weekday,
        }
    }

    /// The first match behind a time in Unix seconds; `None` when there is none within fifty
    /// years (`0 0 30 2 *`).
    pub fn next(&self, after: i64, zone: &Zone) -> Option<i64> {
        if self.every_hour { self.next_by_clock(after, zone) } else { self.next_named(after, zone) }
    }

    /// Every hour: each second that the wall clock shows counts, once as often as it shows it.
    fn next_by_clock(&self, after: i64, zone: &Zone) -> Option<i64> {
        let mut at = after.checked_add(1)?;
        let end = horizon(after)?;
        while at < end {
            let local = at + i64::from(zone.offset(at));
            let (day, second) = (u64::try_from(local.div_euclid(DAY)).ok()?, local.rem_euclid(DAY));
            if !self.on_day(day) {
                at = self.next_midnight(day, at, zone)?;
            } else if !bit(self.minutes, (second / 60 % 60).unsigned_abs()) {
                at += 60 - second % 60;
            } else if !bit(self.seconds, (second % 60).unsigned_abs()) {
                at += 1;
            } else {
                return Some(at);
            }
        }
        None
    }

    /// When the next day begins that matches; always later than `at`.
    fn next_midnight(&self, day: u64, at: i64, zone: &Zone) -> Option<i64> {
        let day = (day + 1..day + YEARS * 366).find(|day| self.on_day(*day))?;
        let (Local::At(found) | Local::Skipped(found)) =
            zone.find(i64::try_from(day).ok()?.checked_mul(DAY)?);
        Some(found.max(at + 1))
    }

    /// Named hours: days in order, and in them the times in order.
    fn next_named(&self, after: i64, zone: &Zone) -> Option<i64> {
        let local = after + i64::from(zone.offset(after));
        // A time of yesterday may have been put off past midnight.
        let first = u64::try_from(local.div_euclid(DAY)).ok()?.saturating_sub(1);
        let last = first + YEARS * 366;
        let matching = (first..last).filter(|day| self.on_day(*day));
        matching.into_iter().find_map(|day| self.on(day, after, zone))
    }

    fn on(&self, day: u64, after: i64, zone: &Zone) -> Option<i64> {
        let midnight = i64::try_from(day).ok()?.checked_mul(DAY)?;
        let mut best: Option<i64> = None;
        for hour in bits(self.hours) {
            let hour = midnight + i64::try_from(hour).ok()? * 3600;
            // Whole hours that are past are not walked through second by second.
            if [hour, hour + 3599]
                .iter()
                .all(|end| matches!(zone.find(*end), Local::At(at) if at <= after))
            {
                continue;
            }
            for minute in bits(self.minutes) {
                for second in bits(self.seconds) {
                    let local = hour + i64::try_from(minute * 60 + second).ok()?;
                    let (at, skipped) = match zone.find(local) {
                        Local::At(at) => (at, false),
                        Local::Skipped(at) => (at, true),
                    };
                    if at > after {
                        best = Some(best.map_or(at, |best| best.min(at)));
                        // What is put off may stand behind what is not.
                        if !skipped {
                            return best;
                        }
                    }
                }
            }
        }
        best
    }
}

fn horizon(after: i64) -> Option<i64> {
    after.checked_add(i64::try_from(YEARS).ok()? * 366 * DAY)
}

fn bit(mask: u64, n: u64) -> bool {
    n < 64 && mask >> n & 1 == 1
}

fn bits(mask: u64) -> impl Iterator<Item = u64> {
    (0..64).filter(move |n| bit(mask, *n))
}

/// Wednesday has a W of its own.
fn named_wed(field: &str) -> bool {
    let without = field.to_ascii_lowercase().replace("wed", "");
    !without.contains('w')
}

fn month_days(text: &str) -> Result<(u64, bool), String> {
    let (mut mask, mut last) = (0, false);
    for part in text.split(',') {
        match part {
            "L" | "l" => last = true,
            part => mask |= MONTH_DAY.part(part)?,
        }
    }
    Ok((mask, last))
}

fn weekdays(text: &str) -> Result<(u64, Vec<(u64, u64)>), String> {
    let (mut mask, mut nth) = (0, Vec::new());
    for part in text.split(',') {
        if let Some((day, which)) = part.split_once('#') {
            let which: Option<u64> = which.parse().ok().filter(|n| (1..=5).contains(n));
            let which = which
                .ok_or_else(|| format!("\"{}\": # takes a number from 1 to 5", short(part)))?;
            nth.push((WEEKDAY.value(day)? % 7, which));
        } else if let Some(day) = part.strip_suffix(['L', 'l']) {
            nth.push((WEEKDAY.value(day)? % 7, 6));
        } else {
            let found = WEEKDAY.part(part)?;
            // 7 is Sunday too.
            mask |= found & 0x7f | u64::from(bit(found, 7));
        }
    }
    Ok((mask, nth))
}

/// Any text as an expression, and its next two times: never a panic, always later.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(expr) = Expr::parse(&text) else { return };
    for zone in [Zone::UTC, Zone::Fixed(-12_600)] {
        let mut at = 1_795_000_000;
        for _ in 0..2 {
            match expr.next(at, &zone) {
                Some(next) => {
                    assert!(next > at, "{text}");
                    at = next;
                }
                None => break,
            }
        }
    }
}

#[cfg(test)]
#[path = "expr_tests.rs"]
mod tests;
