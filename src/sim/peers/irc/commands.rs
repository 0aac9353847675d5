//! What a client says, and the server's answer.

use super::client::{Cap, Client, HOST, LINE, Receipt};
use super::{FORGIVEN_MS, Holder, Irc, SERVER, lower};
use crate::driver::Time;
use crate::sim::peers::fake::{Line, Posted};
use crate::wire::hash::base64_decode;
use serde_json::Value;

/// Words of a line: blanks part them, what follows a colon is one.
fn words(line: &str) -> Vec<String> {
    let (front, last) = match line.split_once(" :") {
        Some((front, last)) => (front, Some(last)),
        None => (line, None),
    };
    let words = front.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    words.chain(last.map(str::to_owned)).collect()
}

/// A name that a client may have (RFC 2812, 2.3.1; longer ones are usual today).
fn is_nick(text: &str) -> bool {
    let special = |c: char| "[]\\`_^{|}".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || special(c));
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || special(c) || c == '-');
    first && rest && text.len() <= 30
}

impl Irc {
    /// One line to a connection.
    pub(super) fn tell(&mut self, conn: u64, line: &str) {
        debug_assert!(line.len() + 2 <= LINE, "{line}");
        self.desk.line(conn, Line::Text(format!("{line}\r\n")));
    }

    fn numeric(&mut self, conn: u64, rest: &str) {
        let nick = self.clients.get(&conn).and_then(|client| client.nick.clone());
        let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let line = format!(":{SERVER} {number} {} {rest}", nick.as_deref().unwrap_or("*"));
        self.tell(conn, &line);
    }

    pub(super) fn handle(&mut self, now: Time, conn: u64, came: Time, line: &str) {
        let words = words(line);
        let Some((command, params)) = words.split_first() else {
            return self.broke("an empty line".to_owned());
        };
        let Some(welcome) = self.clients.get(&conn).map(|client| client.welcome) else { return };
        let params: Vec<&str> = params.iter().map(String::as_str).collect();
        let first = params.first().copied().unwrap_or_default();
        match (command.to_ascii_uppercase().as_str(), welcome) {
            ("PING", _) => self.pinged_by(now, conn, came, params.last().copied()),
            ("PONG", _) => self.ponged(now, conn, params.last().copied().unwrap_or_default()),
            ("QUIT", _) => self.quit(now, conn),
            ("NICK", _) => self.nick(now, conn, first),
            ("CAP" | "AUTHENTICATE" | "PASS" | "USER", false) => {
                self.greeting(now, conn, &command.to_ascii_uppercase(), &params);
            }
            ("CAP" | "AUTHENTICATE", true) => {}
            ("PASS" | "USER", true) => {
                self.broke(format!("{command} after the welcome"));
                self.numeric(conn, "462 :You may not reregister");
            }
            (_, false) => {
                self.broke(format!("before the welcome: {line}"));
                self.numeric(conn, "451 :You have not registered");
            }
            ("JOIN", _) => self.join(now, conn, first),
            ("PART", _) => self.part(conn, first),
            ("PRIVMSG", _) => self.said(now, conn, &params),
            ("USERHOST", _) => self.userhost(conn, &params),
            ("NOTICE", _) => self.broke(format!("a notice, which nobody asked for: {line}")),
            _ => {
                self.broke(format!("an unknown command: {line}"));
                self.numeric(conn, &format!("421 {command} :Unknown command"));
            }
        }
        self.register(now, conn);
    }

