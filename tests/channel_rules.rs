//! Who gets what on a channel, end to end by a scripted IRC server: tools by group and sender,
//! skills and prompts of a group, what of a conversation the model is told.

mod common;

use common::Home;
use common::irc::{Server, irc};
use common::provider::{Asked, Provider};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

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

/// A Bot API with one bot: updates go in, texts that were sent come out.
struct Telegram {
    port: u16,
    updates: std::sync::Arc<std::sync::Mutex<Vec<Value>>>,
    sent: std::sync::mpsc::Receiver<Value>,
    next: std::cell::Cell<i64>,
}

impl Telegram {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it").port();
        let updates: std::sync::Arc<std::sync::Mutex<Vec<Value>>> = Default::default();
        let (tell, sent) = std::sync::mpsc::channel();
        let waiting = updates.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (waiting, tell) = (waiting.clone(), tell.clone());
                std::thread::spawn(move || serve(stream, &waiting, &tell));
            }
        });
        Self { port, updates, sent, next: std::cell::Cell::new(1) }
    }

    fn config(&self) -> String {
        format!("botToken: '1:ABCDEFGH', apiRoot: 'http://127.0.0.1:{}'", self.port)
    }

    fn tell(&self, mut update: Value) {
        update["update_id"] = json!(self.next.get());
        self.next.set(self.next.get() + 1);
        self.updates.lock().expect("it").push(update);
    }

    fn sent(&self) -> Value {
        self.sent.recv_timeout(common::PATIENCE).expect("a message in time")
    }
}

/// One request, one answer.
fn serve(
    stream: TcpStream,
    updates: &std::sync::Mutex<Vec<Value>>,
    tell: &std::sync::mpsc::Sender<Value>,
) -> Option<()> {
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length:").nth(1).and_then(|it| it.lines().next());
    let mut body = vec![0; length.map_or(0, |it| it.trim().parse().expect("a number"))];
    lines.read_exact(&mut body).ok()?;
    let args: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = head.split_whitespace().nth(1)?.rsplit('/').next()?.to_owned();
    let result = match method.as_str() {
        "getMe" => json!({"id": 1, "is_bot": true, "first_name": "Claw", "username": "claw_bot"}),
        "getUpdates" => {
            let from = args["offset"].as_i64().unwrap_or(0);
            let hold = args["timeout"].as_u64().unwrap_or(0).min(2);
            let end = Instant::now() + Duration::from_secs(hold);
            loop {
                let all = updates.lock().expect("it");
                let new = |it: &&Value| it["update_id"].as_i64() >= Some(from);
                let new: Vec<Value> = all.iter().filter(new).cloned().collect();
                drop(all);
                if !new.is_empty() || Instant::now() > end {
                    break json!(new);
                }
                std::thread::yield_now();
            }
        }
        "sendMessage" => {
            let _ = tell.send(args.clone());
            json!({"message_id": 100, "chat": {"id": args["chat_id"], "type": "private"}})
        }
        _ => json!(true),
    };
    let text = json!({"ok": true, "result": result}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        text.len()
    );
    lines.get_mut().write_all(format!("{head}{text}").as_bytes()).ok()
}

fn person(id: i64, name: &str) -> Value {
    json!({"id": id, "is_bot": false, "first_name": name, "username": name.to_lowercase()})
}

