//! Files of people on their way in: fetched after their message was accepted, before its run.
//!
//! ```text
//!   burst with files --[hold]--> wait for a place --> Locate --> Located --> fetched to
//!        ^                            |  at most MEDIA_FETCHES at once        media/inbound/
//!        |                            |                                          |
//!        +-- all of them here, or given up, or late: [begin] <-- judged by its bytes
//!                                                  or [hearing] first, where something is said
//! ```
//!
//! * The journal has the message until its run has begun, so a crash at any moment fetches again,
//!   by a fresh address.
//! * A file goes to the disk piece by piece and never through memory as a whole. What it is its
//!   first bytes say.
//! * What could not be fetched is said to the model in words; the message is answered anyhow.
//! * Bounds: [`limits::CHANNEL_MEDIA`] files of a message, `mediaMaxMb` of each,
//!   [`limits::MEDIA_FETCH_MS`] and [`limits::MEDIA_MESSAGE_MS`] of time,
//!   [`limits::MEDIA_INBOUND`] of disk for all; `attachments.ttlHours` of age.
//! * Addresses that are not public are refused, but for the server that the operator put in the
//!   service's place. Credentials go to no other server than the one they are for.

use super::super::Gateway;
use super::super::exchange::{BodyBound, ExchangeError, ExchangeId, FetchUrl, Purpose};
use super::super::exchange::{Reach, Response};
use super::super::timers::Timer;
use super::inbound::Burst;
use super::{LiveId, speak};
use crate::api::openai::media::{About, block, text_of};
use crate::channels::port::ChannelInput;
use crate::channels::{Failure, Located, Media, Retry, Stored};
use crate::driver::{Effects, Time};
use crate::limits;
use crate::wire::hash::base64;
use crate::wire::sniff;
use crate::wire::url::Url;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// Everything that is fetched.
#[derive(Default)]
pub(super) struct Fetches {
    pub(super) held: BTreeMap<String, Held>,
    files: BTreeMap<u64, Fetch>,
    next: u64,
}

/// A burst that waits for its files, or for what is said in them.
pub(super) struct Held {
    pub(super) burst: Burst,
    pub(super) deadline: Time,
    /// What the same person said there meanwhile; [`limits::CHANNEL_INBOX`] bounds it.
    behind: VecDeque<Burst>,
}

/// A file that is not here yet.
struct Fetch {
    /// The burst, the message in it and the file of that.
    name: String,
    entry: usize,
    at: usize,
    tries: u32,
    state: State,
}

enum State {
    /// For a place among [`limits::MEDIA_FETCHES`], not before then.
    Waits(Time),
    /// For the channel to say where it is.
    Asked(LiveId),
    /// For its bytes.
    Comes { live: LiveId, exchange: ExchangeId, path: PathBuf, page: Option<&'static str> },
}

impl Fetches {
    /// When something is to be done.
    pub(super) fn due(&self) -> Option<Time> {
        let waits = self.files.values().filter_map(|file| match file.state {
            State::Waits(due) => Some(due),
            _ => None,
        });
        let late = self.held.values().map(|held| held.deadline).min();
        let busy = self.at_work() >= limits::MEDIA_FETCHES;
        waits.min().filter(|_| !busy).into_iter().chain(late).min()
    }

    fn at_work(&self) -> usize {
        self.files.values().filter(|file| !matches!(file.state, State::Waits(_))).count()
    }

    pub(super) fn media(&mut self, name: &str, entry: usize, at: usize) -> Option<&mut Media> {
        self.held.get_mut(name)?.burst.all_media_mut().nth(entry)?.get_mut(at)
    }
}

/// `20 MB`, `1.5 MB`.
pub(super) fn megabytes(bytes: u64) -> String {
    // Sizes of files: no precision is lost below 2^53.
    let mb = bytes as f64 / (1024.0 * 1024.0);
    match mb.fract() == 0.0 {
        true => format!("{mb:.0} MB"),
        false => format!("{mb:.1} MB"),
    }
}

/// A name that somebody else chose, as it may stand in brackets.
fn shown(name: Option<&str>) -> String {
    let odd = |c: char| c.is_control() || "[]<>\"`".contains(c);
    let name = name.unwrap_or("a file without a name");
    name.chars().filter(|c| !odd(*c)).take(128).collect()
}

impl Gateway {
    /// The directory of files that came.
    pub(super) fn inbound_dir(&self) -> PathBuf {
        self.state_dir.join("media").join("inbound")
    }

