//! `exec` calls before the policy: run, ask, or no.

use super::super::Gateway;
use super::{Decision, Held, Pending};
use crate::agent::exec::policy::{self, Policy, Resolved, Verdict};
use crate::agent::exec::{Request, env, shell};
use crate::agent::tools::Output;
use crate::config::{ExecAsk, ExecSecurity};
use crate::driver::Effects;
use crate::limits;
use crate::store::Kind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl Gateway {
    /// Lets a command run, asks for it, or refuses it.
    pub(in crate::gateway) fn judge_exec(
        &mut self,
        call: u64,
        agent: &str,
        request: Request,
        cwd: PathBuf,
        fx: &mut Effects,
    ) {
        let document = match self.approvals_document().value {
            Ok(document) => document,
            Err(why) => {
                log::error!(target: "tools/exec", "no command runs: {why}");
                let text = format!("denied: the approvals of this host cannot be read: {why}");
                return self.tool_done(call, Output::error(text));
            }
        };
        let exec = &self.config.exec;
        let security = request.security.map_or(exec.security, |wish| wish.min(exec.security));
        let ask = request.ask.map_or(exec.ask, |wish| wish.min(exec.ask));
        let policy = Policy::of(&document, agent, security, ask);
        let commands = self.resolve_commands(&request, &cwd);
        let (here, home) = (cwd.to_string_lossy(), self.config.home.to_string_lossy());
        match policy.verdict(commands.as_deref(), &here, &home) {
            Verdict::Run => self.start_exec(call, &request, cwd, fx),
            Verdict::Deny => {
                let why = match policy.security {
                    ExecSecurity::Deny => "commands are off (tools.exec, exec-approvals.json)",
                    _ => "it is not on the allowlist, and nobody is asked (ask: off)",
                };
                self.deny(call, why, None);
            }
            Verdict::Ask => {
                let agent = agent.to_owned();
                let held = Held { call, request, cwd, agent, commands, policy };
                self.ask_for_exec(held, fx);
            }
        }
    }

    /// The simple commands of a text with their programs; `None` when it cannot be judged.
    fn resolve_commands(&self, request: &Request, cwd: &Path) -> Option<Vec<Resolved>> {
        let prepend: Vec<String> = self
            .config
            .exec
            .path_prepend
            .iter()
            .map(|dir| dir.to_string_lossy().into_owned())
            .collect();
        let env = env::whole(self.config.env.all(), &prepend, &request.env);
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let runs = |path: &Path| {
            let real = self.disk.canonical(path);
            real.is_ok_and(|path| matches!(self.disk.kind(&path), Ok(Kind::File)))
        };
        let resolve = |words: shell::Words| {
            let program = words.first()?;
            let found = if program.contains('/') {
                Some(cwd.join(program)).filter(|path| runs(path))
            } else {
                // A relative directory in PATH would be another one for every command.
                let dirs = path.split(':').filter(|dir| dir.starts_with('/'));
                dirs.map(|dir| Path::new(dir).join(program)).find(|path| runs(path))
            };
            let plain = |path: &PathBuf| !path.components().any(|c| c.as_os_str() == "..");
            let path = found.filter(plain).map(|path| path.to_string_lossy().into_owned());
            Some(Resolved { path, words })
        };
        shell::simple_commands(&request.command)?.into_iter().map(resolve).collect()
    }

    fn deny(&mut self, call: u64, why: &str, id: Option<&str>) {
        let text = format!("denied: the command was not run: {why}. Do not try it again.");
        let mut details = json!({"status": "denied", "reason": why});
        if let Some(id) = id {
            details["approvalId"] = json!(id);
        }
        log::info!(target: "tools/exec", "a command was not run: {why}");
        let output = Output { details: Some(details), ..Output::error(text) };
        self.tool_done(call, output);
    }

    fn ask_for_exec(&mut self, held: Held, fx: &mut Effects) {
        if self.approvals.pending.len() >= limits::APPROVALS {
            return self.deny(held.call, "too many approvals are pending", None);
        }
        let lasting = held.policy.ask != ExecAsk::Always
            && held.commands.as_ref().is_some_and(|all| all.iter().all(|it| it.path.is_some()));
        let allowed: Vec<Decision> = Decision::ALL
            .into_iter()
            .filter(|decision| lasting || *decision != Decision::AllowAlways)
            .collect();
        let request = self.exec_question(&held, &allowed);
        let id = self.uuid();
        let now = self.now;
        let pending = Pending {
            request,
            allowed,
            created_ms: now.wall_ms,
            expires_ms: now.wall_ms + limits::APPROVAL_MS,
            due: now.time.after_ms(limits::APPROVAL_MS),
            from: None,
            waiters: Vec::new(),
            held: Some(Box::new(held)),
            node: None,
        };
        if !self.ask_approvers(&id, pending, fx) {
            self.conclude_approval(&id, None, None, fx);
        }
    }

    /// `request` of the events: what is asked, for whom.
    fn exec_question(&self, held: &Held, allowed: &[Decision]) -> Value {
        let words: Vec<&str> = allowed.iter().map(|decision| decision.as_str()).collect();
        let calling = self.tools.get(held.call);
        let path = held.commands.as_ref().and_then(|all| all.first()?.path.clone());
        let mut request = super::rpc::question(&held.request.command, held.commands.as_deref());
        request["allowedDecisions"] = json!(words);
        request["cwd"] = json!(held.cwd);
        request["host"] = json!("gateway");
        request["security"] = json!(held.policy.security.as_str());
        request["ask"] = json!(held.policy.ask.as_str());
        request["agentId"] = json!(held.agent);
        request["resolvedPath"] = json!(path);
        request["sessionKey"] = json!(calling.map(|calling| &calling.key));
        request["toolCallId"] = json!(calling.map(|calling| &calling.id));
        request
    }

    /// Somebody answered for a call, or nobody did.
    pub(super) fn answer_held(
        &mut self,
        id: &str,
        held: Held,
        decision: Option<Decision>,
        fx: &mut Effects,
    ) {
        let (here, home) = (held.cwd.to_string_lossy(), self.config.home.to_string_lossy());
        match decision {
            Some(Decision::Deny) => {
                return self.deny(held.call, "an operator said no", Some(id));
            }
            None if !held.policy.falls_back(held.commands.as_deref(), &here, &home) => {
                let why = "nobody who may approve it is connected, or nobody answered in time";
                return self.deny(held.call, why, Some(id));
            }
            Some(Decision::AllowAlways) => self.remember(&held),
            Some(Decision::AllowOnce) | None => {}
        }
        // What was strict meanwhile counts: the document may say deny by now.
        let document = self.approvals_document().value;
        let exec = &self.config.exec;
        let still = document
            .map(|document| Policy::of(&document, &held.agent, exec.security, exec.ask).security);
        if still.is_ok_and(|security| security != ExecSecurity::Deny) {
            self.start_exec(held.call, &held.request, held.cwd, fx);
        } else {
            self.deny(held.call, "commands were switched off meanwhile", Some(id));
        }
    }

    /// Allow-always: the simple commands go on the agent's allowlist.
    fn remember(&mut self, held: &Held) {
        let Some(commands) = &held.commands else { return };
        let Ok(mut document) = self.approvals_document().value else { return };
        let here = held.cwd.to_string_lossy();
        let ids: Vec<String> = commands.iter().map(|_| self.uuid()).collect();
        let mut ids = ids.into_iter();
        policy::allow_always(&mut document, &held.agent, commands, &here, || {
            ids.next().unwrap_or_default()
        });
        if let Err(error) = self.write_approvals(&document) {
            log::error!(target: "tools/exec", "allow-always is not kept: {}", error.message);
        }
    }
}
