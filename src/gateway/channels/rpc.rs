//! `channels.start|stop|logout`, `channels.pairing.*`, `send`, `message.action`, `poll`, and the
//! HTTP door of accounts.

use super::super::Gateway;
use super::super::rpc::{Handled, Params};
use super::super::socket::Answer;
use super::LiveId;
use super::outbound::{ActWait, Delivery, Wait};
use super::pairing::Pending;
use super::place::text;
use crate::api::Reply;
use crate::channels::account::{accounts, logout, normal_id};
use crate::channels::port::{ChannelInput, HookId, HookRequest};
use crate::channels::{Act, Address, State, actions};
use crate::driver::{ConnId, Effects};
use crate::limits;
use crate::protocol::error::ErrorShape;
use crate::wire::http::Head;
use crate::wire::text::rfc3339_ms;
use serde_json::{Map, Value, json};

impl Gateway {
    /// `channels.start {channel, accountId?}`.
    pub(in crate::gateway) fn channels_start(
        &mut self,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let channel = text(params, "channel").unwrap_or_default();
        let (kind, account, id) = self.named(channel, text(params, "accountId"))?;
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.by_hand = false;
        }
        let skipped = self.start_account(id, fx);
        let running = self.channels.get(id).is_some_and(|live| live.running);
        let outcome = match skipped {
            None => json!({"status": "handed-off"}),
            Some(reason) => json!({"status": "skipped", "reason": reason}),
        };
        Ok(Answer::Value(json!({
            "channel": kind.id, "accountId": account, "started": running, "outcome": outcome,
        })))
    }

    /// `channels.stop {channel, accountId?}`: until it is started by hand.
    pub(in crate::gateway) fn channels_stop(
        &mut self,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let channel = text(params, "channel").unwrap_or_default();
        let (kind, account, id) = self.named(channel, text(params, "accountId"))?;
        self.stop_account(id, fx);
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.by_hand = true;
        }
        Ok(Answer::Value(json!({"channel": kind.id, "accountId": account, "stopped": true})))
    }

    /// `channels.logout {channel, accountId?}` -> `{channel, accountId, cleared, envToken,
    /// loggedOut}`: stops the account, and forgets what it kept and its credentials in the
    /// configuration. What stands in the environment or in a file of its own stays.
    pub(in crate::gateway) fn channels_logout(
        &mut self,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let channel = text(params, "channel").unwrap_or_default();
        let (kind, account, id) = self.named(channel, text(params, "accountId"))?;
        let path = self.channels.get(id).map_or_else(String::new, |it| it.account.path.clone());
        self.stop_account(id, fx);
        self.forget_kept(id);
        if let Some(live) = self.channels.live.get_mut(&id) {
            live.by_hand = true;
        }
        let cleared = self.edit_file(|text| logout::without(kind, &path, text), fx)?;
        let env = logout::in_environment(kind, &account, self.config.env.all());
        let section = self.config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
        let all = accounts(kind, section, self.config.env.all());
        let left = all.iter().find(|one| one.id == account);
        let logged_out = left.is_none_or(|one| !logout::has_credentials(kind, one));
        Ok(Answer::Value(json!({
            "channel": kind.id, "accountId": account, "cleared": cleared,
            "envToken": env.is_some(), "loggedOut": logged_out,
        })))
    }

    /// `channels.pairing.list {channel?, accountId?}`.
    pub(in crate::gateway) fn channel_pairing_list(&self, params: &Params) -> Handled {
        let channel = text(params, "channel").map(str::to_lowercase);
        let account = text(params, "accountId").map(normal_id);
        if let Some(channel) = &channel
            && crate::channels::find(channel).is_none()
        {
            return Err(ErrorShape::invalid(format!("unknown pairing channel: {channel}")));
        }
        let mut rows = Vec::new();
        for live in self.channels.live.values() {
            let said = live.account.text("dmPolicy").or_else(|| live.account.text("dm.policy"));
            let ours = said.unwrap_or("pairing") == "pairing"
                && channel.as_deref().is_none_or(|channel| channel == live.kind.id)
                && account.as_ref().is_none_or(|account| *account == live.account.id);
            if ours {
                rows.push(json!({
                    "channel": live.kind.id, "channelLabel": live.kind.label,
                    "accountId": live.account.id, "notifySupported": true,
                }));
            }
        }
        let now_ms = self.now.wall_ms;
        let requests: Vec<Value> = self
            .channels
            .pairing
            .pending(now_ms)
            .filter(|one| channel.as_ref().is_none_or(|channel| *channel == one.channel))
            .filter(|one| account.as_ref().is_none_or(|account| *account == one.account_id))
            .map(request_row)
            .collect();
        let owners = self.config.chat.commands.get("ownerAllowFrom").and_then(Value::as_array);
        Ok(Answer::Value(json!({
            "accounts": rows, "requests": requests,
            "commandOwnerConfigured": owners.is_some_and(|list| !list.is_empty()),
            "limits": {
                "pendingPerAccount": limits::CHANNEL_PAIRING_PENDING,
                "ttlMs": limits::CHANNEL_PAIRING_MS,
            },
        })))
    }

    /// `channels.pairing.approve {channel, accountId?, requestId | code, notify?}` and
    /// `channels.pairing.dismiss {channel, accountId?, requestId | code}`.
    pub(in crate::gateway) fn channel_pairing_settle(
        &mut self,
        params: &Params,
        allow: bool,
        fx: &mut Effects,
    ) -> Handled {
        let channel = text(params, "channel").unwrap_or_default().to_lowercase();
        let account = text(params, "accountId").map(normal_id);
        let kind = Self::kind_named(&channel)?;
        let wanted = text(params, "requestId").map(str::to_owned);
        let code = text(params, "code").map(str::to_uppercase);
        if wanted.is_none() && code.is_none() {
            return Err(ErrorShape::invalid("requestId or code required"));
        }
        let is = |one: &Pending| {
            one.channel == kind.id
                && account.as_ref().is_none_or(|account| *account == one.account_id)
                && wanted.as_ref().is_none_or(|id| *id == one.request_id())
                && code.as_ref().is_none_or(|code| *code == one.code)
        };
        let now_ms = self.now.wall_ms;
        let found = self.channels.pairing.settle(self.disk.as_mut(), now_ms, is, allow);
        let one = match found {
            Ok(Some(one)) => one,
            Ok(None) => {
                let what = "pending DM access request no longer exists";
                return Err(ErrorShape::invalid(what));
            }
            Err(error) => return Err(ErrorShape::unavailable(error.to_string())),
        };
        if !allow {
            return Ok(Answer::Value(json!({
                "requestId": one.request_id(), "senderId": one.id,
            })));
        }
        let notify = params.get("notify") == Some(&Value::Bool(true));
        if notify {
            let text = "✅ OpenClaw access approved. Send a message to start chatting.".to_owned();
            let names = (one.channel.as_str(), one.account_id.as_str());
            let id = format!("paired-{}", one.request_id());
            let delivery = Delivery::notice(id, names, one.to.clone(), text, now_ms);
            self.deliver(delivery, fx);
        }
        let owners = self.config.chat.commands.get("ownerAllowFrom").and_then(Value::as_array);
        Ok(Answer::Value(json!({
            "requestId": one.request_id(), "senderId": one.id, "channel": one.channel,
            "accountId": one.account_id,
            "notification": if notify { "sent" } else { "not-requested" },
            "commandOwnerBootstrap": "not-requested",
            "commandOwnerConfigured": owners.is_some_and(|list| !list.is_empty()),
        })))
    }

    /// `send {to, message, channel?, accountId?, threadId?, replyToId?, mediaUrl(s)?, silent?,
    /// idempotencyKey}`: answered when the service has taken it.
    pub(in crate::gateway) fn send_rpc(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let to = text(params, "to").unwrap_or_default();
        let (_, mut delivery) = self.delivery_place(params, to)?;
        delivery.text = text(params, "message").unwrap_or_default().to_owned();
        delivery.id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
        self.enclose(&mut delivery, params, &self.sender_agent(params))
            .map_err(ErrorShape::invalid)?;
        let wait = Wait { conn, request: request.to_owned(), action: false };
        self.send_and_wait(delivery, wait, fx)
    }

    /// Whose workspace a request may send files of: the agent that it or its session names.
    fn sender_agent(&self, params: &Params) -> String {
        let session = text(params, "sessionKey").and_then(crate::sessions::key::agent_of);
        let named = text(params, "agentId").or(session).map(str::to_lowercase);
        let known = named.filter(|agent| self.config.agents.has(agent));
        known.unwrap_or_else(|| self.config.agents.default_agent().to_owned())
    }

    fn send_and_wait(&mut self, delivery: Delivery, wait: Wait, fx: &mut Effects) -> Handled {
        if delivery.text.is_empty() && delivery.media.is_empty() && delivery.extra.is_null() {
            return Err(ErrorShape::invalid("message or media required"));
        }
        let id = self.channels.find(&delivery.channel, &delivery.account);
        let state = id.and_then(|id| self.channels.get(id)).map(|live| live.state.clone());
        if let Some(State::Refused { why }) = state {
            return Err(ErrorShape::unavailable(why));
        }
        let answer = json!({
            "ok": true, "runId": delivery.id, "channel": delivery.channel,
            "chatId": delivery.to.chat, "deduplicated": true,
        });
        let id = delivery.id.clone();
        // Registered before the pump may end it in this very turn.
        let new = self.accept_waiting(delivery, wait, fx).map_err(ErrorShape::unavailable)?;
        match new {
            true => Ok(Answer::Handled),
            false => {
                log::debug!(target: "channels", "{id} was delivered before");
                Ok(Answer::Value(answer))
            }
        }
    }

    /// `message.action {channel, action, params, idempotencyKey}`.
    pub(in crate::gateway) fn message_action(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let none = Map::new();
        let own = params.get("params").and_then(Value::as_object).unwrap_or(&none);
        let mut all = own.clone();
        for name in ["channel", "accountId"] {
            if let Some(value) = params.get(name) {
                all.insert(name.to_owned(), value.clone());
            }
        }
        let action = text(params, "action").unwrap_or_default();
        let to = ["target", "to", "channelId"].into_iter().find_map(|name| text(&all, name));
        let to = to.unwrap_or_default().to_owned();
        if let Some((id, act)) = self.act_of(action, &all, &to)? {
            let wait = ActWait::Rpc { conn, request: request.to_owned() };
            self.act(id, &act, wait, fx);
            return Ok(Answer::Handled);
        }
        let (_, mut delivery) = self.delivery_place(&all, &to)?;
        delivery.text = text(&all, "message").or(text(&all, "text")).unwrap_or_default().to_owned();
        const EXTRA: [&str; 7] =
            ["buttons", "components", "embeds", "presentation", "delivery", "pin", "gifPlayback"];
        let extra = all.iter().filter(|(name, _)| EXTRA.contains(&name.as_str()));
        let extra: Params = extra.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !extra.is_empty() {
            delivery.extra = Value::Object(extra);
        }
        delivery.id = text(params, "idempotencyKey").unwrap_or_default().to_owned();
        self.enclose(&mut delivery, &all, &self.sender_agent(params))
            .map_err(ErrorShape::invalid)?;
        let wait = Wait { conn, request: request.to_owned(), action: true };
        self.send_and_wait(delivery, wait, fx)
    }

    /// The account and what an action asks of it; `None` for those that send.
    ///
    /// # Errors
    /// The channel has no such action, the account or the target is none, something is missing.
    pub(super) fn act_of(
        &self,
        action: &str,
        all: &Params,
        to: &str,
    ) -> Result<Option<(LiveId, Act)>, ErrorShape> {
        if let Some(further) = self.further_act(action, all, to)? {
            return Ok(Some(further));
        }
        if action == "sendMessage" || actions::SENDING.contains(&action) {
            return Ok(None);
        }
        let (id, delivery) = self.delivery_place(all, to)?;
        let message = || -> Result<String, ErrorShape> {
            let found = text(all, "messageId").map(str::to_owned);
            found.ok_or_else(|| ErrorShape::invalid("messageId required"))
        };
        let address: Address = delivery.to;
        let act = match action {
            "react" => Act::React {
                to: address,
                message: message()?,
                emoji: text(all, "emoji").unwrap_or_default().to_owned(),
                remove: all.get("remove") == Some(&Value::Bool(true))
                    || text(all, "emoji").is_none(),
            },
            "edit" => Act::Edit {
                to: address,
                message: message()?,
                text: self.rendered(id, text(all, "message").unwrap_or_default())?,
            },
            "delete" | "unsend" => Act::Delete { to: address, message: message()? },
            _ => poll_of(all, address)?,
        };
        Ok(Some((id, act)))
    }

    /// An action that is one call of the service and needs no target to be found: the account and
    /// what it is asked. `None` for what is sent, changed or polled.
    ///
    /// # Errors
    /// The channel has no such action, or the account is none.
    fn further_act(
        &self,
        action: &str,
        all: &Params,
        to: &str,
    ) -> Result<Option<(LiveId, Act)>, ErrorShape> {
        let prefix = to.split_once(':').map(|(prefix, _)| prefix.to_lowercase());
        let by_prefix = prefix.as_deref().and_then(crate::channels::find);
        let kind = match (text(all, "channel"), by_prefix) {
            (Some(name), _) if name != "last" => Some(Self::kind_named(name)?),
            (_, Some(kind)) => Some(kind),
            _ => None,
        };
        if action == "sendMessage" {
            return Ok(None);
        }
        if let Some(kind) = kind {
            actions::check(kind, action).map_err(ErrorShape::invalid)?;
        }
        let addressed = ["poll", "react", "edit", "delete", "unsend"];
        if actions::SENDING.contains(&action) || addressed.contains(&action) {
            return Ok(None);
        }
        let name = kind.map(|kind| kind.id);
        let Some(name) = name else {
            return Err(ErrorShape::invalid("channel required: by which channel"));
        };
        let (_, _, id) = self.named(name, text(all, "accountId"))?;
        let mut params = all.clone();
        // A timeout is said as a length or as a time; services want a time.
        let minutes = params.get("durationMin").and_then(Value::as_u64);
        if let Some(minutes) = minutes {
            let until = self.now.wall_ms.saturating_add(minutes.saturating_mul(60_000));
            params.insert("untilSeconds".to_owned(), json!((until / 1000).to_string()));
            params.entry("until").or_insert_with(|| json!(rfc3339_ms(until)));
        }
        let act = Act::Other { name: action.to_owned(), params: Value::Object(params) };
        Ok(Some((id, act)))
    }

    fn rendered(&self, id: LiveId, markdown: &str) -> Result<String, ErrorShape> {
        let live = self.channels.get(id);
        let kind = live.map(|live| live.kind);
        let pieces =
            kind.map(|kind| crate::channels::text::for_channel(kind, markdown, None, false));
        match pieces.unwrap_or_default().as_slice() {
            [(rendered, _)] => Ok(rendered.clone()),
            [] => Err(ErrorShape::invalid("message required")),
            _ => Err(ErrorShape::invalid("the new text is longer than one message may be")),
        }
    }

    /// `poll {to, question, options, ...}`.
    pub(in crate::gateway) fn poll_rpc(
        &mut self,
        conn: ConnId,
        request: &str,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let (id, delivery) = self.delivery_place(params, text(params, "to").unwrap_or_default())?;
        let act = poll_of(params, delivery.to)?;
        let wait = ActWait::Rpc { conn, request: request.to_owned() };
        self.act(id, &act, wait, fx);
        Ok(Answer::Handled)
    }

    /// Which account's a path of the HTTP door is.
    pub(in crate::gateway) fn channel_path(&self, path: &str) -> Option<LiveId> {
        let ours = |live: &super::Live| live.running && live.paths.iter().any(|own| own == path);
        self.channels.live.iter().find(|(_, live)| ours(live)).map(|(id, _)| *id)
    }

    /// A request of a service, complete.
    pub(in crate::gateway) fn channel_hook(
        &mut self,
        conn: ConnId,
        head: &Head,
        body: Vec<u8>,
        fx: &mut Effects,
    ) {
        let Some(id) = self.channel_path(head.path()) else {
            let reply = crate::api::not_found(head.path());
            return self.respond_to_hook(conn, &reply, fx);
        };
        if self.faults.acknowledge_hooks_unread {
            return self.respond_to_hook(conn, &Reply::text(200, "ok"), fx);
        }
        let hook = HookId(self.channels.number());
        let target = head.target.as_str();
        let request = HookRequest {
            method: head.method.as_str().to_owned(),
            path: head.path().to_owned(),
            query: target.split_once('?').map_or("", |(_, query)| query).to_owned(),
            headers: head.headers.clone(),
            body,
        };
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        if live.hooks.len() >= limits::CHANNEL_HOOKS {
            let reply = Reply::text(503, "busy").with("Retry-After", "1");
            return self.respond_to_hook(conn, &reply, fx);
        }
        live.hooks.insert(hook, conn);
        self.channel_on(id, ChannelInput::Hook { hook, request: &request }, fx);
    }

    /// An account answers a request.
    pub(super) fn answer_channel_hook(
        &mut self,
        id: LiveId,
        hook: HookId,
        (status, mime, body): (u16, &'static str, Vec<u8>),
        fx: &mut Effects,
    ) {
        let live = self.channels.live.get_mut(&id);
        let Some(conn) = live.and_then(|live| live.hooks.remove(&hook)) else { return };
        let mut reply = Reply::raw(status, body);
        reply.content_type = mime;
        self.respond_to_hook(conn, &reply, fx);
    }
}

