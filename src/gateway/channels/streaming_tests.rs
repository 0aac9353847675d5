use super::super::super::fuzz::{Memory, boot_with, parse};
use super::super::drafts::Draft;
use super::*;
use crate::channels::Address;
use crate::config::AuthMode;
use crate::driver::{Core, Input, Now};

const CONFIG: &str = "{gateway: {mode: 'local', auth: {mode: 'none'}}, \
     agents: {defaults: {model: 'local/echo'}}, channels: {telegram: {botToken: '1:ABCDEFGH', \
     apiRoot: 'http://t', streaming: {mode: 'partial'}}}}";

/// A gateway with one account that takes itself for connected.
fn gateway() -> Gateway {
    let now = Now { time: Time(1_000_000), wall_ms: 1_795_000_000_000 };
    let mut gateway = boot_with(parse(CONFIG), AuthMode::None, &Memory::default(), now);
    gateway.on(now, Input::Wake, &mut Effects::new());
    let id = gateway.channels.find("telegram", "default").expect("an account");
    gateway.channels.live.get_mut(&id).expect("it").state = State::Connected;
    gateway
}

fn to() -> Address {
    Address { chat: "7".to_owned(), thread: None }
}

#[test]
fn a_preview_that_cannot_be_edited_is_left_alone_after_some_tries() {
    let mut gateway = gateway();
    let origin = Origin {
        channel: "telegram".to_owned(),
        account: "default".to_owned(),
        to: to(),
        message: "1".to_owned(),
        kind: ChatKind::Direct,
        acked: false,
        unasked: false,
    };
    gateway.begin_stream("r".to_owned(), "main", origin, true);
    let preview = |gateway: &mut Gateway| {
        let stream = gateway.channels.streams.by_run.get_mut("r").expect("a stream");
        match &mut stream.way {
            Way::Preview(preview) => {
                std::mem::replace(&mut preview.post, Post::Known("7:5".into()))
            }
            _ => panic!("a preview"),
        }
    };
    preview(&mut gateway);
    let failed = || Err(Failure::later("Bad Gateway"));
    for _ in 1..limits::DRAFT_FAILURES {
        gateway.preview_edited("r", failed());
        assert_eq!(preview(&mut gateway), Post::Known("7:5".into()));
    }
    // What works in between begins the count anew.
    gateway.preview_edited("r", Ok(Value::Null));
    for _ in 1..limits::DRAFT_FAILURES {
        gateway.preview_edited("r", failed());
        assert_eq!(preview(&mut gateway), Post::Known("7:5".into()));
    }
    gateway.preview_edited("r", failed());
    assert_eq!(preview(&mut gateway), Post::Gone);
}

#[test]
fn an_answer_tries_to_take_its_previews_place_and_then_goes_without() {
    let mut gateway = gateway();
    let live = gateway.channels.find("telegram", "default").expect("it");
    let names = ("telegram", "default");
    let wall_ms = gateway.now.wall_ms;
    let mut record = Delivery::notice(String::new(), names, to(), String::new(), wall_ms);
    record.id = "r.draft".to_owned();
    let mut draft = Draft::default();
    (draft.message, draft.replace) = (Some("7:5".to_owned()), true);
    record.draft = Some(draft);
    gateway.channels.outbox.drafts.insert("r".to_owned(), record);
    let answer = Delivery::notice("r".to_owned(), names, to(), "done".to_owned(), wall_ms);
    gateway.queue_delivery(answer).expect("room");
    let mut fx = Effects::new();
    for tries in 0..=limits::DRAFT_TRIES {
        let again = tries < limits::DRAFT_TRIES;
        gateway.channels.outbox.open.get_mut("r").expect("it waits").flying = Some(live);
        gateway.final_edited("r", Err(Failure::later("Bad Gateway")), &mut fx);
        let draft = gateway.channels.outbox.draft("r").expect("a preview");
        assert_eq!(draft.replace, again, "{tries}");
        let wait = if again { 500 << tries } else { 0 };
        let due = gateway.channels.outbox.open.get("r").expect("it waits").due;
        assert_eq!(due, gateway.now.time.after_ms(wait), "{tries}");
    }
}
