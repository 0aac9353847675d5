use super::*;
use serde_json::json;

fn preview(mode: Mode, keys: Value) -> Preview {
    let kind = crate::channels::find("telegram").expect("telegram");
    let account = Account::new("telegram", "default", keys);
    let rules = chunking(account.get("streaming.preview.chunk"), (200, 800), kind, 4096);
    Preview {
        mode,
        pace: Pace::new(1000, 1, 0),
        post: Post::None,
        before: String::new(),
        failures: 0,
        prefix: None,
        said: String::new(),
        coalescer: Coalescer::new((rules.max, rules.max, 1_000_000), "\n\n", kind.length),
        chunker: Chunker::new(rules),
        taken: String::new(),
        anew: false,
        complete: None,
        status: status(mode, kind, &account, "seed"),
    }
}

fn shown(preview: &mut Preview, ms: u64) -> String {
    preview.show(Time(0).after_ms(ms));
    preview.pace.take(Time(0).after_ms(ms)).unwrap_or_default().to_owned()
}

#[test]
fn what_means_silence_is_never_shown() {
    for text in ["", "N", "NO_REP", "NO_REPLY", " HEARTBEAT_OK "] {
        assert!(silent_so_far(text), "{text}");
    }
    assert!(!silent_so_far("NO, never") && !silent_so_far("Hello"));
    let mut preview = preview(Mode::Partial, json!({}));
    preview.feed(Time(0), "NO_RE", false);
    assert_eq!(shown(&mut preview, 0), "");
    preview.feed(Time(0), "NO_REST for you", false);
    assert_eq!(shown(&mut preview, 0), "NO_REST for you");
}

#[test]
fn a_status_has_a_label_a_headline_and_lines_when_they_are_asked_for() {
    let mut quiet = preview(Mode::Progress, json!({}));
    assert_eq!(shown(&mut quiet, 0), "", "a text alone has no status");
    quiet.status.works = true;
    assert_eq!(shown(&mut quiet, 0), "Working");
    quiet.turn(Time(0), "I'll look at the docs.");
    assert_eq!(shown(&mut quiet, 2_000), "I'll look at the docs.");
    let keys = json!({"streaming": {"progress": {
        "toolProgress": true, "label": "Busy", "maxLines": 2, "commentary": true,
    }}});
    let mut loud = preview(Mode::Progress, keys);
    loud.status.works = true;
    loud.turn(Time(0), "First this.");
    loud.status.line("a");
    assert_eq!(loud.status.text(), "💬 First this.\na");
    loud.status.line("a");
    loud.status.line("b");
    assert_eq!(loud.status.text(), "a\nb");
    let none = preview(Mode::Progress, json!({"streaming": {"progress": {"label": false}}}));
    assert_eq!(none.status.label, None);
}

#[test]
fn lines_are_cut_at_a_word() {
    assert_eq!(shorten("one  two\nthree", 20), "one two three");
    assert_eq!(shorten("one two three four", 12), "one two…");
    assert_eq!(shorten("abcdefghijklmnop", 6), "abcde…");
}

#[test]
fn defaults_are_those_of_the_channel_and_explicit_keys_come_first() {
    let of = |channel: &'static str, keys: Value| {
        let kind = crate::channels::find(channel).expect("a channel");
        mode_of(kind, &Account::new(channel, "default", keys))
    };
    assert_eq!(of("telegram", json!({})), (Some(Mode::Progress), false));
    assert_eq!(of("slack", json!({})), (Some(Mode::Progress), false));
    assert_eq!(of("discord", json!({})), (None, false));
    assert_eq!(of("irc", json!({"streaming": {"mode": "partial"}})), (None, true));
    let partial = json!({"streaming": {"mode": "partial"}});
    assert_eq!(of("discord", partial), (Some(Mode::Partial), true));
}

#[test]
fn typing_begins_with_what_its_mode_waits_for() {
    use TypingMode::{Instant, Message, Never, Thinking};
    let begins = |mode, what| {
        let mut typing = Typing { mode, every_ms: 6_000, due: None };
        typing.reach(Time(5), what);
        typing.due == Some(Time(5))
    };
    let all = |mode| [Instant, Thinking, Message].map(|what| begins(mode, what));
    assert_eq!(all(Never), [false, false, false]);
    assert_eq!(all(Instant), [true, true, true]);
    assert_eq!(all(Thinking), [false, true, true]);
    assert_eq!(all(Message), [false, false, true]);
}

