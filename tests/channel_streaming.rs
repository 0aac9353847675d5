//! Answers that appear while they are written: the real binary against the fakes of the platforms
//! over real TCP, and a model that writes when the test says so. And files, both ways.
#![cfg(feature = "process")]

mod common;
#[path = "common/platforms.rs"]
mod platforms;

use common::provider::{Provider, Reply};
use common::{Gateway, Home, PATIENCE};
use platforms::{Fakes, read};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// What the model does next.
enum Word {
    Says(String),
    Calls(&'static str, Value),
    Ends,
}

/// A model that is told word by word.
fn told() -> (Provider, Sender<Word>) {
    let (say, words): (_, Receiver<Word>) = channel();
    let words = Mutex::new(words);
    let provider = Provider::start(move |_, reply: &mut Reply| {
        let words = words.lock().expect("one answer at a time");
        reply.head();
        loop {
            match words.recv() {
                Ok(Word::Says(text)) => {
                    if !reply.delta(&text) {
                        return;
                    }
                }
                Ok(Word::Calls(name, args)) => {
                    reply.tools(&[("call-1", name, &args.to_string())]);
                    return;
                }
                Ok(Word::Ends) => {
                    reply.finish("stop");
                    return;
                }
                Err(_) => return,
            }
        }
    });
    (provider, say)
}

fn says(to: &Sender<Word>, text: &str) {
    to.send(Word::Says(text.to_owned())).expect("the model is there");
}

struct Stage {
    home: Home,
    fakes: Fakes,
    provider: Provider,
    model: Sender<Word>,
    gateway: Option<Gateway>,
}

impl Stage {
    /// `keys` of each account, `defaults` of all agents.
    fn new(keys: &str, defaults: &str) -> Self {
        let (home, fakes, (provider, model)) = (Home::new(), Fakes::new(), told());
        let config = provider.config(&platforms::channels(&fakes, keys));
        let config = config.replacen("defaults: {", &format!("defaults: {{{defaults} "), 1);
        home.configure(&config);
        let mut stage = Self { home, fakes, provider, model, gateway: None };
        stage.start();
        stage
    }

    fn start(&mut self) {
        self.gateway = Some(self.home.start(""));
    }

    fn kill(&mut self) {
        let gateway = self.gateway.take().expect("it runs");
        gateway.signal(rustix::process::Signal::KILL);
        drop(gateway);
    }

    /// How often a journal says this.
    fn count(&self, journal: &str, part: &str) -> usize {
        let path = self.home.state().join("journal").join(journal);
        std::fs::read_to_string(path).unwrap_or_default().matches(part).count()
    }

    /// Waits until a journal says it once more than it did: a receipt was taken. Telegram tells
    /// nobody what it took from whom.
    fn taken(&self, journal: &str, part: &str, before: usize) {
        let end = Instant::now() + PATIENCE;
        while self.count(journal, part) <= before {
            assert!(Instant::now() < end, "never in {journal}: {part}");
            std::thread::yield_now();
        }
    }

    /// Somebody writes once the account is connected; the model is asked.
    fn says(&self, platform: &str, text: &str) {
        self.says_with(platform, text, json!({}));
    }

