//! IRC, by TCP or TLS.
//!
//! ```text
//!   Start --> dialing --> registering --001--> live --> gone --pause--> dialing
//!                           CAP, SASL,           |  our PING a minute; no PONG: gone
//!                           PASS, NICK, USER     \- PRIVMSG in: inbound; out: lines, PING, PONG
//! ```
//!
//! IRC gives messages no ids and no receipts. Ours are numbered within a connection whose name
//! is random, and behind the lines of a message goes a `PING`: the server answers it after it has
//! handled what came before, so its `PONG` is the receipt. A message whose receipt is missing
//! when the connection breaks is sent again: at least once. A goodbye of ours takes what left
//! within [`limits::IRC_GOODBYE_MS`] before it for sent, unless the server owes us an answer for
//! longer than that. Of a message that a kick or a netsplit cut in two only the rest is said
//! again; a room of the configuration that we are not in is asked for, and what is to be said
//! there waits for it.
//!
//! A direct conversation is addressed by the whole mask, `nick!user@host`: nicks change hands
//! while we are away. Before the first answer to a mask that was not heard on this connection,
//! the server is asked (`USERHOST`) whether the nick is still that person's. Who is not there is
//! waited for: a netsplit ends.
//!
//! A nick that is taken when we come is asked for again once a minute, at once when its holder
//! leaves, and by NickServ (`GHOST`) where we have its password.
//!
//! Lines leave no faster than [`limits::IRC_BURST`] at once and one each
//! [`limits::IRC_LINE_EVERY_MS`] from then on, and no more are on their way than a slow server
//! keeps ([`limits::IRC_WINDOW`]): servers kill who floods. CTCP and notices are never answered,
//! so that two bots cannot talk each other to death.

mod flight;
mod line;
mod live;
#[cfg(test)]
mod tests;
mod window;

pub use line::fuzz;

use serde_json::{Value, json};

use super::audit::{self, Audit};
use super::port::{ChannelInput, ChannelOut, SockId, State};
use super::{Account, Address, Backoff, Caps, Channel, Chat, Failure, GroupRules, Kind, Writing};
use crate::driver::{Now, Time};
use crate::limits;
use crate::wire::hash::base64;
use line::{Line, Lines, is_room, is_word, lower};
use live::Live;

/// The row of IRC.
pub static KIND: Kind = Kind {
    id: "irc",
    label: "IRC",
    detail: "IRC server",
    prefixes: &[],
    caps: Caps {
        direct: true,
        group: true,
        threads: false,
        reply: false,
        reactions: false,
        edit: false,
        delete: false,
        finds: false,
        brings_again: false,
        typing: false,
        media: false,
        polls: false,
        buttons: false,
        native_commands: false,
    },
    text_limit: 350,
    media_max_mb: 20,
    writing: Writing::PLAIN,
    length: str::len,
    render: super::text::plain,
    live_keys: &[],
    not_inherited: &[],
    file_keys: &[
        ("passwordFile", "password"),
        ("sasl.passwordFile", "sasl.password"),
        ("nickserv.passwordFile", "nickserv.password"),
    ],
    env_keys: &[
        ("host", "IRC_HOST"),
        ("port", "IRC_PORT"),
        ("tls", "IRC_TLS"),
        ("nick", "IRC_NICK"),
        ("username", "IRC_USERNAME"),
        ("realname", "IRC_REALNAME"),
        ("password", "IRC_PASSWORD"),
        ("channels", "IRC_CHANNELS"),
        ("nickserv.password", "IRC_NICKSERV_PASSWORD"),
        ("nickserv.registerEmail", "IRC_NICKSERV_REGISTER_EMAIL"),
    ],
    credentials: &["host", "nick"],
    build: |account| Ok(Box::new(Irc::new(account)?)),
    target,
    normal: |entry| {
        let entry = entry.trim();
        lower(entry.strip_prefix("irc:").or(entry.strip_prefix("user:")).unwrap_or(entry))
    },
    group: |account: &Account, chat: &Chat| -> GroupRules {
        super::access::groups(account, |name| lower(name) == lower(&chat.id))
    },
};

