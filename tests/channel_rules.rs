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

fn with(text: &str, more: &str) -> String {
    text.replacen('{', &format!("{{{more}, "), 1)
}

#[test]
fn a_group_has_its_patterns_its_model_and_its_history() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let group = "'#a': {allowFrom: ['*']}, '#b': {allowFrom: ['*']}";
    let own = irc(server.port, &format!("channels: ['#a', '#b'], groups: {{{group}}}"));
    let channels = format!(
        "irc: {{mentionPatterns: {{denyIn: ['#b']}}, historyLimit: 1, {own}}}, \
         modelByChannel: {{irc: {{'#a': 'mock/m2'}}}}"
    );
    let text = config(&provider, &channels).replace(
        "models: [",
        "models: [{id: 'm2', name: 'm2', contextWindow: 100000, maxTokens: 4096}, ",
    );
    home.configure(&with(&text, "messages: {groupChat: {mentionPatterns: ['\\\\bcrab\\\\b']}}"));
    let _gateway = home.start("");
    let mut peer = server.accept();
    peer.hears("JOIN #b");
    peer.say(":al!u@host PRIVMSG #b :crab, are you there?");
    peer.say(":al!u@host PRIVMSG #a :long ago");
    peer.say(":al!u@host PRIVMSG #a :just now");
    peer.say(":al!u@host PRIVMSG #a :what does the Crab say?");
    let asked = provider.asked();
    assert_eq!(asked.body["model"], "m2");
    let said = asked.said();
    assert!(said.contains("just now") && said.contains("what does the Crab say?"), "{said}");
    assert!(!said.contains("long ago") && !said.contains("are you there"), "{said}");
    assert!(peer.hears("PRIVMSG").starts_with("PRIVMSG #a "), "nobody was meant in #b");
}

#[test]
fn where_nothing_may_be_sent_nothing_is_and_where_the_tool_speaks_the_answer_does_not() {
    let (home, server) = (Home::new(), Server::new());
    let provider = Provider::start(|asked, reply| match (asked.said(), asked.result()) {
        (_, Some(_)) => reply.say("NO_REPLY"),
        (said, None) if said.contains("[Not delivered") => {
            reply.call("message", json!({"message": "by the tool"}));
        }
        (said, None) => reply.say(&format!("aloud: {said}")),
    });
    let group = "'*': {allowFrom: ['*'], requireMention: false}";
    let own = irc(
        server.port,
        &format!("channels: ['#a', '#b'], allowFrom: ['al!u@host'], groups: {{{group}}}"),
    );
    let policy = "session: {sendPolicy: {rules: [{action: 'deny', match: {keyPrefix: \
                  'irc:group:#b'}}]}}, messages: {groupChat: {visibleReplies: 'message_tool'}}";
    home.configure(&with(&config(&provider, &format!("irc: {{{own}}}")), policy));
    let _gateway = home.start("");
    let mut peer = server.accept();
    peer.hears("JOIN #b");
    peer.say(":al!u@host PRIVMSG #b :into the dark");
    assert!(provider.asked().said().contains("into the dark"), "it is heard");
    peer.say(":al!u@host PRIVMSG #b :/status");
    peer.say(":al!u@host PRIVMSG #a :hello");
    let first = peer.hears("PRIVMSG");
    assert_eq!(first, "PRIVMSG #a :by the tool");
    // Commands and direct conversations are answered as ever.
    peer.say(":al!u@host PRIVMSG #a :/whoami");
    assert!(peer.hears("PRIVMSG").contains("You write by irc"));
    peer.say(":al!u@host PRIVMSG bot :and here?");
    assert!(peer.hears("PRIVMSG al").contains("aloud: and here?"));
    peer.say(":al!u@host PRIVMSG bot :/compact");
    assert!(peer.hears("PRIVMSG al").contains("ompact"));
}

#[test]
fn a_direct_conversation_of_its_own_is_told_as_far_as_its_limit() {
    let (home, server, provider) = (Home::new(), Server::new(), Provider::echo());
    let own = irc(
        server.port,
        "allowFrom: ['al!u@host', 'bo!u@host'], dmHistoryLimit: 1, \
         dms: {'bo!u@host': {historyLimit: 0}}",
    );
    let text = config(&provider, &format!("irc: {{{own}}}"));
    home.configure(&with(&text, "session: {dmScope: 'per-channel-peer'}"));
    let _gateway = home.start("");
    let mut peer = server.accept();
    let mut last = |nick: &str| {
        for word in ["one", "two", "three"] {
            peer.say(&format!(":{nick}!u@host PRIVMSG bot :{word}"));
            peer.hears(word);
        }
        let all = provider.rest();
        all.last().expect("requests").talk().join("\n")
    };
    let al = last("al");
    assert!(al.contains("two") && al.contains("three") && !al.contains("one"), "{al}");
    let bo = last("bo");
    assert!(bo.contains("one") && bo.contains("two"), "{bo}");
}
