//! Heartbeats in a transcript: the prompt of a beat and an answer that nothing needs attention
//! bear a mark, so that neither people nor models read them again.

use crate::sessions::transcript::Record;
use serde_json::{Value, json};

/// Of `__openclaw` in a message.
const MARK: &str = "heartbeat";

/// Marks the prompt of a beat.
pub(in crate::gateway) fn mark_poll(own: &mut Value) {
    own[MARK] = json!("poll");
}

/// Marks an answer that nothing needs attention.
pub(in crate::gateway) fn mark_ack(message: &mut Value) {
    message["__openclaw"][MARK] = json!("ack");
}

fn mark(message: &Value) -> Option<&str> {
    message.get("__openclaw")?.get(MARK)?.as_str()
}

/// Whether clients are not shown a message.
pub(in crate::gateway) fn is_hidden(message: &Value) -> bool {
    mark(message).is_some()
}

/// Takes out what a model need not read again: a prompt right before its acknowledgement, with
/// that. A beat that called tools stays whole.
pub(in crate::gateway) fn drop_acks(records: &mut Vec<Record>) {
    let is = |at: Option<usize>, what: &str| {
        at.and_then(|at| records.get(at)).is_some_and(|it| mark(&it.message) == Some(what))
    };
    let pairs: Vec<bool> = (0..records.len())
        .map(|at| {
            is(Some(at), "poll") && is(Some(at + 1), "ack")
                || is(Some(at), "ack") && is(at.checked_sub(1), "poll")
        })
        .collect();
    let mut pairs = pairs.into_iter();
    records.retain(|_| !pairs.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_goes_with_its_acknowledgement_alone() {
        let said = |id: &str, mark: Option<&str>| {
            let mut message = json!({"role": "user", "__openclaw": {}});
            if let Some(mark) = mark {
                message["__openclaw"][MARK] = json!(mark);
            }
            Record { id: id.to_owned(), parent: None, message }
        };
        let (poll, ack) = (Some("poll"), Some("ack"));
        let mut records = vec![
            said("ack without a prompt", ack),
            said("a", None),
            said("b", poll),
            said("c", ack),
            said("d", poll),
            said("alert", None),
            said("e", poll),
            said("f", ack),
            said("last prompt", poll),
        ];
        assert_eq!(records.iter().filter(|it| is_hidden(&it.message)).count(), 7);
        drop_acks(&mut records);
        let left: Vec<&str> = records.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(left, ["ack without a prompt", "a", "d", "alert", "last prompt"]);
        drop_acks(&mut Vec::new());
    }
}
