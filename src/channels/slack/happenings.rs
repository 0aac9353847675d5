//! What happens on Slack without anybody saying something, as events for a session.
//!
//! Source: Slack's "Events API" reference: `message_changed`, `message_deleted`, `reaction_*`,
//! `member_*`, `channel_*`, `pin_*`.

use serde_json::Value;

use super::events::{Who, chat_of, text};
use crate::channels::{Address, Happening, Inbound, Sender};

/// Reads an event; `None` for what says nothing, and for what we did ourselves.
pub fn happening(me: &Who, callback: &Value) -> Option<Inbound> {
    let event = callback.get("event")?;
    let team = text(event, "team").or_else(|| text(callback, "team_id"));
    let id = text(callback, "event_id").or_else(|| text(event, "event_ts"))?;
    let told = |channel: &str, user: Option<&str>, what: Happening, line: String| {
        let ours = user == Some(me.user.as_str());
        (!ours).then(|| Inbound {
            id: format!("event:{id}"),
            chat: chat_of(event, channel, user.unwrap_or_default(), team),
            sender: Sender {
                ids: user.map(str::to_owned).into_iter().collect(),
                ..Sender::default()
            },
            text: line,
            event: Some(what),
            to: Address::chat(channel),
            ..Inbound::default()
        })
    };
    let kind = text(event, "type")?;
    let user = text(event, "user");
    let who = user.unwrap_or("somebody");
    match (kind, text(event, "subtype").unwrap_or_default()) {
        ("message", "message_changed") => {
            let message = event.get("message")?;
            // Without this it is a link that got its picture.
            message.get("edited")?;
            let user = text(message, "user")?;
            if message.get("bot_id").is_some() {
                return None;
            }
            let (channel, ts) = (text(event, "channel")?, text(message, "ts")?);
            let said = super::mrkdwn::plain(text(message, "text")?, Some(&me.user)).0;
            let line = format!("Slack message edited by {user} in {channel}: msg {ts}");
            let on = format!("{channel}:{ts}");
            let thread = text(message, "thread_ts").filter(|thread| *thread != ts);
            let mut told = told(channel, Some(user), Happening::Edited { on, text: said }, line)?;
            told.chat.thread = thread.filter(|_| !channel.starts_with('D')).map(str::to_owned);
            Some(told)
        }
        ("message", "message_deleted") => {
            let old = event.get("previous_message")?;
            if old.get("bot_id").is_some() {
                return None;
            }
            let (channel, ts) = (text(event, "channel")?, text(event, "deleted_ts")?);
            let user = text(old, "user")?;
            let line = format!("Slack message deleted by {user} in {channel}: msg {ts}");
            let on = format!("{channel}:{ts}");
            told(channel, Some(user), Happening::Edited { on, text: "(deleted)".to_owned() }, line)
        }
        ("reaction_added" | "reaction_removed", _) => {
            let item = event.get("item").filter(|it| text(it, "type") == Some("message"))?;
            let (channel, ts) = (text(item, "channel")?, text(item, "ts")?);
            let (emoji, verb) = (text(event, "reaction")?, kind.trim_start_matches("reaction_"));
            let of_us = text(event, "item_user") == Some(me.user.as_str());
            let line = format!("Slack reaction {verb}: :{emoji}: by {who} in {channel} msg {ts}");
            told(channel, user, Happening::Reaction { of_us }, line)
        }
        ("member_joined_channel" | "member_left_channel", _) => {
            let channel = text(event, "channel")?;
            let verb = if kind == "member_joined_channel" { "joined" } else { "left" };
            told(channel, user, Happening::Other, format!("Slack: {who} {verb} {channel}"))
        }
        ("pin_added" | "pin_removed", _) => {
            let channel = text(event, "channel_id").or_else(|| text(event, "channel"))?;
            let verb = if kind == "pin_added" { "pinned" } else { "unpinned" };
            let line = format!("Slack: {who} {verb} a message in {channel}");
            told(channel, user, Happening::Other, line)
        }
        ("channel_created" | "channel_rename", _) => {
            let room = event.get("channel")?;
            let (channel, name) = (text(room, "id")?, text(room, "name")?);
            let verb = if kind == "channel_created" { "created" } else { "renamed" };
            let user = text(room, "creator");
            told(channel, user, Happening::Other, format!("Slack channel {verb}: #{name}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: Value) -> Option<(String, String, Option<Happening>)> {
        let me = Who { user: "U0".to_owned(), ..Who::default() };
        let callback = json!({"event_id": "E1", "team_id": "T1", "event": event});
        happening(&me, &callback).map(|it| (it.chat.id, it.text, it.event))
    }

    #[test]
    fn what_happens_becomes_a_line() {
        let item = json!({"type": "message", "channel": "C1", "ts": "1.2"});
        let reaction = |user: &str, of: &str| {
            json!({"type": "reaction_added", "user": user, "reaction": "eyes", "item": item,
                "item_user": of})
        };
        let (chat, line, what) = read(reaction("U1", "U0")).expect("told");
        assert_eq!((&*chat, &*line), ("C1", "Slack reaction added: :eyes: by U1 in C1 msg 1.2"));
        assert_eq!(what, Some(Happening::Reaction { of_us: true }));
        let other = read(reaction("U1", "U2")).expect("told").2;
        assert_eq!(other, Some(Happening::Reaction { of_us: false }));
        assert!(read(reaction("U0", "U1")).is_none(), "our own");
        let edit = |message: Value| {
            read(json!({"type": "message", "subtype": "message_changed", "channel": "D1",
                "message": message}))
        };
        let message = json!({"user": "U1", "ts": "1.2", "text": "new <@U0>", "edited": {}});
        let (chat, line, what) = edit(message).expect("told");
        assert_eq!((&*chat, &*line), ("U1", "Slack message edited by U1 in D1: msg 1.2"));
        let want = Happening::Edited { on: "D1:1.2".to_owned(), text: "new".to_owned() };
        assert_eq!(what, Some(want));
        assert!(edit(json!({"user": "U1", "ts": "1.2", "text": "a link"})).is_none());
        for (event, line) in [
            (
                json!({"type": "member_joined_channel", "user": "U1", "channel": "C1"}),
                "Slack: U1 joined C1",
            ),
            (
                json!({"type": "pin_removed", "user": "U1", "channel_id": "C1"}),
                "Slack: U1 unpinned a message in C1",
            ),
            (
                json!({"type": "channel_rename", "channel": {"id": "C1", "name": "new"}}),
                "Slack channel renamed: #new",
            ),
        ] {
            assert_eq!(read(event).map(|it| it.1).as_deref(), Some(line));
        }
        assert!(read(json!({"type": "message", "channel": "C1", "user": "U1"})).is_none());
    }
}
