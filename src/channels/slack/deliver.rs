//! Pieces, files and acts on their way to Slack.

use serde_json::{Value, json};

use super::web::{self, Call};
use super::{Answer, COMPLETE, Job, OPEN, PLACE, Slack, Upload, events};
use crate::channels::{Act, ChannelOut, Failure, HttpRequest, Outgoing, Retry};
use crate::driver::Now;
use crate::limits;

impl Slack {
    /// Reads an answer; a method that must wait rests. A token that is worth nothing refuses the
    /// account, and what waits for another one is not lost.
    pub(super) fn heard(
        &mut self,
        now: Now,
        method: &'static str,
        result: Answer,
        out: &mut ChannelOut,
    ) -> Result<Value, Failure> {
        web::read(method, result).map_err(|no| {
            if let Retry::After(ms) = no.failure.retry {
                self.rests.rest(now.time, method, ms);
            }
            match no.error.as_deref().filter(|error| web::is_token(error)) {
                Some(error) => {
                    self.refuse(web::refusal(method, error), out);
                    Failure::later(no.failure.what)
                }
                None => no.failure,
            }
        })
    }

    pub(super) fn send(&mut self, now: Now, message: &Outgoing, out: &mut ChannelOut) {
        if self.me.is_none() || self.resting {
            out.send_failed(&message.id, Failure::later("not connected to Slack"));
            return;
        }
        let private =
            message.to.thread.as_deref().is_some_and(|it| it.starts_with(events::EPHEMERAL));
        // What only one person saw is in no history, and a person's id is no conversation.
        let findable = !private && message.to.chat.starts_with(['C', 'G', 'D']);
        // Files take no metadata, so there is nothing to find one by.
        let file = message.media.iter().any(|it| it.bytes.is_some());
        if message.again && findable && !file {
            let call = web::look(&message.to.chat, thread_of(message));
            self.ask(&call, Job::Look(Box::new(message.clone())), out);
        } else {
            self.post(now, message.clone(), out);
        }
    }

    pub(super) fn post(&mut self, now: Now, mut message: Outgoing, out: &mut ChannelOut) {
        if !self.relay.identity().is_empty() && !message.extra.is_object() {
            message.extra = json!({});
        }
        if let Some(extra) = message.extra.as_object_mut() {
            for (key, value) in self.relay.identity() {
                extra.entry(key.as_str()).or_insert_with(|| value.clone());
            }
        }
        if message.media.iter().any(|it| it.bytes.is_some()) {
            self.upload(now, message, out);
            return;
        }
        let thread = thread_of(&message).map(str::to_owned);
        let unfurl =
            (self.account.flag("unfurlLinks").unwrap_or(false), self.account.flag("unfurlMedia"));
        let call = web::post(&message, thread.as_deref(), unfurl);
        if let Some(ms) = self.rests.left(now.time, call.method) {
            out.send_failed(&message.id, Failure::after(ms, "Slack asked for a pause"));
            return;
        }
        self.ask(&call, Job::Post(call.method, message.id), out);
    }

    pub(super) fn upload(&mut self, now: Now, message: Outgoing, out: &mut ChannelOut) {
        if message.to.chat.starts_with(['U', 'W']) {
            let call = Call::new(OPEN).with("users", &*message.to.chat);
            self.ask(&call, Job::Open(Box::new(message)), out);
            return;
        }
        let upload =
            Upload { message, at: 0, files: Vec::new(), completing: false, sending: false };
        self.next_file(now, upload, out);
    }

    /// Asks for a place for the next file, or gives all of them to the conversation.
    pub(super) fn next_file(&mut self, now: Now, mut upload: Upload, out: &mut ChannelOut) {
        let media = &upload.message.media;
        while media.get(upload.at).is_some_and(|it| it.bytes.is_none()) {
            upload.at = upload.at.saturating_add(1);
        }
        upload.sending = false;
        let call = match media.get(upload.at) {
            Some(file) => {
                let length = file.bytes.as_ref().map_or(0, |bytes| bytes.len());
                Call::new(PLACE)
                    .with("filename", if file.name.is_empty() { "file" } else { &*file.name })
                    .with("length", length.to_string())
            }
            None => {
                upload.completing = true;
                Call::new(COMPLETE)
                    .with("files", Value::Array(upload.files.clone()).to_string())
                    .with("channel_id", &*upload.message.to.chat)
                    .maybe("thread_ts", thread_of(&upload.message))
                    .maybe("initial_comment", Some(&*upload.message.text).filter(|t| !t.is_empty()))
            }
        };
        if let Some(ms) = self.rests.left(now.time, call.method) {
            let failure = Failure::after(ms, "Slack asked for a pause");
            out.send_failed(&upload.message.id, failure);
            return;
        }
        self.ask(&call, Job::Upload(Box::new(upload)), out);
    }

