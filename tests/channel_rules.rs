//! Who gets what on a channel, end to end by a scripted IRC server: tools by group and sender,
//! skills and prompts of a group, what of a conversation the model is told.

mod common;

use common::Home;
use common::irc::{Server, irc};
use common::provider::{Asked, Provider};
use serde_json::json;

/// Names of the tools that a request offers to the model.
fn tools(asked: &Asked) -> Vec<String> {
    let tools = asked.body["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect()
}

fn has(asked: &Asked, name: &str) -> bool {
    tools(asked).iter().any(|tool| tool == name)
}

fn config(provider: &Provider, channels: &str) -> String {
    provider.config(&format!("channels: {{{channels}}}"))
}

/// The system prompt of a request.
fn system(asked: &Asked) -> String {
    asked.body["messages"][0]["content"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_group_takes_tools_away_and_each_sender_has_its_own() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let group = "'#a': {allowFrom: ['*'], requireMention: false, systemPrompt: 'Be of good cheer.', \
                 tools: {deny: ['exec', 'group:fs']}, \
                 toolsBySender: {'id:al!u@host': {deny: ['write']}}}";
    let own = irc(
        server.port,
        &format!("channels: ['#a'], allowFrom: ['al!u@host'], groups: {{{group}}}"),
    );
    home.configure(&config(&provider, &format!("irc: {{{own}}}")));
    let _gateway = home.start("");
    let mut peer = server.accept();
    peer.hears("JOIN #a");
    peer.say(":eve!x@y PRIVMSG #a :one");
    let asked = provider.asked();
    assert!(has(&asked, "session_status"), "{:?}", tools(&asked));
    assert!(!has(&asked, "exec") && !has(&asked, "read"), "{:?}", tools(&asked));
    assert!(system(&asked).contains("Be of good cheer."), "{}", system(&asked));
    peer.hears("one");
    peer.say(":al!u@host PRIVMSG #a :two");
    let asked = provider.asked();
    assert!(has(&asked, "exec") && has(&asked, "read") && !has(&asked, "write"));
    peer.hears("two");
    // Alone with the bot the group's rules are nobody's.
    peer.say(":al!u@host PRIVMSG bot :three");
    let asked = provider.asked();
    assert!(has(&asked, "exec") && has(&asked, "write"));
    assert!(!system(&asked).contains("Be of good cheer."));
}

#[test]
fn a_tool_that_was_taken_away_is_not_called_and_no_other_session_lends_it() {
    let (home, server) = (Home::new(), Server::new());
    let provider = Provider::start(|asked, reply| match (asked.said(), asked.result()) {
        (said, Some(result)) if said.contains("spawn") => reply.say(&format!("did {result}")),
        (_, Some(result)) => reply.say(&format!("got {result}")),
        (said, None) if said.contains("try") => reply.call("ls", json!({"path": "."})),
        (said, None) if said.contains("spawn") => {
            reply.call("sessions_spawn", json!({"task": "child"}));
        }
        (said, None) if said.contains("tell") => {
            let args = json!({"sessionKey": "agent:main:main", "message": "sent"});
            reply.call("sessions_send", args);
        }
        (said, None) => reply.say(&format!("re {said}")),
    });
    let group = "'*': {allowFrom: ['*'], requireMention: false, tools: {deny: ['ls']}}";
    let own = irc(server.port, &format!("channels: ['#a'], groups: {{{group}}}"));
    home.configure(&config(&provider, &format!("irc: {{{own}}}")));
    let gateway = home.start("");
    let mut socket = common::socket::Socket::connect(gateway.port);
    let hello = json!({"sessionKey": "main", "message": "hello", "idempotencyKey": "r0"});
    socket.call("chat.send", &hello).expect("accepted");
    socket.chat_end("r0");
    assert!(has(&provider.asked(), "ls"), "the owner has it");
    let mut peer = server.accept();
    peer.hears("JOIN #a");
    peer.say(":eve!x@y PRIVMSG #a :try");
    assert!(peer.hears("got").contains("Tool ls not found"));
    peer.say(":eve!x@y PRIVMSG #a :spawn");
    loop {
        let asked = provider.asked();
        assert!(!has(&asked, "ls"), "{}: {:?}", asked.said(), tools(&asked));
        if asked.said().contains("Sub-agent report") {
            break;
        }
    }
    peer.say(":eve!x@y PRIVMSG #a :tell");
    loop {
        let asked = provider.asked();
        assert!(!has(&asked, "ls"), "{}: {:?}", asked.said(), tools(&asked));
        if asked.said().contains("sent") {
            break;
        }
    }
    // The owner in the group's own session answers what the group wrote before.
    let params = json!({"sessionKey": "agent:main:irc:group:#a", "message": "well",
        "idempotencyKey": "r1"});
    socket.call("chat.send", &params).expect("accepted");
    socket.chat_end("r1");
    loop {
        let asked = provider.asked();
        if asked.said().contains("well") {
            assert!(!has(&asked, "ls"));
            break;
        }
    }
}

#[test]
fn nobody_rides_on_the_run_of_somebody_with_more_tools() {
    let (home, server) = (Home::new(), Server::new());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |asked, reply| match (asked.said(), asked.result()) {
        (_, Some(_)) => reply.say("worked"),
        (said, None) if said.contains("work") => {
            let _ = wait.lock().unwrap().recv();
            reply.call("session_status", json!({}));
        }
        (said, None) => reply.say(&format!("re {said}")),
    });
    let group = "'#a': {allowFrom: ['*'], requireMention: false, tools: {deny: ['ls']}, \
                 toolsBySender: {'id:al!u@host': {}}}";
    let own = irc(server.port, &format!("channels: ['#a'], groups: {{{group}}}"));
    let text = config(&provider, &format!("irc: {{{own}}}"));
    home.configure(&text.replacen('{', "{messages: {queue: {mode: 'steer'}}, ", 1));
    let _gateway = home.start("");
    let mut peer = server.accept();
    peer.hears("JOIN #a");
    peer.say(":al!u@host PRIVMSG #a :work");
    assert!(has(&provider.asked(), "ls"));
    peer.say(":eve!x@y PRIVMSG #a :lend me your tools");
    peer.say("PING :heard");
    peer.hears("PONG :heard");
    go.send(()).expect("it waits");
    let again = provider.asked();
    assert!(again.result().is_some(), "{:?}", again.talk());
    let lent = |asked: &Asked| asked.talk().iter().any(|line| line.contains("lend me"));
    assert!(has(&again, "ls") && !lent(&again), "{:?}", again.talk());
    let own = provider.asked();
    assert!(!has(&own, "ls") && lent(&own), "{:?}", own.talk());
}
