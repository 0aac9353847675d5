//! Voice notes end to end: by a scripted Bot API server in, through a scripted service of
//! transcripts, to the request that the model's provider gets.
#![cfg(feature = "process")]

mod common;
#[path = "common/platforms.rs"]
mod platforms;

use common::provider::{Asked, Provider};
use common::service::{Answer, Call, Service, Telegram};
use common::{Gateway, Home};
use openclaw_gateway::wire::hash::base64;
use platforms::Fakes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// As much of a voice note as is needed to be one.
fn ogg() -> Vec<u8> {
    let mut bytes = b"OggS\0\x02".to_vec();
    bytes.resize(4_000, b'v');
    bytes
}

fn says(text: &str) -> Answer {
    Answer::json(&json!({"text": text}))
}

fn refuses(status: u16, what: &str) -> Answer {
    let body = json!({"error": {"message": what}}).to_string();
    Answer::Bytes(status, String::new(), body.into())
}

struct Stage {
    home: Home,
    telegram: Telegram,
    scribe: Service,
    provider: Provider,
    gateway: Option<Gateway>,
}

impl Stage {
    /// `media` is the section `tools.media`, `@` in it the service's address; `telegram` further
    /// keys of the account.
    fn new(
        media: &str,
        telegram_keys: &str,
        script: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (home, telegram) = (Home::new(), Telegram::start());
        let (scribe, provider) = (Service::start(script), Provider::echo());
        let address = format!("http://127.0.0.1:{}", scribe.port);
        let media = media.replace('@', &address);
        let more = format!(
            "tools: {{media: {media}}}, channels: {{{}}}, \
             messages: {{groupChat: {{mentionPatterns: ['hey robin']}}}}",
            telegram.config(telegram_keys)
        );
        let keys = "providers: {openai: {apiKey: 'sk-hear-first', baseUrl: '@/v1', models: []}, ";
        let config = provider.config(&more).replacen("providers: {", keys, 1);
        home.configure(&config.replace('@', &address));
        telegram.file("note", ogg());
        let gateway = Some(home.start(""));
        Self { home, telegram, scribe, provider, gateway }
    }

    fn note(&self, more: Value) {
        let mut message = json!({"voice": {"file_id": "note", "mime_type": "audio/ogg"}});
        for (name, value) in more.as_object().expect("members") {
            message[name] = value.clone();
        }
        self.telegram.says(&message);
    }

    fn in_group(&self, more: Value) {
        let mut more = more;
        more["chat"] = json!({"id": -5, "type": "supergroup", "title": "Group"});
        self.note(more);
    }

    fn asked(&self) -> Asked {
        self.provider.asked()
    }

    fn posted(&self) -> String {
        let text = self.telegram.asked("sendMessage").json()["text"].clone();
        text.as_str().expect("text").to_owned()
    }

    /// Waits for a line of the log.
    fn logs(&mut self, part: &str) -> String {
        self.gateway.as_mut().expect("it runs").wait_for(part)
    }

    fn heard(&self) -> Call {
        self.scribe.call("transcription", |_| true)
    }
}

const ONE: &str = "{models: [{provider: 'openai', model: 'm-hear', language: 'en', \
                   prompt: 'names: Ann', capabilities: ['audio']}]}";

#[test]
fn a_voice_note_is_answered_by_what_is_said_in_it() {
    let stage = Stage::new(ONE, "", |_| says(" What time is it? "));
    stage.note(json!({}));
    let call = stage.heard();
    assert_eq!(call.target, "/v1/audio/transcriptions");
    let head = call.head.to_lowercase();
    assert!(head.contains("authorization: bearer sk-hear-first"), "{head}");
    assert!(head.contains("content-type: multipart/form-data; boundary="), "{head}");
    let field = |name: &str, value: &str| format!("form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    for (name, value) in [("model", "m-hear"), ("language", "en"), ("prompt", "names: Ann")] {
        assert!(call.holds(field(name, value).as_bytes()), "{name}");
    }
    assert!(call.holds(b"name=\"file\"; filename=\"audio.ogg\"") && call.holds(&ogg()));
    let said = stage.asked().said();
    assert!(
        said.starts_with("[Audio]\nTranscript:\nWhat time is it?\n[media attached: "),
        "{said}"
    );
    assert!(said.contains("(audio/ogg)") && !said.contains("not transcribed"), "{said}");
    assert!(stage.posted().contains("What time is it?"));

    stage.note(json!({"caption": "listen"}));
    let said = stage.asked().said();
    let want = "[Audio]\nUser text:\nlisten\nTranscript:\nWhat time is it?\n[media attached: ";
    assert!(said.starts_with(want), "{said}");
}