    pub(super) fn uploaded(
        &mut self,
        now: Now,
        mut upload: Upload,
        result: Answer,
        out: &mut ChannelOut,
    ) {
        let id = upload.message.id.clone();
        if upload.sending {
            // The place for the bytes is no method: it answers 200 and a word.
            match result {
                Ok(answer) if answer.status == 200 => {
                    upload.at = upload.at.saturating_add(1);
                    self.next_file(now, upload, out);
                }
                Ok(answer) => {
                    let what = format!("Slack's file server answers {}", answer.status);
                    out.send_failed(&id, Failure::later(what));
                }
                Err(trouble) => {
                    let what = format!("Slack's file server does not answer ({})", trouble.what);
                    out.send_failed(&id, Failure::unanswered(what, &trouble));
                }
            }
            return;
        }
        let method = if upload.completing { COMPLETE } else { PLACE };
        let document = match self.heard(now, method, result, out) {
            Ok(document) => document,
            Err(failure) => {
                out.send_failed(&id, failure);
                return;
            }
        };
        if upload.completing {
            out.sent(&id, shared(&document));
            return;
        }
        let said = |key: &str| document.get(key).and_then(Value::as_str);
        let file = upload.message.media.get(upload.at);
        let (Some(url), Some(file_id), Some(file)) = (said("upload_url"), said("file_id"), file)
        else {
            out.send_failed(&id, Failure::later(format!("{PLACE}: no place for the file")));
            return;
        };
        let name = if file.name.is_empty() { "file" } else { &*file.name };
        upload.files.push(json!({"id": file_id, "title": name}));
        let mut request =
            HttpRequest::new("POST", url).header("Content-Type", "application/octet-stream");
        request.body = file.bytes.as_ref().map(|bytes| bytes.to_vec()).unwrap_or_default();
        request.timeout_ms = limits::SLACK_UPLOAD_MS;
        upload.sending = true;
        let req = out.http(request);
        self.jobs.insert(req, Job::Upload(Box::new(upload)));
    }

    pub(super) fn act(&mut self, now: Now, id: u64, act: &Act, out: &mut ChannelOut) {
        let (call, group) = match web::act(act) {
            Ok(found) => found,
            Err(failure) => return out.acted(id, Err(failure)),
        };
        let given = group != "moderation";
        if !self.account.flag(&format!("actions.{group}")).unwrap_or(given) {
            let path = &self.account.path;
            let what = format!("{path}.actions.{group} is false: openclaw config set it to true");
            return out.acted(id, Err(Failure::permanent(what)));
        }
        if self.resting || self.me.is_none() {
            return out.acted(id, Err(Failure::later("not connected to Slack")));
        }
        if let Some(ms) = self.rests.left(now.time, call.method) {
            return out.acted(id, Err(Failure::after(ms, "Slack asked for a pause")));
        }
        self.ask(&call, Job::Act(call.method, id), out);
    }
}

/// The thread of a piece: its own, or the one that its answer opens.
pub(super) fn thread_of(message: &Outgoing) -> Option<&str> {
    let own = message.to.thread.as_deref();
    own.or_else(|| message.reply_to.as_deref().map(|id| id.rsplit(':').next().unwrap_or(id)))
        .filter(|thread| thread.starts_with(events::EPHEMERAL) || thread.contains('.'))
}

pub(super) fn look_method(message: &Outgoing) -> &'static str {
    web::look(&message.to.chat, thread_of(message)).method
}

/// The messages by which files were shared.
pub(super) fn shared(document: &Value) -> Vec<String> {
    let files = document.get("files").and_then(Value::as_array).map(Vec::as_slice);
    let first = files.unwrap_or_default().first();
    let Some(shares) = first.and_then(|file| file.get("shares")?.as_object()) else {
        return Vec::new();
    };
    shares
        .values()
        .filter_map(Value::as_object)
        .flat_map(|rooms| rooms.values())
        .filter_map(|list| list.get(0)?.get("ts")?.as_str().map(str::to_owned))
        .collect()
}
