//! Time zones: how far a wall clock is from UTC, by the system's own tables.
//!
//! UTC and fixed offsets (`+02:00`) are exact without a file. An IANA name is read from the
//! TZif files of the system (RFC 9636, versions 2 to 4: the 64-bit block and the rule at the
//! end that holds for ever after it). Nothing here touches a disk: bytes are handed in.
//!
//! A local time that a clock change skips is the one as far behind the change (02:30 becomes
//! 03:30); one that comes twice is the first. Both as observed of the reference's scheduler.

use crate::limits;
use crate::wire::text::{civil, days};
use std::rc::Rc;

/// Where a distribution keeps its tables.
pub const ZONE_DIRS: [&str; 3] =
    ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"];
/// The zone of the machine itself.
pub const HOST_ZONE: &str = "/etc/localtime";

/// Further than any zone has ever been from UTC, in seconds (RFC 9636: less than 26 hours).
const OFFSET_MAX: i32 = 26 * 3600;
const DAY: i64 = 86_400;

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// Always as many seconds east of UTC.
    Fixed(i32),
    /// As its table says.
    Table(Rc<Table>),
}

/// What a TZif file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Before the first change.
    first: i32,
    /// Unix seconds of each change, and the offset from then on.
    changes: Vec<(i64, i32)>,
    /// After the last.
    rule: Option<Rule>,
}

/// A POSIX rule: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    standard: i32,
    /// Offset in summer, its beginning and its end.
    summer: Option<(i32, Change, Change)>,
}

/// A day of the year and a time of its wall clock in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    day: RuleDay,
    time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RuleDay {
    /// Month, week (5 is the last), weekday from Sunday.
    Month(u64, u64, u64),
    /// 1 to 365; the 29th of February is never counted.
    Julian(u64),
    /// 0 to 365.
    Zero(u64),
}

/// What the wall clock of a zone shows once, twice or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// It was shown; Unix seconds, the first when it comes twice.
    At(i64),
    /// A change skips it; as far behind the change.
    Skipped(i64),
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self::Fixed(0);

    /// A zone that needs no table: `UTC`, `Etc/GMT`, `Z`, `+02:00`, `-0530`; else `None`.
    pub fn plain(name: &str) -> Option<Self> {
        if matches!(
            name.to_ascii_uppercase().as_str(),
            "UTC" | "GMT" | "Z" | "ETC/UTC" | "ETC/GMT" | "UCT" | "ETC/UCT" | "ZULU"
        ) {
            return Some(Self::UTC);
        }
        let (sign, digits) = match name.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let digits: String = digits.replacen(':', "", 1);
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (hours, minutes) = digits.split_at_checked(2)?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(Self::Fixed(sign * (hours * 3600 + minutes * 60)))
    }

    /// Whether a name may be looked for below a folder of tables: parts of letters, digits,
    /// `_`, `+` and `-`, so that no name leaves the folder.
    pub fn is_name(name: &str) -> bool {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
        };
        name.len() <= limits::CRON_ZONE_NAME && name.split('/').all(part)
    }

    /// Reads a TZif file.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        parse(bytes).map(|table| Self::Table(Rc::new(table)))
    }

    /// Seconds east of UTC at a time in Unix seconds.
    pub fn offset(&self, at: i64) -> i32 {
        match self {
            Self::Fixed(offset) => *offset,
            Self::Table(table) => table.offset(at),
        }
    }

    /// When the wall clock shows these seconds (counted as if it were UTC).
    pub fn find(&self, local: i64) -> Local {
        let before = self.offset(local - DAY);
        let after = self.offset(local + DAY);
        let fits = |offset: i32| {
            let at = local - i64::from(offset);
            (self.offset(at) == offset).then_some(at)
        };
        match [fits(before), fits(after)].into_iter().flatten().min() {
            Some(at) => Local::At(at),
            // The clock as it went before the change, which is past by then.
            None => Local::Skipped(local - i64::from(before)),
        }
    }
}

