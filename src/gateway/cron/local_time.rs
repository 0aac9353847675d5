//! A time of a log as the wall clock of this machine shows it.

use super::zone::{HOST_ZONE, ZONE_DIRS, Zone};
use crate::limits;
use crate::wire::text::{date_ms, rfc3339_ms};

/// A zone, for showing times only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTime(Zone);

impl LocalTime {
    /// Most bytes of a table.
    pub const FILE: usize = limits::CRON_ZONE_FILE;

    /// The zone of this name, else the machine's; `read` hands over a file of the system. `None`
    /// when there is no such table.
    pub fn find(name: Option<&str>, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let table = |path: &str| Zone::read(&read(path)?).ok();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return table(HOST_ZONE).map(Self);
        };
        if let Some(zone) = Zone::plain(name) {
            return Some(Self(zone));
        }
        let named = || ZONE_DIRS.iter().find_map(|dir| table(&format!("{dir}/{name}")));
        Zone::is_name(name).then(named).flatten().map(Self)
    }

    /// `2026-11-22T09:47:12.586Z` as `2026-11-22T10:47:12.586+01:00`; `None` for another text.
    /// In a zone that is at UTC then it stays as it is.
    pub fn shown(&self, utc: &str) -> Option<String> {
        let (day, rest) = utc.split_once('T')?;
        let time = rest.strip_suffix('Z').or_else(|| rest.strip_suffix("+00:00"))?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
        let mut part = |max: u64| parts.next()?.filter(|part| *part <= max);
        let seconds = part(23)? * 3600 + part(59)? * 60 + part(60)?;
        let ms = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
        let unix_ms = date_ms(day)?.checked_add(seconds * 1000 + ms)?;
        let offset = i64::from(self.0.offset(i64::try_from(unix_ms / 1000).ok()?));
        if offset == 0 {
            return Some(rfc3339_ms(unix_ms));
        }
        let there = unix_ms.checked_add_signed(offset.checked_mul(1000)?)?;
        let text = rfc3339_ms(there);
        let minutes = offset.unsigned_abs() / 60;
        let sign = if offset < 0 { '-' } else { '+' };
        let text = text.strip_suffix('Z')?;
        Some(format!("{text}{sign}{:02}:{:02}", minutes / 60, minutes % 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_log_is_shown_by_the_clock_on_the_wall() {
        let east = LocalTime::find(Some("+05:30"), &|_| None).unwrap();
        let shown = |text: &str| east.shown(text);
        assert_eq!(shown("2026-12-31T20:00:00.5Z").unwrap(), "2027-01-01T01:30:00.500+05:30");
        let west = LocalTime::find(Some("-0130"), &|_| None).unwrap();
        let text = west.shown("2026-01-01T01:00:00.123+00:00").unwrap();
        assert_eq!(text, "2025-12-31T23:30:00.123-01:30");
        let utc = LocalTime::find(Some("UTC"), &|_| None).unwrap();
        assert_eq!(utc.shown("2026-01-01T01:00:00Z").unwrap(), "2026-01-01T01:00:00.000Z");
        for bad in ["", "now", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T99:00:00Z"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
        assert_eq!(LocalTime::find(Some("../../etc/passwd"), &|_| panic!("read")), None);
        assert_eq!(LocalTime::find(None, &|_| None), None);
    }
}
