//! Conversations in which only the `message` tool speaks (`visibleReplies: "message_tool"`).
//!
//! ```text
//!   run over --said something by the tool, or nothing--> nothing more goes out
//!        \--its last words were for nobody's eyes--> one run more, that shall say them by the tool
//!                                     --again--> a sentence that says so goes out
//! ```
//!
//! What fails is told as everywhere: somebody waits there for an answer.

use super::super::Gateway;
use super::super::runs::{Active, Cause, NewRun, QueueMode, digest};
use crate::agent::run::Outcome;
use serde_json::{Value, json};

const AGAIN: &str = "[Not delivered, isUser=false] In this conversation nobody sees what you \
                     answer; only the message tool speaks. Send your last answer now with it \
                     (action send, no target), and answer NO_REPLY.";
const LOST: &str =
    "⚠️ I generated a reply but could not deliver it to this chat. Please try again.";

impl Gateway {
    /// What of an answer goes out by itself.
    pub(in crate::gateway) fn seen_answer(
        &mut self,
        run: &Active,
        origin: &Value,
        outcome: &Outcome,
        answer: Option<String>,
    ) -> Option<String> {
        if origin["private"] != true || !matches!(outcome, Outcome::Done(_)) {
            return answer;
        }
        let text = answer.unwrap_or_default();
        let silent = matches!(text.trim(), "" | "NO_REPLY" | "HEARTBEAT_OK");
        if silent || run.tools_used.contains(&"message") {
            return None;
        }
        log::info!(target: "channels", "{}: an answer stays private (visibleReplies)", run.key);
        if origin["again"] == true {
            return Some(LOST.to_owned());
        }
        let mut again = origin.clone();
        again["again"] = json!(true);
        let new = NewRun {
            message: Some(AGAIN.to_owned()),
            digest: digest("channel", &run.key, AGAIN, None),
            origin: Some(again),
            bounds: Some(run.bounds.clone()),
            mode: Some(QueueMode::Followup),
            ..NewRun::new(
                format!("{}-again", run.id),
                Cause::Channel,
                run.key.clone(),
                run.agent.clone(),
            )
        };
        match self.accept_run(new) {
            Ok(_) => None,
            Err(_) => Some(LOST.to_owned()),
        }
    }
}