#[test]
fn reactions_are_told_with_the_next_message_and_an_edit_changes_what_was_overheard() {
    let (home, telegram, provider) = (Home::new(), Telegram::start(), Provider::echo());
    let own = format!(
        "telegram: {{{}, allowFrom: [7], groups: {{'-5': {{allowFrom: [7]}}}}}}",
        telegram.config()
    );
    home.configure(&config(&provider, &own));
    let _gateway = home.start("");
    let chat = json!({"id": 7, "type": "private", "first_name": "Ann"});
    let say = |number: i64, chat: &Value, text: &str| {
        json!({"message_id": number, "date": 1, "chat": chat, "from": person(7, "Ann"),
            "text": text})
    };
    telegram.tell(json!({"message": say(1, &chat, "hello")}));
    assert!(telegram.sent()["text"].as_str().expect("a text").contains("hello"));
    // An answer goes out when the one before it has its receipt, and so is known as ours.
    telegram.tell(json!({"message": say(10, &chat, "once more")}));
    telegram.sent();
    let reaction = |number: i64, who: Value, emoji: &str| {
        json!({"message_reaction": {"chat": chat, "message_id": number, "date": 2, "user": who,
            "old_reaction": [], "new_reaction": [{"type": "emoji", "emoji": emoji}]}})
    };
    telegram.tell(reaction(100, person(7, "Ann"), "👍"));
    telegram.tell(reaction(1, person(7, "Ann"), "🎉"));
    telegram.tell(reaction(100, person(8, "Eve"), "👎"));
    telegram.tell(json!({"message": say(2, &chat, "and now")}));
    telegram.sent();
    let said = provider.rest().last().expect("a request").said();
    assert!(said.contains("Telegram reaction added: 👍 by Ann (@ann) on msg 100"), "{said}");
    assert!(!said.contains('🎉') && !said.contains('👎'), "not on ours, not of a stranger: {said}");
    let group = json!({"id": -5, "type": "group", "title": "G"});
    telegram.tell(json!({"message": say(3, &group, "at six")}));
    let mut edit = say(3, &group, "at seven");
    edit["edit_date"] = json!(3);
    telegram.tell(json!({"edited_message": edit}));
    let mut again = say(4, &group, "@claw_bot when?");
    telegram.tell(json!({"message": again.clone()}));
    telegram.sent();
    let said = provider.rest().last().expect("a request").said();
    assert!(said.contains("at seven") && !said.contains("at six"), "{said}");
    // A message that was answered is not answered again when it is edited.
    again["edit_date"] = json!(4);
    again["text"] = json!("@claw_bot when exactly?");
    telegram.tell(json!({"edited_message": again}));
    telegram.tell(json!({"message": say(5, &group, "@claw_bot thanks")}));
    telegram.sent();
    let said = provider.rest();
    assert_eq!(said.len(), 1, "{:?}", said.iter().map(Asked::said).collect::<Vec<_>>());
}

#[test]
fn a_command_of_somebody_whom_no_list_names_is_refused_and_the_model_never_sees_it() {
    let (home, telegram, provider) = (Home::new(), Telegram::start(), Provider::echo());
    let own = format!("telegram: {{{}, allowFrom: [7], groupPolicy: 'open'}}", telegram.config());
    let policy = "session: {sendPolicy: {rules: [{action: 'deny', match: {keyPrefix: \
                  'telegram:group:-6'}}]}}";
    home.configure(&with(&config(&provider, &own), policy));
    let _gateway = home.start("");
    let command = |number: i64, chat: i64, who: Value| {
        let text = "/whoami@claw_bot";
        json!({"message": {"message_id": number, "date": 1, "from": who, "text": text,
            "chat": {"id": chat, "type": "group", "title": "G"},
            "entities": [{"type": "bot_command", "offset": 0, "length": text.len()}]}})
    };
    // Where nothing may be sent, no refusal is either.
    telegram.tell(command(1, -6, person(8, "Eve")));
    telegram.tell(command(2, -5, person(8, "Eve")));
    let refused = telegram.sent();
    assert_eq!(refused["chat_id"].to_string().trim_matches('"'), "-5", "{refused}");
    let text = refused["text"].as_str().expect("a text");
    assert!(text.contains("not authorized to use this command"), "{refused}");
    telegram.tell(command(3, -5, person(7, "Ann")));
    let obeyed = telegram.sent();
    assert!(obeyed["text"].as_str().expect("a text").contains("You write by"), "{obeyed}");
    assert!(provider.rest().is_empty(), "none was said to the model");
}