    /// Keeps a burst until its files are here; gives it back when nothing has to be waited for.
    pub(super) fn hold_burst(
        &mut self,
        name: &str,
        burst: Burst,
        fx: &mut Effects,
    ) -> Option<Burst> {
        let name = super::inbound::line_of(name);
        let wants = burst.has_files_to_fetch();
        if let Some(held) = self.channels.fetches.held.get_mut(name) {
            if burst.is_command() {
                return Some(burst);
            }
            held.behind.push_back(burst);
            return None;
        }
        if !wants || self.leaving.is_some() {
            return Some(burst);
        }
        let fetches = &mut self.channels.fetches;
        let due = self.now.time;
        let mut left = limits::CHANNEL_MEDIA;
        let mut burst = burst;
        for (entry, media) in burst.all_media_mut().enumerate() {
            for (at, media) in media.iter_mut().enumerate() {
                if media.got.is_some() {
                    continue;
                }
                let Some(fewer) = left.checked_sub(1) else {
                    let most = limits::CHANNEL_MEDIA;
                    media.got = Some(Err(format!("more than {most} files of one message")));
                    continue;
                };
                left = fewer;
                fetches.next += 1;
                let (name, state) = (name.to_owned(), State::Waits(due));
                fetches.files.insert(fetches.next, Fetch { name, entry, at, tries: 0, state });
            }
        }
        let deadline = self.now.time.after_ms(limits::MEDIA_MESSAGE_MS);
        let held = Held { burst, deadline, behind: VecDeque::new() };
        fetches.held.insert(name.to_owned(), held);
        self.timers.arm(deadline, Timer::Outbox);
        self.files_due(fx);
        None
    }

    /// Begins what may be fetched now; gives up what is late.
    pub(super) fn files_due(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        let late: Vec<u64> = self
            .channels
            .fetches
            .files
            .iter()
            .filter(|(_, file)| {
                self.channels.fetches.held.get(&file.name).is_none_or(|it| it.deadline <= now)
            })
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            let seconds = limits::MEDIA_MESSAGE_MS / 1000;
            self.file_over(number, Err(format!("not here within {seconds} s")), fx);
        }
        loop {
            let fetches = &self.channels.fetches;
            let due = |file: &Fetch| matches!(file.state, State::Waits(due) if due <= now);
            let next = fetches.files.iter().find(|(_, file)| due(file)).map(|(number, _)| *number);
            let Some(number) = next.filter(|_| fetches.at_work() < limits::MEDIA_FETCHES) else {
                break;
            };
            self.ask_for_file(number, fx);
        }
        self.hearings_due(fx);
        if let Some(due) = self.channels.fetches.due() {
            self.timers.arm(due, Timer::Outbox);
        }
    }

    /// Asks the account where a file is.
    fn ask_for_file(&mut self, number: u64, fx: &mut Effects) {
        let fetches = &mut self.channels.fetches;
        let Some(file) = fetches.files.get_mut(&number) else { return };
        file.tries += 1;
        let (name, entry, at) = (file.name.clone(), file.entry, file.at);
        let Some(media) = fetches.media(&name, entry, at).cloned() else {
            fetches.files.remove(&number);
            return;
        };
        let live = self.channels.fetches.held.get(&name).and_then(|held| {
            let (channel, account) = held.burst.names()?;
            self.channels.find(channel, account)
        });
        let live = live.filter(|id| self.channels.get(*id).is_some_and(|live| live.running));
        let Some(live) = live else {
            let why = "its account is not running".to_owned();
            return self.file_over(number, Err(why), fx);
        };
        let max = self.media_bytes(live);
        if media.bytes.is_some_and(|told| told > max) {
            return self.file_over(number, Err(format!("larger than {}", megabytes(max))), fx);
        }
        if let Some(file) = self.channels.fetches.files.get_mut(&number) {
            file.state = State::Asked(live);
        }
        self.channel_on(live, ChannelInput::Locate { id: number, media: &media }, fx);
    }

