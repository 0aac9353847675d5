//! `agent` and `agent.wait`: the two-stage call (FACTS.md section 6).

use super::super::Gateway;
use super::super::channels::{Wanted, kind_of_target};
use super::super::commands::{Call, Command};
use super::super::runs::{Cause, NewRun, Repeated, digest, model_exists};
use super::super::socket::Answer;
use super::chat::{another_session, conflict, images};
use super::{Handled, Params, number, text};
use crate::agent::prompt::Mode;
use crate::agent::turn::Turn;
use crate::agent::{Ask, Thinking};
use crate::channels::routing::session_key;
use crate::channels::{Chat, Inbound, Sender};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::json;

impl Gateway {
    /// First response `{runId, sessionKey, agentId, status: "accepted", acceptedAt}`; the second,
    /// under the same request id, follows when the run is over.
    pub(super) fn agent(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let message = text(params, "message").unwrap_or_default();
        if message.trim().is_empty() {
            return Err(ErrorShape::invalid("message required"));
        }
        let run_id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
        let session_id = text(params, "sessionId").filter(|id| !id.is_empty());
        let key = match (text(params, "sessionKey").filter(|key| !key.is_empty()), session_id) {
            // What command lines send when they only know an id.
            (Some(key), Some(id)) if key.ends_with(&format!(":explicit:{id}")) => {
                Some(self.sessions.key_of_id(id).unwrap_or(key).to_owned())
            }
            (Some(key), _) => Some(key.to_owned()),
            (None, Some(id)) => Some(self.key_of_session_id(id)),
            (None, None) => None,
        };
        let agent_id = text(params, "agentId");
        if let Some(agent) = agent_id
            && !self.config.agents.has(&agent.to_ascii_lowercase())
        {
            return Err(ErrorShape::invalid(format!("unknown agent id \"{agent}\"")));
        }
        let key = key.or_else(|| self.session_of_recipient(params, agent_id));
        let (key, agent) = self.target(key.as_deref(), agent_id)?;
        if let Some(expected) = text(params, "expectedExistingSessionId")
            && self.sessions.get(&key).is_none_or(|entry| entry.session_id != expected)
        {
            return Err(another_session(&key, expected));
        }
        let digest = digest("agent", &key, message, params.get("attachments"));
        match self.repeated(&run_id, digest) {
            Repeated::No => {}
            Repeated::Conflict => return Err(conflict()),
            Repeated::Finished(Ok(payload)) => {
                let payload = payload.clone();
                if self.told_as_well(&run_id, conn, request) {
                    return Ok(Answer::Value(json!({
                        "runId": run_id, "sessionKey": key, "agentId": agent,
                        "status": "accepted", "acceptedAt": self.now.wall_ms,
                    })));
                }
                return Ok(Answer::Json(payload));
            }
            Repeated::Finished(Err(error)) => return Err(error.clone()),
            Repeated::InFlight(number) => {
                self.answer_later(number, conn, request);
                return Ok(Answer::Value(self.accepted(number)));
            }
        }
        let mut message = message.to_owned();
        if let Some(command) = Command::read(&message) {
            let said = message.clone();
            let (key, agent, run_id) = (key.clone(), agent.clone(), run_id.clone());
            let call = Call { conn, request, key, agent, run_id, digest, said: &said };
            match self.agent_command(command, &call, fx)? {
                None => return Ok(Answer::Handled),
                Some(rest) => message = rest,
            }
        }
        let model = chosen_model(params);
        if let Some(model) = &model
            && !model_exists(&self.config, model)
        {
            return Err(ErrorShape::invalid(format!(
                "Unknown model \"{model}\". Run: openclaw gateway call models.list"
            )));
        }
        let mut ask = Ask::default();
        if let Some(extra) = text(params, "extraSystemPrompt").filter(|text| !text.is_empty()) {
            ask.turns.push(Turn::System(extra.to_owned()));
        }
        ask.thinking = thinking(params)?;
        ask.prompt = text(params, "promptMode").and_then(Mode::parse).unwrap_or_default();
        let client = self.conns.client(conn).map(|client| (client.id, client.mode));
        let new = NewRun {
            session_id: session_id.map(str::to_owned),
            message: Some(message),
            images: images(params)?,
            origin: self.deliver_to(params, &key)?,
            ask,
            model,
            timeout_ms: number(params, "timeout").map(|seconds| seconds.saturating_mul(1000)),
            client,
            digest,
            ..NewRun::new(run_id, Cause::Agent, key, agent)
        };
        let known = self.sessions.get(&new.key).is_some();
        let run = self.accept_run(new)?;
        self.answer_later(run, conn, request);
        let accepted = self.accepted(run);
        self.respond_ok(conn, request, &accepted, fx);
        if let Some(key) = self.runs.get(run).map(|run| run.key.clone()) {
            let reasons = ["create", "send", "participants"];
            for reason in reasons.into_iter().skip(usize::from(known)) {
                self.tell_session(&key, Some(reason), &serde_json::Value::Null, fx);
            }
        }
        Ok(Answer::Handled)
    }

