//! Answers that leave by a channel though nobody wrote there: `agent` and `chat.send` with
//! `deliver`, hooks with a destination.
//!
//! ```text
//!   run accepted with an origin of nobody's message --over--> outbox --sent, given up--> told
//!                                                       |                                 ^
//!                                                       +--not within DELIVERY_TOLD_MS ---+
//! ```
//!
//! Whoever asked hears of the run and of the delivery in one answer. Only a good answer goes out:
//! a failure is told to who asked and stands in the session, for nobody there waits for it.

use super::super::Gateway;
use super::super::http::Completion;
use super::super::runs::{Active, Finished};
use super::super::timers::Timer;
use super::outbound::Origin;
use super::place::{NoPlace, Place};
use crate::agent::run::Outcome;
use crate::channels::{ChatKind, Failure};
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::protocol::error::ErrorShape;
use serde_json::{Value, json};

/// What became of the delivery of an answer.
#[derive(Debug, Clone)]
pub(in crate::gateway) enum Delivered {
    /// In so many messages.
    Sent(usize),
    /// There was nothing to say.
    Nothing,
    /// Given up, behind so many messages that arrived.
    Failed(Failure, usize),
    /// It waits for its channel.
    Waits,
    /// It was not to be addressed, and the run was wanted all the same.
    Unaddressed(&'static str),
}

impl Delivered {
    /// `deliveryStatus` of the reference.
    pub(in crate::gateway) fn status(&self) -> Value {
        match self {
            Self::Sent(count) => json!({
                "requested": true, "attempted": true, "status": "sent", "succeeded": true,
                "resultCount": count,
            }),
            Self::Nothing => json!({
                "requested": true, "attempted": false, "status": "suppressed",
                "succeeded": true, "reason": "no_visible_payload",
            }),
            Self::Failed(failure, 0) => json!({
                "requested": true, "attempted": true, "status": "failed", "succeeded": false,
                "error": true, "errorMessage": failure.what, "resultCount": 0,
            }),
            Self::Failed(failure, count) => json!({
                "requested": true, "attempted": true, "status": "partial_failed",
                "succeeded": "partial", "error": true, "sentBeforeError": true,
                "errorMessage": failure.what, "resultCount": count,
            }),
            Self::Waits => json!({
                "requested": true, "attempted": true, "status": "queued", "succeeded": false,
                "reason": "waiting_for_channel",
            }),
            Self::Unaddressed(reason) => json!({
                "requested": true, "attempted": false, "status": "failed", "succeeded": false,
                "error": true, "reason": reason,
            }),
        }
    }
}

/// Whoever waits to hear what became of a run and of its delivery.
pub(super) struct Told {
    /// Requests that get the second response.
    answers: Vec<(ConnId, String)>,
    second: Result<Vec<u8>, ErrorShape>,
    wait: Vec<u8>,
    digest: [u8; 32],
    /// Requests of hooks.
    hooks: Vec<ConnId>,
    completion: Option<Completion>,
    due: Time,
}

/// How an answer's delivery began.
pub(in crate::gateway) enum Sending {
    /// The run had no destination, or is over in its own words.
    None,
    /// It is over already.
    Over(Delivered),
    /// Under way; who asked is told then.
    UnderWay,
}

impl Origin {
    /// Of a run that nobody's message in that conversation began.
    pub(super) fn unasked(place: Place) -> Self {
        Self {
            channel: place.channel.to_owned(),
            account: place.account,
            to: place.to,
            message: String::new(),
            kind: ChatKind::Direct,
            acked: false,
            unasked: true,
        }
    }

    /// Of a run that was wanted though its answer has no place to go to.
    pub(in crate::gateway) fn nowhere(why: &NoPlace) -> Value {
        json!({"nowhere": why.reason, "why": why.what})
    }
}

/// The origin of a run that says something later where this one answers; none where only the
/// `message` tool speaks.
pub(in crate::gateway) fn unasked_of(origin: &Value) -> Option<Value> {
    if origin["private"] == true || origin["nowhere"].is_string() {
        return None;
    }
    let mut later = serde_json::from_value::<Origin>(origin.clone()).ok()?;
    (later.unasked, later.acked) = (true, false);
    later.message.clear();
    serde_json::to_value(later).ok()
}

/// Whether an origin is of nobody's message: its run's end is told together with its delivery.
pub(in crate::gateway) fn is_unasked(origin: Option<&Value>) -> bool {
    origin.is_some_and(|origin| origin["unasked"] == true || origin["nowhere"].is_string())
}

impl Gateway {
    /// The end of a run whose answer goes to a destination.
    pub(in crate::gateway) fn answer_destination(
        &mut self,
        run: &Active,
        origin: &Value,
        outcome: &Outcome,
        answer: Option<String>,
        fx: &mut Effects,
    ) -> Sending {
        if let Some(reason) = origin.get("nowhere").and_then(Value::as_str) {
            let known = ["unknown_channel", "invalid_delivery_target", "no_delivery_target"];
            let reason = known.into_iter().find(|known| *known == reason);
            let reason = reason.unwrap_or("channel_resolved_to_internal");
            return Sending::Over(Delivered::Unaddressed(reason));
        }
        if !matches!(outcome, Outcome::Done(_)) {
            return Sending::None;
        }
        let Ok(origin) = serde_json::from_value::<Origin>(origin.clone()) else {
            return Sending::None;
        };
        let text = answer.unwrap_or_default();
        let Some(delivery) = self.answer_delivery(&run.id, &run.agent, &origin, (&text, false))
        else {
            return Sending::Over(Delivered::Nothing);
        };
        match self.queue_delivery(delivery) {
            Ok(()) if self.channels.outbox.has(&run.id) => Sending::UnderWay,
            // It went out in an earlier life.
            Ok(()) => Sending::Over(Delivered::Sent(1)),
            Err(why) => {
                log::error!(target: "channels", "an answer is lost: {why}");
                let _ = fx;
                Sending::Over(Delivered::Failed(Failure::permanent(why), 0))
            }
        }
    }

