//! What a check found: the shape of `doctor --lint --json`, and what would repair it.

use std::path::PathBuf;

use serde_json::{Value, json};

/// How bad it is, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works, and should not stay so.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// Every word of `--severity-min`.
    pub const WORDS: [&str; 3] = ["info", "warning", "error"];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// By its word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Error].into_iter().find(|it| it.as_str() == word)
    }
}

/// One change of the configuration file; paths as operators write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Gives a key this JSON.
    Set(String, Value),
    /// Takes a key out.
    Remove(String),
    /// Moves what stands at the first to the second, or drops it when that is set already.
    Move(String, String),
    /// Puts a word or a switch into the object that it became, under this name; a switch as
    /// `partial` or `off`.
    Nest(String, &'static str),
}

/// What `--fix` may do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Takes the rights of others from a file or directory.
    Chmod(PathBuf, u32),
    /// Changes the configuration file; what stood there is kept as `.bak`.
    Edit(Edit),
    /// Puts the last file that a gateway ran with in place of a damaged one, which is kept.
    LastGood,
    /// Writes a new token; what stood there is kept as `.bak`.
    Token,
    /// Reads the documents as a start does: what cannot be read is kept beside.
    Documents,
    /// Writes the service's definition again.
    Service,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Id of the check.
    pub check: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What, without any secret.
    pub message: String,
    /// Where: a key, or a file. Empty where there is no place.
    pub place: String,
    /// Line and column in that file, from 1.
    pub at: Option<(usize, usize)>,
    /// What to do, with the command to type.
    pub hint: String,
    /// What `--fix` may do.
    pub repair: Option<Repair>,
}

impl Finding {
    /// Without place, hint and repair.
    pub fn new(check: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        let (place, hint) = (String::new(), String::new());
        Self { check, severity, message: message.into(), place, at: None, hint, repair: None }
    }

    /// Where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What `--fix` may do.
    #[must_use]
    pub fn repair(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }

    /// As the reference shows it; what is not known is left out.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "checkId": self.check, "severity": self.severity.as_str(), "message": self.message,
        });
        if !self.place.is_empty() {
            value["path"] = json!(self.place);
        }
        if let Some((line, column)) = self.at {
            value["line"] = json!(line);
            value["column"] = json!(column);
        }
        if !self.hint.is_empty() {
            value["fixHint"] = json!(self.hint);
        }
        value
    }

    /// One line, and one for the hint.
    pub fn lines(&self) -> (String, Option<String>) {
        let place = if self.place.is_empty() { String::new() } else { format!(" {}", self.place) };
        let at = self.at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let line =
            format!("  [{}] {}{place}{at} - {}", self.severity.as_str(), self.check, self.message);
        (line, (!self.hint.is_empty()).then(|| format!("    fix: {}", self.hint)))
    }
}