    /// The session of the person or room that `channel` and `to` name, as a message from there
    /// would have it.
    fn session_of_recipient(&self, params: &Params, agent: Option<&str>) -> Option<String> {
        let named = |name: &str| text(params, name).filter(|word| !word.trim().is_empty());
        let wanted = Wanted {
            channel: named("channel"),
            to: Some(named("to")?),
            account: named("accountId"),
            thread: named("threadId"),
            session: "",
        };
        let place = self.find_place(wanted).ok()?;
        let agent = agent.map(str::to_ascii_lowercase);
        let agent = agent.as_deref().unwrap_or(self.config.agents.default_agent());
        let chat = Chat {
            kind: kind_of_target(place.channel, &place.to)?,
            id: place.to.chat.trim_start_matches("user:").to_owned(),
            thread: place.to.thread.clone(),
            ..Chat::default()
        };
        let sender = Sender { ids: vec![chat.id.clone()], ..Sender::default() };
        let message = Inbound { chat, sender, ..Inbound::default() };
        let names = (place.channel, place.account.as_str());
        Some(session_key(&self.config, agent, names, &message, None))
    }

    fn accepted(&self, number: u64) -> serde_json::Value {
        match self.runs.get(number) {
            Some(run) => json!({
                "runId": run.id, "sessionKey": run.key, "agentId": run.agent,
                "status": "accepted", "acceptedAt": run.accepted_ms,
            }),
            None => serde_json::Value::Null,
        }
    }

    /// `{runId, timeoutMs?}`.
    pub(super) fn agent_wait(&mut self, conn: ConnId, request: &str, params: &Params) -> Handled {
        let run = text(params, "runId").unwrap_or_default();
        let timeout_ms = number(params, "timeoutMs").unwrap_or(limits::WAIT_MS);
        self.wait_for(conn, request, run, timeout_ms)
    }

    /// The session that has this id, else a key of its own.
    fn key_of_session_id(&self, session_id: &str) -> String {
        match self.sessions.key_of_id(session_id) {
            Some(key) => key.to_owned(),
            None => format!("agent:{}:explicit:{session_id}", self.config.agents.default_agent()),
        }
    }
}

/// `thinking`: how hard this turn is thought about.
pub(super) fn thinking(params: &Params) -> Result<Option<Thinking>, ErrorShape> {
    let Some(word) = text(params, "thinking").filter(|word| !word.trim().is_empty()) else {
        return Ok(None);
    };
    Thinking::parse(word).map(Some).ok_or_else(|| {
        let word: String = word.chars().take(40).collect();
        let all: Vec<&str> = Thinking::ALL.iter().map(|(_, word)| *word).collect();
        ErrorShape::invalid(format!("invalid thinking level \"{word}\" (use {})", all.join(", ")))
    })
}

/// `provider` and `model`, as two parameters or one.
fn chosen_model(params: &Params) -> Option<String> {
    let model = text(params, "model").filter(|model| !model.is_empty())?;
    Some(match text(params, "provider").filter(|provider| !provider.is_empty()) {
        Some(provider) => format!("{provider}/{model}"),
        None => model.to_owned(),
    })
}
