//! Tokens and cost by day: one small file a day, `usage/<date>.json` in the state directory.
//!
//! A row is one session and one model on one day. Today's rows are in memory and written with
//! the indexes, at most once a second, so that a crash costs at most that second of the figures
//! (never a message). Past days are read when somebody asks. Days are UTC.

use crate::limits;
use crate::store::Disk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Tokens, and US dollars. The wire's own names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the wire's own names")]
pub struct Totals {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub total_tokens: u64,
    pub total_cost: f64,
    pub input_cost: f64,
    pub output_cost: f64,
    pub cache_read_cost: f64,
    pub cache_write_cost: f64,
    /// Answers of models whose price nobody configured.
    pub missing_cost_entries: u64,
}

impl Totals {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        let sum = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        sum(&mut self.input, other.input);
        sum(&mut self.output, other.output);
        sum(&mut self.cache_read, other.cache_read);
        sum(&mut self.cache_write, other.cache_write);
        sum(&mut self.total_tokens, other.total_tokens);
        sum(&mut self.missing_cost_entries, other.missing_cost_entries);
        self.total_cost += other.total_cost;
        self.input_cost += other.input_cost;
        self.output_cost += other.output_cost;
        self.cache_read_cost += other.cache_read_cost;
        self.cache_write_cost += other.cache_write_cost;
    }
}

/// Messages by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the wire's own names")]
pub struct Messages {
    pub total: u64,
    pub user: u64,
    pub assistant: u64,
    pub tool_calls: u64,
    pub tool_results: u64,
    pub errors: u64,
}

impl Messages {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
        self.assistant += other.assistant;
        self.tool_calls += other.tool_calls;
        self.tool_results += other.tool_results;
        self.errors += other.errors;
    }
}

/// One session and one model on one day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Row {
    /// Session key; empty for what found no place of its own.
    pub key: String,
    /// The session's id when this was last written.
    pub session_id: String,
    /// Empty for what no model said.
    pub provider: String,
    /// The model without its provider.
    pub model: String,
    /// Answers of the model.
    pub count: u64,
    /// Tokens and cost.
    pub totals: Totals,
    /// What was said.
    pub messages: Messages,
    /// Calls by tool.
    pub tools: BTreeMap<String, u64>,
    /// Unix milliseconds of the first and the last message.
    pub first: u64,
    /// See `first`.
    pub last: u64,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.totals.add(&other.totals);
        self.messages.add(other.messages);
        for (tool, count) in other.tools {
            if self.tools.len() < limits::USAGE_TOOLS || self.tools.contains_key(&tool) {
                *self.tools.entry(tool).or_default() += count;
            }
        }
        if self.first == 0 {
            self.first = other.first;
        }
        self.last = self.last.max(other.last);
        self.session_id = other.session_id;
    }

    fn place(&self) -> (String, String, String) {
        (self.key.clone(), self.provider.clone(), self.model.clone())
    }
}

/// The figures of all days.
#[derive(Debug)]
pub struct Usage {
    dir: PathBuf,
    /// The day whose rows are in memory; empty before the first.
    day: String,
    rows: BTreeMap<(String, String, String), Row>,
    dirty: bool,
}

impl Usage {
    /// Figures under `<state>/usage`; nothing is read yet.
    pub fn new(state_dir: &Path) -> Self {
        let dir = state_dir.join("usage");
        Self { dir, day: String::new(), rows: BTreeMap::new(), dirty: false }
    }

    fn path(&self, day: &str) -> PathBuf {
        self.dir.join(format!("{day}.json"))
    }

    /// Adds a message to the figures of a day (`2026-11-22`). Beyond
    /// [`limits::USAGE_ROWS`] rows it counts for the day and its model, and for no session.
    pub fn note(&mut self, disk: &mut dyn Disk, day: &str, mut row: Row) {
        if self.day != day {
            self.save(disk);
            self.rows = self.read(disk, day).into_iter().map(|row| (row.place(), row)).collect();
            day.clone_into(&mut self.day);
        }
        if self.rows.len() >= limits::USAGE_ROWS && !self.rows.contains_key(&row.place()) {
            row.key = String::new();
            row.session_id = String::new();
        }
        self.dirty = true;
        match self.rows.get_mut(&row.place()) {
            Some(known) => known.add(row),
            None => {
                self.rows.insert(row.place(), row);
            }
        }
    }

