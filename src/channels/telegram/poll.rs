//! Polls: how long one is held, how many updates it asks for, and what is too long for it.

use serde_json::{Value, json};

use super::api::{self, Call};
use super::{Answer, Job, Telegram, updates};
use crate::channels::{Answered, ChannelOut, State};
use crate::driver::Now;
use crate::limits;

/// How the next poll is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polls {
    /// Answered at once: whether this bot can poll is to be known soon.
    Fresh,
    /// Held as long as others: another program polled, and ends what is short as well, only later.
    Contested,
    /// The last one was answered.
    Answered,
}

impl Telegram {
    pub(super) fn poll(&mut self, now: Now, out: &mut ChannelOut) {
        let ready = self.hook.is_none() && self.polling.is_none() && self.queue.is_empty();
        if !ready || self.resting || self.retry.is_some() {
            return;
        }
        let hold = if self.polls == Polls::Fresh { 0 } else { limits::TELEGRAM_POLL_S };
        self.polled = now.time;
        self.polling = Some(self.ask(&self.updates(hold), Job::Poll, out));
    }

    fn updates(&self, hold_s: u64) -> Call {
        Call::new(
            "getUpdates",
            json!({
                "offset": self.offset,
                "timeout": hold_s,
                "limit": self.batch,
                "allowed_updates": updates::WANTED,
            }),
        )
    }

    /// The answer to a poll was longer than we take: fewer updates at once. Of a single one that
    /// is too long the head is asked for, which says its number.
    pub(super) fn too_long(&mut self, now: Now, out: &mut ChannelOut) {
        if self.batch > 1 {
            self.batch /= 2;
            let (most, less) = (limits::TELEGRAM_POLL_ANSWER >> 20, self.batch);
            let line = format!("updates of over {most} MiB at once; asking for {less} at a time");
            out.log(log::Level::Warn, line);
            return self.poll(now, out);
        }
        self.polling = Some(self.ask(&self.updates(0), Job::Peek, out));
    }

    /// The head of the update that is too long: exactly that one is stepped over.
    pub(super) fn peeked(&mut self, now: Now, result: Answer, out: &mut ChannelOut) {
        let head = result.as_ref().ok().filter(|answer| is_too_long(answer));
        let Some(number) = head.and_then(|answer| first_number(&answer.body)) else {
            let why = match api::read("getUpdates", result) {
                Ok(_) => {
                    // It is not there any more, so the next poll gets what is.
                    self.retry = Some(now.time.after_ms(limits::TELEGRAM_POLL_EMPTY_MS));
                    return;
                }
                Err(no) if no.code != 200 => return self.begin_failed(now, no, out),
                Err(_) => {
                    "an update that is too long does not say its number; if apiRoot is a \
                           server of your own, look at what it answers to getUpdates"
                }
            };
            return self.wait(now, why.to_owned(), limits::TELEGRAM_BACKOFF_MAX_MS, out);
        };
        let most = limits::TELEGRAM_POLL_ANSWER >> 20;
        let line = format!(
            "update {number} is longer than {most} MiB and was left out; whoever sent it must \
             send it again, shorter"
        );
        out.log(log::Level::Error, line);
        self.offset = self.offset.max(number.saturating_add(1));
        self.batch = limits::TELEGRAM_UPDATES;
        self.keep(out);
        self.poll(now, out);
    }

    pub(super) fn polled(&mut self, now: Now, list: &Value, out: &mut ChannelOut) {
        self.backoff.reset();
        let held = std::mem::replace(&mut self.polls, Polls::Answered) != Polls::Fresh;
        self.batch = self.batch.saturating_mul(2).min(limits::TELEGRAM_UPDATES);
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let next = self.polled.after_ms(limits::TELEGRAM_POLL_EMPTY_MS);
        if list.is_empty() && held && now.time < next {
            // A server that does not hold polls is not asked in a circle.
            self.retry = Some(next);
            return out.status(State::Connected);
        }
        for update in list {
            // Without a number it could never be acknowledged.
            let Some(number) = update.get("update_id").and_then(Value::as_i64) else { continue };
            self.enqueue(number, update, None);
        }
        self.advance(now, out);
    }
}

/// Whether what was cut off is longer than a poll's answer may be.
fn is_too_long(answer: &Answered) -> bool {
    let length = answer.headers.get("content-length").and_then(|it| it.trim().parse().ok());
    answer.status == 200 && length.is_some_and(|it: usize| it > limits::TELEGRAM_POLL_ANSWER)
}

/// The number of the first update of an answer, of which only the head is there.
fn first_number(head: &[u8]) -> Option<i64> {
    let head = String::from_utf8_lossy(head);
    let head: String = head.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let rest = head.strip_prefix(r#"{"ok":true,"result":[{"update_id":"#)?;
    rest.split_once(|c: char| !c.is_ascii_digit())?.0.parse().ok()
}
