//! The one table of commands and flags.
//!
//! Parsing, `--help` at every level and the wording of usage errors are made from [`COMMANDS`]
//! and [`GLOBALS`], so that none of them can drift from the others. Flags may stand before or
//! after the command words; whether a flag takes a value is decided by its name alone, which a
//! test keeps unambiguous.
//!
//! ```text
//!   words and flags --> Parsed::Run(Args)  the command, its flags checked against the table
//!                  \--> Parsed::Text       --help or --version: nothing was read yet
//!                  \--> Usage              what is wrong and which help to read
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use crate::config::{AuthMode, Bind};
use crate::wire::text::nearest;

/// What stands behind a flag's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off.
    Nothing,
    /// Any text; the placeholder for help.
    Text(&'static str),
    /// A whole number within these bounds; the placeholder for help.
    Number(&'static str, u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Name without the dashes.
    pub long: &'static str,
    /// One letter, where there is a short form.
    pub short: Option<char>,
    /// Its value.
    pub takes: Takes,
    /// One line of help; an empty line hides the flag (tolerated for old scripts).
    pub about: &'static str,
}

/// The commands, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the command of its row")]
pub enum Run {
    Help,
    GatewayRun,
    GatewayStatus,
    GatewayCall,
    Health,
    Status,
    Logs,
    Agent,
    Setup,
    ConfigFile,
    ConfigValidate,
    ConfigSet,
    ConfigUnset,
    GatewayStop,
    GatewayRestart,
    Channels,
    Models,
    Sessions,
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its words: `["gateway", "status"]`; the root has none.
    pub path: &'static [&'static str],
    /// What happens.
    pub run: Run,
    /// One line of help.
    pub about: &'static str,
    /// Names of the words it takes; all are required.
    pub operands: &'static [&'static str],
    /// Its own flags.
    pub flags: &'static [Flag],
    /// Lines under the flags in its help.
    pub examples: &'static [&'static str],
}

const fn switch(long: &'static str, about: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Nothing, about }
}

const fn text(long: &'static str, placeholder: &'static str, about: &'static str) -> Flag {
    Flag { long, short: None, takes: Takes::Text(placeholder), about }
}

const JSON: Flag = switch("json", "Print one JSON document (logs: one a line)");
const URL: Flag = text("url", "url", "Gateway to ask, ws://host:port; uses only the flags' secret");
const TOKEN: Flag = text("token", "token", "Gateway token (default: environment, then file)");
const PASSWORD: Flag = text("password", "password", "Gateway password (same order)");
const TIMEOUT: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Give up after this long (default 10000)",
};

const PATIENCE: Flag = Flag {
    long: "timeout",
    short: None,
    takes: Takes::Number("ms", 1, 86_400_000),
    about: "Wait this long for it (default 30000)",
};

/// Flags that every command takes, before or after its words.
pub const GLOBALS: &[Flag] = &[
    switch("dev", "Isolated dev profile: own state directory, port 19001"),
    text("profile", "name", "Isolated profile: state in ~/.openclaw-<name>"),
    Flag { long: "help", short: Some('h'), takes: Takes::Nothing, about: "Show this help" },
    Flag { long: "version", short: Some('V'), takes: Takes::Nothing, about: "Show the version" },
];

const GATEWAY_RUN: &[Flag] = &[
    Flag {
        long: "port",
        short: None,
        takes: Takes::Number("port", 0, 65_535),
        about: "Port to open (default: environment, file, 18789; 0 picks a free one)",
    },
    Flag {
        long: "bind",
        short: None,
        takes: Takes::Word(&Bind::WORDS),
        about: "Address to open it on (default: file, loopback)",
    },
    Flag {
        long: "auth",
        short: None,
        takes: Takes::Word(&AuthMode::WORDS),
        about: "How callers prove themselves (default: file, token)",
    },
    text("token", "token", "Token that callers must show"),
    text("password", "password", "Password that callers must show"),
    text("password-file", "path", "File that holds the password"),
    switch("verbose", "Mirror debug lines to standard output"),
    switch("force", "End a listener of your own user on the port, then start"),
    switch("allow-unconfigured", "Start without a configuration file, with a generated token"),
];

const RUN_EXAMPLES: &[&str] = &[
    "openclaw gateway --dev                try it: writes a minimal dev configuration",
    "openclaw gateway --port 18789         run in the foreground",
    "openclaw gateway status               is it up?",
];