    fn greeting(&mut self, now: Time, conn: u64, command: &str, params: &[&str]) {
        let grants = self.door.sasl;
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let word = params.last().copied().unwrap_or_default();
        match command {
            "PASS" if client.nick.is_some() || client.user.is_some() => {
                self.broke("PASS behind NICK or USER".to_owned());
            }
            "PASS" => client.pass = Some(word.to_owned()),
            "USER" if params.len() < 4 => self.broke(format!("USER with {params:?} only")),
            "USER" => client.user = params.first().map(|user| (*user).to_owned()),
            "CAP" => match params.first().copied().unwrap_or_default() {
                "LS" => {
                    client.cap = Cap::Open;
                    let list = if grants { "multi-prefix sasl" } else { "multi-prefix" };
                    self.tell(conn, &format!(":{SERVER} CAP * LS :{list}"));
                }
                "REQ" if grants && word.trim() == "sasl" => {
                    client.cap = Cap::Granted;
                    self.tell(conn, &format!(":{SERVER} CAP * ACK :sasl"));
                }
                "REQ" => {
                    client.cap = Cap::Open;
                    self.tell(conn, &format!(":{SERVER} CAP * NAK :{word}"));
                }
                "END" if client.cap == Cap::Proved || client.cap == Cap::Open => {
                    client.cap = Cap::None;
                }
                other => {
                    let what = format!("CAP {other} in the state {:?}", client.cap);
                    self.broke(what);
                }
            },
            _ => self.authenticate(now, conn, word),
        }
    }

    fn authenticate(&mut self, now: Time, conn: u64, word: &str) {
        let password = self.door.password.clone();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        match client.cap {
            Cap::Granted if word == "PLAIN" => {
                client.cap = Cap::Plain;
                self.tell(conn, "AUTHENTICATE +");
            }
            Cap::Plain => {
                if word.len() > 400 {
                    return self.broke(format!("AUTHENTICATE with {} bytes", word.len()));
                }
                if word != "+" {
                    client.login.push_str(word);
                }
                if word.len() == 400 {
                    return;
                }
                let login = base64_decode(&client.login).unwrap_or_default();
                let parts: Vec<&[u8]> = login.split(|byte| *byte == 0).collect();
                let proved =
                    matches!(parts.as_slice(), [_, _, said] if *said == password.as_bytes());
                client.login.clear();
                client.cap = if proved { Cap::Proved } else { Cap::Granted };
                if !proved {
                    return self.numeric(conn, "904 :SASL authentication failed");
                }
                let mask = client.mask();
                self.numeric(conn, &format!("900 {mask} bot :You are now logged in as bot"));
                self.numeric(conn, "903 :SASL authentication successful");
            }
            state => self.broke(format!("AUTHENTICATE {word} at {:?}, state {state:?}", now)),
        }
    }

    /// Welcomes whoever has said all there is to say.
    fn register(&mut self, now: Time, conn: u64) {
        let (door, token) = (self.door.clone(), self.desk.number());
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let said = client.nick.is_some() && client.user.is_some() && client.cap == Cap::None;
        if client.welcome || client.over || !said {
            return;
        }
        if door.cookie && client.cookie.is_none() {
            let cookie = format!("{token:08X}");
            client.cookie = Some(cookie.clone());
            client.pinged = Some((now, cookie.clone()));
            return self.tell(conn, &format!("PING :{cookie}"));
        }
        if client.pinged.is_some() {
            return;
        }
        if door.pass && client.pass.as_deref() != Some(&*door.password) {
            self.numeric(conn, "464 :Password incorrect");
            return self.close(now, conn, "Bad Password");
        }
        client.welcome = true;
        let mask = client.mask();
        self.numeric(conn, &format!("001 :Welcome to the Fake Internet Relay Chat, {mask}"));
        for rest in [
            "002 :Your host is irc.example.org, running version fake-1",
            "003 :This server was created for a test",
            "004 irc.example.org fake-1 aiow biklmnopstv",
            "005 CHANTYPES=# NICKLEN=30 CASEMAPPING=rfc1459 :are supported by this server",
            "375 :- Message of the day",
            "372 :-  PRIVMSG here: ERROR :no, this is text",
            "376 :End of message of the day",
        ] {
            self.numeric(conn, rest);
        }
    }

    fn nick(&mut self, now: Time, conn: u64, nick: &str) {
        if !is_nick(nick) {
            self.broke(format!("the nick {nick:?}"));
            return self.numeric(conn, &format!("432 {nick} :Erroneous nickname"));
        }
        let holder = self.holder(now, nick);
        let mine = matches!(holder, Holder::Client(other) if other == conn);
        if !mine && !matches!(holder, Holder::Nobody) {
            return self.numeric(conn, &format!("433 {nick} :Nickname is already in use"));
        }
        self.call(conn, nick);
    }

