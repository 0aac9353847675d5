//! `channels.deadLetters.list|resubmit|drop`: ours; the reference's command reads its database.

use super::super::Gateway;
use super::super::rpc::{Handled, Params};
use super::super::socket::Answer;
use super::dead::Letter;
use super::outbound::Delivery;
use super::place::text;
use crate::channels::account::normal_id;
use crate::driver::Effects;
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

/// Letters that are listed unless it is said how many.
const LISTED: u64 = 100;

impl Gateway {
    /// `{channel?, accountId?, limit?}` -> `{channelId, accountId, deadLetters}`, newest first.
    pub(in crate::gateway) fn dead_letters_list(&self, params: &Params) -> Handled {
        let (channel, account) = scope(params)?;
        let most = params.get("limit").and_then(Value::as_u64).unwrap_or(LISTED);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let dead = &self.channels.dead;
        let found = dead
            .list(self.disk.as_ref(), channel.as_deref(), account.as_deref(), most)
            .map_err(|error| ErrorShape::unavailable(error.to_string()))?;
        Ok(Answer::Value(json!({
            "channelId": channel, "accountId": account, "deadLetters": found,
            "total": dead.len(),
        })))
    }

    /// The letter that a request names.
    fn letter(&self, params: &Params) -> Result<Letter, ErrorShape> {
        let (channel, account) = scope(params)?;
        let id = text(params, "eventId").unwrap_or_default();
        let found = self.channels.dead.find(self.disk.as_ref(), id);
        let found = found.map_err(|error| ErrorShape::unavailable(error.to_string()))?;
        let ours = |letter: &Letter| {
            channel.as_ref().is_none_or(|channel| *channel == letter.channel_id)
                && account.as_ref().is_none_or(|account| *account == letter.account_id)
        };
        found.filter(ours).ok_or_else(|| {
            let shown: String = id.chars().take(80).collect();
            ErrorShape::invalid(format!(
                "no dead letter \"{shown}\" there, or it was sent again already; openclaw channels \
                 dead-letters list"
            ))
        })
    }

    /// `{eventId, channel?, accountId?}` -> `{channelId, accountId, eventId, result}`: the message
    /// goes its way once more, attempts and age from 0.
    pub(in crate::gateway) fn dead_letters_resubmit(
        &mut self,
        params: &Params,
        fx: &mut Effects,
    ) -> Handled {
        let letter = self.letter(params)?;
        let now_ms = self.now.wall_ms;
        // In its journal first: a crash between leaves it in both, and never in none.
        let taken = match letter.direction.as_str() {
            "inbound" => self.take_again(&letter, fx),
            _ => match Delivery::again(&letter, now_ms) {
                Some(delivery) => self.queue_delivery(delivery),
                None => Err("its record is damaged".to_owned()),
            },
        };
        taken.map_err(|why| {
            ErrorShape::unavailable(format!("{}: {why}; it stays a dead letter", letter.id))
        })?;
        self.forget_letter(&letter.id)?;
        Ok(Answer::Value(json!({
            "channelId": letter.channel_id, "accountId": letter.account_id, "eventId": letter.id,
            "direction": letter.direction, "result": {"kind": "resubmitted"},
        })))
    }

    /// `{eventId, channel?, accountId?}`: nobody sends it again.
    pub(in crate::gateway) fn dead_letters_drop(&mut self, params: &Params) -> Handled {
        let letter = self.letter(params)?;
        self.forget_letter(&letter.id)?;
        Ok(Answer::Value(json!({
            "channelId": letter.channel_id, "accountId": letter.account_id, "eventId": letter.id,
            "direction": letter.direction, "result": {"kind": "dropped"},
        })))
    }

    fn forget_letter(&mut self, id: &str) -> Result<(), ErrorShape> {
        let removed = self.channels.dead.remove(self.disk.as_mut(), id);
        removed.map_err(|error| {
            ErrorShape::unavailable(format!("dead-letters.jsonl not written: {error}"))
        })
    }
}

/// Channel and account that a request is about; an account alone is nobody's.
fn scope(params: &Params) -> Result<(Option<String>, Option<String>), ErrorShape> {
    let channel = text(params, "channel").map(Gateway::kind_named).transpose()?;
    let account = text(params, "accountId").map(normal_id);
    Ok((channel.map(|kind| kind.id.to_owned()), account))
}
