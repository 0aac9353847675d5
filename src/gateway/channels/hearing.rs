//! What is said in voice notes: asked of a service before their message goes on.
//!
//! ```text
//!   burst, its files here --[listen]--> chosen --> wait for a place --> read, POST --> heard
//!                                                        ^                              |
//!                                       next key, next   +---- refused, silent, odd ----+
//!                                       of tools.media.models
//!   all of them heard, or given up, or late: [begin], the transcript in the place of the text
//! ```
//!
//! * The journal has the message until its run has begun: after a crash it is heard again.
//! * What could not be heard is said to the model in words, and to the operator in the log; the
//!   message is answered anyhow.
//! * In a group where the bot must be named, a voice note without words is heard before it is
//!   judged. What does not name the bot goes, its file and its transcript with it.
//! * Bounds: `tools.media.concurrency` and [`limits::TRANSCRIPTIONS`] at once,
//!   [`limits::TRANSCRIBE_MESSAGE_MS`] for a message, [`limits::TRANSCRIBE_BYTES`] of a file.

use super::super::Gateway;
use super::super::exchange::{BodyBound, Exchange, ExchangeError, ExchangeId, Purpose, Response};
use super::super::timers::Timer;
use super::inbound::Entry;
use super::outbound::{Delivery, Origin};
use super::{LiveId, speak};
use crate::agent::provider::way;
use crate::channels::access::Verdict;
use crate::channels::speech::{self, Sound};
use crate::channels::{ChatKind, Inbound, Stored};
use crate::config::audio::Listener;
use crate::driver::{Effects, Time};
use crate::limits;
use crate::wire::http::client::request as write_request;
use crate::wire::text::escape_log;
use crate::wire::url::Url;
use serde_json::Value;
use std::collections::BTreeMap;

/// Every file that is to be heard.
#[derive(Default)]
pub(super) struct Hearings {
    open: BTreeMap<u64, Hearing>,
    next: u64,
}

/// A file that nobody has heard yet.
struct Hearing {
    /// The burst, the message in it and the file of that.
    name: String,
    entry: usize,
    at: usize,
    /// The provider of the agent's model.
    active: String,
    /// Who is asked, and with which of its keys.
    which: usize,
    key: usize,
    state: State,
    /// Why the last one did not do.
    why: String,
}

enum State {
    /// For a place, not before then.
    Waits(Time),
    /// For an answer.
    Asked(ExchangeId),
}

/// What stands in the place of a transcript of next to nothing.
const TOO_SMALL: &str = "[The voice note could not be transcribed: it is too small]";

impl Gateway {
    /// The provider of an agent's model.
    fn active_provider(&self, agent: &str) -> String {
        let (model, _) = self.default_model(agent);
        model.split('/').next().unwrap_or_default().to_owned()
    }

    /// Whether a voice note of a message may be heard at all; the active provider if so.
    fn hears(&self, channel: &str, account: &str, message: &Inbound) -> Option<String> {
        if self.config.audio.off {
            return None;
        }
        let route = self.route_of(channel, account, message);
        let active = self.active_provider(&route.agent);
        let kind = message.chat.kind.as_str();
        let open = speech::in_scope(&self.config.audio.scope, channel, kind, &route.key);
        (open && !self.config.audio.listeners(&active).is_empty()).then_some(active)
    }

    /// A message that does not name the bot may do so in its voice note.
    pub(super) fn may_name_us(&self, id: LiveId, message: &Inbound) -> bool {
        let Some(live) = self.channels.get(id) else { return false };
        let sound =
            |it: &crate::channels::Media| speech::is_sound(it.mime.as_deref(), it.name.as_deref());
        if message.chat.kind == ChatKind::Direct
            || !message.text.is_empty()
            || message.album.is_some()
            || !message.media.iter().any(sound)
        {
            return false;
        }
        let scopes = (live.kind.group)(&live.account, &message.chat).scopes;
        let own = scopes.iter().find_map(|scope| scope.get("disableAudioPreflight"));
        own != Some(&Value::Bool(true))
            && self.hears(live.kind.id, &live.account.id, message).is_some()
            && self.can_be_meant(live, message)
    }

    /// Judges such a message once more. One that is not for the bot leaves nothing behind.
    pub(super) fn is_named(&mut self, entry: &Entry, message: &Inbound) -> bool {
        let Some(id) = self.channels.find(&entry.channel, &entry.account) else { return false };
        let verdict = self.judge_message(id, message);
        if verdict == Verdict::Pass {
            return true;
        }
        for stored in message.media.iter().filter_map(|it| it.got.as_ref()?.as_ref().ok()) {
            let _ = self.disk.remove(&stored.path);
        }
        if verdict == Verdict::Overhear {
            let text = String::new();
            self.overhear(id, &Inbound { text, ..message.clone() });
        }
        false
    }

