//! Files that come slowly, in crowds, from servers that fall silent: every bound of time, number
//! and place, on a clock that the test moves.

use super::super::Gateway;
use super::super::fuzz::{Memory, boot_with, parse};
use crate::config::AuthMode;
use crate::driver::{ConnId, Core, Effect, Effects, Input, Now, Time};
use crate::limits;
use crate::store::Disk;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = "{gateway: {mode: 'local', auth: {mode: 'none'}}, \
     agents: {defaults: {model: 'local/echo'}}, \
     channels: {telegram: {botToken: '123456:ABCDEFGHIJ', apiRoot: 'http://bot.test', \
     dmPolicy: 'open', allowFrom: ['*']}}}";

/// A Bot API server, a service of transcripts, and the gateway before them.
pub(super) struct World {
    disk: Memory,
    pub(super) gateway: Gateway,
    fx: Effects,
    now: Now,
    slots: u32,
    /// What was sent on each connection.
    sent: BTreeMap<ConnId, Vec<u8>>,
    updates: Vec<Value>,
    /// Files are not served.
    deaf: bool,
    /// A file's bytes.
    pub(super) file: Vec<u8>,
    /// Files that are asked for and not answered, and the most of them at once.
    pub(super) open: Vec<ConnId>,
    pub(super) most: usize,
    /// Answers of the service of transcripts; silence when there is none left.
    pub(super) words: Vec<Vec<u8>>,
    /// What it was asked.
    pub(super) heard: Vec<String>,
    /// Texts that were posted.
    pub(super) said: Vec<String>,
    /// A poll that is held.
    poll: Option<ConnId>,
}

fn answer(result: &Value) -> Vec<u8> {
    let body = json!({"ok": true, "result": result}).to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

impl World {
    fn new() -> Self {
        Self::of(CONFIG)
    }

    pub(super) fn of(config: &str) -> Self {
        let disk = Memory::default();
        let now = Now { time: Time(1_000_000), wall_ms: 1_795_000_000_000 };
        let gateway = boot_with(parse(config), AuthMode::None, &disk, now);
        Self {
            disk,
            gateway,
            fx: Effects::new(),
            now,
            slots: 0,
            sent: BTreeMap::new(),
            updates: Vec::new(),
            deaf: false,
            file: b"\x89PNG\r\n\x1a\n....".to_vec(),
            open: Vec::new(),
            most: 0,
            words: Vec::new(),
            heard: Vec::new(),
            said: Vec::new(),
            poll: None,
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.gateway.on(self.now, input, &mut self.fx);
        self.gateway.turn_end(self.now, &mut self.fx);
        for _ in 0..10_000 {
            let effects: Vec<Effect> = self.fx.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(effect);
            }
            self.gateway.turn_end(self.now, &mut self.fx);
        }
        panic!("it never comes to rest");
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { dial, .. } => {
                self.slots += 1;
                let conn = ConnId { slot: self.slots, generation: 0 };
                let result = Ok(conn);
                self.gateway.on(self.now, Input::Dialed { dial, result }, &mut self.fx);
            }
            Effect::Send { conn, bytes } => {
                self.sent.entry(conn).or_default().extend(bytes);
                let request = self.sent.remove(&conn).unwrap_or_default();
                if let Some(answer) = self.serve(conn, &request) {
                    let bytes = answer.as_slice();
                    self.gateway.on(self.now, Input::Received { conn, bytes }, &mut self.fx);
                }
            }
            Effect::Close { conn } | Effect::Abort { conn } => self.open.retain(|it| *it != conn),
            _ => {}
        }
    }

    /// The answer to a request; requests come whole.
    fn serve(&mut self, conn: ConnId, request: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(request).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let path = head.split(' ').nth(1).unwrap_or_default();
        let args: Value = serde_json::from_str(body).unwrap_or_default();
        if path.ends_with("/audio/transcriptions") {
            self.heard.push(text);
            if self.words.is_empty() {
                self.open.push(conn);
                self.most = self.most.max(self.open.len());
                return None;
            }
            return Some(self.words.remove(0));
        }
        let result = match path.rsplit('/').next().unwrap_or_default() {
            _ if path.starts_with("/file/") && self.deaf => {
                self.open.push(conn);
                self.most = self.most.max(self.open.len());
                return None;
            }
            _ if path.starts_with("/file/") => {
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", self.file.len());
                return Some([head.as_bytes(), &self.file].concat());
            }
            "getUpdates" if self.updates.is_empty() => {
                self.poll = Some(conn);
                return None;
            }
            "getUpdates" => json!(std::mem::take(&mut self.updates)),
            "getFile" => json!({"file_path": "x"}),
            "sendMessage" => {
                self.said.push(args["text"].as_str().unwrap_or_default().to_owned());
                json!({"message_id": 1000, "chat": {"id": 77}})
            }
            "getMe" => json!({"id": 123_456, "username": "bot"}),
            _ => json!(true),
        };
        Some(answer(&result))
    }

    /// Time passes; the poll is answered every second.
    pub(super) fn pass(&mut self, ms: u64) {
        for second in 0..ms.div_ceil(1_000) {
            self.pass_at_once((ms - second * 1_000).min(1_000));
            if let Some(conn) = self.poll.take() {
                let bytes = answer(&json!(std::mem::take(&mut self.updates)));
                self.feed(Input::Received { conn, bytes: &bytes });
            }
        }
    }

    fn pass_at_once(&mut self, ms: u64) {
        let end = self.now.time.after_ms(ms);
        while let Some(due) = self.gateway.deadline().filter(|due| *due <= end) {
            let due = due.max(self.now.time);
            self.now.wall_ms += due.ms_since(self.now.time);
            self.now.time = due;
            self.feed(Input::Wake);
        }
        self.now.wall_ms += end.ms_since(self.now.time);
        self.now.time = end;
    }

    /// A person sends so many pictures, as an album.
    fn album(&mut self, from: u64, files: u64) {
        for at in 0..files {
            let number = from * 100 + at;
            self.says(
                from,
                number,
                &json!({"media_group_id": from.to_string(),
                "photo": [{"file_id": format!("f{number}")}]}),
            );
        }
        self.pass(3_000);
    }

    /// A person sends something; it is taken with the next poll.
    pub(super) fn says(&mut self, from: u64, number: u64, more: &Value) {
        let mut message = json!({
            "message_id": number, "date": 1, "chat": {"id": from, "type": "private"},
            "from": {"id": from, "first_name": "Ann"},
        });
        for (name, value) in more.as_object().expect("members") {
            message[name] = value.clone();
        }
        self.updates.push(json!({"update_id": number, "message": message}));
    }

    fn files(&self) -> usize {
        self.disk.list(Path::new("/state/media/inbound")).unwrap_or_default().len()
    }
}

