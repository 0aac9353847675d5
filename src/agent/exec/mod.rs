//! Commands as values: what a call asks for, the environment it gets, what it wrote, and what
//! of its text can be judged. Nothing here starts anything.

pub mod env;
pub mod output;
pub mod policy;
pub mod shell;

use super::tools::Args;
use crate::config::{ExecAsk, ExecSecurity};
use crate::limits;
use std::collections::BTreeMap;

/// What an `exec` call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The text for the shell, as the model wrote it.
    pub command: String,
    /// `workdir`.
    pub workdir: Option<String>,
    /// Checked overrides.
    pub env: BTreeMap<String, String>,
    /// `yieldMs`, clamped.
    pub yield_ms: Option<u64>,
    /// `background`.
    pub background: bool,
    /// `timeoutSeconds` (also `timeout`), 0 is no end.
    pub timeout_seconds: Option<u64>,
    /// May only be stricter than the configuration.
    pub ask: Option<ExecAsk>,
    /// May only be stricter than the configuration.
    pub security: Option<ExecSecurity>,
}

impl Request {
    /// From the arguments of a call.
    ///
    /// # Errors
    /// A sentence for the model.
    pub fn parse(args: &Args) -> Result<Self, String> {
        let command = args.must_text(&["command"])?;
        if command.trim().is_empty() {
            return Err("argument \"command\" is empty".to_owned());
        }
        if command.len() > limits::EXEC_COMMAND || command.contains('\0') {
            let max = limits::EXEC_COMMAND;
            return Err(format!("the command is longer than {max} bytes, or holds a NUL"));
        }
        if let Some(host) = args.text(&["host"])?
            && !matches!(host, "auto" | "gateway")
        {
            return Err(format!(
                "host \"{}\" is not there: commands run on the gateway's machine alone; leave host \
                 out",
                crate::wire::text::escape_log(host, 40)
            ));
        }
        if args.flag("pty")? {
            return Err("pty is not supported: leave it out, and run the program in a mode that \
                        needs no terminal"
                .to_owned());
        }
        if args.flag("elevated")? {
            return Err("elevated is not there: no sandbox has to be left".to_owned());
        }
        let word = |name: &str| args.text(&[name]).map(|word| word.map(str::to_owned));
        let wrong = |name| move || format!("argument \"{name}\" has an unknown word");
        let (ask, security) = (word("ask")?, word("security")?);
        let [low, high] = limits::EXEC_YIELD_MS;
        let seconds = match args.number("timeoutSeconds")? {
            None => args.number("timeout")?,
            seconds => seconds,
        };
        Ok(Self {
            command: command.to_owned(),
            workdir: word("workdir")?.filter(|dir| !dir.is_empty()),
            env: env::overrides(args.0.get("env"))?,
            yield_ms: args.number("yieldMs")?.map(|ms| ms.clamp(low, high)),
            background: args.flag("background")?,
            timeout_seconds: seconds,
            ask: match &ask {
                None => None,
                Some(word) => Some(ExecAsk::from_word(word).ok_or_else(wrong("ask"))?),
            },
            security: match &security {
                None => None,
                Some(word) => Some(ExecSecurity::from_word(word).ok_or_else(wrong("security"))?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(args: &Value) -> Result<Request, String> {
        Request::parse(&Args::parse(&args.to_string()).expect("an object"))
    }

    #[test]
    fn arguments_are_read_and_refused_in_words() {
        let request = parse(&json!({
            "command": "ls", "workdir": "a", "env": {"A": "b", "N": 1}, "yieldMs": 1,
            "timeout": "5", "ask": "always", "host": "gateway",
        }));
        let request = request.expect("fine");
        assert_eq!(request.env.get("N").map(String::as_str), Some("1"));
        assert_eq!((request.yield_ms, request.timeout_seconds), (Some(10), Some(5)));
        assert_eq!(request.ask, Some(ExecAsk::Always));
        for (args, why) in [
            (json!({}), "missing argument"),
            (json!({"command": " "}), "empty"),
            (json!({"command": "a\u{0}b"}), "NUL"),
            (json!({"command": "x".repeat(limits::EXEC_COMMAND + 1)}), "longer"),
            (json!({"command": "ls", "host": "node"}), "gateway's machine"),
            (json!({"command": "ls", "pty": true}), "pty is not supported"),
            (json!({"command": "ls", "elevated": true}), "elevated"),
            (json!({"command": "ls", "ask": "maybe"}), "\"ask\""),
            (json!({"command": "ls", "env": {"LD_PRELOAD": "x"}}), "LD_PRELOAD"),
        ] {
            let error = parse(&args).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
    }
}