impl Table {
    fn offset(&self, at: i64) -> i32 {
        let past = self.changes.partition_point(|(change, _)| *change <= at);
        if past == self.changes.len()
            && let Some(rule) = &self.rule
        {
            return rule.offset(at);
        }
        match past.checked_sub(1).and_then(|last| self.changes.get(last)) {
            Some((_, offset)) => *offset,
            None => self.first,
        }
    }
}

impl Rule {
    fn offset(&self, at: i64) -> i32 {
        let Some((summer, begin, end)) = self.summer else { return self.standard };
        let local = at.saturating_add(i64::from(self.standard)).max(0);
        let (year, ..) = civil((local / DAY).unsigned_abs());
        // Years that dates are made for.
        let year = year.clamp(1970, 9_998);
        let begins = begin.seconds(year) - i64::from(self.standard);
        let ends = end.seconds(year) - i64::from(summer);
        let is_summer = match begins < ends {
            true => (begins..ends).contains(&at),
            // The southern half: winter lies in the middle of the year.
            false => !(ends..begins).contains(&at),
        };
        if is_summer { summer } else { self.standard }
    }
}

impl Change {
    /// Local seconds of the change in a year.
    fn seconds(&self, year: u64) -> i64 {
        let first = |month: u64| days(year, month, 1).unwrap_or(0);
        let day = match self.day {
            RuleDay::Zero(day) => first(1) + day,
            RuleDay::Julian(day) => {
                let leap = first(3) - first(1) == 60;
                first(1) + day - 1 + u64::from(leap && day >= 60)
            }
            RuleDay::Month(month, week, weekday) => {
                let start = first(month);
                let next = if month == 12 { start + 31 } else { first(month + 1) };
                let mut day = start + (7 + weekday - (start + 4) % 7) % 7 + (week - 1) * 7;
                while day >= next {
                    day -= 7;
                }
                day
            }
        };
        i64::try_from(day).unwrap_or(0) * DAY + self.time
    }
}

/// What is left of a file.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<usize, &'static str> {
        let bytes = self.take(4)?.first_chunk::<4>().ok_or("it ends too early")?;
        usize::try_from(u32::from_be_bytes(*bytes)).map_err(|_| "a count is too large")
    }
}

/// Counts of a header: UTC and standard flags, leap seconds, changes, types, letters.
struct Counts {
    version: u8,
    isut: usize,
    isstd: usize,
    leap: usize,
    changes: usize,
    types: usize,
    letters: usize,
}

impl Counts {
    fn read(bytes: &mut Bytes<'_>) -> Result<Self, &'static str> {
        if bytes.take(4)? != b"TZif" {
            return Err("it is no TZif file");
        }
        let version = bytes.take(16)?.first().copied().unwrap_or(0);
        let mut next = || bytes.u32();
        let (isut, isstd, leap) = (next()?, next()?, next()?);
        let (changes, types, letters) = (next()?, next()?, next()?);
        if [isut, isstd, leap, changes, types, letters].iter().any(|n| *n > limits::CRON_ZONE_FILE)
        {
            return Err("a count is too large");
        }
        Ok(Self { version, isut, isstd, leap, changes, types, letters })
    }

    /// Bytes behind the changes and their types, with times of so many bytes.
    fn rest(&self, time: usize) -> usize {
        self.letters + self.leap * (time + 4) + self.isstd + self.isut
    }
}

fn parse(bytes: &[u8]) -> Result<Table, &'static str> {
    let mut bytes = Bytes(bytes);
    let old = Counts::read(&mut bytes)?;
    if old.version < b'2' {
        return Err("it is of version 1, which ends in 2037");
    }
    bytes.take(old.changes * 5 + old.types * 6 + old.rest(4))?;
    let counts = Counts::read(&mut bytes)?;
    let times = bytes.take(counts.changes * 8)?;
    let indexes = bytes.take(counts.changes)?;
    let mut offsets = Vec::new();
    for kind in bytes.take(counts.types * 6)?.chunks_exact(6) {
        let offset = i32::from_be_bytes(*kind.first_chunk::<4>().ok_or("it ends too early")?);
        if !(-OFFSET_MAX..=OFFSET_MAX).contains(&offset) {
            return Err("an offset is more than a day");
        }
        offsets.push(offset);
    }
    bytes.take(counts.rest(8))?;
    let mut changes = Vec::new();
    for (time, index) in times.chunks_exact(8).zip(indexes) {
        let time = i64::from_be_bytes(*time.first_chunk::<8>().ok_or("it ends too early")?);
        let offset = *offsets.get(usize::from(*index)).ok_or("a change has no type")?;
        if changes.last().is_some_and(|(last, _)| *last >= time) {
            return Err("its changes are not in order");
        }
        changes.push((time, offset));
    }
    let first = *offsets.first().ok_or("it has no types")?;
    let footer = bytes.0.strip_prefix(b"\n").and_then(|text| text.split(|b| *b == b'\n').next());
    let footer = footer.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let rule = match footer {
        "" => None,
        text => Some(rule(text).ok_or("its rule for the future cannot be read")?),
    };
    Ok(Table { first, changes, rule })
}

