//! `tools.catalog`, `tools.effective`, `tools.invoke`: what tools there are, which a session has,
//! and one of them called by a client.

use super::super::Gateway;
use super::super::socket::Answer;
use super::super::tools::{Caller, NewCall};
use super::{Handled, Params, text};
use crate::agent::tools::{Args, Section, TOOLS, Tool, policy};
use crate::config::ToolProfile;
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::wire::hash;
use serde_json::{Value, json};

/// Sections in the order of the reference's catalog.
const SECTIONS: [Section; 7] = [
    Section::Fs,
    Section::Runtime,
    Section::Web,
    Section::Memory,
    Section::Sessions,
    Section::Messaging,
    Section::Agents,
];

impl Gateway {
    /// `tools.catalog {agentId?}`: every tool of the house, whatever a policy says.
    pub(in crate::gateway) fn tools_catalog(&self, params: &Params) -> Handled {
        let (_, agent) = self.target(None, text(params, "agentId"))?;
        let profiles: Vec<Value> = ToolProfile::ALL
            .iter()
            .map(|profile| json!({"id": profile.as_str(), "label": profile.label()}))
            .collect();
        let groups = SECTIONS.iter().filter_map(|section| {
            let tools: Vec<Value> =
                TOOLS.iter().filter(|tool| tool.section == *section).map(catalog_row).collect();
            let (id, label) = policy::section_label(*section);
            let group = json!({"id": id, "label": label, "source": "core", "tools": tools});
            (!tools.is_empty()).then_some(group)
        });
        let groups: Vec<Value> = groups.collect();
        Ok(Answer::Value(json!({"agentId": agent, "profiles": profiles, "groups": groups})))
    }

    /// `tools.effective {sessionKey, agentId?}`: the tools that a run in a session has now.
    pub(in crate::gateway) fn tools_effective(&self, params: &Params) -> Handled {
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let tools = self.tools_for(&agent, &key);
        let rows: Vec<Value> = tools
            .into_iter()
            .map(|tool| {
                json!({
                    "id": tool.name, "label": tool.title, "description": brief(tool.description),
                    "rawDescription": tool.description, "source": "core",
                })
            })
            .collect();
        let group =
            json!({"id": "core", "label": "Built-in tools", "source": "core", "tools": rows});
        let profile = policy::profile_of(&self.config, &agent).as_str();
        Ok(Answer::Value(json!({"agentId": agent, "profile": profile, "groups": [group]})))
    }

    /// `tools.invoke {name, args?, sessionKey?, agentId?}`: by the same policy as
    /// `POST /tools/invoke`. A refusal is a payload with `ok: false`, as documented.
    pub(in crate::gateway) fn tools_invoke(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let name = text(params, "name").unwrap_or_default().trim();
        let (key, agent) = self.target(text(params, "sessionKey"), text(params, "agentId"))?;
        let tools = self.tools_for(&agent, &key);
        let tool = tools.into_iter().find(|tool| tool.name == name);
        let Some(tool) = tool.filter(|tool| policy::door_permits(&self.config, tool)) else {
            let message = format!(
                "Tool not available: {name}; tools.catalog lists the names, and tools.allow, \
                 tools.deny and gateway.tools say what is permitted"
            );
            let error = json!({"code": "not_found", "message": message});
            let refused = json!({"ok": false, "toolName": name, "error": error});
            return Ok(Answer::Value(refused));
        };
        if self.tools.len() >= limits::TOOL_CALLS_OPEN {
            return Err(ErrorShape::unavailable(
                "too many tool calls are at work; try again later",
            ));
        }
        let args = params.get("args").and_then(Value::as_object).cloned().unwrap_or_default();
        // The same key makes the same call id, so that whoever records calls can tell.
        let id = match text(params, "idempotencyKey") {
            Some(key) => {
                let digest = hash::hex(&hash::sha256(key.as_bytes()));
                format!("rpc-{}", digest.get(..32).unwrap_or_default())
            }
            None => format!("rpc-{request}"),
        };
        let caller = Caller::Rpc { conn, request: request.to_owned() };
        let new = NewCall { caller, tool, id, agent, key, args: Args(args) };
        self.call_tool(new, fx);
        Ok(Answer::Handled)
    }

    /// Warns once, at the start or a reload, of names in tool policies that no tool has.
    pub fn warn_of_tool_names(&self) {
        for (path, name) in policy::unknown_names(&self.config) {
            log::warn!(
                target: "agents/tool-policy",
                "{path}: no tool is called \"{name}\"; tools.catalog lists the names"
            );
        }
    }
}

fn catalog_row(tool: &Tool) -> Value {
    let profiles: Vec<&str> = policy::profiles_with(tool).map(ToolProfile::as_str).collect();
    json!({
        "id": tool.name, "label": tool.name, "description": brief(tool.description),
        "source": "core", "defaultProfiles": profiles,
    })
}

/// The first sentence.
fn brief(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_in_the_catalog_once() {
        for tool in TOOLS {
            assert!(SECTIONS.contains(&tool.section), "{}", tool.name);
            assert!(!brief(tool.description).is_empty(), "{}", tool.name);
        }
        assert_eq!(brief("Read a file. More."), "Read a file.");
        assert_eq!(brief("no end"), "no end");
    }
}