    /// Bytes that one file of an account may have: `mediaMaxMb` of it, of its channel, of
    /// `agents.defaults`, else what is usual there.
    pub(super) fn media_bytes(&self, live: LiveId) -> u64 {
        let Some(live) = self.channels.get(live) else { return 0 };
        let said = live.account.get("mediaMaxMb").and_then(serde_json::Value::as_f64);
        let said = said.or(self.config.chat.media_max_mb).filter(|mb| *mb > 0.0);
        // A number of megabytes, at most a thousand.
        let mb = said.unwrap_or(live.kind.media_max_mb as f64).min(1024.0);
        (mb * 1024.0 * 1024.0) as u64
    }

    /// An account says where a file is.
    pub(super) fn file_located(
        &mut self,
        live: LiveId,
        number: u64,
        result: Result<Located, Failure>,
        fx: &mut Effects,
    ) {
        let fetches = &mut self.channels.fetches;
        let Some(file) = fetches.files.get_mut(&number) else { return };
        if !matches!(file.state, State::Asked(asked) if asked == live) {
            return;
        }
        let place = match result {
            Ok(place) => place,
            Err(failure) => return self.file_failed(number, failure, fx),
        };
        let wrong = || Failure::permanent("the service gave no address that can be asked");
        let Ok(url) = Url::parse(&place.url) else {
            return self.file_failed(number, wrong(), fx);
        };
        let proxy = place.proxy.as_deref().map(super::sockets::parse_proxy).transpose();
        let proxy = match proxy {
            Ok(proxy) => proxy,
            Err(why) => return self.file_failed(number, Failure::permanent(why), fx),
        };
        let max = self.media_bytes(live);
        let path = self.inbound_dir().join(format!("{}.part", self.uuid()));
        let home = place.home.then(|| (url.host.clone(), url.port));
        let fetch = FetchUrl {
            url,
            headers: place.headers,
            plain: 0,
            body: BodyBound { max: usize::try_from(max).unwrap_or(usize::MAX), cut: false },
            timeout_ms: limits::MEDIA_FETCH_MS,
            redirects: limits::MEDIA_REDIRECTS,
            reach: Reach { home, ..Reach::default() },
            proxy,
            sink: Some(path.clone()),
            purpose: Purpose::ChannelFile(number),
        };
        match self.fetch_url(fetch, fx) {
            Ok(exchange) => {
                let page = place.page;
                if let Some(file) = self.channels.fetches.files.get_mut(&number) {
                    file.state = State::Comes { live, exchange, path, page };
                }
            }
            Err(ExchangeError::Busy) => {
                // Nobody's fault, so it counts as no try.
                if let Some(file) = self.channels.fetches.files.get_mut(&number) {
                    file.tries -= 1;
                    file.state = State::Waits(self.now.time.after_ms(limits::CHANNEL_RETRY_MS));
                }
            }
            Err(error) => self.file_failed(number, Failure::permanent(error.to_string()), fx),
        }
    }

    /// A file came, or did not.
    pub(in crate::gateway) fn file_fetched(
        &mut self,
        number: u64,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let fetches = &mut self.channels.fetches;
        let Some(file) = fetches.files.get_mut(&number) else { return };
        let State::Comes { live, path, page, .. } =
            std::mem::replace(&mut file.state, State::Waits(self.now.time))
        else {
            return;
        };
        let (name, entry, at) = (file.name.clone(), file.entry, file.at);
        let Some(media) = fetches.media(&name, entry, at).cloned() else { return };
        let outcome = match result {
            Ok(response) if response.status == 200 => {
                let told = response.headers.get("content-type");
                self.keep_file(&path, (&media, told, page), response.stored as u64)
            }
            Ok(response) => {
                let what = format!("the service answers {}", response.status);
                // An address that ran out, or a moment's trouble: a fresh one may do.
                Err(Failure::later(what))
            }
            Err(ExchangeError::TooLarge(_)) => Err(Failure::permanent(format!(
                "larger than {}",
                megabytes(self.media_bytes(live))
            ))),
            Err(error @ (ExchangeError::Timeout(_) | ExchangeError::Blocked(_))) => {
                Err(Failure::permanent(error.to_string()))
            }
            Err(ExchangeError::Dial(error)) if error.is_lasting() => {
                Err(Failure::permanent(error.to_string()))
            }
            Err(error) => Err(Failure::later(error.to_string())),
        };
        match outcome {
            Ok(stored) => self.file_over(number, Ok(stored), fx),
            Err(failure) => {
                let _ = self.disk.remove(&path);
                self.file_failed(number, failure, fx);
            }
        }
        self.files_due(fx);
    }

