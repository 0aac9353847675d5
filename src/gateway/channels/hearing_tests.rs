//! Voice notes in crowds, services that fall silent, refuse or talk without end: every bound of
//! time, number and size, on a clock that the test moves.

use super::media_tests::World;
use crate::limits;
use serde_json::json;

/// Two services of OpenAI's form, and two keys of the first.
fn world(audio: &str, at_once: usize) -> World {
    let config = "{gateway: {mode: 'local', auth: {mode: 'none'}}, \
         agents: {defaults: {model: 'local/echo'}}, \
         models: {providers: {one: {baseUrl: 'http://one.test/v1'}, \
         two: {baseUrl: 'http://two.test/v1'}}}, \
         tools: {media: {concurrency: AT_ONCE, models: [ \
         {provider: 'one', model: 'm1', capabilities: ['audio']}, \
         {provider: 'two', model: 'm2', capabilities: ['audio']}], audio: {AUDIO}}}, \
         channels: {telegram: {botToken: '123456:ABCDEFGHIJ', apiRoot: 'http://bot.test', \
         dmPolicy: 'open', allowFrom: ['*']}}}";
    let config = config.replace("AUDIO", audio).replace("AT_ONCE", &at_once.to_string());
    let mut world = World::of(&config);
    world.file = b"OggS".to_vec();
    world.file.resize(2_000, 0);
    world.pass(1);
    world
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn note(world: &mut World, from: u64) {
    world.says(from, from, &json!({"voice": {"file_id": format!("v{from}")}}));
    world.pass(1_000);
}

#[test]
fn a_service_that_falls_silent_costs_its_time_and_the_next_one_is_asked() {
    let mut world = world("", 2);
    note(&mut world, 7);
    assert_eq!((world.said.len(), world.heard.len(), world.open.len()), (0, 1, 1));
    world.words.push(answer(200, r#"{"text": "late but there"}"#));
    world.pass(limits::TRANSCRIBE_MS + 1_000);
    let [said] = world.said.as_slice() else { panic!("{:?}", world.said) };
    assert!(said.contains("[Audio]\nTranscript:\nlate but there"), "{said}");
    assert_eq!(world.heard.len(), 2);
    assert!(world.heard[1].contains("\r\nHost: two.test\r\n"), "{}", world.heard[1]);
    assert!(world.open.is_empty(), "nothing is left of it");
}

#[test]
fn all_of_a_message_has_its_time_and_no_more() {
    let mut world = world("timeoutSeconds: 170", 2);
    note(&mut world, 7);
    world.pass(limits::TRANSCRIBE_MESSAGE_MS - 3_000);
    assert_eq!((world.said.len(), world.heard.len()), (0, 2), "the second one is asked");
    world.pass(5_000);
    let [said] = world.said.as_slice() else { panic!("{:?}", world.said) };
    assert!(said.contains("not transcribed: no transcript within 180 s]"), "{said}");
    assert!(world.open.is_empty(), "nothing is left of it");
}

#[test]
fn so_many_are_heard_at_once_and_the_others_wait() {
    let mut world = world("", 99);
    for from in 1..=6 {
        note(&mut world, from);
    }
    assert_eq!(world.open.len(), limits::TRANSCRIPTIONS);
    // What the same person says meanwhile waits behind it.
    world.says(1, 100, &json!({"text": "after"}));
    world.pass(1_000);
    assert!(world.said.is_empty());
    let words = |n: usize| answer(200, &format!("{{\"text\": \"word {n}\"}}"));
    world.words = (0..12).map(words).collect();
    world.pass(limits::TRANSCRIBE_MS + 2_000);
    assert_eq!(world.most, limits::TRANSCRIPTIONS);
    assert_eq!(world.said.len(), 7, "{:?}", world.said);
    let places: Vec<usize> = ["v", "after"]
        .map(|it| {
            let of = |said: &String| match it {
                "v" => said.contains("[Audio]"),
                _ => said.contains("after"),
            };
            world.said.iter().position(of).expect("said")
        })
        .to_vec();
    assert!(places[0] < places[1], "{:?}", world.said);
}

#[test]
fn what_is_too_small_too_large_or_never_ends_is_no_transcript() {
    let mut world = world("maxBytes: 3000", 2);
    world.file.truncate(limits::TRANSCRIBE_LEAST as usize - 1);
    note(&mut world, 7);
    let said = world.said.pop().expect("an answer");
    assert!(said.contains("Transcript:\n[The voice note could not be transcribed"), "{said}");
    world.file.resize(3_001, 0);
    world.says(8, 8, &json!({"voice": {"file_id": "large"}}));
    world.pass(1_000);
    let said = world.said.pop().expect("an answer");
    assert!(said.contains("larger than") && !said.contains("[Audio]"), "{said}");
    assert!(world.heard.is_empty(), "nobody is asked");
    world.file.truncate(2_000);
    let endless =
        answer(200, &format!("{{\"text\": \"{}\"}}", "x".repeat(limits::TRANSCRIBE_ANSWER)));
    world.words = vec![endless.clone(), endless];
    note(&mut world, 9);
    let said = world.said.pop().expect("an answer");
    assert!(said.contains("not transcribed: two/m2: the answer is longer than"), "{said}");
}

#[test]
fn of_several_files_the_first_is_heard_or_as_many_as_were_asked_for() {
    for (audio, want) in [
        ("", vec!["[Audio]\nTranscript:\nw0"]),
        ("attachments: {mode: 'all', maxAttachments: 2}", vec!["[Audio 1/2]", "[Audio 2/2]"]),
    ] {
        let mut world = world(audio, 2);
        world.words = (0..4).map(|n| answer(200, &format!("{{\"text\": \"w{n}\"}}"))).collect();
        for number in 1..=3 {
            let audio = json!({"file_id": format!("a{number}"), "mime_type": "audio/ogg"});
            world.says(7, number, &json!({"media_group_id": "g", "audio": audio}));
        }
        world.pass(3_000);
        let [said] = world.said.as_slice() else { panic!("{:?}", world.said) };
        assert_eq!(world.heard.len(), want.len(), "{said}");
        assert!(want.iter().all(|want| said.contains(want)), "{said}");
        assert_eq!(said.matches("[media attached").count(), 3, "{said}");
    }
}

#[test]
fn another_key_of_the_same_service_is_tried_when_one_is_refused() {
    let mut world = world("", 2);
    let config = std::rc::Rc::make_mut(&mut world.gateway.config);
    let key = |text: &str| crate::config::Key {
        name: text.to_owned(),
        secret: crate::config::Secret::new(text.to_owned()),
    };
    config.audio.listeners[0].keys = vec![key("first-key"), key("second-key")];
    world.words = vec![answer(401, "{}"), answer(200, r#"{"text": "by the second"}"#)];
    note(&mut world, 7);
    assert!(world.said[0].contains("by the second"), "{:?}", world.said);
    assert!(world.heard[0].contains("Bearer first-key"), "{}", world.heard[0]);
    assert!(world.heard[1].contains("Bearer second-key"), "{}", world.heard[1]);
    assert!(world.heard[1].contains("\r\nHost: one.test\r\n"), "{}", world.heard[1]);
}
