//! Runs the argv of room `service`: no shell, a time limit, an answer of bounded length.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::port;
use crate::limits;

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// It ended by itself with 0.
    pub well: bool,
    /// The program is not there, or did not end in time.
    pub absent: bool,
    /// Standard output.
    pub out: String,
    /// Standard error, or why there is none.
    pub error: String,
}

impl Answer {
    /// No service manager could be asked at all: there is none, or no bus leads to it.
    pub fn unreachable(&self) -> bool {
        self.absent
            || [
                "Failed to connect to bus",
                "Failed to connect to system scope bus",
                "Failed to connect to user scope bus",
                "System has not been booted with systemd",
                "No medium found",
                "DBUS_SESSION_BUS_ADDRESS",
                "Could not find domain for",
                "Domain does not support specified action",
            ]
            .iter()
            .any(|words| self.error.contains(words))
    }

    /// Its own words, one line.
    pub fn said(&self) -> String {
        let text = if self.error.trim().is_empty() { &self.out } else { &self.error };
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        crate::wire::text::escape_log(&lines.join("; "), 400)
    }
}

/// Runs it and waits at most so long, in milliseconds; a longer one is killed.
pub fn run(argv: &[String], patience_ms: u64) -> Answer {
    let Some((program, words)) = argv.split_first() else { return Answer::default() };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A pager or colours would hold it up or garble it.
    command.env("SYSTEMD_PAGER", "").env("SYSTEMD_COLORS", "0").env("LC_ALL", "C");
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let error = format!("{program}: {error}");
            return Answer { absent: true, error, ..Answer::default() };
        }
    };
    // Both pipes are drained beside, so that none fills up.
    let out = child.stdout.take().map(|pipe| std::thread::spawn(move || capped(pipe)));
    let error = child.stderr.take().map(|pipe| std::thread::spawn(move || capped(pipe)));
    let text = |reader: Option<std::thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let asked = Instant::now();
    let patience = Duration::from_millis(patience_ms);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let (out, error) = (text(out), text(error));
                return Answer { well: status.success(), absent: false, out, error };
            }
            Ok(None) if asked.elapsed() < patience => port::pause(),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let error = format!("{program} did not answer within {patience_ms} ms");
                return Answer { absent: true, error, ..Answer::default() };
            }
        }
    }
}

/// What fits; the rest is read and forgotten.
fn capped(mut pipe: impl Read) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n) = pipe.read(&mut chunk) {
        if n == 0 {
            break;
        }
        let room = limits::SERVICE_ANSWER.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn answers_are_kept_capped_and_timed() {
        let answer = run(&words(&["/bin/sh", "-c", "echo a; echo b >&2; exit 3"]), 10_000);
        assert_eq!((answer.out.as_str(), answer.error.as_str()), ("a\n", "b\n"));
        assert!(!answer.well && !answer.absent);
        let long = format!("head -c {} /dev/zero", limits::SERVICE_ANSWER * 3);
        let answer = run(&words(&["/bin/sh", "-c", &long]), 60_000);
        assert_eq!(answer.out.len(), limits::SERVICE_ANSWER);
        assert!(answer.well);
        let answer = run(&words(&["/nonexistent/openclaw-systemctl"]), 1000);
        assert!(answer.absent && answer.unreachable() && answer.error.contains("/nonexistent"));
        let answer = run(&words(&["/bin/sleep", "600"]), 1);
        assert!(answer.absent && answer.error.contains("within 1 ms"), "{answer:?}");
    }
}
