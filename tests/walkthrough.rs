//! The README's runbook, typed line by line in an empty home: every command in a block marked
//! `<!-- walk -->` is run in the order it stands there, by a shell, and what it prints is checked.
//! A line without an expectation fails, and so does an expectation without a line; a block of
//! commands without the mark must name the test that runs it (`<!-- walk: tests/real/ssh -->`).

#![cfg(all(feature = "tls", feature = "process"))]

mod common;

use common::{Home, Lines, Ran};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a line must do.
enum Does {
    /// It ends with this code and has said all of this, on either output.
    Ends(i32, &'static [&'static str]),
    /// It goes on and says this; the gateway that ran before it is stopped first.
    Runs(&'static str),
    /// The same, beside what runs already.
    Replaces(&'static str),
    /// It goes on and says this, and is stopped then.
    Follows(&'static str),
}

use Does::{Ends, Follows, Replaces, Runs};

/// Every line of the README that is walked, in its order.
const LINES: &[(&str, Does)] = &[];

/// Ports that the README names; each walk uses free ones in their place.
const PORTS: [&str; 2] = ["18789", "19001"];

/// The README's commands: block by block, the text before each telling who runs it.
struct Block {
    line: usize,
    mark: String,
    commands: Vec<String>,
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).expect("README.md")
}

/// Blocks of shell commands between two headings.
fn blocks(text: &str, from: &str, to: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut inside, mut open, mut before) = (false, false, "");
    for (number, line) in text.lines().enumerate() {
        inside = (inside || line == from) && line != to;
        if !inside {
            continue;
        }
        if open {
            if line == "```" {
                open = false;
            } else if let Some(block) = found.last_mut() {
                push(&mut block.commands, line);
            }
        } else if line == "```sh" || line == "```bash" {
            open = true;
            let mark = before.strip_prefix("<!-- walk").and_then(|mark| mark.strip_suffix(" -->"));
            let mark = mark.unwrap_or("none").trim_start_matches(':').trim().to_owned();
            found.push(Block { line: number + 1, mark, commands: Vec::new() });
        }
        if !line.is_empty() {
            before = line;
        }
    }
    found
}

/// One line of a block: joined to a line that ended in a backslash, without its comment.
fn push(commands: &mut Vec<String>, line: &str) {
    let code = match line.find(" # ") {
        Some(at) => &line[..at],
        None if line.starts_with('#') => "",
        None => line,
    };
    let code = code.trim();
    if code.is_empty() {
        return;
    }
    match commands.last_mut() {
        Some(last) if last.ends_with('\\') => {
            last.pop();
            last.push_str(code);
        }
        _ => commands.push(code.to_owned()),
    }
}

#[test]
fn every_block_of_commands_is_run_by_somebody() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for block in blocks(&readme(), "## Start", "## Limits") {
        let known = block.mark.is_empty() || root.join(&block.mark).exists();
        assert!(known, "README.md:{}: nobody runs this block ({})", block.line, block.mark);
    }
}

/// A home with a shell in it.
struct Walk {
    home: Home,
    bin: PathBuf,
    ports: Vec<String>,
    running: Option<Lines>,
}

impl Walk {
    fn new() -> Self {
        let home = Home::new();
        let bin = home.0.join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_openclaw"), bin.join("openclaw"))
            .expect("a link");
        // Held together, so that they differ.
        let held: Vec<TcpListener> =
            PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let port = |held: &TcpListener| held.local_addr().expect("an address").port().to_string();
        let ports = held.iter().map(port).collect();
        Self { home, bin, ports, running: None }
    }

    fn shell(&self, line: &str) -> Command {
        let mut line = line.to_owned();
        for (named, free) in PORTS.iter().zip(&self.ports) {
            line = line.replace(named, free);
        }
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("[ -f ~/variables ] && . ~/variables; {line}")])
            .env_clear()
            .env("HOME", &self.home.0)
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()))
            .env("OPENCLAW_GATEWAY_PORT", &self.ports[0])
            .current_dir(&self.home.0)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn go(&mut self, line: &str, does: &Does) {
        match does {
            Ends(code, says) => {
                let assigned = line.split_once('=').is_some_and(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|c| c.is_ascii_uppercase())
                });
                if assigned {
                    let kept = format!("{line}; declare -p TOKEN >~/variables");
                    let ran = Ran::of(&mut self.shell(&kept));
                    return assert_eq!(ran.code, 0, "{line}: {ran:?}");
                }
                let ran = Ran::of(&mut self.shell(line));
                assert_eq!(ran.code, *code, "{line}: {ran:?}");
                let all = format!("{}{}", ran.out, ran.err);
                for want in *says {
                    assert!(all.contains(want), "{line}: no `{want}` in {all}");
                }
            }
            Runs(says) => {
                self.running = None;
                self.running = Some(self.background(line, says));
            }
            Replaces(says) => self.running = Some(self.background(line, says)),
            Follows(says) => drop(self.background(line, says)),
        }
    }

    fn background(&self, line: &str, says: &str) -> Lines {
        let mut command = self.shell(&format!("exec {line} 2>&1"));
        command.stderr(Stdio::null());
        let mut lines = Lines::start_as_it_is(&mut command);
        lines.wait_for(says);
        lines
    }
}

#[test]
fn the_runbook_is_typed_from_top_to_bottom() {
    let typed: Vec<(usize, String)> = blocks(&readme(), "## Start", "## Limits")
        .into_iter()
        .filter(|block| block.mark.is_empty())
        .flat_map(|block| block.commands.into_iter().map(move |line| (block.line, line)))
        .collect();
    let expected: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    let lines: Vec<&str> = typed.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, expected, "README.md and LINES name the same commands in the same order");
    let mut walk = Walk::new();
    for ((at, line), (_, does)) in typed.iter().zip(LINES) {
        eprintln!("README.md:{at}: {line}");
        walk.go(line, does);
    }
}
