//! The handlers behind the operations table, one file a family.
//!
//! A handler has a checked set of parameters, answers now or later, and never touches the
//! connection it serves but through responses and events.

mod agent;
mod agents;
pub(super) mod chat;
mod config;
mod cron;
mod events;
mod logs;
pub mod models;
mod nodes;
mod sessions;
mod status;
mod tools;

use super::Gateway;
use super::socket::Answer;
use crate::driver::{ConnId, Effects};
use crate::protocol::error::ErrorShape;
use crate::protocol::operations::Op;
use crate::sessions::key;
use serde_json::{Map, Value};

/// Checked parameters of a request.
pub(in crate::gateway) type Params = Map<String, Value>;
/// What a handler says of it.
pub(in crate::gateway) type Handled = Result<Answer, ErrorShape>;

impl Gateway {
    /// Runs the handler of an operation; every row of the table has one.
    pub(super) fn handle(
        &mut self,
        op: Op,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        match op {
            Op::Agent => self.agent(conn, request, params, fx),
            Op::AgentIdentityGet => self.agent_identity(params),
            Op::AgentWait => self.agent_wait(conn, request, params),
            Op::AgentsCreate => self.agents_create(params, fx),
            Op::AgentsDelete => self.agents_delete(params, fx),
            Op::AgentsFilesGet => self.agents_files_get(params),
            Op::AgentsFilesList => self.agents_files_list(params),
            Op::AgentsFilesSet => self.agents_files_set(params),
            Op::AgentsList => Ok(Answer::Value(self.agents_list())),
            Op::AgentsUpdate => self.agents_update(params, fx),
            Op::ChannelsDeadLettersDrop => self.dead_letters_drop(params),
            Op::ChannelsDeadLettersList => self.dead_letters_list(params),
            Op::ChannelsDeadLettersResubmit => self.dead_letters_resubmit(params, fx),
            Op::ChannelsLogout => self.channels_logout(params, fx),
            Op::ChannelsPairingApprove => self.channel_pairing_settle(params, true, fx),
            Op::ChannelsPairingDismiss => self.channel_pairing_settle(params, false, fx),
            Op::ChannelsPairingList => self.channel_pairing_list(params),
            Op::ChannelsStart => self.channels_start(params, fx),
            Op::ChannelsStatus => Ok(self.channels_status_rpc(conn, request, params, fx)),
            Op::ChannelsStop => self.channels_stop(params, fx),
            Op::ChatAbort => self.chat_abort(params, fx),
            Op::ChatHistory | Op::ChatStartup => self.chat_history(params),
            Op::ChatInject => self.chat_inject(conn, request, params, fx),
            Op::ChatMessageGet => self.chat_message_get(params),
            Op::ChatMetadata => self.chat_metadata(params),
            Op::ChatSend => self.chat_send(conn, request, params, fx),
            Op::CommandsList => self.commands_list(params),
            Op::ConfigGet => Ok(Answer::Value(self.config_get())),
            Op::ConfigOpenFile => self.config_open_file(),
            Op::ConfigSchema => Ok(Answer::Value(self.config_schema())),
            Op::ConfigSchemaLookup => Self::config_schema_lookup(params),
            Op::ConfigSet | Op::ConfigPatch | Op::ConfigApply => {
                self.config_write(op, conn, request, params, fx)
            }
            Op::CronAdd => self.cron_add(conn, request, params, fx),
            Op::CronGet => self.cron_get(params),
            Op::CronList => self.cron_list(params),
            Op::CronRemove => self.cron_remove(conn, request, params, fx),
            Op::CronRun => self.cron_run(params),
            Op::CronRuns => self.cron_runs(params),
            Op::CronStatus => Ok(Answer::Value(self.cron_status())),
            Op::CronUpdate => self.cron_update(conn, request, params, fx),
            Op::DevicePairApprove => self.device_pair_approve(conn, params, fx),
            Op::DevicePairList => Ok(self.device_pair_list(conn)),
            Op::DevicePairReject => self.device_pair_reject(conn, params, fx),
            Op::DevicePairRemove => self.device_pair_remove(conn, request, params, fx),
            Op::DevicePairRename => self.device_pair_rename(conn, params),
            Op::DevicePairSetupCode => self.device_setup_code(params),
            Op::DevicePairSetupStatus => Ok(self.device_setup_status(params)),
            Op::DeviceScopesRequestUpgrade => self.device_scopes_request(conn, params, fx),
            Op::DeviceScopesWaitUpgrade => self.device_scopes_wait(conn, request, params),
            Op::DeviceTokenRevoke => self.device_token_revoke(conn, request, params, fx),
            Op::DeviceTokenRotate => self.device_token_rotate(conn, request, params, fx),
            Op::DiagnosticsStability => Ok(Answer::Value(self.stability(params))),
            Op::ExecApprovalGet => self.exec_approval_get(text(params, "id").unwrap_or_default()),
            Op::ExecApprovalList => Ok(Answer::Value(self.exec_approval_list())),
            Op::ExecApprovalRequest => self.exec_approval_request(conn, request, params, fx),
            Op::ExecApprovalResolve => {
                let word = |name| text(params, name).unwrap_or_default();
                self.exec_approval_resolve(conn, word("id"), word("decision"), fx)
            }
            Op::ExecApprovalWaitDecision => {
                self.exec_approval_wait(conn, request, text(params, "id").unwrap_or_default())
            }
            Op::ExecApprovalsGet => self.exec_approvals_get(),
            Op::ExecApprovalsSet => self.exec_approvals_set(params),
            Op::ExecApprovalsNodeGet => {
                self.node_approvals(conn, request, "system.execApprovals.get", params, fx)
            }
            Op::ExecApprovalsNodeSet => {
                self.node_approvals(conn, request, "system.execApprovals.set", params, fx)
            }
            Op::GatewayIdentityGet => Ok(Answer::Value(self.gateway_identity()?)),
            Op::Health => Ok(Answer::Json(self.health_json())),
            Op::LastHeartbeat => Ok(Answer::Value(self.last_heartbeat())),
            Op::LogsTail => self.logs_tail(params),
            Op::MessageAction => self.message_action(conn, request, params, fx),
            Op::ModelsAuthStatus => Ok(Answer::Value(self.models_auth_status(params))),
            Op::ModelsProbe => self.models_probe(conn, request, params, fx),
            Op::ModelsList => Ok(Answer::Value(self.models_list(params))),
            Op::NodeDescribe
            | Op::NodeEvent
            | Op::NodeInvoke
            | Op::NodeInvokeProgress
            | Op::NodeInvokeResult
            | Op::NodeList
            | Op::NodePairApprove
            | Op::NodePairList
            | Op::NodePairReject
            | Op::NodePairRemove
            | Op::NodePendingAck
            | Op::NodePendingDrain
            | Op::NodePendingEnqueue
            | Op::NodePendingPull
            | Op::NodePluginSurfaceRefresh
            | Op::NodePluginToolsUpdate
            | Op::NodeRename
            | Op::NodeSkillsUpdate => self.handle_node(op, conn, request, params, fx),
            Op::SecretsResolve => self.secrets_resolve(params),
            // Nothing here loads plugins, so none of them asks: the list is always empty.
            Op::PluginApprovalList => Ok(Answer::Value(Value::Array(Vec::new()))),
            Op::SecretsReload => Ok(self.secrets_reload(conn, request, fx)),
            Op::Poll => self.poll_rpc(conn, request, params, fx),
            Op::Send => self.send_rpc(conn, request, params, fx),
            Op::SessionsAbort => self.sessions_abort(params, fx),
            Op::SessionsCompact => self.sessions_compact(conn, request, params),
            Op::SessionsCreate => self.sessions_create(conn, request, params, fx),
            Op::SessionsDelete => self.sessions_delete(conn, request, params, fx),
            Op::SessionsDescribe => self.sessions_describe(params),
            Op::SessionsList => Ok(Answer::Value(self.sessions_list(params))),
            Op::SessionsMessagesSubscribe => self.messages_subscribe(conn, params, true),
            Op::SessionsMessagesUnsubscribe => self.messages_subscribe(conn, params, false),
            Op::SessionsPatch => self.sessions_patch(conn, request, params, fx),
            Op::SessionsPreview => self.sessions_preview(params),
            Op::SessionsReset => self.sessions_reset(conn, request, params, fx),
            Op::SessionsResolve => self.sessions_resolve(params),
            Op::SessionsSend => self.sessions_send(conn, request, params, fx),
            Op::SessionsSubscribe => Ok(Answer::Value(self.sessions_subscribe(conn, params, true))),
            Op::SessionsUnsubscribe => {
                Ok(Answer::Value(self.sessions_subscribe(conn, params, false)))
            }
            Op::SessionsUsage => self.sessions_usage(params),
            Op::SessionsUsageLogs => self.usage_logs(params),
            Op::SessionsUsageTimeseries => self.usage_timeseries(params),
            Op::SetHeartbeats => self.set_heartbeats(params),
            Op::SkillsBins => Ok(Answer::Value(self.skills_bins())),
            Op::SkillsStatus => self.skills(params),
            Op::Status => Ok(Answer::Value(self.status_value())),
            Op::SystemEvent => self.system_event(params),
            Op::SystemPresence => Ok(Answer::Value(self.presence_list())),
            Op::ToolsCatalog => self.tools_catalog(params),
            Op::ToolsEffective => self.tools_effective(params),
            Op::ToolsInvoke => self.tools_invoke(conn, request, params, fx),
            Op::UsageCost => self.usage_cost(params),
            Op::VoicewakeGet => Ok(Answer::Value(self.voicewake_get())),
            Op::VoicewakeRoutingGet => Ok(Answer::Value(self.voicewake_routing_get())),
            Op::VoicewakeSet => self.voicewake_set(params, fx),
            Op::Wake => self.wake_rpc(params),
            Op::UsageStatus => Ok(Answer::Value(self.usage_status())),
        }
    }

