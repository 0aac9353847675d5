//! What a run says becomes a delivery to the conversation that its message came from.

use super::super::Gateway;
use super::super::timers::Timer;
use super::outbound::{Delivery, Origin};
use crate::agent::run::Outcome;
use crate::driver::Effects;
use serde_json::Value;

impl Gateway {
    /// A run is over: its answer goes where its message came from.
    pub(in crate::gateway) fn channel_run_over(
        &mut self,
        (run_id, agent): (&str, &str),
        origin: &Value,
        outcome: &Outcome,
        answer: Option<String>,
        fx: &mut Effects,
    ) {
        let Ok(origin) = serde_json::from_value::<Origin>(origin.clone()) else { return };
        let text = match outcome {
            // It was said to another run, whose answer is the answer.
            Outcome::Done(_) => answer.unwrap_or_default(),
            Outcome::Aborted("rpc") => String::new(),
            Outcome::Aborted(why) => format!("⚠️ This was not answered: {why}."),
            Outcome::Failed(_) | Outcome::TimedOut(_) => {
                let why = super::super::runs::outcome_text(outcome);
                match answer.filter(|text| !text.trim().is_empty()) {
                    Some(text) => format!("{text}\n\n⚠️ {why}"),
                    None => format!("⚠️ {why}"),
                }
            }
        };
        let failed = matches!(outcome, Outcome::Failed(_) | Outcome::TimedOut(_));
        let (text, begun) = self.end_stream(run_id, &text, failed);
        self.answer_origin((run_id, agent), &origin, (&text, begun), fx);
    }

    /// What a crash left of a run that came by a channel.
    /// `notice`: it has no answer, and this says so.
    pub(in crate::gateway) fn settle_origin(
        &mut self,
        run_id: &str,
        origin: &Value,
        text: &str,
        notice: bool,
    ) {
        let Ok(origin) = serde_json::from_value::<Origin>(origin.clone()) else { return };
        if notice && origin.unasked {
            return;
        }
        let (text, begun) = self.channels.outbox.rest_of(self.disk.as_mut(), run_id, text);
        if begun && text.trim().is_empty() {
            return;
        }
        let mut delivery = self.reply(run_id, &origin, text);
        let agent = self.config.agents.default_agent().to_owned();
        self.enclose_answer(&mut delivery, &agent);
        if let Err(why) = self.channels.outbox.accept(self.disk.as_mut(), delivery.clone()) {
            self.refuse_delivery(&delivery, &why);
        }
    }

    pub(super) fn reply(&self, run_id: &str, origin: &Origin, text: String) -> Delivery {
        // What somebody asks for by name is an answer in any case; ours are as the account says.
        let live = self.channels.find(&origin.channel, &origin.account);
        let mode = live.and_then(|id| self.channels.get(id)?.account.text("replyToMode"));
        let seen = matches!(mode, Some("first" | "all" | "batched"));
        Delivery {
            id: run_id.to_owned(),
            channel: origin.channel.clone(),
            account: origin.account.clone(),
            to: origin.to.clone(),
            text,
            reply_to: (seen && !origin.unasked).then(|| origin.message.clone()),
            created_ms: self.now.wall_ms,
            ..Delivery::default()
        }
    }

    pub(super) fn answer_origin(
        &mut self,
        (run_id, agent): (&str, &str),
        origin: &Origin,
        (text, begun): (&str, bool),
        fx: &mut Effects,
    ) {
        if let Some(delivery) = self.answer_delivery(run_id, agent, origin, (text, begun)) {
            self.deliver(delivery, fx);
        } else {
            self.channels.outbox.release(self.disk.as_mut(), run_id, None);
            self.timers.arm(self.now.time, Timer::Outbox);
        }
        if origin.acked && self.config.messages.remove_ack {
            self.react(origin, "", true, fx);
        }
    }

    /// The delivery of an answer; none when it says nothing. `begun`: a part of it is there
    /// already.
    pub(super) fn answer_delivery(
        &mut self,
        run_id: &str,
        agent: &str,
        origin: &Origin,
        (text, begun): (&str, bool),
    ) -> Option<Delivery> {
        let text = text.trim();
        if matches!(text, "" | "NO_REPLY" | "HEARTBEAT_OK") {
            return None;
        }
        let text = match self.response_prefix(agent, origin).filter(|_| !begun) {
            Some(prefix) => format!("{prefix} {text}"),
            None => text.to_owned(),
        };
        let mut delivery = self.reply(run_id, origin, text);
        self.enclose_answer(&mut delivery, agent);
        Some(delivery)
    }

    /// `responsePrefix`: the account's, the channel's, everybody's; an empty one is none.
    pub(super) fn response_prefix(&self, agent: &str, origin: &Origin) -> Option<String> {
        let live = self.channels.find(&origin.channel, &origin.account);
        let own = live.and_then(|id| self.channels.get(id)).and_then(|live| {
            live.account.get("responsePrefix").and_then(Value::as_str).map(str::to_owned)
        });
        let prefix = own.or_else(|| self.config.messages.response_prefix.clone())?;
        let name = || self.config.agents.agent(agent).and_then(|agent| agent.name.clone());
        let prefix = match prefix.as_str() {
            "auto" => format!("[{}]", name().unwrap_or_else(|| agent.to_owned())),
            prefix => prefix.replace("{identity.name}", &name().unwrap_or_default()),
        };
        (!prefix.trim().is_empty()).then_some(prefix)
    }
}
