//! How often the configuration file may be written by clients.

use crate::driver::Time;
use crate::limits;
use std::collections::BTreeMap;

/// Writes by method and caller.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Writes {
    by: BTreeMap<(&'static str, String), (Time, u32)>,
}

impl Writes {
    /// Counts one; how long to wait when that is too many.
    pub(in crate::gateway) fn count(
        &mut self,
        method: &'static str,
        who: String,
        now: Time,
    ) -> Option<u64> {
        let window = limits::CONFIG_WRITES_MS;
        self.by.retain(|_, (since, _)| now.ms_since(*since) < window);
        let key = (method, who);
        if !self.by.contains_key(&key) && self.by.len() >= limits::CONFIG_WRITERS {
            return Some(window);
        }
        let (since, count) = self.by.entry(key).or_insert((now, 0));
        if *count >= limits::CONFIG_WRITES {
            return Some(window - now.ms_since(*since));
        }
        *count += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_method_and_caller() {
        let mut writes = Writes::default();
        let mut at = Time(0);
        for _ in 0..limits::CONFIG_WRITES {
            assert_eq!(writes.count("config.set", "a".to_owned(), at), None);
        }
        at = at.after_ms(1_000);
        let window = limits::CONFIG_WRITES_MS;
        assert_eq!(writes.count("config.set", "a".to_owned(), at), Some(window - 1_000));
        assert_eq!(writes.count("config.patch", "a".to_owned(), at), None);
        assert_eq!(writes.count("config.set", "b".to_owned(), at), None);
        for n in 0..limits::CONFIG_WRITERS {
            writes.count("config.set", format!("n{n}"), at);
        }
        assert!(writes.by.len() <= limits::CONFIG_WRITERS);
        assert_eq!(writes.count("config.set", "late".to_owned(), at), Some(window));
        assert_eq!(writes.count("config.set", "a".to_owned(), at.after_ms(window)), None);
    }
}