    /// Who asked for a run hears of it when its delivery is over.
    pub(in crate::gateway) fn tell_when_delivered(
        &mut self,
        run: &mut Active,
        (second, wait): (&Result<Vec<u8>, ErrorShape>, &[u8]),
    ) {
        let due = self.now.time.after_ms(limits::DELIVERY_TOLD_MS);
        let (hooks, completion) = self.channels.outbox.hooks.remove(&run.id).unwrap_or_default();
        let told = Told {
            answers: std::mem::take(&mut run.answers),
            second: second.clone(),
            wait: wait.to_vec(),
            digest: run.digest(),
            hooks,
            completion,
            due,
        };
        self.channels.outbox.told.insert(run.id.clone(), told);
        self.timers.arm(due, Timer::Outbox);
    }

    /// A client asks again for a run whose answer is being delivered: it is told as the first is.
    pub(in crate::gateway) fn told_as_well(
        &mut self,
        run: &str,
        conn: ConnId,
        request: &str,
    ) -> bool {
        let Some(told) = self.channels.outbox.told.get_mut(run) else { return false };
        if told.answers.len() >= limits::CHANNEL_ACTS {
            return false;
        }
        told.answers.push((conn, request.to_owned()));
        true
    }

    /// A hook's request waits for run and delivery.
    pub(in crate::gateway) fn hook_waits(
        &mut self,
        run: &str,
        waiting: Vec<ConnId>,
        completion: Completion,
    ) {
        self.channels.outbox.hooks.insert(run.to_owned(), (waiting, Some(completion)));
    }

    /// The delivery of an answer is over, or takes too long to wait for.
    pub(super) fn tell_delivered(&mut self, run: &str, result: &Delivered, fx: &mut Effects) {
        let Some(told) = self.channels.outbox.told.remove(run) else { return };
        let second = told.second.map(|second| with_status(&second, result));
        for (conn, request) in told.answers {
            match &second {
                Ok(payload) => self.respond_json(conn, &request, payload, fx),
                Err(error) => self.respond_error(conn, &request, error, fx),
            }
        }
        let finished = Finished::of(told.digest, told.wait, second);
        self.runs.remember(self.disk.as_mut(), run.to_owned(), finished);
        if let Some(completion) = told.completion {
            self.hook_delivered(run, told.hooks, completion, result, fx);
        }
    }

    /// Who waited long enough hears that the message waits.
    pub(super) fn end_waits_for_deliveries(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let told = &self.channels.outbox.told;
        let late: Vec<String> =
            told.iter().filter(|(_, told)| told.due <= now).map(|(run, _)| run.clone()).collect();
        for run in late {
            self.tell_delivered(&run, &Delivered::Waits, fx);
        }
        if let Some(due) = self.channels.outbox.told.values().map(|told| told.due).min() {
            self.look_at(due);
        }
    }
}

/// A second response with what became of the delivery.
pub(in crate::gateway) fn with_status(second: &[u8], result: &Delivered) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(second) else { return second.to_vec() };
    if value.get("result").is_some_and(Value::is_object) {
        value["result"]["deliveryStatus"] = result.status();
    }
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_arrived() {
        let failure = || Failure::permanent("no such chat");
        let table = [
            (Delivered::Sent(2), "sent", json!(true), None),
            (Delivered::Nothing, "suppressed", json!(true), Some("no_visible_payload")),
            (Delivered::Failed(failure(), 0), "failed", json!(false), None),
            (Delivered::Failed(failure(), 1), "partial_failed", json!("partial"), None),
            (Delivered::Waits, "queued", json!(false), Some("waiting_for_channel")),
            (
                Delivered::Unaddressed("unknown_channel"),
                "failed",
                json!(false),
                Some("unknown_channel"),
            ),
        ];
        for (delivered, status, succeeded, reason) in table {
            let value = delivered.status();
            assert_eq!((&value["status"], &value["succeeded"]), (&json!(status), &succeeded));
            assert_eq!(value.get("reason").and_then(Value::as_str), reason, "{value}");
            assert_eq!(value["requested"], true);
        }
        let second = with_status(br#"{"result":{"payloads":[]}}"#, &Delivered::Sent(1));
        let second: Value = serde_json::from_slice(&second).unwrap();
        assert_eq!(second["result"]["deliveryStatus"]["resultCount"], 1);
        assert_eq!(with_status(b"{}", &Delivered::Nothing), b"{}");
    }
}
