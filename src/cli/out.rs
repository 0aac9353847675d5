//! Standard output for commands. A reader that went away (`openclaw logs | head`) ends the
//! command quietly instead of with a panic.

use std::io::{self, Write};

use crate::wire::text::escape_log;
use serde_json::Value;

/// Prints a text as it is.
pub fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Nobody reads any more: what was asked for is done. Anything else (a full disk behind
        // a redirection) is a failure that the caller's script must see.
        std::process::exit(if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

/// Prints one line.
pub fn line(line: &str) {
    let mut all = String::with_capacity(line.len() + 1);
    all.push_str(line);
    all.push('\n');
    text(&all);
}

/// Prints one JSON document over several lines.
pub fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned()));
}

/// Says something beside the output: one line on standard error.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "openclaw: {}", foreign(line));
}

/// Text of a peer, fit for a terminal: control characters escaped, line breaks kept.
pub fn foreign(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| escape_log(line, usize::MAX)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sends_cannot_drive_the_terminal() {
        assert_eq!(foreign("a\nb"), "a\nb");
        assert!(!foreign("a\u{1b}[2J\r\nb").contains(['\u{1b}', '\r']));
    }
}