fn target(text: &str) -> Result<Address, String> {
    let text = text.trim();
    let text = ["channel:", "user:", "nick:"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    let text = text.strip_prefix('@').unwrap_or(text);
    if !is_word(text) {
        return Err(format!("\"{text}\" is no IRC target; write #channel or a nick"));
    }
    Ok(Address::chat(text))
}

/// What one account is told to do.
#[derive(Clone)]
struct Settings {
    host: String,
    port: u16,
    tls: bool,
    nick: String,
    username: String,
    realname: String,
    password: Option<String>,
    /// User and password of SASL PLAIN.
    sasl: Option<(String, String)>,
    /// The service's nick and the password.
    nickserv: Option<(String, String)>,
    /// Address to register the nick with.
    register: Option<String>,
    rooms: Vec<String>,
}

impl Settings {
    /// Whether a room, in lower case, is one that we enter.
    fn has(&self, room: &str) -> bool {
        self.rooms.iter().any(|one| lower(one) == room)
    }
}

enum Phase {
    /// Stopped, or resting until somebody starts it.
    Idle,
    /// Tries again then.
    Waiting(Time),
    /// The socket is opening.
    Dialing(SockId),
    /// Until 001, or this time.
    Registering { sock: SockId, lines: Lines, tries: usize, sasl: bool, until: Time },
    /// In.
    Live(Box<Live>),
}

/// An account on an IRC server.
pub struct Irc {
    settings: Settings,
    phase: Phase,
    backoff: Backoff,
}

impl Irc {
    /// Reads the account.
    ///
    /// # Errors
    /// What is missing or cannot be.
    pub fn new(account: &Account) -> Result<Self, String> {
        let must = |key: &str, what: &str| {
            account.text(key).map(str::to_owned).ok_or_else(|| account.missing(key, what))
        };
        let word = |key: &str, text: &str| match is_word(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("{}.{key}: \"{text}\" has blanks or commas", account.path)),
        };
        let tls = account.flag("tls").unwrap_or(true);
        let from_env = || account.text("port")?.parse().ok();
        let port = account.number("port").or_else(from_env);
        let port = port.unwrap_or(if tls { 6697 } else { 6667 });
        let nick = word("nick", &must("nick", "the bot's nick")?)?;
        let mut rooms = account.texts("channels").unwrap_or_default();
        // The environment has them with commas between.
        rooms.extend(account.text("channels").into_iter().flat_map(|list| {
            list.split(',').map(|room| room.trim().to_owned()).collect::<Vec<_>>()
        }));
        for room in &mut rooms {
            if !is_room(room) {
                room.insert(0, '#');
            }
            word("channels", room)?;
        }
        rooms.truncate(limits::IRC_ROOMS);
        let text = |key: &str| account.text(key).map(str::to_owned);
        let sasl = text("sasl.password")
            .map(|password| (text("sasl.username").unwrap_or_else(|| nick.clone()), password));
        let on = account.flag("nickserv.enabled") != Some(false);
        let service = text("nickserv.service").unwrap_or_else(|| "NickServ".to_owned());
        let nickserv = text("nickserv.password").filter(|_| on).map(|it| (service, it));
        let register = match account.flag("nickserv.register") {
            Some(true) => Some(must("nickserv.registerEmail", "to register the nick with")?),
            _ => None,
        };
        let settings = Settings {
            host: must("host", "the server's name")?,
            port: u16::try_from(port).map_err(|_| format!("{}.port: 1 to 65535", account.path))?,
            tls,
            username: text("username").unwrap_or_else(|| nick.clone()),
            realname: text("realname").unwrap_or_else(|| "OpenClaw".to_owned()),
            password: text("password"),
            nick,
            sasl,
            nickserv,
            register,
            rooms,
        };
        Ok(Self { settings, phase: Phase::Idle, backoff: Backoff::default() })
    }

    fn dial(&mut self, out: &mut ChannelOut) {
        let Settings { host, port, tls, .. } = &self.settings;
        out.status(State::Connecting);
        self.phase = Phase::Dialing(out.open_tcp(host, *port, *tls));
    }

    /// Tries again after a pause. What was under way is given back to the queue.
    fn again(&mut self, now: Now, why: &str, out: &mut ChannelOut) {
        self.again_after(now, why, 0, out);
    }

    fn again_after(&mut self, now: Now, why: &str, at_least_ms: u64, out: &mut ChannelOut) {
        self.give_back(why, out);
        // A server that welcomes and sends away is not run into at full speed.
        if matches!(&self.phase, Phase::Live(live) if live.has_lasted(now)) {
            self.backoff.reset();
        }
        let pause = self.backoff.next_ms(out.random()).max(at_least_ms);
        let until = now.time.after_ms(pause);
        self.phase = Phase::Waiting(until);
        out.status(State::Waiting { until, why: why.to_owned() });
    }

    /// Rests until the operator has mended it.
    fn refused(&mut self, why: String, out: &mut ChannelOut) {
        if let Some(sock) = self.sock() {
            out.close(sock, 1000, "");
        }
        self.give_back(&why, out);
        self.phase = Phase::Idle;
        out.status(State::Refused { why });
    }

    fn give_back(&mut self, why: &str, out: &mut ChannelOut) {
        if let Phase::Live(live) = &mut self.phase {
            live.give_back(why, out);
        }
    }

    fn sock(&self) -> Option<SockId> {
        match &self.phase {
            Phase::Idle | Phase::Waiting(_) => None,
            Phase::Dialing(sock) | Phase::Registering { sock, .. } => Some(*sock),
            Phase::Live(live) => Some(live.sock),
        }
    }

    fn opened(&mut self, now: Now, sock: SockId, out: &mut ChannelOut) {
        let settings = &self.settings;
        let mut hello = String::new();
        if settings.sasl.is_some() {
            hello.push_str("CAP REQ :sasl\r\n");
        }
        if let Some(password) = &settings.password {
            hello.push_str(&format!("PASS :{}\r\n", line::one_line(password)));
        }
        let username: String =
            settings.username.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        hello.push_str(&format!("NICK {}\r\n", settings.nick));
        hello.push_str(&format!("USER {username} 0 * :{}\r\n", line::one_line(&settings.realname)));
        out.bytes(sock, hello.into_bytes());
        let until = now.time.after_ms(limits::IRC_REGISTER_MS);
        self.phase =
            Phase::Registering { sock, lines: Lines::default(), tries: 0, sasl: false, until };
    }

    fn heard(&mut self, now: Now, sock: SockId, bytes: &[u8], out: &mut ChannelOut) {
        let lines = match &mut self.phase {
            Phase::Registering { lines, .. } => lines.push(bytes),
            Phase::Live(live) => live.lines.push(bytes),
            _ => return,
        };
        let Ok(lines) = lines else {
            out.abort(sock);
            return self.again(now, "a line longer than IRC has them: is it an IRC server?", out);
        };
        for line in lines {
            if self.sock() != Some(sock) {
                return;
            }
            self.line(now, sock, &line, out);
        }
    }

    fn line(&mut self, now: Now, sock: SockId, line: &Line, out: &mut ChannelOut) {
        match line.command.as_str() {
            "PING" => {
                let pong = format!("PONG :{}\r\n", line::one_line(line.last()));
                out.bytes(sock, pong.into_bytes());
            }
            "ERROR" => {
                out.abort(sock);
                let why = format!("the server closed: {}", line::unformatted(line.last()));
                // Who comes back too soon is kept out for longer.
                let said = why.to_ascii_lowercase();
                let hasty = ["throttl", "too fast", "too many"].iter().any(|it| said.contains(it));
                let at_least = if hasty { limits::IRC_THROTTLED_MS } else { 0 };
                self.again_after(now, &why, at_least, out);
            }
            "465" => {
                let why = format!(
                    "banned from the server ({}); ask its operators",
                    line::unformatted(line.last())
                );
                self.refused(why, out);
            }
            _ => match &mut self.phase {
                Phase::Registering { .. } => self.register(now, sock, line, out),
                Phase::Live(live) => live.line(now, line, &self.settings, out),
                _ => {}
            },
        }
    }

    fn register(&mut self, now: Now, sock: SockId, line: &Line, out: &mut ChannelOut) {
        let Phase::Registering { tries, sasl, .. } = &mut self.phase else { return };
        let mut say = |text: String| out.bytes(sock, text.into_bytes());
        match line.command.as_str() {
            "CAP" if line.param(1).eq_ignore_ascii_case("ACK") => {
                say("AUTHENTICATE PLAIN\r\n".to_owned());
            }
            "CAP" if line.param(1).eq_ignore_ascii_case("NAK") => self.refused(
                "the server has no SASL; remove sasl and set nickserv.password instead".to_owned(),
                out,
            ),
            "AUTHENTICATE" => {
                let Some((user, password)) = &self.settings.sasl else { return };
                let word = base64(format!("{user}\0{user}\0{password}").as_bytes());
                let mut parts = word.as_bytes().chunks(400).peekable();
                while let Some(part) = parts.next() {
                    say(format!("AUTHENTICATE {}\r\n", String::from_utf8_lossy(part)));
                    if parts.peek().is_none() && part.len() == 400 {
                        say("AUTHENTICATE +\r\n".to_owned());
                    }
                }
            }
            "903" | "907" => {
                *sasl = true;
                say("CAP END\r\n".to_owned());
            }
            "902" | "904" | "905" | "906" | "908" => {
                let why = format!(
                    "SASL was refused ({}); check sasl.username and sasl.password",
                    line::unformatted(line.last())
                );
                self.refused(why, out);
            }
            "464" => self.refused(
                "the server's password was refused; check channels.irc.password".to_owned(),
                out,
            ),
            "431" | "432" => {
                let nick = &self.settings.nick;
                let why = format!("the server does not take the nick \"{nick}\"; choose another");
                self.refused(why, out);
            }
            "433" | "436" | "437" => {
                *tries = tries.saturating_add(1);
                if *tries > limits::IRC_NICKS {
                    out.abort(sock);
                    return self.again(now, "every nick we tried is in use", out);
                }
                // `bot`, `bot_`, `bot__`, and then by chance.
                let nick = &self.settings.nick;
                let next = match *tries {
                    1 | 2 => format!("{nick}{}", "_".repeat(*tries)),
                    _ => format!("{nick}{}", out.random() % 1000),
                };
                out.bytes(sock, format!("NICK {next}\r\n").into_bytes());
            }
            "001" if self.settings.sasl.is_some() && self.settings.nickserv.is_none() && !*sasl => {
                // It knows no CAP, and a nick that is not ours by password is anybody's.
                let why = "the server welcomes without SASL, which channels.irc.sasl asks for; \
                           remove sasl and set nickserv.password instead";
                self.refused(why.to_owned(), out);
            }
            "001" => {
                let Phase::Registering { lines, .. } =
                    std::mem::replace(&mut self.phase, Phase::Idle)
                else {
                    return;
                };
                let nick = line.param(0).to_owned();
                let live = Live::begin(now, sock, lines, nick, &self.settings, out);
                self.phase = Phase::Live(Box::new(live));
            }
            _ => {}
        }
    }
}

