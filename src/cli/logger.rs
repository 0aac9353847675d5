//! The logger behind the `log` macros: JSON lines into a file, lines for people on standard
//! output.
//!
//! A line of the file is what `logs.tail` serves and the reference writes: keys `"0"` (a JSON
//! string with the subsystem), `"1"` (the message), `_meta`, `time`. The file is 0600, never
//! synced, and at its cap it becomes `<name>.1` and that `<name>.2`: [`limits::LOG_FILES`] at most
//! exist, and the newest lines are always there. A line that repeats the former one is counted
//! instead of written; the count is told at 10, 100, 1000 and so on, and when another line comes.
//! Control characters arrive escaped, whoever sent them.
//! The one lock of the program is here: the resolver thread may log too.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Metadata, Record};

use crate::config::LogLevel;
use crate::limits;
use crate::wire::text::{escape_log, json_string, rfc3339_ms};

/// What to write where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// Its level.
    pub level: LevelFilter,
    /// The level of standard output.
    pub console: LevelFilter,
    /// The file's cap; brought within [`limits::LOG_FILE_MIN`] and [`limits::LOG_FILE_MAX`].
    pub max_file_bytes: u64,
    /// The machine's name.
    pub host: String,
}

/// The logger of the process.
pub struct Logger {
    level: AtomicUsize,
    console: AtomicUsize,
    console_open: AtomicBool,
    host: String,
    inner: Mutex<Inner>,
}

/// The last line and how often it came again.
struct Last {
    level: Level,
    target: String,
    message: String,
    again: u64,
    told: u64,
}

struct Inner {
    path: PathBuf,
    file: File,
    len: u64,
    max: u64,
    last: Option<Last>,
    line: Vec<u8>,
    complained: bool,
}

/// From the configuration's word.
pub fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Silent => LevelFilter::Off,
        LogLevel::Fatal | LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    }
}

impl Logger {
    /// Opens the file; nothing is installed yet.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(options: Options) -> io::Result<Self> {
        let (file, len) = open_file(&options.path)?;
        let max = options.max_file_bytes.clamp(limits::LOG_FILE_MIN, limits::LOG_FILE_MAX);
        let inner = Inner {
            path: options.path,
            file,
            len,
            max,
            last: None,
            line: Vec::new(),
            complained: false,
        };
        Ok(Self {
            level: AtomicUsize::new(options.level as usize),
            console: AtomicUsize::new(options.console as usize),
            console_open: AtomicBool::new(false),
            host: options.host,
            inner: Mutex::new(inner),
        })
    }

    /// Makes it the logger of the process, for the rest of its life.
    pub fn install(self) -> &'static Self {
        let logger: &'static Self = Box::leak(Box::new(self));
        if log::set_logger(logger).is_ok() {
            logger.tell_macros();
        }
        logger
    }

    /// Other levels, from the next line on.
    pub fn set_levels(&self, level: LevelFilter, console: LevelFilter) {
        self.level.store(level as usize, Ordering::Relaxed);
        self.console.store(console as usize, Ordering::Relaxed);
        self.tell_macros();
    }

    /// Lets the macros skip what nobody wants.
    fn tell_macros(&self) {
        let most = self.level.load(Ordering::Relaxed).max(self.console.load(Ordering::Relaxed));
        let most = LevelFilter::iter().find(|filter| *filter as usize == most);
        log::set_max_level(most.unwrap_or(LevelFilter::Info));
    }

    fn for_file(&self, level: Level) -> bool {
        level as usize <= self.level.load(Ordering::Relaxed)
    }

    fn for_console(&self, level: Level) -> bool {
        level as usize <= self.console.load(Ordering::Relaxed)
    }

    /// From now on lines also go to standard output: what the start has to say comes first.
    pub fn open_console(&self) {
        self.console_open.store(true, Ordering::Relaxed);
    }

    /// A line for the file only.
    pub fn note(&self, level: Level, target: &str, message: &str) {
        if self.for_file(level) {
            self.file_line(level, target, message);
        }
    }

    fn file_line(&self, level: Level, target: &str, message: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let inner = &mut *inner;
        if let Some(last) = &mut inner.last
            && last.level == level
            && last.target == target
            && last.message == message
        {
            last.again = last.again.saturating_add(1);
            // 10, 100, 1000: often enough to see that it goes on.
            if last.again < last.told.saturating_mul(10).max(10) {
                return;
            }
            last.told = last.again;
            let text = format!("{message} (repeated {} times)", last.again);
            inner.write(&self.host, level, target, &text);
            return;
        }
        inner.tell_repeats(&self.host);
        inner.write(&self.host, level, target, message);
        let (target, message) = (target.to_owned(), message.to_owned());
        inner.last = Some(Last { level, target, message, again: 0, told: 0 });
    }
}

