//! What each command does, and the words it answers with.

use super::super::Gateway;
use super::super::runs::context_window;
use super::{COMMANDS, Call, Command, Name, QUEUE_MODES, USAGE};
use crate::driver::Effects;
use crate::protocol::error::ErrorShape;
use crate::sessions::Entry;
use serde_json::{Value, json};
use std::fmt::Write;

/// What comes of a command.
pub(in crate::gateway) enum Outcome {
    /// An answer in words.
    Say(String),
    /// The session began anew; this is said of it, and is not part of it.
    Fresh(String),
    /// The rest of the message is for the model.
    Go(String),
    /// A summary is to be written, with this in mind; the answer comes when it is there.
    Compact(String),
}

/// Models shown by one `/models`.
const MODELS_SHOWN: usize = 50;

impl Gateway {
    /// Obeys. The session exists.
    pub(super) fn obey_by_table(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        fx: &mut Effects,
    ) -> Result<Outcome, ErrorShape> {
        let args = command.args;
        Ok(Outcome::Say(match command.name {
            Name::Commands | Name::Help => list(command.name == Name::Commands),
            Name::Compact => return Ok(Outcome::Compact(args.to_owned())),
            Name::Context => self.context_text(call),
            Name::Model => self.choose_model(call, args),
            Name::Models => self.models_text(args),
            Name::New | Name::Reset => return self.begin_anew(command, call, fx),
            Name::Queue => self.set_word(call, "queueMode", "Queue mode", args, QUEUE_MODES),
            Name::Reasoning => {
                self.set_word(call, "reasoningLevel", "Reasoning", args, &["on", "off", "stream"])
            }
            Name::Verbose => {
                self.set_word(call, "verboseLevel", "Verbose", args, &["on", "off", "full"])
            }
            Name::Rename => self.rename(call, args),
            Name::Status => self.status_text(call),
            Name::Think => self.think(call, args),
            Name::Usage => self.usage_command(call, args),
            Name::Whoami => self.whoami_text(call),
            // Whoever calls has done it already: it has answers of its own.
            Name::Stop => "Nothing was running.".to_owned(),
        }))
    }

    fn begin_anew(
        &mut self,
        command: Command<'_>,
        call: &Call<'_>,
        fx: &mut Effects,
    ) -> Result<Outcome, ErrorShape> {
        let mut rest = command.args;
        if command.name == Name::Reset
            && let Some(message) = soft(rest)
        {
            return Ok(match message {
                "" => Outcome::Say("✅ Session kept; the next message goes on with it.".to_owned()),
                message => Outcome::Go(message.to_owned()),
            });
        }
        let mut model = None;
        if command.name == Name::New {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if let Ok(chosen) = self.chosen(&call.agent, word) {
                model = Some(chosen);
                rest = after.trim();
            }
        }
        self.reset_session(&call.key, fx)?;
        if let (Some((provider, model)), Some(entry)) = (model, self.sessions.get_mut(&call.key)) {
            entry.provider_override = Some(provider);
            entry.model_override = Some(model);
        }
        let reason = if command.name == Name::New { "new" } else { "reset" };
        self.tell_session(&call.key, Some(reason), &Value::Null, fx);
        Ok(match rest {
            "" if command.name == Name::New => Outcome::Fresh("✅ New session started.".to_owned()),
            "" => Outcome::Fresh("✅ Session reset.".to_owned()),
            message => Outcome::Go(message.to_owned()),
        })
    }

    fn entry_of(&self, call: &Call<'_>) -> Entry {
        self.sessions.get(&call.key).cloned().unwrap_or_default()
    }

