//! Where a message goes that answers nobody: account and target, found out before anything is
//! run or said for it.
//!
//! ```text
//!   channel, to, accountId, threadId --+
//!   who last wrote to the session -----+--> [Place] --> outbound journal
//!   the only configured channel -------+      |
//!                                             +--> [NoPlace]: a word, a sentence, a command
//! ```

use super::super::Gateway;
use super::super::rpc::Params;
use super::LiveId;
use super::outbound::{Delivery, Origin};
use crate::channels::account::{accounts, default_id, normal_id};
use crate::channels::{Address, ChatKind, KINDS, Kind, State};
use crate::protocol::error::ErrorShape;
use serde_json::Value;

/// Names of the reference for clients that are no channel.
const INTERNAL: [&str; 2] = ["webchat", "none"];

pub(super) fn text<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// Where something goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Place {
    pub(in crate::gateway) channel: &'static str,
    pub(in crate::gateway) account: String,
    pub(in crate::gateway) to: Address,
}

/// Why it goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct NoPlace {
    /// A word of `deliveryStatus.reason`.
    pub(in crate::gateway) reason: &'static str,
    /// What is wrong, and the next command.
    pub(in crate::gateway) what: String,
}

impl NoPlace {
    fn new(reason: &'static str, what: impl Into<String>) -> Self {
        Self { reason, what: what.into() }
    }
}

impl From<NoPlace> for ErrorShape {
    fn from(why: NoPlace) -> Self {
        Self::invalid(why.what)
    }
}

/// What is said of a destination.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::gateway) struct Wanted<'a> {
    /// Its id; `last` and nothing mean who last wrote.
    pub(in crate::gateway) channel: Option<&'a str>,
    /// The target; may begin with a channel's prefix.
    pub(in crate::gateway) to: Option<&'a str>,
    pub(in crate::gateway) account: Option<&'a str>,
    pub(in crate::gateway) thread: Option<&'a str>,
    /// The session that knows who last wrote; empty when nobody's counts.
    pub(in crate::gateway) session: &'a str,
}

impl<'a> Wanted<'a> {
    /// As parameters, hooks and jobs write it.
    pub(in crate::gateway) fn of(spec: &'a Value, session: &'a str) -> Self {
        let word = |name: &str| {
            spec.get(name).and_then(Value::as_str).map(str::trim).filter(|word| !word.is_empty())
        };
        Self {
            channel: word("channel"),
            to: word("to"),
            account: word("accountId"),
            thread: word("threadId"),
            session,
        }
    }
}

fn unknown(name: &str) -> NoPlace {
    let name: String = name.chars().take(64).collect();
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.id).collect();
    NoPlace::new(
        "unknown_channel",
        format!("unsupported channel: {name} (this gateway has: {})", known.join(", ")),
    )
}

