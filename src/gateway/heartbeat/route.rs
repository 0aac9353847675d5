//! Where the answer of a beat goes, and what is shown there.
//!
//! `owner` is a person who may order: the first of `commands.ownerAllowFrom`, then of an account's
//! `allowFrom`, who can be written to alone; never a group. `last` is who last wrote to the
//! session, groups too. A channel's name takes `to`, else who last wrote there, else `defaultTo`.

use super::super::Gateway;
use super::super::channels::{Place, Wanted, kind_of_target};
use crate::channels::account::texts;
use crate::channels::{ChatKind, KINDS};
use crate::config::Heartbeat;
use serde_json::{Value, json};

/// What of a beat is shown: `heartbeatVisibility` of the account, the channel, all channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Shows {
    /// That nothing needs attention.
    pub(super) ok: bool,
    /// What does.
    pub(super) alerts: bool,
    /// In the status of clients.
    pub(super) indicator: bool,
}

impl Default for Shows {
    fn default() -> Self {
        Self { ok: false, alerts: true, indicator: true }
    }
}

impl Shows {
    /// A beat that would show nothing at all is not made.
    pub(super) fn nothing(self) -> bool {
        !self.ok && !self.alerts && !self.indicator
    }

    /// What a section says goes before what was known.
    fn with(self, section: Option<&Value>) -> Self {
        let flag = |name: &str, unset: bool| {
            section.and_then(|it| it.get(name)).and_then(Value::as_bool).unwrap_or(unset)
        };
        Self {
            ok: flag("showOk", self.ok),
            alerts: flag("showAlerts", self.alerts),
            indicator: flag("useIndicator", self.indicator),
        }
    }
}

/// Where the answer of a beat goes.
pub(in crate::gateway) struct Route {
    /// The session that knows who last wrote.
    pub(super) session: String,
    /// As an announcement says it: `channel`, `to`, `accountId`, `threadId`.
    pub(super) place: Value,
    /// Why nothing is sent there though it is known: `dm-blocked`.
    pub(super) blocked: Option<&'static str>,
    pub(super) shows: Shows,
}

impl Gateway {
    /// Where the answer of a beat goes; `None` when nobody is known.
    pub(in crate::gateway) fn beat_route(&self, session: &str, by: &Heartbeat) -> Option<Route> {
        let account = by.account.as_deref();
        let found = match by.target.as_str() {
            "none" => return None,
            "owner" => Ok(self.owner_place(session)?),
            "last" => {
                let wanted = Wanted { account, session, ..Wanted::default() };
                Ok(self.find_place(wanted).ok()?)
            }
            channel => {
                crate::channels::find(channel)?;
                let to = by.to.as_deref();
                let wanted =
                    Wanted { channel: Some(channel), to, account, session, ..Wanted::default() };
                // What cannot be found is told when there is something to say.
                self.find_place(wanted).map_err(|_| (channel, to, account))
            }
        };
        let session = session.to_owned();
        Some(match found {
            Ok(place) => Route {
                session,
                blocked: (by.no_direct && is_direct(&place)).then_some("dm-blocked"),
                shows: self.beat_shows(&place),
                place: shown(&place),
            },
            Err((channel, to, account)) => Route {
                session,
                blocked: None,
                shows: Shows::default(),
                place: json!({"channel": channel, "to": to, "accountId": account}),
            },
        })
    }

    /// An owner who can be written to alone.
    fn owner_place(&self, session: &str) -> Option<Place> {
        let last = self.last_place(session).filter(is_direct);
        let person = |channel: &str, account: Option<&str>, id: &str| {
            if id.contains('*') || id.trim().is_empty() {
                return None;
            }
            // Owners are people: a bare number of Discord is one, on IRC the nick is spoken to.
            let to = match channel {
                "discord" => format!("user:{}", id.trim_start_matches("user:")),
                "irc" => id.split('!').next().unwrap_or(id).to_owned(),
                _ => id.to_owned(),
            };
            let wanted =
                Wanted { channel: Some(channel), to: Some(&to), account, ..Wanted::default() };
            let place = self.find_place(wanted).ok().filter(is_direct)?;
            // Where that person wrote last is exactly where the answer goes.
            let same = last.as_ref().filter(|last| {
                let bare = |chat: &str| chat.trim_start_matches("user:").to_lowercase();
                last.channel == place.channel && bare(&last.to.chat) == bare(&place.to.chat)
            });
            Some(same.cloned().unwrap_or(place))
        };
        let owners = self.config.chat.commands.get("ownerAllowFrom").and_then(texts);
        let by_name = owners.unwrap_or_default().into_iter().find_map(|owner| {
            let (channel, id) = owner.split_once(':')?;
            person(crate::channels::find(&channel.to_lowercase())?.id, None, id)
        });
        by_name.or_else(|| {
            KINDS.iter().find_map(|kind| {
                self.accounts_of(kind.id).into_iter().find_map(|(account, allowed)| {
                    allowed.iter().find_map(|id| person(kind.id, Some(&account), id))
                })
            })
        })
    }

    fn beat_shows(&self, place: &Place) -> Shows {
        let section = |name: &str| self.config.chat.channels.get(name);
        // The older name of the key, too.
        let visible = |of: Option<&Value>| {
            let of = of?;
            of.get("heartbeatVisibility").or_else(|| of.get("heartbeat")).cloned()
        };
        let own = self.account_value(place);
        Shows::default()
            .with(visible(section("defaults")).as_ref())
            .with(visible(section(place.channel)).as_ref())
            .with(visible(own.as_ref()).as_ref())
    }
}

fn is_direct(place: &Place) -> bool {
    kind_of_target(place.channel, &place.to) == Some(ChatKind::Direct)
}

/// `{channel, to, accountId, threadId}` of a place.
fn shown(place: &Place) -> Value {
    let mut value =
        json!({"channel": place.channel, "to": place.to.chat, "accountId": place.account});
    if let Some(thread) = &place.to.thread {
        value["threadId"] = json!(thread);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_word_counts() {
        let all = json!({"showOk": true, "useIndicator": false});
        let own = json!({"showOk": false, "showAlerts": false});
        let shows = Shows::default().with(Some(&all)).with(None).with(Some(&own));
        assert_eq!(shows, Shows { ok: false, alerts: false, indicator: false });
        assert!(shows.nothing() && !Shows::default().nothing());
    }
}