    fn choose_model(&mut self, call: &Call<'_>, args: &str) -> String {
        let mut words: Vec<&str> = args.split_whitespace().collect();
        if words.iter().any(|word| matches!(*word, "-a" | "--agent" | "-g" | "--global")) {
            return "A command changes this session only. To change the default: \
                    openclaw config set agents.defaults.model.primary <provider/model>"
                .to_owned();
        }
        words.retain(|word| !matches!(*word, "-s" | "--session"));
        let entry = self.entry_of(call);
        let name = match words.as_slice() {
            [] | ["status"] => {
                let (provider, model) = self.session_model(&call.agent, &entry);
                let whose = if entry.model_override.is_some() { "this session" } else { "default" };
                return format!(
                    "Model: {provider}/{model} ({whose}). Choose one: /model <name>; list: /models"
                );
            }
            ["list"] => return self.models_text(""),
            ["default"] => {
                if let Some(entry) = self.sessions.get_mut(&call.key) {
                    entry.provider_override = None;
                    entry.model_override = None;
                }
                let (provider, model) = self.session_model(&call.agent, &Entry::default());
                return format!("Model back to the default, {provider}/{model}.");
            }
            [name] => *name,
            _ => return "Write one model: /model <provider/model>".to_owned(),
        };
        match self.chosen(&call.agent, name) {
            Err(error) => format!("⚠️ {}", error.message),
            Ok((provider, model)) => {
                let text = format!("Model set to {provider}/{model} for this session.");
                if let Some(entry) = self.sessions.get_mut(&call.key) {
                    entry.provider_override = Some(provider);
                    entry.model_override = Some(model);
                }
                text
            }
        }
    }

    fn models_text(&self, provider: &str) -> String {
        let list = self.models_list(&serde_json::Map::new());
        let rows = list["models"].as_array().map(Vec::as_slice).unwrap_or_default();
        let field = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let wanted: Vec<&Value> =
            rows.iter().filter(|row| provider.is_empty() || row["provider"] == provider).collect();
        if wanted.is_empty() {
            let mut known: Vec<String> = rows.iter().map(|row| field(row, "provider")).collect();
            known.dedup();
            return format!("Unknown provider \"{provider}\". Providers: {}", known.join(", "));
        }
        let mut text = "Models:".to_owned();
        for row in wanted.iter().take(MODELS_SHOWN) {
            let tag = if row["tags"][0] == "default" { " (default)" } else { "" };
            let _ = write!(text, "\n- {}/{}{tag}", field(row, "provider"), field(row, "id"));
        }
        if wanted.len() > MODELS_SHOWN {
            let _ = write!(text, "\n… and {} more", wanted.len() - MODELS_SHOWN);
        }
        text
    }

    fn think(&mut self, call: &Call<'_>, args: &str) -> String {
        let entry = self.entry_of(call);
        let (provider, model) = self.session_model(&call.agent, &entry);
        let level = match args {
            "" => {
                let levels = self.thinking_levels(&provider, &model).join(", ");
                let now = entry.thinking_level.as_deref().unwrap_or("off");
                return format!("Thinking level: {now}. Options for {provider}/{model}: {levels}");
            }
            "default" => None,
            level => match self.checked_thinking(level, &provider, &model) {
                Ok(level) => Some(level),
                Err(error) => return format!("⚠️ {}", error.message),
            },
        };
        let text = match &level {
            Some(level) => format!("Thinking level set to {level}."),
            None => "Thinking level back to the default.".to_owned(),
        };
        if let Some(entry) = self.sessions.get_mut(&call.key) {
            entry.thinking_level = level;
        }
        text
    }

    /// A setting that is one of a few words; `default` takes it away.
    fn set_word(
        &mut self,
        call: &Call<'_>,
        field: &str,
        name: &str,
        args: &str,
        words: &[&str],
    ) -> String {
        let word = args.to_ascii_lowercase();
        let Some(entry) = self.sessions.get_mut(&call.key) else { return String::new() };
        match word.as_str() {
            "" => {
                let now = entry.word(field).unwrap_or("default");
                format!("{name}: {now}. Options: {}", words.join(", "))
            }
            "default" => {
                entry.set(field, Value::Null);
                format!("{name} back to the default.")
            }
            word if words.contains(&word) => {
                entry.set(field, json!(word));
                format!("{name} set to {word}.")
            }
            _ => format!("⚠️ Unknown value \"{args}\". Options: {}", words.join(", ")),
        }
    }

    fn rename(&mut self, call: &Call<'_>, title: &str) -> String {
        let Some(entry) = self.sessions.get_mut(&call.key) else { return String::new() };
        if title.is_empty() {
            let now = entry.label.as_deref().or(entry.word("displayName"));
            return match now {
                Some(now) => format!("This session is called \"{now}\"."),
                None => "This session has no name. Give it one: /name <title>".to_owned(),
            };
        }
        let title: String = title.chars().take(512).collect();
        entry.set("displayName", json!(title));
        format!("This session is called \"{title}\" now.")
    }