#[test]
fn a_retry_that_says_the_same_sends_nothing_twice_and_another_text_all_of_it() {
    let kind = crate::channels::find("telegram").expect("telegram");
    let rules = chunking(Some(&json!({"minChars": 1, "maxChars": 50})), (1, 50), kind, 4096);
    let mut blocks = Blocks {
        chunker: Chunker::new(rules),
        coalescer: Coalescer::new((1, 50, 0), "\n\n", kind.length),
        at_end: false,
        taken: String::new(),
        number: 0,
        pause: None,
        last: Time(0),
    };
    let texts = |all: Vec<(Block, Mark)>| -> Vec<String> {
        all.into_iter().map(|(block, _)| block.text).collect()
    };
    assert_eq!(texts(blocks.feed(Time(0), "One.\n\nTw", false)), ["One."]);
    assert!(blocks.feed(Time(0), "On", false).is_empty(), "it comes again");
    assert_eq!(texts(blocks.feed(Time(0), "One.\n\nTwo.", true)), ["Two."]);
    blocks.fresh();
    assert_eq!(texts(blocks.feed(Time(0), "One.\n\nTw", false)), ["One."]);
    assert_eq!(texts(blocks.feed(Time(0), "Else.", true)), ["Else."]);
    blocks.at_end = true;
    blocks.fresh();
    assert!(blocks.feed(Time(0), "One.\n\nTw", false).is_empty());
    let last = blocks.feed(Time(0), "One.\n\nTwo.", true);
    assert!(last.last().is_some_and(|(_, mark)| mark.fits("One.\n\nTwo.")));
}

#[test]
fn beyond_the_limit_of_blocks_the_end_has_all_the_rest() {
    let kind = crate::channels::find("telegram").expect("telegram");
    let rules = Chunking { min: 1, max: 8, prefer: Prefer::of(None), length: kind.length };
    let mut blocks = Blocks {
        coalescer: Coalescer::new((1, 8, 0), "\n\n", kind.length),
        chunker: Chunker::new(rules),
        at_end: false,
        taken: String::new(),
        number: 0,
        pause: None,
        last: Time(0),
    };
    let mut said = String::new();
    let mut sent = Vec::new();
    for n in 0..limits::DRAFT_BLOCKS + 50 {
        said.push_str(&format!("w{n}\n\n"));
        for (block, _) in blocks.feed(Time(u64::from(n)), &said, false) {
            blocks.number += 1;
            sent.push(block.text);
        }
    }
    assert_eq!(u32::try_from(sent.len()), Ok(limits::DRAFT_BLOCKS));
    let (more, left, begun) = blocks.finish(Time(1_000), &said);
    assert!(more.is_empty() && begun);
    sent.push(left);
    let words: Vec<String> = sent.join(" ").split_whitespace().map(str::to_owned).collect();
    let whole: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words, whole, "every word once, in order");
}

#[test]
fn a_retry_shows_no_step_twice_and_another_text_begins_anew() {
    let keys = json!({"streaming": {"preview": {"chunk": {"minChars": 4, "maxChars": 16}}}});
    let mut preview = preview(Mode::Block, keys);
    let said = "one two three.\n\nfour five six.\n\n";
    preview.feed(Time(0), said, false);
    let first = preview.complete.take().expect("a step is whole").text;
    assert_eq!(first, "one two three.");
    // The model's answer broke off and is asked for again.
    for end in [4, 10, said.len()] {
        preview.feed(Time(0), &said[..end], false);
        assert!(preview.complete.is_none() && !preview.anew, "{end}");
    }
    preview.feed(Time(0), "other words.\n\nand more of them.\n\n", false);
    assert!(preview.anew, "what was shown before is no part of it");
    assert_eq!(preview.complete.as_ref().map(|it| it.text.as_str()), Some("other words."));
}