impl Inner {
    /// Writes how often the last line came again, if that was not said yet.
    fn tell_repeats(&mut self, host: &str) {
        if let Some(last) = self.last.take()
            && last.again > last.told
        {
            let text = format!("{} (repeated {} times)", last.message, last.again);
            self.write(host, last.level, &last.target, &text);
        }
    }

    fn write(&mut self, host: &str, level: Level, target: &str, message: &str) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        format_line(&mut line, host, level, target, message, wall_ms());
        if self.len.saturating_add(line.len() as u64) > self.max && self.len > 0 {
            self.rotate();
        }
        match self.file.write_all(&line) {
            Ok(()) => {
                self.len = self.len.saturating_add(line.len() as u64);
                self.complained = false;
            }
            Err(error) if !self.complained => {
                // Once, not for every line: a full disk must not flood the terminal as well.
                self.complained = true;
                let _ = writeln!(io::stderr(), "openclaw: log {}: {error}", self.path.display());
            }
            Err(_) => {}
        }
        // One long line does not keep its memory.
        if line.capacity() <= 4096 {
            self.line = line;
        }
    }

    fn rotate(&mut self) {
        let named = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            PathBuf::from(name)
        };
        for number in (1..limits::LOG_FILES.saturating_sub(1)).rev() {
            // There may be none yet.
            let _ = std::fs::rename(named(number), named(number + 1));
        }
        let fresh = std::fs::rename(&self.path, named(1)).and_then(|()| open_file(&self.path));
        match fresh {
            Ok((file, len)) => (self.file, self.len) = (file, len),
            // Keep the cap even so: the old lines go.
            Err(_) if self.file.set_len(0).is_ok() => self.len = 0,
            Err(_) => {}
        }
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.for_file(metadata.level()) || self.for_console(metadata.level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = escape_log(&record.args().to_string(), limits::LOG_MESSAGE);
        let target = subsystem(record.target());
        if self.for_file(record.level()) {
            self.file_line(record.level(), &target, &message);
        }
        if self.for_console(record.level()) && self.console_open.load(Ordering::Relaxed) {
            let line = console_line(wall_ms(), record.level(), &target, &message);
            // Whoever read our output may be gone; the file has the line.
            let _ = io::stdout().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.tell_repeats(&self.host);
    }
}

/// `openclaw_gateway::reactor::dial` is `reactor/dial`; a target of our own stays as it is.
fn subsystem(target: &str) -> String {
    let own = target.strip_prefix("openclaw_gateway::").unwrap_or(target);
    escape_log(&own.replace("::", "/"), 128)
}

fn console_line(wall_ms: u64, level: Level, target: &str, message: &str) -> String {
    let time = rfc3339_ms(wall_ms);
    let word = match level {
        Level::Error => " error:",
        Level::Warn => " warning:",
        Level::Info => "",
        Level::Debug => " debug:",
        Level::Trace => " trace:",
    };
    format!("{time} [{target}]{word} {message}\n")
}

fn format_line(
    out: &mut Vec<u8>,
    host: &str,
    level: Level,
    target: &str,
    message: &str,
    wall_ms: u64,
) {
    let time = rfc3339_ms(wall_ms);
    let mut name = Vec::new();
    name.extend_from_slice(b"{\"subsystem\":");
    json_string(&mut name, target);
    name.push(b'}');
    let name = String::from_utf8(name).unwrap_or_default();
    let (number, word) = match level {
        Level::Trace => ("1", "TRACE"),
        Level::Debug => ("2", "DEBUG"),
        Level::Info => ("3", "INFO"),
        Level::Warn => ("4", "WARN"),
        Level::Error => ("5", "ERROR"),
    };
    out.extend_from_slice(b"{\"0\":");
    json_string(out, &name);
    out.extend_from_slice(b",\"1\":");
    json_string(out, message);
    out.extend_from_slice(b",\"_meta\":{\"runtime\":\"rust\",\"hostname\":");
    json_string(out, host);
    out.extend_from_slice(b",\"date\":");
    json_string(out, &time);
    out.extend_from_slice(b",\"logLevelId\":");
    out.extend_from_slice(number.as_bytes());
    out.extend_from_slice(b",\"logLevelName\":");
    json_string(out, word);
    out.extend_from_slice(b",\"name\":");
    json_string(out, &name);
    out.extend_from_slice(b",\"parentNames\":[\"openclaw\"]},\"time\":");
    json_string(out, &time);
    out.extend_from_slice(b"}\n");
}

