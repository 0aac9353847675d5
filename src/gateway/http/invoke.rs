//! `POST /tools/invoke`: finds the tool among those that HTTP callers may use, and calls it.

use super::{Doing, Http};
use crate::agent::tools::{self, Output, Tool};
use crate::api::{Reply, invoke};
use crate::driver::{ConnId, Effects};
use crate::gateway::Gateway;
use crate::gateway::tools::{Caller, NewCall};
use crate::sessions::key;
use crate::wire::hash::{hex, sha256};

impl Gateway {
    /// Begins the call; its output is the answer.
    pub(super) fn invoke(
        &mut self,
        id: ConnId,
        body: &[u8],
        fx: &mut Effects,
    ) -> Result<(), Reply> {
        let request = invoke::parse(body)?;
        let bad = |message: &str| invoke::error(400, "invalid_request", message);
        let agents = &self.config.agents;
        let named = request.agent_id.as_ref().map(|agent| agent.to_ascii_lowercase());
        if let Some(agent) = named.as_ref().filter(|agent| !agents.has(agent)) {
            let shown: String = agent.chars().take(64).collect();
            return Err(bad(&format!("Unknown agent id \"{shown}\"")));
        }
        let agent = named.as_deref().unwrap_or(agents.default_agent());
        let key = match &request.session_key {
            // The reference passes a configured main key over here; ours is one rule.
            None => key::main(agent, &self.config.session.main_key),
            Some(key) => key::canonical(key, agent, &self.config.session.main_key)
                .map_err(|why| bad(&why))?,
        };
        let owner = key::agent_of(&key).unwrap_or(agent).to_owned();
        if named.as_ref().is_some_and(|agent| *agent != owner) || !agents.has(&owner) {
            return Err(bad(&format!("agentId does not own the session \"{key}\"")));
        }
        let Some(tool) = self.http_tool(&request.name, &owner, &key) else {
            return Err(invoke::not_available(&request.name));
        };
        let call = match &request.idempotency_key {
            Some(key) => hex(sha256(key.as_bytes()).get(..16).unwrap_or_default()),
            None => self.uuid(),
        };
        if let Some(http) = self.http(id) {
            http.doing = Doing::Tool;
        }
        let new = NewCall {
            caller: Caller::Http { conn: id },
            tool,
            id: format!("http-{call}"),
            agent: owner,
            key,
            args: request.args(&(tool.parameters)()),
        };
        self.call_tool(new, fx);
        Ok(())
    }

    /// A tool that a caller of HTTP may use: not on the list of what is denied there, and within
    /// the agent's own policy.
    fn http_tool(&self, name: &str, agent: &str, key: &str) -> Option<&'static Tool> {
        let tool = tools::find(name)?;
        let allowed = tools::policy::door_permits(&self.config, tool);
        let mut may = self.tools_for(agent, key).into_iter();
        may.find(|known| allowed && std::ptr::eq(*known, tool))
    }

    /// What a tool gave its HTTP caller.
    pub(in crate::gateway) fn invoked(&mut self, id: ConnId, output: &Output, fx: &mut Effects) {
        let Some(Http { doing: Doing::Tool, .. }) = self.http(id) else { return };
        let reply = match output.is_error {
            true => invoke::error(400, "tool_error", &output.all_text()),
            false => invoke::done(&output.content_json(), output.details.as_ref()),
        };
        self.respond_late(id, &reply, fx);
    }
}
