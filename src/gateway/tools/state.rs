//! Tools that look at the gateway itself: agents and sessions.

use super::super::Gateway;
use crate::agent::tools::Output;
use crate::driver::Effects;
use crate::wire::text::rfc3339_ms;
use serde_json::{Value, json};

/// Arguments of `message` that name files or say how they go.
const FILES: [&str; 10] = [
    "media",
    "path",
    "filePath",
    "buffer",
    "filename",
    "contentType",
    "mimeType",
    "attachments",
    "asVoice",
    "forceDocument",
];

impl Gateway {
    /// `agents_list`: the agents of the configuration.
    pub(super) fn agents_list_tool(&mut self, number: u64) {
        let Some(calling) = self.tools.get(number) else { return };
        let agents: Vec<Value> = self
            .config
            .agents
            .agent_ids()
            .into_iter()
            .map(|id| {
                let model = &self.config.agents.model_of(id).primary;
                json!({"id": id, "configured": true, "model": model})
            })
            .collect();
        let value = json!({"requester": calling.agent, "allowAny": false, "agents": agents});
        self.tool_done(number, Output::value(value));
    }

    /// `session_status`: a card of the session, its own unless it names another.
    pub(super) fn session_status_tool(&mut self, number: u64) {
        let Some(calling) = self.tools.get(number) else { return };
        let named = match calling.args.text(&["sessionKey"]) {
            Ok(named) => named.filter(|key| !key.is_empty()),
            Err(error) => return self.tool_done(number, Output::error(error)),
        };
        let key = match named {
            Some(named) => match self.target(Some(named), None) {
                Ok((key, _)) => key,
                Err(error) => return self.tool_done(number, Output::error(error.message)),
            },
            None => calling.key.clone(),
        };
        let card = self.status_card(&key);
        let details = json!({"ok": true, "sessionKey": key, "statusText": card});
        self.tool_done(number, Output { details: Some(details), ..Output::text(card) });
    }

    /// `message`: says something in a channel (the outbound journal sees to it from then on), or
    /// does what its service has beside that.
    pub(super) fn message_tool(&mut self, number: u64, fx: &mut Effects) {
        let Some(calling) = self.tools.get(number) else { return };
        let key = calling.key.clone();
        let action = match calling.args.text(&["action"]) {
            Ok(action) => action.unwrap_or("send").to_owned(),
            Err(error) => return self.tool_done(number, Output::error(error)),
        };
        if action != "send" {
            let (args, asked) = (calling.args.all().clone(), self.origin_of_call(number));
            match self.act_for_tool(number, (&key, asked.as_ref()), &action, &args, fx) {
                Ok(true) => return,
                Ok(false) => {}
                Err(why) => return self.tool_done(number, Output::error(why)),
            }
        }
        let Some(calling) = self.tools.get(number) else { return };
        let word = |names: &[&str]| match calling.args.text(names) {
            Ok(text) => Ok(text.unwrap_or_default().to_owned()),
            Err(error) => Err(error),
        };
        let words = (word(&["channel"]), word(&["target", "to"]), word(&["message"]));
        let (channel, target, message) = match words {
            (Ok(channel), Ok(target), Ok(message)) => (channel, target, message),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                return self.tool_done(number, Output::error(error));
            }
        };
        let mut spec = json!({"channel": channel, "to": target});
        for name in FILES {
            if let Some(value) = calling.args.get(name) {
                spec[name] = value.clone();
            }
        }
        let id = format!("tool-{}", self.uuid());
        let output = match self.announce_by_channel(&id, &spec, &key, &message) {
            Ok(()) => Output::text(format!("Handed to {channel} for {target} ({id}).")),
            Err(why) => Output::error(format!("{why}; or answer in this conversation instead")),
        };
        self.tool_done(number, output);
    }

    /// What a person or a model reads of a session.
    pub(in crate::gateway) fn status_card(&self, key: &str) -> String {
        let agent = crate::sessions::key::agent_of(key).unwrap_or_default();
        let entry = self.sessions.get(key);
        let (model, window) = self.default_model(agent);
        let used = entry.and_then(|entry| {
            Some(format!("{}/{}", entry.model_provider.as_ref()?, entry.model.as_ref()?))
        });
        let tokens = |count: Option<u64>| count.unwrap_or_default();
        let waiting = self.runs.of_session(key).len().saturating_sub(1);
        let mut lines = vec![
            format!("OpenClaw Gateway {}", env!("CARGO_PKG_VERSION")),
            format!("Time: {}", rfc3339_ms(self.now.wall_ms)),
            format!("Uptime: {} s", self.uptime_ms() / 1000),
            format!("Session: {key}"),
            format!("Model: {}", used.unwrap_or(model)),
            format!("Context: {window} tokens"),
            format!("Queue: {waiting} waiting"),
        ];
        if let Some(entry) = entry {
            lines.push(format!(
                "Tokens of the last run: {} in / {} out",
                tokens(entry.input_tokens),
                tokens(entry.output_tokens)
            ));
        }
        lines.join("\n")
    }
}