#[test]
fn a_service_that_fails_costs_the_transcript_and_no_more() {
    let mut stage = Stage::new(ONE, "", |_| refuses(500, "no room for sk-hear-first"));
    stage.note(json!({}));
    stage.heard();
    let said = stage.asked().said();
    let why = "not transcribed: openai/m-hear answers 500: no room for ***]";
    assert!(said.trim_start().starts_with("[media attached: ") && said.contains(why), "{said}");
    assert!(!said.contains("[Audio]"), "{said}");
    assert!(stage.posted().contains("media attached"));
    let line = stage.logs("a voice note was not transcribed: openai/m-hear answers 500");
    assert!(!line.contains("sk-hear-first"), "{line}");
}

#[test]
fn the_next_service_is_asked_when_one_fails_and_what_is_odd_is_no_answer() {
    let media = "{models: [{provider: 'openai', model: 'a', capabilities: ['audio']}, \
         {provider: 'elevenlabs', baseUrl: '@/eleven', headers: {'xi-api-key': 'xi-secret'}}, \
         {provider: 'deepgram', baseUrl: '@/deep', headers: {Authorization: 'Token dg-1'}}], \
         audio: {maxChars: 9, providerOptions: {deepgram: {smart_format: true}}}}";
    let stage = Stage::new(media, "", |call| match call.target.split('/').nth(1) {
        Some("v1") => Answer::Bytes(200, String::new(), b"<html>".to_vec()),
        Some("eleven") => Answer::json(&json!({"words": []})),
        _ => Answer::json(&json!({"results": {"channels": [
            {"alternatives": [{"transcript": "from the deep"}]}, {"alternatives": [{}]}]}})),
    });
    stage.note(json!({}));
    assert!(stage.asked().said().starts_with("[Audio]\nTranscript:\nfrom the \n"));
    assert_eq!(stage.heard().target, "/v1/audio/transcriptions");
    let call = stage.heard();
    assert_eq!(call.target, "/eleven/v1/speech-to-text");
    assert!(call.holds(b"name=\"model_id\"\r\n\r\nscribe_v2\r\n"), "its own model");
    let head = call.head.to_lowercase();
    assert!(head.contains("xi-api-key: xi-secret") && !head.contains("sk-hear-first"), "{head}");
    let call = stage.heard();
    assert_eq!(call.target, "/deep/listen?model=nova-3&smart_format=true");
    assert_eq!(call.body, ogg());
    let head = call.head.to_lowercase();
    assert!(head.contains("content-type: audio/ogg") && head.contains("token dg-1"), "{head}");
}

#[test]
fn a_service_whose_key_is_known_is_found_and_enabled_false_hears_nothing() {
    let stage = Stage::new("{}", "", |_| says("found"));
    stage.note(json!({}));
    assert!(stage.heard().holds(b"gpt-4o-transcribe"), "its usual model");
    assert!(stage.asked().said().starts_with("[Audio]\nTranscript:\nfound\n"));

    let deny = "{audio: {scope: {rules: [{action: 'deny', match: {chatType: 'direct'}}]}}}";
    for media in ["{audio: {enabled: false}}", deny] {
        let stage = Stage::new(media, "", |_| says("nobody asks"));
        stage.note(json!({}));
        let said = stage.asked().said();
        assert!(said.trim_start().starts_with("[media attached: "), "{said}");
        assert_eq!(stage.scribe.count(|_| true), 0);
    }
}

#[test]
fn a_spoken_command_is_obeyed_and_what_was_heard_is_shown_once() {
    let media = "{audio: {echoTranscript: true}}";
    let stage = Stage::new(media, "", |_| says("/whoami"));
    stage.note(json!({}));
    assert_eq!(stage.posted(), "📝 \"/whoami\"");
    assert!(stage.posted().contains("You write by telegram"));
    assert!(stage.provider.rest().is_empty(), "a command is no run");
}