#[test]
fn a_server_that_falls_silent_costs_the_message_its_file_and_no_more() {
    let mut world = World::new();
    world.pass(1);
    world.deaf = true;
    world.album(7, 1);
    assert_eq!((world.said.len(), world.open.len()), (0, 1), "it is waited for");
    world.pass(limits::MEDIA_FETCH_MS + 1_000);
    let [said] = world.said.as_slice() else { panic!("{:?}", world.said) };
    assert!(said.contains("not fetched: no complete answer within 60 s"), "{said}");
    assert!(world.open.is_empty() && world.files() == 0, "nothing is left of it");
}

#[test]
fn so_many_at_once_so_many_of_a_message_and_all_within_its_time() {
    let mut world = World::new();
    world.pass(1);
    world.deaf = true;
    world.album(8, 12);
    assert_eq!(world.open.len(), limits::MEDIA_FETCHES, "the others wait");
    world.pass(limits::MEDIA_MESSAGE_MS + 2_000);
    assert_eq!(world.most, limits::MEDIA_FETCHES);
    let [said] = world.said.as_slice() else { panic!("{:?}", world.said) };
    let slow = said.matches("no complete answer within 60 s").count();
    let late = said.matches("not here within 120 s").count();
    assert!(slow >= 4 && late >= 2 && slow + late == limits::CHANNEL_MEDIA, "{said}");
    assert_eq!(said.matches("more than 10 files of one message").count(), 2, "{said}");
    assert!(world.open.is_empty() && world.files() == 0, "nothing is left of them");
}

#[test]
fn the_oldest_files_make_room_and_halves_of_an_earlier_life_go() {
    let mut world = World::new();
    let part = Path::new("/state/media/inbound/left.part");
    world.disk.replace(part, b"half").expect("written");
    world.pass(1);
    assert_eq!(world.files(), 0, "the half of an earlier life");
    world.album(9, 3);
    assert_eq!(world.files(), 3);
    assert_eq!(world.said.len(), 1, "{:?}", world.said);
    let dir = Path::new("/state/media/inbound");
    let keep = dir.join(world.disk.list(dir).expect("files").remove(0));
    // One more would be too many: all but the newest go.
    world.gateway.sweep_inbound_to(&keep, 20);
    assert_eq!(world.disk.list(dir).expect("files").len(), 1);
    assert!(world.disk.stat(&keep).is_ok(), "the one that came is kept");
}