    /// Begins to listen to a burst whose files are here; false when there is nothing to hear.
    pub(super) fn listen(&mut self, name: &str, fx: &mut Effects) -> bool {
        let Some(held) = self.channels.fetches.held.get_mut(name) else { return false };
        let mut sounds = Vec::new();
        for (entry, media) in held.burst.all_media_mut().enumerate() {
            for (at, media) in media.iter().enumerate() {
                if let Some(Ok(stored)) = &media.got
                    && stored.mime.starts_with("audio/")
                {
                    sounds.push((entry, at, stored.bytes));
                }
            }
        }
        let (Some(front), Some(first)) = (sounds.first().copied(), held.burst.first()) else {
            return false;
        };
        let (unjudged, first) = (held.burst.is_unjudged(), first.clone());
        let Some(active) = self.hears(&first.channel, &first.account, &first.message) else {
            return false;
        };
        let selection = &self.config.audio.selection;
        if selection.last {
            sounds.reverse();
        }
        sounds.truncate(selection.most);
        if unjudged && !sounds.contains(&front) {
            sounds.insert(0, front);
        }
        let deadline = self.now.time.after_ms(limits::TRANSCRIBE_MESSAGE_MS);
        let mut begun = false;
        for (entry, at, bytes) in sounds {
            if bytes < limits::TRANSCRIBE_LEAST {
                if let Some(media) = self.channels.fetches.media(name, entry, at) {
                    media.heard = Some(Ok(TOO_SMALL.to_owned()));
                }
                continue;
            }
            begun = true;
            let hearings = &mut self.channels.hearings;
            hearings.next += 1;
            let hearing = Hearing {
                name: name.to_owned(),
                entry,
                at,
                active: active.clone(),
                which: 0,
                key: 0,
                state: State::Waits(self.now.time),
                why: "nobody could be asked".to_owned(),
            };
            hearings.open.insert(hearings.next, hearing);
        }
        if begun {
            if let Some(held) = self.channels.fetches.held.get_mut(name) {
                held.deadline = deadline;
            }
            self.timers.arm(deadline, Timer::Outbox);
            self.hearings_due(fx);
        }
        begun
    }