    /// Gives a file that came the name of what it is.
    fn keep_file(
        &mut self,
        part: &Path,
        (media, told, page): (&Media, Option<&str>, Option<&'static str>),
        bytes: u64,
    ) -> Result<Stored, Failure> {
        if bytes == 0 {
            return Err(Failure::permanent("it is empty"));
        }
        let disk = |error: std::io::Error| Failure::permanent(format!("the disk: {error}"));
        let head = self.disk.read_at(part, 0, sniff::HEAD).map_err(disk)?;
        let mime = sniff::judge(&head, media.name.as_deref(), media.mime.as_deref().or(told));
        let html = |mime: Option<&str>| mime.map(sniff::essence).as_deref() == Some("text/html");
        if let Some(page) = page.filter(|_| html(told) && !html(media.mime.as_deref())) {
            return Err(Failure::permanent(page));
        }
        let path = part.with_extension(sniff::ending(&mime));
        self.disk.rename(part, &path).map_err(disk)?;
        self.sweep_inbound(&path);
        Ok(Stored { path, mime, bytes })
    }

    /// Another try, or the end of it.
    fn file_failed(&mut self, number: u64, failure: Failure, fx: &mut Effects) {
        let now = self.now.time;
        let Some(file) = self.channels.fetches.files.get_mut(&number) else { return };
        let pause = match failure.retry {
            Retry::No => None,
            Retry::After(ms) => Some(ms),
            Retry::Later => Some(500 << file.tries.min(6)),
        };
        match pause.filter(|_| file.tries < limits::MEDIA_TRIES) {
            None => self.file_over(number, Err(failure.what), fx),
            Some(ms) => {
                file.state = State::Waits(now.after_ms(ms));
                self.timers.arm(now.after_ms(ms), Timer::Outbox);
            }
        }
    }

    /// Nothing more is done for a file; with the last one its burst begins.
    fn file_over(&mut self, number: u64, result: Result<Stored, String>, fx: &mut Effects) {
        let Some(file) = self.channels.fetches.files.remove(&number) else { return };
        if let State::Comes { exchange, path, .. } = file.state {
            self.cancel_exchange(exchange, fx);
            let _ = self.disk.remove(&path);
        }
        let fetches = &mut self.channels.fetches;
        let names = fetches.held.get(&file.name).and_then(|held| held.burst.names());
        let names = names.map(|(channel, account)| (channel.to_owned(), account.to_owned()));
        if let Some(media) = fetches.media(&file.name, file.entry, file.at) {
            if let (Err(why), Some((channel, account))) = (&result, &names) {
                let name = shown(media.name.as_deref());
                let line = format!("a file of a message was not fetched: {name}: {why}");
                let line = crate::wire::text::escape_log(&line, 400);
                speak::say(log::Level::Warn, channel, account, &line);
            }
            media.got = Some(result);
        }
        if fetches.files.values().any(|other| other.name == file.name) {
            return;
        }
        if !self.listen(&file.name, fx) {
            self.let_burst_go(&file.name, fx);
        }
    }

    /// A burst waits for nothing any more; what was said behind it follows.
    pub(super) fn let_burst_go(&mut self, name: &str, fx: &mut Effects) {
        let Some(held) = self.channels.fetches.held.remove(name) else { return };
        self.dispatch_burst(name.to_owned(), held.burst, fx);
        for burst in held.behind {
            self.dispatch_burst(name.to_owned(), burst, fx);
        }
    }

    /// An account stops: what it was asked is asked again.
    pub(super) fn files_lost(&mut self, live: LiveId, fx: &mut Effects) {
        let due = self.now.time.after_ms(limits::CHANNEL_RETRY_MS);
        let mut gone = Vec::new();
        for file in self.channels.fetches.files.values_mut() {
            match &file.state {
                State::Asked(asked) if *asked == live => file.state = State::Waits(due),
                State::Comes { live: of, exchange, path, .. } if *of == live => {
                    gone.push((*exchange, path.clone()));
                    file.state = State::Waits(due);
                }
                _ => {}
            }
        }
        for (exchange, path) in gone {
            self.cancel_exchange(exchange, fx);
            let _ = self.disk.remove(&path);
        }
    }

    /// Makes room among the files that came: too old, too many bytes together, half of one.
    /// `keep` is never removed.
    fn sweep_inbound(&mut self, keep: &Path) {
        self.sweep_inbound_to(keep, limits::MEDIA_INBOUND);
    }

    /// The same, for another bound of bytes.
    pub(super) fn sweep_inbound_to(&mut self, keep: &Path, most: u64) {
        let dir = self.inbound_dir();
        let now_ns = u128::from(self.now.wall_ms) * 1_000_000;
        let hours = self.config.chat.media_ttl_hours.filter(|hours| *hours > 0.0);
        let ttl_ns = hours.map(|hours| (hours * 3_600e9) as u128);
        let mut all = Vec::new();
        for name in self.disk.list(&dir).unwrap_or_default() {
            let path = dir.join(name);
            if let Ok(stat) = self.disk.stat(&path) {
                all.push((stat.modified_ns, stat.len, path));
            }
        }
        all.sort_unstable();
        let mut sum: u64 = all.iter().map(|(_, len, _)| *len).sum();
        for (modified_ns, len, path) in all {
            let old = ttl_ns.is_some_and(|ttl| now_ns.saturating_sub(modified_ns) > ttl);
            let part = path.extension().is_some_and(|end| end == "part");
            if path == keep || part || !(old || sum > most) {
                continue;
            }
            if self.disk.remove(&path).is_ok() {
                sum = sum.saturating_sub(len);
            }
        }
    }

    /// Halves of files that an earlier life left.
    pub(super) fn sweep_parts(&mut self) {
        let dir = self.inbound_dir();
        for name in self.disk.list(&dir).unwrap_or_default() {
            if name.ends_with(".part") {
                let _ = self.disk.remove(&dir.join(name));
            }
        }
        self.sweep_inbound(Path::new(""));
    }

    /// What a model gets of a message's files: words for its text, and pictures.
    pub(super) fn files_for_model(&mut self, all: &[Media]) -> (String, Vec<(String, String)>) {
        let (mut words, mut images) = (String::new(), Vec::new());
        let (mut room, mut chars) = (limits::ATTACHMENTS, limits::HTTP_FILE_CHARS);
        for media in all {
            let stored = match &media.got {
                Some(Ok(stored)) => stored,
                other => {
                    let why = match other {
                        Some(Err(why)) => why.as_str(),
                        _ => "the gateway was stopping",
                    };
                    let kind = shown(Some(media.mime.as_deref().unwrap_or("file")));
                    let name = shown(media.name.as_deref());
                    words.push_str(&format!("\n[Attached: {name} ({kind}), not fetched: {why}]"));
                    continue;
                }
            };
            let size = usize::try_from(stored.bytes).unwrap_or(usize::MAX);
            let mut note = String::new();
            let picture = PICTURES.contains(&stored.mime.as_str());
            if picture && size > limits::IMAGE.min(room) {
                let most = megabytes(limits::IMAGE as u64);
                note = format!(", not shown: a model sees {most} of a picture at most");
            } else if picture {
                match self.disk.read(&stored.path) {
                    Ok(bytes) => {
                        room = room.saturating_sub(size);
                        images.push((stored.mime.clone(), base64(&bytes)));
                    }
                    Err(error) => note = format!(", not shown: {error}"),
                }
            }
            if let Some(Err(why)) = &media.heard {
                note = format!(", not transcribed: {why}");
            }
            let name = shown(media.name.as_deref());
            words.push_str(&format!(
                "\n[media attached: {} ({}) \"{name}\"{note}]",
                stored.path.display(),
                stored.mime
            ));
            if sniff::is_textual(&stored.mime) && chars > 0 {
                let text = self.text_of_file(&stored.path, size);
                let nonce = self.uuid();
                if let Some(text) = text {
                    let name = media.name.as_deref();
                    let about = About { mime: None, name, max_chars: chars, nonce: &nonce };
                    words.push('\n');
                    words.push_str(&block(&text, about));
                    chars = chars.saturating_sub(text.chars().count());
                }
            }
        }
        (words, images)
    }

    /// The text of a file, as much as can matter.
    fn text_of_file(&self, path: &Path, size: usize) -> Option<String> {
        // A character has four bytes at most.
        let most = size.min(limits::HTTP_FILE_CHARS.saturating_mul(4));
        let bytes = self.disk.read_at(path, 0, most).ok()?;
        text_of(&bytes, None)
    }
}

/// Pictures that models take.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