    /// A connection has another nick from here on.
    pub(super) fn call(&mut self, conn: u64, nick: &str) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let before = client.mask();
        client.nick = Some(nick.to_owned());
        if client.welcome {
            self.tell(conn, &format!(":{before} NICK :{nick}"));
        }
    }

    fn pinged_by(&mut self, now: Time, conn: u64, came: Time, token: Option<&str>) {
        let Some(token) = token else { return self.broke("PING without a word".to_owned()) };
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if !client.welcome {
            return self.broke(format!("PING {token} before the welcome"));
        }
        for receipt in client.receipts.iter_mut().filter(|it| it.ponged.is_none()) {
            receipt.ponged = Some((came, now));
        }
        client.receipts.retain(|it| it.ponged.is_none_or(|(_, at)| now.ms_since(at) < 5_000));
        self.tell(conn, &format!(":{SERVER} PONG {SERVER} :{token}"));
    }

    fn ponged(&mut self, _now: Time, conn: u64, token: &str) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        match client.pinged.take() {
            Some((_, due)) if due == token => {}
            other => self.broke(format!("PONG {token:?}, and our PING was {other:?}")),
        }
    }

    fn quit(&mut self, now: Time, conn: u64) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let receipts = std::mem::take(&mut client.receipts);
        // Whether the client knows is sure only where its PING was answered at once.
        for Receipt { post, ponged } in receipts {
            let sure = ponged.is_some_and(|(came, _)| now.ms_since(came) < FORGIVEN_MS);
            if !sure && ponged.is_none_or(|(_, at)| now.ms_since(at) < FORGIVEN_MS) {
                self.desk.doubtful.insert(post);
            }
        }
        self.close(now, conn, "Client Quit");
    }

    fn join(&mut self, now: Time, conn: u64, name: &str) {
        let room = lower(name);
        if !room.starts_with('#') {
            return self.numeric(conn, &format!("403 {name} :No such channel"));
        }
        if let Some((until, why)) = self.locks.get(&room)
            && *until > now
        {
            let why = why.replace('*', name);
            return self.numeric(conn, &why);
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if !client.rooms.insert(room) {
            return;
        }
        let mask = client.mask();
        let nick = client.nick.clone().unwrap_or_default();
        self.tell(conn, &format!(":{mask} JOIN {name}"));
        self.numeric(conn, &format!("332 {name} :What a topic: PRIVMSG bot"));
        let people: Vec<String> = self.people.values().map(|it| it.nick.clone()).collect();
        self.numeric(conn, &format!("353 = {name} :{nick} @{}", people.join(" ")));
        self.numeric(conn, &format!("366 {name} :End of names"));
    }

    fn part(&mut self, conn: u64, name: &str) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let mask = client.mask();
        if client.rooms.remove(&lower(name)) {
            self.tell(conn, &format!(":{mask} PART {name}"));
        }
    }

    fn userhost(&mut self, conn: u64, nicks: &[&str]) {
        if nicks.is_empty() || nicks.len() > 5 {
            self.broke(format!("USERHOST of {} nicks", nicks.len()));
        }
        let mut found = Vec::new();
        for nick in nicks {
            let person = self.people.get(&lower(nick)).filter(|person| person.back.is_none());
            found.extend(person.map(|it| format!("{}=+{}@{}", it.nick, it.user, it.host)));
        }
        self.numeric(conn, &format!("302 :{}", found.join(" ")));
    }

    fn said(&mut self, now: Time, conn: u64, params: &[&str]) {
        let [target, text] = params else {
            return self.broke(format!("PRIVMSG with {params:?}"));
        };
        if text.is_empty() {
            self.broke(format!("PRIVMSG {target} without words"));
            return self.numeric(conn, "412 :No text to send");
        }
        if let Some(word) = self.noticed.iter().find(|word| text.contains(word.as_str())) {
            self.broke(format!("a notice is answered ({word}): {text}"));
        }
        let Some(client) = self.clients.get(&conn) else { return };
        let to = lower(target);
        let inside = client.rooms.contains(&to);
        // The news that it was put out may be on its way.
        let news =
            client.out.iter().any(|(at, room)| *room == to && now.ms_since(*at) < FORGIVEN_MS);
        let relayed = format!(":{} PRIVMSG {target} :{text}\r\n", client.mask()).len();
        if relayed > LINE {
            self.broke(format!("of {text:?} to {target} others see {LINE} bytes of {relayed}"));
        }
        if to.starts_with('#') {
            if !inside {
                if !news {
                    self.broke(format!("words in {target}, which it is not in: {text}"));
                }
                return self.numeric(conn, &format!("404 {target} :Cannot send to channel"));
            }
            if self.moderated.get(&to).is_some_and(|until| *until > now) {
                self.refused.push((*text).to_owned());
                return self.numeric(conn, &format!("404 {target} :Cannot send to channel (+m)"));
            }
        } else if to == "nickserv" && self.door.services {
            return self.service(now, conn, text);
        } else if self.people.get(&to).is_none_or(|person| person.back.is_some()) {
            return self.numeric(conn, &format!("401 {target} :No such nick/channel"));
        }
        let id = self.desk.number().to_string();
        let posted = Posted {
            at: now,
            method: "PRIVMSG".to_owned(),
            to,
            id,
            text: (*text).to_owned(),
            key: String::new(),
            args: Value::Null,
        };
        let post = self.desk.posted.len();
        self.desk.posted.push(posted);
        if let Some(client) = self.clients.get_mut(&conn) {
            client.receipts.push(Receipt { post, ponged: None });
        }
    }

    /// NickServ is spoken to.
    fn service(&mut self, now: Time, conn: u64, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let nick = self.clients.get(&conn).and_then(|client| client.nick.clone());
        let nick = nick.unwrap_or_default();
        let password = self.door.password.clone();
        let answer = match words.as_slice() {
            ["IDENTIFY", said] if *said == password => "You are now identified.",
            ["GHOST", whom, said] if *said == password => {
                let whom = (*whom).to_owned();
                match self.holder(now, &whom) {
                    Holder::Client(other) if other != conn => {
                        self.vanish_from(now, other, &format!("Killed (GHOST by {nick})"));
                        self.close(now, other, "Killed (GHOST)");
                    }
                    Holder::Thief => self.thief_leaves(&whom),
                    _ => {}
                }
                "The ghost with your nick has been killed."
            }
            ["IDENTIFY" | "GHOST", ..] => "Invalid password for bot.",
            _ => {
                self.broke(format!("said to NickServ: {text}"));
                "Invalid command."
            }
        };
        self.tell(conn, &format!(":NickServ!services@services. NOTICE {nick} :{answer}"));
    }

    /// The server ends a connection.
    pub(super) fn close(&mut self, now: Time, conn: u64, why: &str) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.over {
            return;
        }
        client.over = true;
        let nick = client.nick.clone().unwrap_or_default();
        if client.ghost.is_none() {
            self.tell(conn, &format!("ERROR :Closing Link: {nick}[{HOST}] ({why})"));
            self.desk.line(conn, Line::End);
        }
        self.leaves(now, conn);
    }

    /// Who shares a room with a connection hears that it is gone.
    pub(super) fn vanish_from(&mut self, now: Time, conn: u64, why: &str) {
        let Some(gone) = self.clients.get(&conn) else { return };
        let line = format!(":{} QUIT :{why}", gone.mask());
        let rooms = &gone.rooms;
        let hears = |it: &Client| it.is_live() && !it.rooms.is_disjoint(rooms);
        let others: Vec<u64> = self
            .clients
            .iter()
            .filter(|(other, it)| **other != conn && hears(it))
            .map(|(other, _)| *other)
            .collect();
        debug_assert!(now.0 > 0 || others.is_empty());
        for other in others {
            self.tell(other, &line);
        }
    }
}