    /// The same with more of the fake's own; what the model reads.
    fn says_with(&self, platform: &str, text: &str, more: Value) -> String {
        self.fakes.connected(platform);
        let mut act = match platform {
            "telegram" => json!({"act": "message", "chat": 7, "text": text}),
            "discord" => json!({"act": "message", "channel": 700, "from": 7, "content": text}),
            _ => json!({"act": "message", "channel": "D0FAKE", "text": text}),
        };
        if let (Some(act), Value::Object(more)) = (act.as_object_mut(), more) {
            act.extend(more);
        }
        self.fakes.act(platform, act);
        let said = self.provider.asked().said();
        assert!(said.contains(text), "{said}");
        said
    }
}

const PLATFORMS: [&str; 3] = ["telegram", "discord", "slack"];
const BEGUN: &str = "This is the beginning of a longer answer,";
const REST: &str = " and this is the end of it.";
const PARTIAL: &str = "streaming: {mode: 'partial'}";

#[test]
fn an_answer_grows_in_one_message() {
    let stage = Stage::new(PARTIAL, "");
    for platform in PLATFORMS {
        stage.says(platform, "tell me");
        says(&stage.model, BEGUN);
        stage.fakes.reads(platform, &[BEGUN]);
        says(&stage.model, " which goes on");
        stage.fakes.reads(platform, &[&format!("{BEGUN} which goes on")]);
        says(&stage.model, REST);
        stage.model.send(Word::Ends).expect("the model is there");
        let whole = format!("{BEGUN} which goes on{REST}");
        stage.fakes.reads(platform, &[&whole]);
    }
}

#[test]
fn a_crash_leaves_no_half_answer() {
    let mut stage = Stage::new(PARTIAL, "");
    for platform in PLATFORMS {
        let before = stage.count("outbox.jsonl", "\"message\":\"");
        stage.says(platform, "tell me");
        says(&stage.model, BEGUN);
        stage.fakes.reads(platform, &[BEGUN]);
        stage.taken("outbox.jsonl", "\"message\":\"", before);
        stage.kill();
        stage.start();
        let report = stage.fakes.until(
            platform,
            |report| matches!(read(report).as_slice(), [only] if only.contains("please ask again")),
        );
        assert!(read(&report)[0].starts_with("⚠️ the gateway stopped before this was answered"));
        // Nobody listens to that answer any more.
        stage.model.send(Word::Ends).expect("the model is there");
    }
}

#[test]
fn a_long_answer_begins_where_its_preview_stood_and_goes_on_below() {
    let stage = Stage::new(&format!("{PARTIAL}, textChunkLimit: 100"), "");
    let line = "Words of a long answer that has no end, and then some more of it.";
    let whole = [line; 4].join("\n");
    for platform in PLATFORMS {
        stage.says(platform, "tell me");
        says(&stage.model, BEGUN);
        stage.fakes.reads(platform, &[BEGUN]);
        says(&stage.model, &format!("\n{whole}"));
        stage.model.send(Word::Ends).expect("the model is there");
        stage.fakes.reads(platform, &[BEGUN, line, line, line, line]);
    }
}

#[test]
fn a_preview_that_cannot_be_edited_goes_and_the_answer_is_sent() {
    let stage = Stage::new(PARTIAL, "");
    for platform in PLATFORMS {
        stage.says(platform, "tell me");
        says(&stage.model, BEGUN);
        let report = stage.fakes.until(platform, |report| read(report) == [BEGUN]);
        // Somebody deleted it.
        let post = report["posted"].as_array().expect("posts").last().expect("one").clone();
        let number = |key: &str| post[key].as_str().and_then(|it| it.parse::<i64>().ok());
        let act = match platform {
            "telegram" => json!({"act": "erase", "chat": number("to"), "message": number("id")}),
            "discord" => {
                json!({"act": "remove", "channel": number("to"), "message": number("id")})
            }
            _ => json!({"act": "erase", "channel": post["to"], "ts": post["id"]}),
        };
        stage.fakes.act(platform, act);
        says(&stage.model, REST);
        stage.model.send(Word::Ends).expect("the model is there");
        let whole = format!("{BEGUN}{REST}");
        stage.fakes.until(platform, |report| read(report).last() == Some(&whole));
    }
}

#[test]
fn blocks_go_out_as_they_are_written_and_the_end_says_the_rest() {
    let defaults = "blockStreamingDefault: 'on', blockStreamingChunk: {minChars: 20, \
                    maxChars: 200}, blockStreamingCoalesce: {minChars: 1, idleMs: 100}, \
                    humanDelay: {mode: 'custom', minMs: 1, maxMs: 5},";
    let stage =
        Stage::new("streaming: {block: {enabled: true, coalesce: {minChars: 1}}}", defaults);
    let (one, two) = ("The first paragraph is here.", "The second one follows it.");
    for platform in PLATFORMS {
        stage.says(platform, "tell me");
        says(&stage.model, &format!("{one}\n\nThe second"));
        stage.fakes.reads(platform, &[one]);
        says(&stage.model, &format!("{}\n\nThird.", &two["The second".len()..]));
        stage.fakes.reads(platform, &[one, two]);
        stage.model.send(Word::Ends).expect("the model is there");
        stage.fakes.reads(platform, &[one, two, "Third."]);
    }
}

#[test]
fn after_a_crash_blocks_stay_and_one_notice_follows() {
    let defaults = "blockStreamingDefault: 'on', blockStreamingChunk: {minChars: 20, \
                    maxChars: 200}, blockStreamingCoalesce: {minChars: 1, idleMs: 100},";
    let mut stage = Stage::new("streaming: {block: {coalesce: {minChars: 1}}}", defaults);
    let one = "The first paragraph is here.";
    for platform in PLATFORMS {
        let before = stage.count("outbox-sent.txt", ".b0-");
        stage.says(platform, "tell me");
        says(&stage.model, &format!("{one}\n\nThe second"));
        stage.fakes.reads(platform, &[one]);
        stage.taken("outbox-sent.txt", ".b0-", before);
        stage.kill();
        stage.start();
        stage.fakes.until(platform, |report| match read(report).as_slice() {
            [first, notice] => first == one && notice.contains("please ask again"),
            _ => false,
        });
        stage.model.send(Word::Ends).expect("the model is there");
    }
}

#[test]
fn a_run_that_works_shows_its_status_until_its_answer_is_there() {
    let keys = "streaming: {mode: 'progress', progress: {toolProgress: true, label: 'Busy'}}";
    let stage = Stage::new(keys, "");
    for platform in PLATFORMS {
        stage.says(platform, "tell me");
        says(&stage.model, "I look at the time.");
        let call = Word::Calls("session_status", json!({}));
        stage.model.send(call).expect("the model is there");
        let shown = stage.fakes.until(platform, |report| read(report).len() == 1);
        let status = read(&shown).remove(0);
        assert!(status.starts_with("Busy\n") && status.contains("🧩"), "{platform}: {status}");
        assert_eq!(status.contains("I look at the time."), platform != "slack", "{status}");
        says(&stage.model, REST.trim());
        stage.model.send(Word::Ends).expect("the model is there");
        stage.fakes.reads(platform, &[REST.trim()]);
        assert_eq!(stage.provider.rest().len(), 1, "the second turn");
    }
}

#[test]
fn a_text_alone_has_no_status() {
    let stage = Stage::new("streaming: {mode: 'progress'}", "");
    stage.says("telegram", "tell me");
    says(&stage.model, BEGUN);
    says(&stage.model, REST);
    stage.model.send(Word::Ends).expect("the model is there");
    let whole = format!("{BEGUN}{REST}");
    stage.fakes.reads("telegram", &[&whole]);
    let report = stage.fakes.report("telegram");
    let edits = report["posted"].as_array().expect("posts").iter();
    assert_eq!(edits.filter(|post| post["method"] == "editMessageText").count(), 0);
}

#[test]
fn legacy_keys_of_streaming_are_refused_and_mended() {
    let home = Home::new();
    home.configure(
        "{gateway: {mode: 'local', auth: {token: 'abcdefghijklmnopqrstuvwxyz012345'}}, \
         channels: {telegram: {streaming: true, chunkMode: 'newline', \
         accounts: {a: {blockStreaming: true, streamMode: 'partial'}}}}}",
    );
    let ran = home.run("config validate");
    assert_ne!(ran.code, 0, "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("is now streaming.chunkMode: openclaw doctor --fix"), "{said}");
    let ran = home.run("doctor --fix --non-interactive");
    let text = std::fs::read_to_string(home.state().join("openclaw.json")).expect("it");
    let ran_after = home.run("config get channels.telegram --json");
    let value: Value = serde_json::from_str(&ran_after.out).unwrap_or_default();
    assert_eq!(
        value["streaming"],
        json!({"mode": "partial", "chunkMode": "newline"}),
        "{ran:?} {text}"
    );
    let own = &value["accounts"]["a"]["streaming"];
    assert_eq!(own, &json!({"block": {"enabled": true}, "mode": "partial"}), "{text}");
}

/// What hangs on a message is fetched from where the service keeps it, with the token where that
/// wants one, and a file of ours goes up the way the service takes it.
#[test]
fn files_come_in_and_go_out() {
    let stage = Stage::new("streaming: {mode: 'off'}", "");
    let workspace = stage.home.state().join("workspace");
    std::fs::create_dir_all(&workspace).expect("a directory");
    std::fs::write(workspace.join("note.txt"), "the answer is plum").expect("a file");
    for platform in ["discord", "slack"] {
        let more = json!({"file": "the question is fruit"});
        let said = stage.says_with(platform, "read this", more);
        assert!(said.contains("the question is fruit"), "{platform}: {said}");
        says(&stage.model, &format!("here\nMEDIA:{}", workspace.join("note.txt").display()));
        stage.model.send(Word::Ends).expect("the model is there");
        let report = stage
            .fakes
            .until(platform, |report| report["files"].as_array().is_some_and(|all| all.len() == 2));
        let texts: Vec<&str> =
            report["files"].as_array().expect("files").iter().filter_map(Value::as_str).collect();
        assert!(texts.contains(&"the answer is plum"), "{report:#}");
    }
}