/// Every command. A row whose path is the beginning of others is also their parent.
pub const COMMANDS: &[Command] = &[
    Command {
        path: &[],
        run: Run::Help,
        about: "One gateway for personal AI agents: channels, sessions, models, one port.",
        operands: &[],
        flags: &[],
        examples: &[
            "openclaw setup                        write a first configuration",
            "openclaw gateway                      run the gateway in the foreground",
            "openclaw status                       how is it doing?",
        ],
    },
    Command {
        path: &["gateway"],
        run: Run::GatewayRun,
        about: "Run the gateway in the foreground, or ask a running one",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "run"],
        run: Run::GatewayRun,
        about: "Run the gateway in the foreground",
        operands: &[],
        flags: GATEWAY_RUN,
        examples: RUN_EXAMPLES,
    },
    Command {
        path: &["gateway", "status"],
        run: Run::GatewayStatus,
        about: "Is a gateway running, where, and does it answer",
        operands: &[],
        flags: &[
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
            switch("require-rpc", "Fail unless an RPC with read scope succeeds"),
            switch("no-probe", "Do not connect; look only at processes and files"),
            switch("deep", ""),
        ],
        examples: &[],
    },
    Command {
        path: &["gateway", "stop"],
        run: Run::GatewayStop,
        about: "Stop this profile's gateway once its active runs are done",
        operands: &[],
        flags: &[PATIENCE],
        examples: &[],
    },
    Command {
        path: &["gateway", "restart"],
        run: Run::GatewayRestart,
        about: "Restart this profile's gateway in place; the port stays open",
        operands: &[],
        flags: &[PATIENCE, URL, TOKEN, PASSWORD],
        examples: &[],
    },
    Command {
        path: &["gateway", "call"],
        run: Run::GatewayCall,
        about: "Call one method of a running gateway and print its payload",
        operands: &["method"],
        flags: &[
            text("params", "json", "Parameters, a JSON object (default {})"),
            switch("expect-final", "Wait for the final response of a two-stage method"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw gateway call logs.tail --params '{\"limit\":20}'"],
    },
    Command {
        path: &["gateway", "health"],
        run: Run::Health,
        about: "Same as `openclaw health`",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["health"],
        run: Run::Health,
        about: "Health of the running gateway",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["status"],
        run: Run::Status,
        about: "Overview: gateway, agents, sessions, channels",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["logs"],
        run: Run::Logs,
        about: "Show the gateway's log",
        operands: &[],
        flags: &[
            switch("follow", "Keep showing new lines"),
            JSON,
            switch("plain", "The messages only, without time and subsystem"),
            Flag {
                long: "limit",
                short: None,
                takes: Takes::Number("lines", 1, 5000),
                about: "Lines to ask for at once (default 200)",
            },
            Flag {
                long: "max-bytes",
                short: None,
                takes: Takes::Number("bytes", 1, 1_000_000),
                about: "Bytes to ask for at once (default 250000)",
            },
            Flag {
                long: "interval",
                short: None,
                takes: Takes::Number("ms", 100, 3_600_000),
                about: "Pause between two looks with --follow (default 1000)",
            },
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &["openclaw logs --follow"],
    },
    Command {
        path: &["agent"],
        run: Run::Agent,
        about: "Send one message to an agent and print its answer",
        operands: &[],
        flags: &[
            Flag {
                long: "message",
                short: Some('m'),
                takes: Takes::Text("text"),
                about: "What to say (required)",
            },
            text("agent", "id", "Which agent (default: the configured default)"),
            text("session-id", "id", "Continue this session"),
            text("session-key", "key", "Continue the session with this key"),
            Flag {
                long: "timeout",
                short: None,
                takes: Takes::Number("seconds", 1, 86_400_000),
                about: "Give up after this long (default 600)",
            },
            JSON,
            URL,
            TOKEN,
            PASSWORD,
        ],
        examples: &["openclaw agent --message \"What can you do?\""],
    },
    Command {
        path: &["sessions"],
        run: Run::Sessions,
        about: "List the sessions of the running gateway",
        operands: &[],
        flags: &[
            Flag {
                long: "limit",
                short: None,
                takes: Takes::Number("count", 1, 5000),
                about: "How many (default 50)",
            },
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &[],
    },
    Command {
        path: &["models"],
        run: Run::Help,
        about: "Models of the running gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["models", "list"],
        run: Run::Models,
        about: "List the models that may answer",
        operands: &[],
        flags: &[JSON, URL, TOKEN, PASSWORD, TIMEOUT],
        examples: &[],
    },
    Command {
        path: &["channels"],
        run: Run::Help,
        about: "Channels of the running gateway",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["channels", "status"],
        run: Run::Channels,
        about: "List the channels and their accounts",
        operands: &[],
        flags: &[
            switch("probe", "Ask each account whether it is connected"),
            JSON,
            URL,
            TOKEN,
            PASSWORD,
            TIMEOUT,
        ],
        examples: &[],
    },
    Command {
        path: &["setup"],
        run: Run::Setup,
        about: "Write a first configuration; an existing file is never rewritten",
        operands: &[],
        flags: &[
            Flag {
                long: "yes",
                short: Some('y'),
                takes: Takes::Nothing,
                about: "Ask nothing, take what was found",
            },
            switch("non-interactive", "Same as --yes"),
            text("token", "token", "Gateway token to write (default: a generated one)"),
        ],
        examples: &[],
    },
    Command {
        path: &["config"],
        run: Run::Help,
        about: "Look at the configuration file, or change one key of it",
        operands: &[],
        flags: &[],
        examples: &["openclaw config set gateway.mode local"],
    },
    Command {
        path: &["config", "file"],
        run: Run::ConfigFile,
        about: "Print where the configuration file lies",
        operands: &[],
        flags: &[],
        examples: &[],
    },
    Command {
        path: &["config", "validate"],
        run: Run::ConfigValidate,
        about: "Check the file and name every fault with its line",
        operands: &[],
        flags: &[JSON],
        examples: &[],
    },
    Command {
        path: &["config", "set"],
        run: Run::ConfigSet,
        about: "Set one key; comments stay, an invalid result is not written",
        operands: &["path", "value"],
        flags: &[],
        examples: &[
            "openclaw config set gateway.port 18789",
            "openclaw config set agents.defaults.model.primary ollama/qwen3:8b",
        ],
    },
    Command {
        path: &["config", "unset"],
        run: Run::ConfigUnset,
        about: "Remove one key; comments stay, an invalid result is not written",
        operands: &["path"],
        flags: &[],
        examples: &["openclaw config unset gateway.port"],
    },
];

/// What the words came to.
#[derive(Debug)]
pub enum Parsed {
    /// Run this.
    Run(Args),
    /// Print this and leave: help or version.
    Text(String),
}

/// A command with its flags, checked against the table.
#[derive(Debug, Clone)]
pub struct Args {
    /// The row.
    pub command: &'static Command,
    switches: Vec<&'static str>,
    values: BTreeMap<&'static str, String>,
    /// The words behind the command, as many as [`Command::operands`].
    pub operands: Vec<String>,
}

impl Args {
    /// Whether a switch was given.
    pub fn has(&self, long: &'static str) -> bool {
        debug_assert!(self.knows(long), "{long} is not in the table");
        self.switches.contains(&long)
    }

    /// The value of a flag; an empty one counts as not given.
    pub fn value(&self, long: &'static str) -> Option<&str> {
        debug_assert!(self.knows(long), "{long} is not in the table");
        self.values.get(long).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a number flag; it was checked while parsing.
    pub fn number(&self, long: &'static str) -> Option<u64> {
        self.value(long)?.parse().ok()
    }

    fn knows(&self, long: &str) -> bool {
        self.command.flags.iter().chain(GLOBALS).any(|flag| flag.long == long)
    }
}

/// Words that do not make a command. `Display` says what is wrong and which help to read.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// [`Usage`] when they do not fit the table.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, Usage> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut command: &'static Command = root();
    let mut switches = Vec::new();
    let mut values = BTreeMap::new();
    let mut operands: Vec<String> = Vec::new();
    let mut given: Vec<&'static str> = Vec::new();
    let (mut help, mut version) = (false, false);
    loop {
        let word = match parser.next() {
            Ok(Some(lexopt::Arg::Value(word))) => match word.into_string() {
                Ok(word) => word,
                Err(word) => return Err(usage(command, format!("{word:?} is not UTF-8"))),
            },
            Ok(Some(lexopt::Arg::Long(long))) => {
                let Some(name) = known(|flag| flag.long == long) else {
                    return Err(unknown_flag(command, long));
                };
                let long = take(name, command, &mut parser, &mut switches, &mut values)?;
                given.push(long);
                help |= long == "help";
                version |= long == "version";
                continue;
            }
            Ok(Some(lexopt::Arg::Short(short))) => {
                let Some(name) = known(|flag| flag.short == Some(short)) else {
                    return Err(usage(command, format!("unknown option -{short}")));
                };
                let long = take(name, command, &mut parser, &mut switches, &mut values)?;
                given.push(long);
                help |= long == "help";
                version |= long == "version";
                continue;
            }
            Ok(None) => break,
            Err(error) => return Err(usage(command, error.to_string())),
        };
        if command.path.is_empty() && operands.is_empty() && word == "help" && !help {
            help = true;
        } else if let Some(child) = child(command, &word).filter(|_| operands.is_empty()) {
            command = child;
        } else if operands.len() < command.operands.len() {
            operands.push(word);
        } else {
            return Err(unknown_word(command, &word));
        }
    }
    if version {
        return Ok(Parsed::Text(format!("openclaw {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if help || command.run == Run::Help {
        return Ok(Parsed::Text(help_text(command)));
    }
    for long in given {
        if !command.flags.iter().chain(GLOBALS).any(|flag| flag.long == long) {
            return Err(unknown_flag(command, long));
        }
    }
    if let Some(missing) = command.operands.get(operands.len()) {
        return Err(usage(command, format!("`{}` needs a <{missing}>", name(command))));
    }
    Ok(Parsed::Run(Args { command, switches, values, operands }))
}

/// The help of one command.
pub fn help_text(command: &Command) -> String {
    let mut out = String::new();
    let _ = write!(out, "{}\n\nUsage: {}", command.about, name(command));
    let children: Vec<&Command> = COMMANDS
        .iter()
        .filter(|row| {
            row.path.len() == command.path.len() + 1 && row.path.starts_with(command.path)
        })
        .collect();
    if command.path.is_empty() {
        out.push_str(" <command>");
    } else if !children.is_empty() {
        out.push_str(" [command]");
    }
    for operand in command.operands {
        let _ = write!(out, " <{operand}>");
    }
    out.push_str(" [options]\n");
    if !children.is_empty() {
        out.push_str("\nCommands:\n");
        let rows = children.iter().map(|row| {
            let word = row.path.last().copied().unwrap_or_default();
            (word.to_owned(), row.about)
        });
        columns(&mut out, rows.collect());
    }
    for (title, flags) in [("Options", command.flags), ("Everywhere", GLOBALS)] {
        let rows: Vec<_> = flags
            .iter()
            .filter(|flag| !flag.about.is_empty())
            .map(|flag| (spelled(flag), flag.about))
            .collect();
        if !rows.is_empty() {
            let _ = write!(out, "\n{title}:\n");
            columns(&mut out, rows);
        }
    }
    if !command.examples.is_empty() {
        out.push_str("\nExamples:\n");
        for line in command.examples {
            let _ = writeln!(out, "  {line}");
        }
    }
    if !children.is_empty() {
        let _ = write!(out, "\nMore: {} <command> --help\n", name(command));
    }
    out
}

fn columns(out: &mut String, rows: Vec<(String, &str)>) {
    const WIDE: usize = 34;
    let width = rows.iter().map(|(left, _)| left.len()).filter(|w| *w <= WIDE).max().unwrap_or(0);
    for (left, right) in rows {
        if left.len() > WIDE {
            let _ = writeln!(out, "  {left}\n  {:width$}  {right}", "");
        } else {
            let _ = writeln!(out, "  {left:width$}  {right}");
        }
    }
}

fn spelled(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let value = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::Text(placeholder) | Takes::Number(placeholder, ..) => format!(" <{placeholder}>"),
        Takes::Word(words) => format!(" <{}>", words.join("|")),
    };
    format!("{short}--{}{value}", flag.long)
}

fn root() -> &'static Command {
    // The first row is the root; a test holds it there.
    COMMANDS.first().unwrap_or_else(|| unreachable!("the table has a root"))
}

fn child(parent: &Command, word: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|row| {
        row.path.split_last().is_some_and(|(last, rest)| *last == word && rest == parent.path)
    })
}

fn known(wanted: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    all_flags().find(|flag| wanted(flag))
}

fn all_flags() -> impl Iterator<Item = &'static Flag> {
    GLOBALS.iter().chain(COMMANDS.iter().flat_map(|command| command.flags))
}

/// Notes a flag and its value. The row of the final command judges the value where it has one
/// of its own; until then any row with this name does, and only bounds may differ.
fn take(
    flag: &'static Flag,
    command: &Command,
    parser: &mut lexopt::Parser,
    switches: &mut Vec<&'static str>,
    values: &mut BTreeMap<&'static str, String>,
) -> Result<&'static str, Usage> {
    let flag = command.flags.iter().find(|own| own.long == flag.long).unwrap_or(flag);
    if flag.takes == Takes::Nothing {
        switches.push(flag.long);
        return Ok(flag.long);
    }
    let value = parser.value().map_err(|_| {
        usage(command, format!("--{} needs a value: {}", flag.long, spelled(flag).trim()))
    })?;
    let value = value
        .into_string()
        .map_err(|_| usage(command, format!("the value of --{} is not UTF-8", flag.long)))?;
    match flag.takes {
        Takes::Number(_, min, max) => {
            if !value.parse().is_ok_and(|number: u64| (min..=max).contains(&number)) {
                let what = format!(
                    "--{} takes a number from {min} to {max}, not `{}`",
                    flag.long,
                    shown(&value)
                );
                return Err(usage(command, what));
            }
        }
        Takes::Word(words) => {
            if !words.contains(&value.as_str()) {
                let what = format!(
                    "--{} takes one of {}, not `{}`",
                    flag.long,
                    words.join(", "),
                    shown(&value)
                );
                return Err(usage(command, what));
            }
        }
        Takes::Nothing | Takes::Text(_) => {}
    }
    values.insert(flag.long, value);
    Ok(flag.long)
}

/// What was typed, fit for a terminal.
fn shown(word: &str) -> String {
    crate::wire::text::escape_log(word, 80)
}

/// The words of a command as typed.
pub fn name(command: &Command) -> String {
    let mut name = "openclaw".to_owned();
    for word in command.path {
        name.push(' ');
        name.push_str(word);
    }
    name
}

fn unknown_flag(command: &Command, long: &str) -> Usage {
    let own = command.flags.iter().chain(GLOBALS).map(|flag| flag.long);
    // A command that only groups others is asked through its children.
    let candidates: Vec<&str> = if command.path.is_empty() {
        all_flags().map(|flag| flag.long).collect()
    } else {
        own.collect()
    };
    let mut what = format!("unknown option --{} for `{}`", shown(long), name(command));
    if let Some(near) = nearest(long, candidates).filter(|near| *near != long) {
        let _ = write!(what, "; did you mean --{near}?");
    }
    usage(command, what)
}

fn unknown_word(command: &Command, word: &str) -> Usage {
    let words = COMMANDS
        .iter()
        .filter_map(|row| row.path.split_last())
        .filter(|(_, rest)| *rest == command.path)
        .map(|(last, _)| *last);
    let mut what = if command.path.is_empty() {
        format!("unknown command `{}`", shown(word))
    } else {
        format!("`{}` does not take `{}`", name(command), shown(word))
    };
    if let Some(near) = nearest(word, words) {
        let _ = write!(what, "; did you mean `{} {near}`?", name(command));
    }
    usage(command, what)
}

fn usage(command: &Command, what: String) -> Usage {
    Usage(format!("{what}\nRun: {} --help", name(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Parsed, Usage> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn args(line: &str) -> Args {
        match words(line) {
            Ok(Parsed::Run(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn wrong(line: &str) -> String {
        words(line).map(|parsed| panic!("{line}: {parsed:?}")).unwrap_err().0
    }

    #[test]
    fn the_table_is_sound() {
        assert!(root().path.is_empty());
        for (index, row) in COMMANDS.iter().enumerate() {
            assert!(
                !COMMANDS.iter().skip(index + 1).any(|other| other.path == row.path),
                "{:?} twice",
                row.path
            );
            if let Some((_, parent)) = row.path.split_last() {
                assert!(COMMANDS.iter().any(|other| other.path == parent), "{parent:?}");
            }
            for (at, flag) in row.flags.iter().enumerate() {
                let again = |other: &Flag| {
                    other.long == flag.long || flag.short.is_some() && other.short == flag.short
                };
                assert!(!row.flags.iter().skip(at + 1).chain(GLOBALS).any(again), "{}", flag.long);
            }
        }
        // Parsing decides by the name alone whether a value follows.
        for flag in all_flags() {
            for other in all_flags().filter(|other| other.long == flag.long) {
                assert_eq!(
                    flag.takes == Takes::Nothing,
                    other.takes == Takes::Nothing,
                    "{}",
                    flag.long
                );
                assert_eq!(flag.short, other.short, "{}", flag.long);
            }
        }
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in ["--dev gateway --port 0", "gateway --dev --port=0", "gateway --port 0 --dev"] {
            let args = args(line);
            assert_eq!(args.command.run, Run::GatewayRun, "{line}");
            assert!(args.has("dev"), "{line}");
            assert_eq!(args.number("port"), Some(0), "{line}");
        }
        let args = args("--profile rescue gateway status --json");
        assert_eq!(args.value("profile"), Some("rescue"));
        assert_eq!(args.command.run, Run::GatewayStatus);
    }

    #[test]
    fn flags_may_come_before_the_last_word() {
        let args = args("gateway --port 7 run --force");
        assert_eq!(args.command.path, ["gateway", "run"]);
        assert!(args.has("force"));
        assert_eq!(args.number("port"), Some(7));
        assert!(wrong("gateway --port 7 status").contains("unknown option --port"));
    }

    #[test]
    fn operands_and_short_flags() {
        let call = args("gateway call health --params {}");
        assert_eq!(call.operands, ["health"]);
        assert_eq!(call.value("params"), Some("{}"));
        assert_eq!(args("agent -m hi").value("message"), Some("hi"));
        assert!(wrong("gateway call").contains("needs a <method>"));
        assert!(wrong("gateway call a b").contains("does not take `b`"));
    }

    #[test]
    fn mistakes_name_what_is_near_and_the_help_to_read() {
        let table = [
            ("gatway", "did you mean `openclaw gateway`?"),
            ("gateway stauts", "did you mean `openclaw gateway status`?"),
            ("gateway --prot 1", "did you mean --port?"),
            ("gateway --port", "--port needs a value"),
            ("gateway --port x", "a number from 0 to 65535, not `x`"),
            ("gateway --port 65536", "a number from 0 to 65535"),
            ("gateway --bind moon", "loopback, lan, tailnet, auto, custom"),
            ("gateway --force=yes", "--force"),
            ("logs --limit 0", "a number from 1 to 5000"),
            ("logs -x", "unknown option -x"),
            ("health --follow", "unknown option --follow for `openclaw health`"),
        ];
        for (line, want) in table {
            let text = wrong(line);
            assert!(text.contains(want), "{line}: {text}");
            assert!(text.contains("\nRun: openclaw"), "{line}: {text}");
            assert!(text.ends_with(" --help"), "{line}: {text}");
        }
    }

    #[test]
    fn typed_control_characters_do_not_reach_the_terminal() {
        let Err(Usage(text)) = parse([OsString::from("x\u{1b}[31m")]) else { panic!() };
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn help_exists_at_every_level_and_names_every_flag() {
        for row in COMMANDS {
            let mut line: Vec<OsString> = row.path.iter().map(OsString::from).collect();
            line.push("--help".into());
            let Ok(Parsed::Text(text)) = parse(line) else { panic!("{:?}", row.path) };
            assert!(text.contains(&name(row)), "{text}");
            for flag in row.flags.iter().chain(GLOBALS).filter(|flag| !flag.about.is_empty()) {
                assert!(text.contains(&format!("--{}", flag.long)), "{}: {text}", flag.long);
            }
            assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        }
        for line in ["", "help", "--help"] {
            let Ok(Parsed::Text(text)) = words(line) else { panic!("{line}") };
            assert!(text.contains("gateway") && text.contains("setup"), "{text}");
        }
        let Ok(Parsed::Text(text)) = words("help gateway call") else { panic!() };
        assert!(text.contains("Usage: openclaw gateway call <method> [options]"), "{text}");
    }

    #[test]
    fn version_wins_wherever_it_stands() {
        for line in ["--version", "-V", "gateway --version", "--version gateway status"] {
            let Ok(Parsed::Text(text)) = words(line) else { panic!("{line}") };
            assert_eq!(text, format!("openclaw {}\n", env!("CARGO_PKG_VERSION")));
        }
    }
}