impl Channel for Irc {
    fn on(&mut self, now: Now, input: ChannelInput<'_>, out: &mut ChannelOut) {
        match input {
            ChannelInput::Start => self.dial(out),
            ChannelInput::Stop => {
                if let Some(sock) = self.sock() {
                    if !matches!(self.phase, Phase::Dialing(_)) {
                        out.bytes(sock, b"QUIT :leaving\r\n".to_vec());
                    }
                    out.close(sock, 1000, "");
                }
                if let Phase::Live(live) = &mut self.phase {
                    live.settle(now, out);
                }
                self.give_back("the account was stopped", out);
                self.phase = Phase::Idle;
                out.status(State::Stopped);
            }
            ChannelInput::Opened { sock } if self.sock() == Some(sock) => {
                self.opened(now, sock, out);
            }
            ChannelInput::Failed { sock, trouble } if self.sock() == Some(sock) => {
                if trouble.permanent {
                    self.phase = Phase::Idle;
                    let what = trouble.what;
                    let why = format!("{what}; check host, port and tls of channels.irc");
                    return out.status(State::Refused { why });
                }
                self.again_after(now, &trouble.what, trouble.pause_ms, out);
            }
            ChannelInput::Bytes { sock, bytes } if self.sock() == Some(sock) => {
                self.heard(now, sock, bytes, out);
            }
            ChannelInput::Closed { sock, gone } if self.sock() == Some(sock) => {
                self.again(now, &format!("the connection was lost: {}", gone.why), out);
            }
            ChannelInput::Send(message) => match &mut self.phase {
                Phase::Live(live) => live.send(now, message, &self.settings, out),
                _ => out.send_failed(&message.id, Failure::later("not connected to the server")),
            },
            ChannelInput::Act { id, .. } => {
                out.acted(id, Err(Failure::unsupported("IRC", "this action")));
            }
            ChannelInput::Probe { id } => match &self.phase {
                Phase::Live(live) => {
                    let rooms: Vec<&str> = live.rooms();
                    out.probed(id, Ok(json!({"nick": live.nick, "channels": rooms})));
                }
                _ => out.probed(id, Err("not connected to the server".to_owned())),
            },
            ChannelInput::Audit { id } => {
                let rooms = self.settings.rooms.clone();
                let audit = Audit::new((id, now.time), audit::CHANNELS, rooms, 0);
                let report = match (&self.phase, audit) {
                    (Phase::Live(live), Some(mut audit)) => {
                        while let Some(room) = audit.next() {
                            let result = live.is_in(room);
                            audit.found(result);
                        }
                        audit.report(now.time)
                    }
                    _ => Value::Null,
                };
                out.audited(id, report);
            }
            ChannelInput::Wake => self.wake(now, out),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Idle | Phase::Dialing(_) => None,
            Phase::Waiting(until) | Phase::Registering { until, .. } => Some(*until),
            Phase::Live(live) => Some(live.deadline()),
        }
    }
}

impl Irc {
    fn wake(&mut self, now: Now, out: &mut ChannelOut) {
        match &mut self.phase {
            Phase::Waiting(until) if *until <= now.time => self.dial(out),
            Phase::Registering { sock, until, .. } if *until <= now.time => {
                out.abort(*sock);
                self.again(now, "the server did not welcome us in time", out);
            }
            Phase::Live(live) => {
                let there = live.wake(now, &self.settings, out);
                if !there {
                    out.abort(live.sock);
                    self.again(now, "the server does not answer our PING any more", out);
                }
            }
            _ => {}
        }
    }
}
