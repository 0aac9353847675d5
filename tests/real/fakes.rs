//! The fakes of chat platforms on the loopback, over real TCP, for clients that nobody here wrote.
//!
//! `cargo run --example fakes` prints one line of JSON with a port each:
//! `{"control": …, "telegram": …, "discord": …, "slack": …}` and serves until it is killed.
//!
//! The control port: `GET /<platform>` answers what was posted and which rules were broken,
//! `POST /<platform>` carries out an act (`src/sim/peers/fake.rs` lists them), now or
//! `afterMs` later.
//!
//! ```text
//!   reader threads --(connection, bytes)--> one loop --> Peer::on --> bytes, alarms, calls
//! ```
//!
//! The peers are those of the simulator; this is a second driver of them, with threads and
//! blocking sockets since it serves a handful of connections.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "says where it listens")]

use openclaw_gateway::driver::Time;
use openclaw_gateway::sim::check::Checks;
use openclaw_gateway::sim::disk::SimDisk;
use openclaw_gateway::sim::peers::fake::{self, Answer, Asked, Desk, Fake, Reply, Session, Ticker};
use openclaw_gateway::sim::peers::platforms::Platforms;
use openclaw_gateway::sim::peers::{Event, Io, Peer};
use openclaw_gateway::sim::rng::Rng;
use openclaw_gateway::wire::url::Url;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

enum News {
    Accepted(&'static str, TcpStream),
    Bytes(u64, Vec<u8>),
    Ended(u64, bool),
}

type Platform = Rc<RefCell<dyn Fake>>;
/// What a platform has seen.
type Report = Box<dyn Fn() -> Value>;

/// The control port, as a fake of its own.
struct Control {
    desk: Desk,
    platforms: BTreeMap<&'static str, (Platform, Report)>,
}

impl Control {
    fn carry_out(&mut self, now: Time, asked: &Asked) -> Option<Answer> {
        let name = asked.segments().pop()?;
        let (platform, report) = self.platforms.get(name.as_str())?;
        if asked.head.method.as_str() == "GET" {
            return Some(Answer::json(200, &report()));
        }
        let act: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let mut platform = platform.borrow_mut();
        let done = match act["afterMs"].as_u64() {
            Some(ms) => {
                platform.desk().at(now.after_ms(ms), act);
                Ok(Value::Null)
            }
            None => fake::perform(&mut *platform, now, &act),
        };
        Some(match done {
            Ok(done) => Answer::json(200, &done),
            Err(what) => Answer::json(400, &json!({ "error": what })),
        })
    }
}

impl Fake for Control {
    fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    fn asked(&mut self, now: Time, _conn: u64, asked: &Asked) -> Reply {
        let unknown = || Answer::json(404, &json!({"error": "no such platform"}));
        Reply::Now(self.carry_out(now, asked).unwrap_or_else(unknown))
    }

    fn too_many(&mut self, _now: Time, _asked: &Asked, _seconds: u64) -> Answer {
        Answer::json(429, &Value::Null)
    }

    fn gone(&mut self, _now: Time, _conn: u64, _code: Option<u16>) {}

    fn act(&mut self, _now: Time, _act: &Value) -> Result<Value, String> {
        Err("no acts here".to_owned())
    }

    fn tick(&mut self, _now: Time) {}

    fn deadline(&self) -> Option<Time> {
        None
    }
}

struct Seat {
    peer: Box<dyn Peer>,
    stream: Option<TcpStream>,
    wake: Option<Time>,
}

/// The loop: every peer on one thread.
struct Driver {
    zero: Instant,
    seats: BTreeMap<u64, Seat>,
    next: u64,
    sender: Sender<News>,
    checks: Checks,
    roused: bool,
}

impl Driver {
    fn now(&self) -> Time {
        Time(self.zero.elapsed().as_micros() as u64)
    }

    fn seat(&mut self, peer: Box<dyn Peer>, stream: Option<TcpStream>) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Some(stream) = &stream {
            let _ = stream.set_nodelay(true);
            let mut reader = stream.try_clone().expect("a second handle");
            let sender = self.sender.clone();
            std::thread::spawn(move || {
                let mut bytes = vec![0; 64 * 1024];
                loop {
                    let news = match reader.read(&mut bytes) {
                        Ok(0) => News::Ended(id, false),
                        Ok(read) => News::Bytes(id, bytes[..read].to_vec()),
                        Err(_) => News::Ended(id, true),
                    };
                    let over = matches!(news, News::Ended(..));
                    if sender.send(news).is_err() || over {
                        return;
                    }
                }
            });
        }
        self.seats.insert(id, Seat { peer, stream, wake: None });
        id
    }

