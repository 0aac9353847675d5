//! The README's runbook, typed line by line in an empty home: every command in a block marked
//! `<!-- walk -->` is run in the order it stands there, by a shell, and what it prints is checked.
//! What a reader puts in, such as `<id>`, the walk looks up as a reader would: in the list before.
//! A line without an expectation fails, and so does an expectation without a line; a block of
//! commands without the mark must name the test that runs it (`<!-- walk: tests/real/ssh -->`).

#![cfg(all(feature = "tls", feature = "process"))]

mod common;

use common::device::{Device, cli};
use common::{Home, Lines, Ran};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What a line must do.
enum Does {
    /// It ends with this code and has said all of this, on either output.
    Ends(i32, &'static [&'static str]),
    /// It goes on and says this; the gateway that ran before it is stopped first.
    Runs(&'static str),
    /// It goes on and says this, and is stopped then.
    Follows(&'static str),
    /// As [`Does::Ends`], after somebody else did something.
    After(fn(&Walk), i32, &'static [&'static str]),
}

use Does::{After, Ends, Follows, Runs};

/// Every line of the README that is walked, in its order.
const LINES: &[(&str, Does)] = &[
    // Start
    ("openclaw setup", Ends(0, &["Wrote ", "gateway.auth.token in that file"])),
    ("openclaw gateway", Runs("is listening on ws://127.0.0.1:")),
    // Scheduled work
    (
        "openclaw cron add --name Brief --cron \"0 7 * * *\" --tz Europe/Berlin --message \
         \"Summarize the night.\"",
        Ends(0, &["\"tz\": \"Europe/Berlin\"", "\"nextRunAtMs\""]),
    ),
    (
        "openclaw cron add --name Tea --at 20m --system-event \"The tea is ready\"",
        Ends(0, &["\"kind\": \"systemEvent\""]),
    ),
    ("openclaw cron list", Ends(0, &["Tea", "Brief", "next in 19m", "(Europe/Berlin)"])),
    ("openclaw cron run <id> --wait", Ends(0, &["\"completionStatus\": \"succeeded\""])),
    ("openclaw cron runs <id>", Ends(0, &["\"jobName\": \"Tea\"", "The tea is ready"])),
    ("openclaw system event --text \"Check the inbox\" --mode now", Ends(0, &["ok"])),
    // Verify
    ("openclaw gateway status", Ends(0, &["Runtime: running", "RPC probe: ok"])),
    ("openclaw health", Ends(0, &["Gateway: ok"])),
    ("openclaw status", Ends(0, &["OpenClaw status", "Agents: main (default)"])),
    ("openclaw logs --follow", Follows("listening on ws://")),
    ("openclaw agent --message \"hello\"", Ends(0, &["hello"])),
    ("curl -s http://127.0.0.1:18789/readyz", Ends(0, &["\"ready\":true"])),
    // Secrets
    ("openclaw secrets reload", Ends(0, &["secrets reloaded"])),
    ("openclaw secrets audit --check", Ends(1, &["plaintext=1", "gateway.auth.token"])),
    ("openclaw secrets audit --allow-exec", Ends(0, &["unresolved=0"])),
    // Devices
    ("openclaw devices list", After(a_device_knocks, 0, &["Pending:", "operator"])),
    ("openclaw devices approve", Ends(1, &["openclaw devices approve "])),
    ("openclaw devices approve <requestId>", Ends(0, &["pproved"])),
    (
        "openclaw devices rename --device <device> --name \"Kitchen\"",
        After(the_device_comes_in, 0, &["Kitchen"]),
    ),
    (
        "openclaw devices rotate --device <device> --role operator --scope operator.read",
        Ends(0, &["operator"]),
    ),
    ("openclaw devices revoke --device <device> --role operator", Ends(0, &["evoked"])),
    ("openclaw devices remove <device>", Ends(0, &["emoved"])),
    ("openclaw qr --public-url wss://gateway.example/ws", Ends(0, &["gateway.example"])),
];

/// What stands for something that a list says: the line's words before it, the list, where in it.
const BLANKS: [(&str, &str, &str, &str); 3] = [
    ("openclaw cron", "<id>", "openclaw cron list --json", "/jobs/0/id"),
    ("openclaw devices", "<requestId>", "openclaw devices list --json", "/pending/0/requestId"),
    ("openclaw devices", "<device>", "openclaw devices list --json", "/paired/0/deviceId"),
];

/// What a device of somebody else shows: the secret.
fn device(walk: &Walk) -> (Device, u16, Value) {
    let file = std::fs::read_to_string(walk.home.state().join("openclaw.json")).expect("the file");
    let (_, token) = file.split_once("token: \"").expect("a token in it");
    let (token, _) = token.split_once('"').expect("it ends");
    let mut params = cli();
    params["auth"] = json!({"token": token});
    (Device::new(7), walk.ports[0].parse().expect("a port"), params)
}

/// It asks to be paired, from afar.
fn a_device_knocks(walk: &Walk) {
    let (device, port, params) = device(walk);
    let refused = device.refused_afar(port, &params);
    assert_eq!(refused.details(), "PAIRING_REQUIRED", "{refused:?}");
}

/// It comes in, and is given a token of its own.
fn the_device_comes_in(walk: &Walk) {
    let (device, port, params) = device(walk);
    device.connect_afar(port, &params);
}

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
    /// What stands for a blank, once it was looked up.
    filled: BTreeMap<usize, String>,
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
        Self { home, bin, ports, running: None, filled: BTreeMap::new() }
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

    /// The line with its blanks filled in.
    fn filled(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for (number, (command, blank, list, at)) in BLANKS.iter().enumerate() {
            if !line.starts_with(command) || !line.contains(blank) {
                continue;
            }
            if !self.filled.contains_key(&number) {
                let ran = Ran::of(&mut self.shell(list));
                let said: Value = serde_json::from_str(&ran.out).expect("JSON");
                let found = said.pointer(at).and_then(Value::as_str);
                let found = found.unwrap_or_else(|| panic!("nothing for {blank} in {said}"));
                self.filled.insert(number, found.to_owned());
            }
            line = line.replace(blank, &self.filled[&number]);
        }
        line
    }

    fn go(&mut self, line: &str, does: &Does) {
        let line = &self.filled(line);
        match does {
            After(somebody, code, says) => {
                somebody(self);
                self.go(line, &Ends(*code, says));
            }
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
#[expect(clippy::print_stderr, reason = "a failed walk shows how far it came")]
fn the_runbook_is_typed_from_top_to_bottom() {
    let typed: Vec<(usize, String)> = blocks(&readme(), "## Start", "## Limits")
        .into_iter()
        .filter(|block| block.mark.is_empty())
        .flat_map(|block| block.commands.into_iter().map(move |line| (block.line, line)))
        .collect();
    let expected: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    let began = Instant::now();
    let lines: Vec<&str> = typed.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, expected, "README.md and LINES name the same commands in the same order");
    let mut walk = Walk::new();
    for ((at, line), (_, does)) in typed.iter().zip(LINES) {
        eprintln!("README.md:{at}: {line}");
        walk.go(line, does);
    }
    assert!(began.elapsed().as_secs() < 60, "the walk takes longer than anybody waits");
}