/// Unix time in milliseconds.
pub(super) fn wall_ms() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            crate::store::make_parents(path)?;
            options.open(path)?
        }
        other => other?,
    };
    let len = file.metadata()?.len();
    Ok((file, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Log;
    use serde_json::Value;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = format!("openclaw-logger-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn logger(&self, max_file_bytes: u64) -> Logger {
            Logger::open(Options {
                path: self.0.join("logs/openclaw.log"),
                level: LevelFilter::Info,
                console: LevelFilter::Off,
                max_file_bytes,
                host: "vm".to_owned(),
            })
            .unwrap()
        }

        fn lines(&self, name: &str) -> Vec<Value> {
            let text = std::fs::read_to_string(self.0.join("logs").join(name)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn say(logger: &Logger, level: Level, text: &str) {
        logger.log(
            &Record::builder()
                .level(level)
                .target("openclaw_gateway::reactor::dial")
                .args(format_args!("{text}"))
                .build(),
        );
    }

    #[test]
    fn a_line_has_the_reference_shape() {
        let scratch = Scratch::new("shape");
        let logger = scratch.logger(1 << 20);
        say(&logger, Level::Info, "quote \" and \u{1b}[2J and\nbreak");
        say(&logger, Level::Debug, "not at this level");
        let lines = scratch.lines("openclaw.log");
        assert_eq!(lines.len(), 1);
        logger.set_levels(LevelFilter::Debug, LevelFilter::Off);
        say(&logger, Level::Debug, "but now");
        assert_eq!(scratch.lines("openclaw.log").len(), 2);
        let line = &lines[0];
        assert_eq!(line["0"], r#"{"subsystem":"reactor/dial"}"#);
        let message = line["1"].as_str().unwrap();
        assert!(message.starts_with("quote \" and "), "{message}");
        assert!(!message.contains(['\u{1b}', '\n']), "{message:?}");
        assert_eq!(line["_meta"]["logLevelName"], "INFO");
        assert_eq!(line["_meta"]["runtime"], "rust");
        assert_eq!(line["_meta"]["hostname"], "vm");
        assert_eq!(line["_meta"]["parentNames"][0], "openclaw");
        assert_eq!(line["_meta"]["name"], line["0"]);
        assert_eq!(line["_meta"]["date"], line["time"]);
    }

    #[test]
    fn repeats_are_counted() {
        let scratch = Scratch::new("repeats");
        let logger = scratch.logger(1 << 20);
        for _ in 0..25 {
            say(&logger, Level::Warn, "same");
        }
        say(&logger, Level::Warn, "other");
        say(&logger, Level::Warn, "other");
        logger.flush();
        let texts: Vec<String> = scratch
            .lines("openclaw.log")
            .iter()
            .map(|line| line["1"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            texts,
            [
                "same",
                "same (repeated 10 times)",
                "same (repeated 24 times)",
                "other",
                "other (repeated 1 times)"
            ]
        );
    }

    #[test]
    fn the_files_are_private_and_go_round() {
        let scratch = Scratch::new("rotate");
        // Below the least cap: the least cap holds.
        let logger = scratch.logger(1);
        let filler = "x".repeat(1000);
        for n in 0..200 {
            say(&logger, Level::Info, &format!("{n} {filler}"));
        }
        let cap = limits::LOG_FILE_MIN;
        for name in ["openclaw.log", "openclaw.log.1", "openclaw.log.2"] {
            let meta = std::fs::metadata(scratch.0.join("logs").join(name)).unwrap();
            assert!(meta.len() <= cap && meta.len() > 0, "{name} {}", meta.len());
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
            }
        }
        let lines = scratch.lines("openclaw.log");
        let newest = lines.last().unwrap()["1"].as_str().unwrap();
        assert!(newest.starts_with("199 "), "{newest}");
        let first = |name: &str| -> u32 {
            let lines = scratch.lines(name);
            lines[0]["1"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        assert!(first("openclaw.log.2") < first("openclaw.log.1"));
        assert!(first("openclaw.log.1") < first("openclaw.log"));
        let files = std::fs::read_dir(scratch.0.join("logs")).unwrap().count();
        assert_eq!(files, limits::LOG_FILES as usize);
    }

    #[test]
    fn console_lines_are_for_people() {
        assert_eq!(
            console_line(0, Level::Warn, "gateway", "low"),
            "1970-01-01T00:00:00.000Z [gateway] warning: low\n"
        );
    }
}