    fn status_text(&self, call: &Call<'_>) -> String {
        let entry = self.entry_of(call);
        let (provider, model) = self.session_model(&call.agent, &entry);
        let window = context_window(&self.config, &provider, &model);
        let tokens = entry.total_tokens.unwrap_or(0);
        let word = |name| entry.word(name).unwrap_or("default").to_owned();
        let mut text = format!("🦞 OpenClaw {}\n", crate::protocol::VERSION);
        let _ = writeln!(text, "Session: {} ({})", call.key, entry.session_id);
        let _ = writeln!(text, "Model: {provider}/{model}");
        let _ = match window.as_u64().filter(|window| *window > 0) {
            Some(window) => {
                writeln!(text, "Context: {tokens}/{window} tokens ({}%)", tokens * 100 / window)
            }
            None => writeln!(text, "Context: {tokens} tokens"),
        };
        let compactions = entry.compaction_count.unwrap_or(0);
        let _ = writeln!(text, "Compactions: {compactions}");
        let thinking = entry.thinking_level.as_deref().unwrap_or("off");
        let _ = writeln!(text, "Thinking: {thinking} · Verbose: {}", word("verboseLevel"));
        let _ = writeln!(text, "Queue: {}", word("queueMode"));
        let running = self.runs.of_session(&call.key).len();
        let _ = write!(text, "Runs: {running} · Up {} s", self.uptime_ms() / 1000);
        text
    }

    fn whoami_text(&self, call: &Call<'_>) -> String {
        match self.conns.client(call.conn) {
            None => "This connection is gone.".to_owned(),
            Some(client) => format!(
                "You are {} ({}), with the scopes {}.",
                client.id,
                client.mode,
                if client.scopes.is_empty() { "none".to_owned() } else { client.scopes.join(", ") }
            ),
        }
    }

    fn context_text(&mut self, call: &Call<'_>) -> String {
        let entry = self.entry_of(call);
        let (provider, model) = self.session_model(&call.agent, &entry);
        let window = context_window(&self.config, &provider, &model);
        let (messages, bytes) = self.context_size(&call.key);
        let estimate = bytes / 4;
        let mut text = format!(
            "Context of {}: {messages} messages, {bytes} bytes, about {estimate} tokens",
            call.key
        );
        if let Some(window) = window.as_u64().filter(|window| *window > 0) {
            let _ = write!(text, " of {window} ({}%)", estimate.saturating_mul(100) / window);
        }
        text.push('.');
        if let Some(last) = entry.total_tokens.filter(|tokens| *tokens > 0) {
            let _ = write!(text, " The last run used {last} tokens in all.");
        }
        text
    }

    /// Messages of a session, and bytes of its transcript.
    fn context_size(&mut self, key: &str) -> (u64, u64) {
        let messages = self.sessions.count(self.disk.as_ref(), key).unwrap_or(0);
        let path = self.sessions.transcript_path(key);
        let stat = path.and_then(|path| self.disk.stat(&path).ok());
        (messages, stat.map_or(0, |stat| stat.len))
    }

    fn usage_command(&mut self, call: &Call<'_>, args: &str) -> String {
        let entry = self.entry_of(call);
        match args {
            "" | "cost" => self.usage_text(&call.key),
            "reset" | "inherit" | "clear" | "default" => {
                self.set_word(call, "responseUsage", "Usage footer", "default", USAGE)
            }
            "on" | "off" | "tokens" | "full" => self.set_word(
                call,
                "responseUsage",
                "Usage footer",
                args,
                &["on", "off", "tokens", "full"],
            ),
            _ => format!(
                "Usage footer: {}. Options: {}",
                entry.word("responseUsage").unwrap_or("off"),
                USAGE.join(", ")
            ),
        }
    }
}

/// The message behind `soft`.
fn soft(args: &str) -> Option<&str> {
    let rest = args.strip_prefix("soft")?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// `/help` and, with the aliases, `/commands`.
fn list(whole: bool) -> String {
    let mut text = if whole { "Commands:" } else { "What can be typed here:" }.to_owned();
    for row in COMMANDS {
        let words: Vec<String> = row.words.iter().map(|word| format!("/{word}")).collect();
        let shown =
            if whole { words.join(", ") } else { words.first().cloned().unwrap_or_default() };
        let arg = row.arg.map(|(name, _, _)| format!(" [{name}]")).unwrap_or_default();
        let _ = write!(text, "\n{shown}{arg} - {}", row.about);
    }
    text
}