    fn tell(&mut self, id: u64, event: Event<'_>) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(&id) else { return };
        let mut io = Io::default();
        seat.peer.on(now, event, &mut io, &mut self.checks);
        if io.wake.is_some() {
            seat.wake = io.wake;
        }
        if let Some(stream) = &mut seat.stream {
            let failed = !io.send.is_empty() && stream.write_all(&io.send).is_err();
            if io.reset || failed {
                let _ = stream.shutdown(Shutdown::Both);
            } else if io.end {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        for visit in io.visits {
            let target = Url::parse(&visit.url).ok();
            let stream = target.and_then(|url| TcpStream::connect((&*url.host, url.port)).ok());
            let event = match stream {
                Some(_) => Event::Connected,
                None => Event::Lost { injected: false },
            };
            let id = self.seat(visit.peer, stream);
            self.tell(id, event);
        }
        self.roused |= io.rouse;
    }

    /// Wakes whom a peer roused; they may rouse others again.
    fn rouse(&mut self) {
        while std::mem::take(&mut self.roused) {
            let rousable = self.seats.iter().filter(|(_, seat)| seat.peer.rousable());
            let rousable: Vec<u64> = rousable.map(|(id, _)| *id).collect();
            for id in rousable {
                self.tell(id, Event::Wake);
            }
        }
    }

    /// Rings the alarms that are due; when the next one is.
    fn alarms(&mut self) -> Duration {
        let now = self.now();
        let due = |seat: &Seat| seat.wake.is_some_and(|wake| wake <= now);
        let due: Vec<u64> =
            self.seats.iter().filter(|(_, seat)| due(seat)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.wake = None;
            }
            self.tell(id, Event::Wake);
        }
        let next = self.seats.values().filter_map(|seat| seat.wake).min();
        let wait = next.map_or(1_000_000, |next| next.0.saturating_sub(self.now().0));
        // Another port may have changed what is due on this one.
        Duration::from_micros(wait.min(20_000))
    }

    fn run(&mut self, news: &Receiver<News>, doors: &BTreeMap<&'static str, Platform>) {
        loop {
            self.rouse();
            let wait = self.alarms();
            match news.recv_timeout(wait) {
                Ok(News::Accepted(door, stream)) => {
                    let session = Session::new(Rc::clone(&doors[door]));
                    let id = self.seat(Box::new(session), Some(stream));
                    self.tell(id, Event::Connected);
                }
                Ok(News::Bytes(id, bytes)) => self.tell(id, Event::Bytes(&bytes)),
                Ok(News::Ended(id, broken)) => {
                    let event = if broken { Event::Lost { injected: false } } else { Event::Ended };
                    self.tell(id, event);
                    self.seats.remove(&id);
                }
                // Whoever has no connection looks whether an act was given.
                Err(RecvTimeoutError::Timeout) => {
                    let tickers: Vec<u64> = self
                        .seats
                        .iter()
                        .filter(|(_, seat)| seat.stream.is_none())
                        .map(|(id, _)| *id)
                        .collect();
                    for id in tickers {
                        self.tell(id, Event::Wake);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn listen(door: &'static str, sender: &Sender<News>) -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let accepting = listener.try_clone().expect("a second handle");
    let sender = sender.clone();
    std::thread::spawn(move || {
        for stream in accepting.incoming().flatten() {
            if sender.send(News::Accepted(door, stream)).is_err() {
                return;
            }
        }
    });
    (listener, port)
}

fn main() {
    serve(|ports| println!("{}", json!(ports)));
}

/// Serves for ever; says the ports first.
pub fn serve(say: impl FnOnce(&BTreeMap<&'static str, u16>)) {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let wall_ms = wall.map_or(0, |since| since.as_millis() as u64);
    let (sender, news) = channel();
    let mut rng = Rng::new(wall_ms);
    let mut ports = BTreeMap::new();
    let mut listeners = Vec::new();
    for door in ["control", "telegram", "discord", "slack"] {
        let (listener, port) = listen(door, &sender);
        listeners.push(listener);
        ports.insert(door, port);
    }
    let Platforms { telegram, discord, slack, .. } = Platforms::new(&mut rng, wall_ms);
    telegram.borrow_mut().any_hook = true;
    {
        // Everything is on the loopback, and a heartbeat takes no minute.
        let mut discord = discord.borrow_mut();
        let port = ports["discord"];
        discord.beat_ms = 2_000;
        discord.gateway_url = format!("ws://127.0.0.1:{port}");
        discord.resume_url = format!("ws://127.0.0.1:{port}/resume");
        discord.cdn_url = format!("http://127.0.0.1:{port}");
        let mut slack = slack.borrow_mut();
        let port = ports["slack"];
        slack.socket_url = format!("ws://127.0.0.1:{port}");
        slack.site_url = format!("http://127.0.0.1:{port}");
        slack.warning_ms = 2_000;
    }
    let mut doors: BTreeMap<&'static str, Platform> = BTreeMap::new();
    doors.insert("telegram", telegram.clone());
    doors.insert("discord", discord.clone());
    doors.insert("slack", slack.clone());
    let mut reports: BTreeMap<&'static str, Report> = BTreeMap::new();
    reports.insert("telegram", Box::new(move || telegram.borrow().report()));
    reports.insert("discord", Box::new(move || discord.borrow().report()));
    reports.insert("slack", Box::new(move || slack.borrow().report()));
    let platforms = reports
        .into_iter()
        .map(|(name, report)| (name, (Rc::clone(&doors[name]), report)))
        .collect();
    let tickers: Vec<Platform> = doors.values().cloned().collect();
    let control = Control { desk: Desk::new(wall_ms), platforms };
    doors.insert("control", Rc::new(RefCell::new(control)));
    let checks = Checks::new(SimDisk::new());
    let zero = Instant::now();
    let mut driver =
        Driver { zero, seats: BTreeMap::new(), next: 0, sender, checks, roused: false };
    for platform in tickers {
        let id = driver.seat(Box::new(Ticker::new(platform)), None);
        driver.tell(id, Event::Wake);
    }
    say(&ports);
    driver.run(&news, &doors);
}