fn poll_of(params: &Params, to: Address) -> Result<Act, ErrorShape> {
    let question = text(params, "question").or(text(params, "pollQuestion")).unwrap_or_default();
    let options = ["options", "pollOption", "pollOptions"]
        .into_iter()
        .find_map(|name| params.get(name).and_then(crate::channels::account::texts))
        .unwrap_or_default();
    if question.is_empty() || options.len() < 2 || options.len() > limits::CHANNEL_POLL {
        return Err(ErrorShape::invalid(format!(
            "a poll has a question and 2 to {} options",
            limits::CHANNEL_POLL
        )));
    }
    let number = |name: &str| params.get(name).and_then(Value::as_u64);
    let hours = number("durationHours").map(|hours| hours.saturating_mul(3_600));
    let multi = params.get("pollMulti") == Some(&Value::Bool(true));
    let most = number("maxSelections").and_then(|n| u32::try_from(n).ok());
    let all = u32::try_from(options.len()).unwrap_or(1);
    Ok(Act::Poll {
        to,
        question: question.to_owned(),
        max_selections: most.unwrap_or(if multi { all } else { 1 }).max(1),
        options,
        duration_s: number("durationSeconds").or(hours),
        anonymous: params.get("isAnonymous") != Some(&Value::Bool(false)),
        silent: params.get("silent") == Some(&Value::Bool(true)),
    })
}

fn request_row(one: &Pending) -> Value {
    let kind = crate::channels::find(&one.channel);
    let mut row = json!({
        "requestId": one.request_id(), "channel": one.channel,
        "channelLabel": kind.map_or(one.channel.as_str(), |kind| kind.label),
        "accountId": one.account_id, "senderId": one.id, "senderLabel": "id",
        "createdAt": rfc3339_ms(one.created_at_ms), "lastSeenAt": rfc3339_ms(one.last_seen_at_ms),
        "expiresAt": rfc3339_ms(one.expires_ms()), "notifySupported": true,
    });
    if let Some(name) = &one.name {
        row["metadata"] = json!({"name": name});
    }
    row
}