    /// Writes what changed; a disk that refuses gets it again with the next save.
    pub fn save(&mut self, disk: &mut dyn Disk) {
        if !self.dirty {
            return;
        }
        let rows: Vec<&Row> = self.rows.values().collect();
        let Ok(text) = serde_json::to_vec(&rows) else { return };
        let path = self.path(&self.day);
        match disk.replace(&path, &text) {
            Ok(()) => self.dirty = false,
            Err(error) => log::error!(target: "sessions", "{}: {error}", path.display()),
        }
    }

    /// True when something waits to be written.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The rows of a day; none when there is no file. A damaged file is left and reported.
    pub fn read(&self, disk: &dyn Disk, day: &str) -> Vec<Row> {
        if day == self.day {
            return self.rows.values().cloned().collect();
        }
        let path = self.path(day);
        match disk.read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                log::error!(target: "sessions", "{}: {error}; not counted", path.display());
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                log::error!(target: "sessions", "{}: {error}; not counted", path.display());
                Vec::new()
            }
        }
    }

    /// The first day there are figures of.
    pub fn first_day(&self, disk: &dyn Disk) -> Option<String> {
        let names = disk.list(&self.dir).unwrap_or_default();
        names.iter().filter_map(|name| name.strip_suffix(".json")).min().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use crate::store::RealDisk;

    fn row(key: &str, output: u64) -> Row {
        Row {
            key: key.to_owned(),
            provider: "p".to_owned(),
            count: 1,
            totals: Totals { output, total_cost: 0.5, ..Totals::default() },
            first: output,
            last: output,
            ..Row::default()
        }
    }

    #[test]
    fn figures_add_up_and_survive_a_restart_within_a_day() {
        let scratch = Scratch::new("usage");
        let mut disk = RealDisk;
        let mut usage = Usage::new(&scratch.0);
        usage.note(&mut disk, "2026-11-22", row("a", 3));
        usage.note(&mut disk, "2026-11-22", row("a", 4));
        usage.save(&mut disk);
        let mut again = Usage::new(&scratch.0);
        again.note(&mut disk, "2026-11-22", row("a", 5));
        again.note(&mut disk, "2026-11-22", row("b", 1));
        // The next day saves the one before.
        again.note(&mut disk, "2026-11-23", row("a", 9));
        assert!(again.is_dirty());
        let day = again.read(&disk, "2026-11-22");
        assert_eq!(day.len(), 2);
        assert_eq!((day[0].totals.output, day[0].count, day[0].first, day[0].last), (12, 3, 3, 5));
        assert!((day[0].totals.total_cost - 1.5).abs() < 1e-9);
        assert_eq!(again.read(&disk, "2026-11-23").len(), 1);
        assert_eq!(again.read(&disk, "2026-11-21"), Vec::new());
        assert_eq!(again.first_day(&disk).as_deref(), Some("2026-11-22"));
        disk.replace(&scratch.0.join("usage/2026-11-20.json"), b"{odd").unwrap();
        assert_eq!(again.read(&disk, "2026-11-20"), Vec::new());
    }

    #[test]
    fn more_sessions_than_rows_still_count_for_the_day() {
        let scratch = Scratch::new("usage-rows");
        let mut disk = RealDisk;
        let mut usage = Usage::new(&scratch.0);
        for n in 0..limits::USAGE_ROWS + 10 {
            usage.note(&mut disk, "d", row(&format!("k{n}"), 1));
        }
        let rows = usage.read(&disk, "d");
        assert_eq!(rows.len(), limits::USAGE_ROWS + 1);
        assert_eq!(
            rows.iter().map(|row| row.totals.output).sum::<u64>() as usize,
            limits::USAGE_ROWS + 10
        );
        assert_eq!(rows[0].totals.output, 10, "those without a place of their own");
    }
}