    /// Asks for what may be asked for now; gives up what is late.
    pub(super) fn hearings_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let held = &self.channels.fetches.held;
        let is_late = |it: &Hearing| held.get(&it.name).is_none_or(|held| held.deadline <= now);
        let open = self.channels.hearings.open.iter();
        let late: Vec<u64> = open.filter(|(_, it)| is_late(it)).map(|(n, _)| *n).collect();
        for number in late {
            let seconds = limits::TRANSCRIBE_MESSAGE_MS / 1000;
            self.hearing_over(number, Err(format!("no transcript within {seconds} s")), fx);
        }
        loop {
            let open = &self.channels.hearings.open;
            let asked = open.values().filter(|it| matches!(it.state, State::Asked(_))).count();
            let due = |it: &Hearing| matches!(it.state, State::Waits(due) if due <= now);
            let next = open.iter().find(|(_, it)| due(it)).map(|(number, _)| *number);
            let Some(number) = next.filter(|_| asked < self.config.audio.at_once) else { return };
            self.ask_what_is_said(number, fx);
        }
    }

    /// Asks the next service that can be asked.
    fn ask_what_is_said(&mut self, number: u64, fx: &mut Effects) {
        loop {
            let Some(hearing) = self.channels.hearings.open.get(&number) else { return };
            let (name, entry, at) = (hearing.name.clone(), hearing.entry, hearing.at);
            let (which, key) = (hearing.which, hearing.key);
            let listener = self.config.audio.listeners(&hearing.active).get(which).cloned();
            let Some(listener) = listener else {
                let why = hearing.why.clone();
                return self.hearing_over(number, Err(why), fx);
            };
            let media = self.channels.fetches.media(&name, entry, at).cloned();
            let Some((Ok(stored), told)) = media.and_then(|it| Some((it.got?, it.name))) else {
                return self.hearing_over(number, Err("it is gone".to_owned()), fx);
            };
            let begun = match &listener.broken {
                Some(why) => Err(Some(why.clone())),
                None => self.post_sound(number, (&listener, key), (&stored, told.as_deref()), fx),
            };
            let Some(hearing) = self.channels.hearings.open.get_mut(&number) else { return };
            match begun {
                Ok(exchange) => return hearing.state = State::Asked(exchange),
                // Nobody's fault, so it counts as no try.
                Err(None) => {
                    let due = self.now.time.after_ms(limits::CHANNEL_RETRY_MS);
                    hearing.state = State::Waits(due);
                    return self.timers.arm(due, Timer::Outbox);
                }
                Err(Some(why)) => self.not_heard_by(number, why, false),
            }
        }
    }

    /// Sends a file to a service.
    ///
    /// # Errors
    /// The reason, or none when only too much is under way.
    fn post_sound(
        &mut self,
        number: u64,
        (listener, key): (&Listener, usize),
        (stored, name): (&Stored, Option<&str>),
        fx: &mut Effects,
    ) -> Result<ExchangeId, Option<String>> {
        if stored.bytes > listener.max_bytes {
            let most = super::media::megabytes(listener.max_bytes);
            return Err(Some(format!("larger than the {most} that {} takes", listener.name())));
        }
        let bytes = self.disk.read(&stored.path).map_err(|error| Some(error.to_string()))?;
        let mut mark = [0; 8];
        self.entropy.fill(&mut mark);
        let sound = Sound { bytes: &bytes, mime: &stored.mime, name };
        let mark = u64::from_le_bytes(mark);
        let asked = speech::request(listener, listener.keys.get(key), sound, mark).map_err(Some)?;
        drop(bytes);
        let url = Url::parse(&asked.url).map_err(|error| Some(error.to_string()))?;
        let path = url.path_and_query.clone();
        let (target, path, authorization) =
            way(&url, url.scheme.is_tls(), path, listener.proxy.as_ref());
        let mut lines: Vec<(&str, &str)> = vec![
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"))),
            ("Connection", "close"),
        ];
        lines.extend(authorization.iter().map(|it| ("Proxy-Authorization", it.expose())));
        lines.extend(asked.headers.iter().map(|(name, value)| (&**name, &**value)));
        let mut request = Vec::new();
        write_request(&mut request, "POST", &url.host_header(), &path, &lines, Some(&asked.body));
        let exchange = Exchange {
            target,
            request,
            body: BodyBound { max: asked.max_bytes, cut: false },
            timeout_ms: asked.timeout_ms,
            purpose: Purpose::Hearing(number),
        };
        self.exchange(exchange, fx).map_err(|error| match error {
            ExchangeError::Busy => None,
            error => Some(error.to_string()),
        })
    }

    /// A service did not do; its next key may, or the next service.
    fn not_heard_by(&mut self, number: u64, why: String, of_key: bool) {
        let Some(hearing) = self.channels.hearings.open.get_mut(&number) else { return };
        let listener = self.config.audio.listeners(&hearing.active).get(hearing.which);
        let keys = listener.map_or(0, |listener| listener.keys.len());
        if of_key && hearing.key.saturating_add(1) < keys {
            hearing.key += 1;
        } else {
            (hearing.which, hearing.key) = (hearing.which.saturating_add(1), 0);
        }
        hearing.state = State::Waits(self.now.time);
        hearing.why = escape_log(&why, 300);
        let line = format!("a voice note was not transcribed: {}", hearing.why);
        let held = self.channels.fetches.held.get(&hearing.name);
        if let Some((channel, account)) = held.and_then(|held| held.burst.names()) {
            speak::say(log::Level::Warn, channel, account, &line);
        }
    }

    /// A service answers, or does not.
    pub(in crate::gateway) fn heard_answer(
        &mut self,
        number: u64,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let Some(hearing) = self.channels.hearings.open.get(&number) else { return };
        let listeners = self.config.audio.listeners(&hearing.active);
        let Some(listener) = listeners.get(hearing.which) else {
            let why = "the configuration changed meanwhile".to_owned();
            return self.hearing_over(number, Err(why), fx);
        };
        let (of_key, outcome) = match result {
            Ok(answer) if (200..300).contains(&answer.status) => {
                (false, speech::transcript(listener, &answer.body))
            }
            Ok(answer) => {
                let why = speech::refusal(listener, answer.status, &answer.body);
                (speech::is_of_key(answer.status), Err(why))
            }
            Err(error) => (false, Err(format!("{}: {error}", listener.name()))),
        };
        match outcome {
            Ok(text) => self.hearing_over(number, Ok(text), fx),
            Err(why) if why == speech::SILENCE => self.hearing_over(number, Err(why), fx),
            Err(why) => self.not_heard_by(number, why, of_key),
        }
        self.hearings_due(fx);
    }

    /// Nothing more is done for a file; with the last one its burst begins.
    fn hearing_over(&mut self, number: u64, result: Result<String, String>, fx: &mut Effects) {
        let Some(hearing) = self.channels.hearings.open.remove(&number) else { return };
        if let State::Asked(exchange) = hearing.state {
            self.cancel_exchange(exchange, fx);
        }
        let Hearing { name, entry, at, .. } = hearing;
        if let Some(media) = self.channels.fetches.media(&name, entry, at) {
            media.heard = Some(result);
        }
        if !self.channels.hearings.open.values().any(|other| other.name == name) {
            self.let_burst_go(&name, fx);
        }
    }

    /// `echoTranscript`: shows in the conversation what was heard, once.
    pub(super) fn echo_heard(
        &mut self,
        run_id: &str,
        origin: &Origin,
        message: &Inbound,
        fx: &mut Effects,
    ) {
        let heard = speech::heard(&message.media);
        let Some(format) = self.config.audio.echo.as_ref().filter(|_| !heard.is_empty()) else {
            return;
        };
        let text = format.replacen("{transcript}", &speech::together(&heard), 1);
        let names = (origin.channel.as_str(), origin.account.as_str());
        // Several agents may answer it; it is shown once.
        let whole = run_id.rsplit_once('-').filter(|(front, _)| *front != "ch");
        let id = format!("{}.echo", whole.map_or(run_id, |(front, _)| front));
        let echo = Delivery::notice(id, names, origin.to.clone(), text, self.now.wall_ms);
        self.deliver(echo, fx);
    }
}