fn rule(text: &str) -> Option<Rule> {
    let mut left = Text(text);
    left.name()?;
    let standard = -left.time(24)?;
    if left.0.is_empty() {
        return Some(Rule { standard: i32::try_from(standard).ok()?, summer: None });
    }
    left.name()?;
    let summer = match left.0.starts_with(',') {
        true => standard + 3600,
        false => -left.time(24)?,
    };
    let begin = left.change()?;
    let end = left.change()?;
    let (standard, summer) = (i32::try_from(standard).ok()?, i32::try_from(summer).ok()?);
    left.0.is_empty().then_some(Rule { standard, summer: Some((summer, begin, end)) })
}

/// What is left of a rule.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn eat(&mut self, what: char) -> Option<()> {
        self.0 = self.0.strip_prefix(what)?;
        Some(())
    }

    /// `CET` or `<+03>`.
    fn name(&mut self) -> Option<()> {
        if self.eat('<').is_some() {
            self.0 = self.0.split_once('>')?.1;
            return Some(());
        }
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let long = self.0.len() - rest.len() >= 3;
        self.0 = rest;
        long.then_some(())
    }

    fn number(&mut self, max: u64) -> Option<u64> {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        digits.parse().ok().filter(|n| *n <= max)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self, hours: u64) -> Option<i64> {
        let sign = if self.eat('-').is_some() { -1 } else { 1 };
        let _ = self.eat('+');
        let mut seconds = self.number(hours)? * 3600;
        if self.eat(':').is_some() {
            seconds += self.number(59)? * 60;
            if self.eat(':').is_some() {
                seconds += self.number(59)?;
            }
        }
        Some(sign * i64::try_from(seconds).ok()?)
    }

    /// `,M3.5.0/2`
    fn change(&mut self) -> Option<Change> {
        self.eat(',')?;
        let day = if self.eat('M').is_some() {
            let month = self.number(12).filter(|n| *n > 0)?;
            self.eat('.')?;
            let week = self.number(5).filter(|n| *n > 0)?;
            self.eat('.')?;
            RuleDay::Month(month, week, self.number(6)?)
        } else if self.eat('J').is_some() {
            RuleDay::Julian(self.number(365).filter(|n| *n > 0)?)
        } else {
            RuleDay::Zero(self.number(365)?)
        };
        let time = if self.eat('/').is_some() { self.time(167)? } else { 7200 };
        Some(Change { day, time })
    }
}

/// Any bytes as a table and asked about any time: never a panic.
pub fn fuzz(data: &[u8]) {
    let Ok(zone) = Zone::read(data) else { return };
    for at in [0, 1_795_000_000, 4_102_444_800, 253_402_300_000] {
        let _ = (zone.offset(at), zone.find(at));
    }
}

#[cfg(test)]
#[path = "zone_tests.rs"]
pub(in crate::gateway) mod tests;