#[test]
fn in_a_group_the_name_may_be_said() {
    let keys = "groupPolicy: 'open', groups: {'*': {}, '-6': {disableAudioPreflight: true}}";
    let words = std::sync::Mutex::new(vec!["Hey Robin, who is it?", "nothing for you"]);
    let media = "{audio: {echoTranscript: true}}";
    let stage = Stage::new(media, keys, move |_| {
        says(words.lock().expect("words").pop().expect("no more is heard"))
    });
    // Not for the bot: its file goes, and nothing of it is told later.
    stage.in_group(json!({}));
    stage.heard();
    stage.in_group(json!({}));
    stage.heard();
    let said = stage.asked().said();
    assert!(said.contains("Ann: [Audio]\nTranscript:\nHey Robin, who is it?\n"), "{said}");
    assert!(!said.contains("nothing for you"), "{said}");
    assert_eq!(stage.posted(), "📝 \"Hey Robin, who is it?\"", "only what was let in is shown");
    assert!(stage.posted().contains("who is it?"));
    let dir = std::fs::read_dir(stage.home.state().join("media/inbound")).expect("files");
    assert_eq!(dir.count(), 1, "the other one is gone");
    // Where that is switched off nobody listens; what is written still names the bot.
    let other = json!({"id": -6, "type": "supergroup", "title": "Other"});
    stage.note(json!({"chat": other.clone()}));
    stage.telegram.says(&json!({"chat": other, "text": "hey robin"}));
    assert!(stage.asked().said().contains("hey robin"));
    assert_eq!(stage.scribe.count(|_| true), 0);
}

#[test]
fn a_crash_while_it_is_heard_hears_it_again() {
    let silent = Arc::new(AtomicBool::new(true));
    let script = Arc::clone(&silent);
    let mut stage = Stage::new(ONE, "", move |_| match script.load(Ordering::Relaxed) {
        true => Answer::Silence,
        false => says("again"),
    });
    stage.note(json!({}));
    stage.heard();
    let gateway = stage.gateway.take().expect("it runs");
    gateway.signal(rustix::process::Signal::KILL);
    drop(gateway);
    assert!(stage.provider.rest().is_empty(), "it waits for what is said");
    silent.store(false, Ordering::Relaxed);
    stage.gateway = Some(stage.home.start(""));
    assert!(stage.asked().said().starts_with("[Audio]\nTranscript:\nagain\n"));
    assert!(stage.posted().contains("again"));
    assert!(stage.provider.rest().is_empty(), "once");
}

#[test]
fn clips_of_discord_and_slack_are_heard_too() {
    let (home, fakes) = (Home::new(), Fakes::new());
    let (scribe, provider) = (Service::start(|_| says("from a clip")), Provider::echo());
    let media = format!(
        "tools: {{media: {{models: [{{provider: 'openai', baseUrl: 'http://127.0.0.1:{}/v1', \
         capabilities: ['audio'], headers: {{Authorization: 'Bearer own'}}}}]}}}}, {}",
        scribe.port,
        platforms::channels(&fakes, "")
    );
    home.configure(&provider.config(&media));
    let _gateway = home.start("");
    let clip = json!({"name": "voice-message.ogg", "type": "audio/ogg", "base64": base64(&ogg())});
    for platform in ["discord", "slack"] {
        fakes.connected(platform);
        let act = match platform {
            "discord" => json!({"act": "message", "channel": 700, "from": 7, "file": clip}),
            _ => json!({"act": "message", "channel": "D0FAKE", "file": clip}),
        };
        fakes.act(platform, act);
        let said = provider.asked().said();
        assert!(said.starts_with("[Audio]\nTranscript:\nfrom a clip\n"), "{platform}: {said}");
        let call = scribe.call("transcription", |_| true);
        assert!(call.holds(b"filename=\"voice-message.ogg\"") && call.holds(&ogg()));
        fakes.until(platform, |report| !platforms::read(report).is_empty());
    }
}
