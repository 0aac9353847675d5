//! What happens on Telegram without anybody saying something.
//!
//! Source: Bot API, `MessageReactionUpdated`, `edited_message`.

use serde_json::Value;

use super::updates::{Update, Who, place, read, sender, text};
use crate::channels::{Account, Happening, Inbound, Quote, Sender};

/// `message_reaction`: the emoji that came, as something that happened.
pub(super) fn reaction(me: &Who, update: &Value) -> Option<Update> {
    let (chat, to) = place(update)?;
    // An anonymous administrator reacts as the chat.
    let person = match update.get("user") {
        Some(user) => sender(&serde_json::json!({"from": user})),
        None => sender(&serde_json::json!({"sender_chat": update.get("actor_chat")?})),
    }?;
    if person.ids.first() == Some(&me.id.to_string()) {
        return None;
    }
    let number = update.get("message_id")?.as_i64()?;
    let list = |key: &str| -> Vec<String> {
        let all = update.get(key).and_then(Value::as_array).map(Vec::as_slice);
        let one = |it: &Value| text(it, "emoji").or_else(|| text(it, "type")).map(str::to_owned);
        all.unwrap_or_default().iter().filter_map(one).collect()
    };
    let old = list("old_reaction");
    let new: Vec<String> =
        list("new_reaction").into_iter().filter(|it| !old.contains(it)).collect();
    let emoji = new.first()?;
    let who = shown(&person);
    let date = update.get("date").and_then(Value::as_u64).unwrap_or(0);
    let by = person.ids.first().cloned().unwrap_or_default();
    Some(Update {
        message: Inbound {
            id: format!("reaction:{}:{number}:{by}:{date}:{emoji}", to.chat),
            text: format!("Telegram reaction added: {} by {who} on msg {number}", new.join(" ")),
            event: Some(Happening::Reaction { of_us: false }),
            // Which message it is on; the account knows whether it is one of ours.
            reply_to: Some(Quote { id: format!("{}:{number}", to.chat), ..Quote::default() }),
            sender: person,
            chat,
            to,
            ..Inbound::default()
        },
        ..Update::default()
    })
}

/// `Ann (@ann)`.
fn shown(person: &Sender) -> String {
    let name = person.name.as_deref().or(person.ids.first().map(String::as_str));
    let name = name.unwrap_or_default();
    match person.names.first().filter(|handle| *handle != name) {
        Some(handle) => format!("{name} ({handle})"),
        None => name.to_owned(),
    }
}

/// An edit: the message once more, as something that happened and not as something said.
pub(super) fn edited(account: &Account, me: &Who, message: &Value) -> Option<Update> {
    let said = read(account, me, &serde_json::json!({"message": message}))?;
    let date = message.get("edit_date").and_then(Value::as_u64).unwrap_or(0);
    let Inbound { id, text, .. } = said.message.clone();
    Some(Update {
        message: Inbound {
            id: format!("edit:{id}:{date}"),
            event: Some(Happening::Edited { on: id, text }),
            text: String::new(),
            command: false,
            reply_to: None,
            ..said.message
        },
        ..Update::default()
    })
}