    /// The canonical key and agent that `sessionKey` and `agentId` name.
    pub(super) fn target(
        &self,
        name: Option<&str>,
        agent: Option<&str>,
    ) -> Result<(String, String), ErrorShape> {
        let named = agent.map(str::trim).filter(|agent| !agent.is_empty());
        let named = named.map(str::to_ascii_lowercase);
        let agent = named.as_deref().unwrap_or(self.config.agents.default_agent());
        let main_key = &self.config.session.main_key;
        let key = match name {
            Some(name) => key::canonical(name, agent, main_key).map_err(ErrorShape::invalid)?,
            None => key::main(agent, main_key),
        };
        let owner = key::agent_of(&key).unwrap_or(agent).to_owned();
        if named.as_deref().is_some_and(|agent| agent != owner) {
            return Err(ErrorShape::invalid(format!(
                "agentId \"{agent}\" does not own session \"{key}\""
            )));
        }
        if !self.config.agents.has(&owner) {
            return Err(ErrorShape::invalid(format!(
                "Agent \"{owner}\" no longer exists in configuration"
            )));
        }
        Ok((key, owner))
    }
}

fn text<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str)
}

fn number(params: &Params, name: &str) -> Option<u64> {
    params.get(name).and_then(Value::as_u64)
}

/// A length or count from a parameter that was checked against its range.
fn count(params: &Params, name: &str, default: usize) -> usize {
    number(params, name).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX))
}