impl Gateway {
    /// A channel by its name.
    ///
    /// # Errors
    /// That it is none; the text names those there are.
    pub(super) fn kind_named(channel: &str) -> Result<&'static Kind, NoPlace> {
        crate::channels::find(&channel.to_lowercase()).ok_or_else(|| unknown(channel))
    }

    /// The account that a request names.
    pub(super) fn named(
        &self,
        channel: &str,
        account: Option<&str>,
    ) -> Result<(&'static Kind, String, LiveId), NoPlace> {
        let kind = Self::kind_named(channel)?;
        let section = self.config.chat.channels.get(kind.id).unwrap_or(&Value::Null);
        let all = accounts(kind, section, self.config.env.all());
        let id = match account {
            Some(account) => normal_id(account),
            None => default_id(section, &all).ok_or_else(|| {
                NoPlace::new(
                    "unknown_channel",
                    format!(
                        "{} is not configured: openclaw channels add --channel {}",
                        kind.label, kind.id
                    ),
                )
            })?,
        };
        match self.channels.find(kind.id, &id) {
            Some(live) => Ok((kind, id, live)),
            None => Err(NoPlace::new(
                "invalid_delivery_target",
                format!(
                    "no account \"{id}\" of {}: openclaw channels list, or openclaw channels add \
                     --channel {} --account {id}",
                    kind.label, kind.id
                ),
            )),
        }
    }

    /// The channel that need not be named: the only one.
    fn only_channel(&self) -> Result<&'static str, NoPlace> {
        let mut ids: Vec<&'static str> =
            self.channels.live.values().map(|live| live.kind.id).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [only] => Ok(*only),
            [] => Err(NoPlace::new(
                "unknown_channel",
                "channel required: no channel is configured; openclaw channels add --channel <id>",
            )),
            many => Err(NoPlace::new(
                "unknown_channel",
                format!("channel required: name one of {}", many.join(", ")),
            )),
        }
    }

    /// Finds account and target of what is wanted.
    ///
    /// # Errors
    /// Why it goes nowhere, and the next command.
    pub(in crate::gateway) fn find_place(&self, wanted: Wanted<'_>) -> Result<Place, NoPlace> {
        if wanted.channel.is_some_and(|name| INTERNAL.contains(&name)) {
            return Err(NoPlace::new(
                "channel_resolved_to_internal",
                "the control page and chat clients read the session itself; name a chat channel: \
                 openclaw channels list",
            ));
        }
        let named = wanted.channel.filter(|name| *name != "last").map(Self::kind_named);
        let named = named.transpose()?;
        let last = self.last_place(wanted.session);
        let Some(to) = wanted.to else { return self.place_without_target(named, wanted, last) };
        let (prefix, rest) = to.split_once(':').unwrap_or(("", to));
        let by_prefix = crate::channels::find(&prefix.to_lowercase());
        let (kind, target) = match (named, by_prefix) {
            (Some(own), Some(kind)) if own.id != kind.id => {
                return Err(NoPlace::new(
                    "invalid_delivery_target",
                    format!("the target \"{prefix}:…\" is not of the channel {}", own.id),
                ));
            }
            (_, Some(kind)) => (kind, rest),
            (Some(own), None) => (own, to),
            (None, None) => {
                let known = last.as_ref().map(|last| last.channel);
                (Self::kind_named(known.map_or_else(|| self.only_channel(), Ok)?)?, to)
            }
        };
        let (kind, account, _) = self.named(kind.id, wanted.account)?;
        let mut to =
            (kind.target)(target).map_err(|what| NoPlace::new("invalid_delivery_target", what))?;
        if let Some(thread) = wanted.thread {
            to.thread = Some(thread.to_owned());
        }
        Ok(Place { channel: kind.id, account, to })
    }

    /// No target is named: who last wrote, or the account's `defaultTo`.
    fn place_without_target(
        &self,
        named: Option<&'static Kind>,
        wanted: Wanted<'_>,
        last: Option<Place>,
    ) -> Result<Place, NoPlace> {
        let here = last.filter(|last| named.is_none_or(|kind| kind.id == last.channel));
        if let Some(mut place) = here {
            if let Some(account) = wanted.account {
                place.account = self.named(place.channel, Some(account))?.1;
            }
            if let Some(thread) = wanted.thread {
                place.to.thread = Some(thread.to_owned());
            }
            return Ok(place);
        }
        let Some(kind) = named else {
            return Err(NoPlace::new(
                "no_delivery_target",
                "delivery channel is required: nobody has written to this session by a channel \
                 yet; pass --reply-channel and --reply-to (channel and to)",
            ));
        };
        let (_, account, id) = self.named(kind.id, wanted.account)?;
        let default = self.channels.get(id).and_then(|live| live.account.text("defaultTo"));
        let Some(default) = default else {
            let path = self.channels.get(id).map_or_else(String::new, |it| it.account.path.clone());
            return Err(NoPlace::new(
                "no_delivery_target",
                format!(
                    "{}: to whom? pass --reply-to <target> (to), or openclaw config set \
                     {path}.defaultTo <target>",
                    kind.label
                ),
            ));
        };
        let to = (kind.target)(default).map_err(|what| {
            NoPlace::new("invalid_delivery_target", format!("defaultTo: {what}"))
        })?;
        Ok(Place { channel: kind.id, account, to })
    }

    /// Who last wrote to a session by a channel, as far as that account still is.
    pub(in crate::gateway) fn last_place(&self, session: &str) -> Option<Place> {
        let entry = self.sessions.get(session)?;
        let kind = crate::channels::find(entry.word("lastChannel")?)?;
        let account = entry.word("lastAccountId");
        let (_, account, _) = self.named(kind.id, account).ok()?;
        let thread = entry.word("lastThreadId").map(str::to_owned);
        let to = Address { chat: entry.word("lastTo")?.to_owned(), thread };
        Some(Place { channel: kind.id, account, to })
    }

    /// Whether something for there has a chance: the account is switched on, and what it needs is
    /// configured. One that only waits for its service has.
    ///
    /// # Errors
    /// What keeps it, and the next command.
    pub(in crate::gateway) fn may_leave(&self, place: &Place) -> Result<(), NoPlace> {
        let live = self.channels.find(place.channel, &place.account);
        let Some(live) = live.and_then(|id| self.channels.get(id)) else { return Ok(()) };
        match &live.state {
            _ if !live.account.enabled() => Err(NoPlace::new(
                "invalid_delivery_target",
                format!(
                    "{} account \"{}\" is switched off: openclaw config set {}.enabled true",
                    live.kind.label, place.account, live.account.path
                ),
            )),
            State::Refused { why } => Err(NoPlace::new("invalid_delivery_target", why.clone())),
            State::Stopped if live.by_hand => Err(NoPlace::new(
                "invalid_delivery_target",
                format!(
                    "{} account \"{}\" was stopped: openclaw gateway call channels.start --params \
                     '{{\"channel\":\"{}\",\"accountId\":\"{}\"}}'",
                    live.kind.label, place.account, place.channel, place.account
                ),
            )),
            _ => Ok(()),
        }
    }

    /// As [`Gateway::find_place`], for a run whose answer shall go there: the origin that it is
    /// accepted with.
    ///
    /// # Errors
    /// The same, and what [`Gateway::may_leave`] says.
    pub(in crate::gateway) fn answer_place(&self, wanted: Wanted<'_>) -> Result<Value, NoPlace> {
        let place = self.find_place(wanted)?;
        self.may_leave(&place)?;
        Ok(serde_json::to_value(Origin::unasked(place)).unwrap_or_default())
    }

    /// Account and delivery of a message, from the parameters of a request.
    pub(super) fn delivery_place(
        &self,
        params: &Params,
        to: &str,
    ) -> Result<(LiveId, Delivery), ErrorShape> {
        let wanted = Wanted {
            channel: text(params, "channel"),
            to: Some(to).filter(|to| !to.is_empty()),
            account: text(params, "accountId"),
            thread: text(params, "threadId"),
            session: text(params, "sessionKey").unwrap_or_default(),
        };
        let place = self.find_place(wanted)?;
        let (_, _, id) = self.named(place.channel, Some(&place.account))?;
        let mut delivery = self.delivery_to(place);
        delivery.reply_to =
            text(params, "replyToId").or(text(params, "replyTo")).map(str::to_owned);
        delivery.silent = params.get("silent") == Some(&Value::Bool(true));
        delivery.as_file = params.get("forceDocument") == Some(&Value::Bool(true));
        Ok((id, delivery))
    }

    /// An empty delivery for a place.
    pub(super) fn delivery_to(&self, place: Place) -> Delivery {
        let names = (place.channel, place.account.as_str());
        Delivery::notice(String::new(), names, place.to, String::new(), self.now.wall_ms)
    }

    /// Takes a text of the gateway's own accord on for delivery: an announced answer of a job, a
    /// word of the `message` tool. `session` knows who last wrote; `spec` may name files too.
    ///
    /// # Errors
    /// Why it goes nowhere, and what to set.
    pub(in crate::gateway) fn announce_by_channel(
        &mut self,
        id: &str,
        spec: &Value,
        session: &str,
        text_said: &str,
    ) -> Result<(), String> {
        let place = self.find_place(Wanted::of(spec, session)).map_err(|why| why.what)?;
        let kind = kind_of_target(place.channel, &place.to).unwrap_or(ChatKind::Channel);
        if !self.may_send(place.channel, kind, session) {
            return Err(format!("session.sendPolicy lets nothing of {session} out there"));
        }
        let mut delivery = self.delivery_to(place);
        delivery.id = id.to_owned();
        delivery.text = text_said.to_owned();
        delivery.as_file = spec.get("forceDocument") == Some(&Value::Bool(true));
        if let Some(params) = spec.as_object() {
            let agent = crate::sessions::key::agent_of(session).unwrap_or_default().to_owned();
            self.enclose(&mut delivery, params, &agent)?;
        }
        if delivery.text.trim().is_empty() && delivery.media.is_empty() {
            return Err("there is nothing to say: message or media".to_owned());
        }
        self.queue_delivery(delivery)
    }

    /// Everything that an account says.
    pub(in crate::gateway) fn account_value(&self, place: &Place) -> Option<Value> {
        let live = self.channels.get(self.channels.find(place.channel, &place.account)?)?;
        Some(live.account.value().clone())
    }

    /// The accounts of a channel, each with its `allowFrom`.
    pub(in crate::gateway) fn accounts_of(&self, channel: &str) -> Vec<(String, Vec<String>)> {
        let ours = self.channels.live.values().filter(|live| live.kind.id == channel);
        ours.map(|live| {
            let account = &live.account;
            let allowed = account.texts("allowFrom").or_else(|| account.texts("dm.allowFrom"));
            (account.id.clone(), allowed.unwrap_or_default())
        })
        .collect()
    }
}

/// Whether a target is one person or several, by how the service writes its ids. `None` when the
/// id does not tell.
pub(in crate::gateway) fn kind_of_target(channel: &str, to: &Address) -> Option<ChatKind> {
    let chat = to.chat.as_str();
    match channel {
        "telegram" => match chat.parse::<i64>() {
            Ok(id) if id > 0 => Some(ChatKind::Direct),
            Ok(_) => Some(ChatKind::Group),
            // `@name` is a channel or group; people are written to by number.
            Err(_) => Some(ChatKind::Group),
        },
        "irc" => Some(match chat.starts_with(['#', '&', '+', '!']) {
            true => ChatKind::Group,
            false => ChatKind::Direct,
        }),
        "slack" => match chat.chars().next() {
            Some('D' | 'U' | 'W') => Some(ChatKind::Direct),
            Some('C') => Some(ChatKind::Channel),
            Some('G') => Some(ChatKind::Group),
            _ => None,
        },
        // A channel's number may be that of a conversation with one person.
        "discord" => chat.starts_with("user:").then_some(ChatKind::Direct),
        _ => None,
    }
}
