//! Outbound HTTP exchanges that are no runs: a page for a tool, an image for a request, a
//! question to a model server.
//!
//! ```text
//!   exchange / fetch_url --> dial --> request --> head, body --> exchanged(purpose, result)
//!                             ^                     |  redirect (fetch_url only): checked as
//!                             +---------------------+  the first URL was, under the same id
//! ```
//!
//! Each has one result, told to [`Gateway::exchanged`], unless it was cancelled. At most
//! [`limits::EXCHANGES`] at once; each has its own bound of bytes and a deadline for all of it,
//! redirects included. The connection is closed after one answer.

use super::Gateway;
use super::conn::State;
use super::timers::Timer;
use crate::driver::{ConnId, DialError, DialId, Effect, Effects, Proxy, Target};
use crate::limits;
use crate::wire::http::client::{Client, ClientError, ClientEvent, request};
use crate::wire::http::head::Headers;
use crate::wire::url::{Scheme, Url, UrlError};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// One exchange; never used twice. Redirects keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ExchangeId(u64);

/// Whose exchange it is: what its result is for, matched on in [`Gateway::exchanged`].
#[derive(Debug)]
pub(super) enum Purpose {
    /// A key of a `models.probe`.
    ModelProbe {
        /// Which probe.
        probe: u64,
        /// Which of its keys.
        target: usize,
    },
    /// The `web_fetch` call of this number.
    WebFetch(u64),
    /// `/v1/embeddings` of this connection.
    Embeddings(ConnId),
    /// An image or file of a request on this connection.
    Media(ConnId),
    /// A file that came with a message of a channel, by its number.
    ChannelFile(u64),
    /// What is said in such a file, by the hearing's number.
    Hearing(u64),
    /// An event of a job that is posted: whose delivery it is, none for an alert.
    CronHook(Option<String>),
    /// A request of a channel's account.
    Channel {
        /// Whose.
        live: super::channels::LiveId,
        /// Its own number.
        req: crate::channels::ReqId,
    },
    /// The unit tests of this module.
    #[cfg(test)]
    Test(u32),
}

/// An exchange about to begin.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) target: Target,
    /// The whole request; it should say `Connection: close`.
    pub(super) request: Vec<u8>,
    pub(super) body: BodyBound,
    /// For all of it, name look-up included.
    pub(super) timeout_ms: u64,
    pub(super) purpose: Purpose,
}

/// A GET that follows redirects.
#[derive(Debug)]
pub(super) struct FetchUrl {
    pub(super) url: Url,
    /// Header lines beside Host, Accept-Encoding and Connection. They go to the first URL, and
    /// with a redirect only to the same server; the first [`FetchUrl::plain`] go everywhere.
    pub(super) headers: Vec<(String, String)>,
    /// How many of `headers` hold nothing of the operator's own.
    pub(super) plain: usize,
    pub(super) body: BodyBound,
    pub(super) timeout_ms: u64,
    pub(super) redirects: u32,
    /// Which servers may be asked, the redirects' too.
    pub(super) reach: Reach,
    /// Where to go through. The proxy finds the addresses, so nothing is known of them here and
    /// no redirect is followed.
    pub(super) proxy: Option<Box<Proxy>>,
    /// The file that the body of a 200 is appended to as it comes, instead of being held.
    pub(super) sink: Option<PathBuf>,
    pub(super) purpose: Purpose,
}

/// A POST to an address of the configuration or of a job; no redirect is followed.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) url: Url,
    /// Header lines beside Host, Content-Length and Connection.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Of the answer.
    pub(super) bound: BodyBound,
    pub(super) timeout_ms: u64,
    pub(super) reach: Reach,
    pub(super) purpose: Purpose,
}

/// Which servers a URL that somebody else chose may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Private addresses too (`dangerouslyAllowPrivateNetwork`).
    pub(super) private: bool,
    /// Hosts that may have a private address (`allowedHostnames`), exactly.
    pub(super) allowed: Vec<String>,
    /// One server, by host and port, that may have a private address.
    pub(super) home: Option<(String, u16)>,
    /// Hosts that are never asked (`blockedHostnames`); `*.` matches names below.
    pub(super) blocked: Vec<String>,
    /// When not empty, only these are asked (a URL allowlist); `*.` matches names below.
    pub(super) only: Vec<String>,
}

/// How much of a body is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyBound {
    /// Bytes.
    pub(super) max: usize,
    /// What is more is left out; else it fails the exchange.
    pub(super) cut: bool,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    /// Bytes of it that went to [`FetchUrl::sink`].
    pub(super) stored: usize,
    /// The body was longer than [`BodyBound::max`].
    pub(super) truncated: bool,
    /// Where it came from in the end; `None` for a plain exchange.
    pub(super) url: Option<Url>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExchangeError {
    /// [`limits::EXCHANGES`] are under way.
    Busy,
    /// No connection.
    Dial(DialError),
    /// No answer that could be read.
    Http(ClientError),
    /// The body is over its bound of bytes.
    TooLarge(usize),
    /// The deadline passed; seconds.
    Timeout(u64),
    /// The gateway holds as much as it may.
    Memory,
    /// More redirects than that.
    Redirects(u32),
    /// A redirect to something that is no URL.
    Location(UrlError),
    /// A host that the configuration blocks.
    Blocked(String),
    /// The disk does not take the body.
    Disk(String),
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => {
                write!(f, "{} requests are under way already; try again later", limits::EXCHANGES)
            }
            Self::Dial(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::TooLarge(max) => write!(f, "the answer is longer than {max} bytes"),
            Self::Timeout(seconds) => write!(f, "no complete answer within {seconds} s"),
            Self::Memory => write!(f, "the gateway holds as much as it may; try again later"),
            Self::Redirects(max) => write!(f, "more than {max} redirects"),
            Self::Location(error) => write!(f, "a redirect leads nowhere: {error}"),
            Self::Blocked(host) => write!(f, "the host {host} is blocked by the configuration"),
            Self::Disk(error) => write!(f, "the disk does not take it ({error})"),
        }
    }
}

impl Reach {
    /// Whether a host may be asked, and if so whether its addresses must be public.
    ///
    /// # Errors
    /// [`ExchangeError::Blocked`].
    fn public_only(&self, host: &str, port: u16) -> Result<bool, ExchangeError> {
        let host = host.trim_end_matches('.');
        let blocked = || Err(ExchangeError::Blocked(host.to_owned()));
        if self.blocked.iter().any(|pattern| matches_host(pattern, host)) {
            return blocked();
        }
        if !self.only.is_empty() && !self.only.iter().any(|pattern| matches_host(pattern, host)) {
            return blocked();
        }
        let exact = |name: &String| name.trim_end_matches('.').eq_ignore_ascii_case(host);
        let home = |(name, at): &(String, u16)| exact(name) && *at == port;
        let known = self.allowed.iter().any(exact) || self.home.as_ref().is_some_and(home);
        Ok(!self.private && !known)
    }
}

/// `*.example.com` matches names below it, not itself; anything else matches exactly.
fn matches_host(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(base) => host.strip_suffix(base).is_some_and(|rest| rest.ends_with('.')),
        None => pattern == host,
    }
}

/// What a redirect needs to know of the request before it.
struct Follow {
    url: Url,
    headers: Vec<(String, String)>,
    plain: usize,
    left: u32,
    max: u32,
    reach: Reach,
}

struct Open {
    dial: Option<DialId>,
    conn: Option<ConnId>,
    request: Vec<u8>,
    client: Client,
    head: Option<(u16, Headers)>,
    answer: Vec<u8>,
    /// Where the body goes instead, and how much of it went there.
    sink: Option<(PathBuf, usize)>,
    truncated: bool,
    body: BodyBound,
    deadline: crate::driver::Time,
    timeout_ms: u64,
    follow: Option<Box<Follow>>,
    purpose: Purpose,
}

/// Every exchange under way.
#[derive(Default)]
pub(super) struct Exchanges {
    last: u64,
    open: BTreeMap<ExchangeId, Open>,
    dials: BTreeMap<DialId, ExchangeId>,
}

impl Exchanges {
    /// The exchange a dial is for.
    pub(super) fn dialing(&self, dial: DialId) -> Option<ExchangeId> {
        self.dials.get(&dial).copied()
    }

    /// Input bytes held for one.
    pub(super) fn held(&self, id: ExchangeId) -> usize {
        self.open.get(&id).map_or(0, |open| open.client.buffered() + open.answer.len())
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Gateway {
    /// The one place that results go to.
    fn exchanged(
        &mut self,
        purpose: Purpose,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        match purpose {
            Purpose::Embeddings(conn) => self.embedded(conn, result, fx),
            Purpose::Media(conn) => self.media_fetched(conn, result, fx),
            Purpose::ChannelFile(file) => self.file_fetched(file, result, fx),
            Purpose::Hearing(number) => self.heard_answer(number, result, fx),
            Purpose::ModelProbe { probe, target } => self.probed(probe, target, result, fx),
            Purpose::WebFetch(call) => self.web_fetched(call, result),
            Purpose::CronHook(job) => self.cron_posted(job, result, fx),
            Purpose::Channel { live, req } => self.channel_answered(live, req, result, fx),
            #[cfg(test)]
            Purpose::Test(number) => tests::heard(number, result),
        }
    }

    /// Begins an exchange; its result comes to [`Gateway::exchanged`].
    ///
    /// # Errors
    /// [`ExchangeError::Busy`]; nothing was begun and nothing will be told.
    pub(super) fn exchange(
        &mut self,
        exchange: Exchange,
        fx: &mut Effects,
    ) -> Result<ExchangeId, ExchangeError> {
        let Exchange { target, request, body, timeout_ms, purpose } = exchange;
        self.open_exchange(target, request, (body, timeout_ms), None, purpose, fx)
    }

    /// Begins a GET that follows redirects, each checked like the first URL.
    ///
    /// # Errors
    /// [`ExchangeError::Busy`], `Blocked` or `Location` (a scheme that is not HTTP); nothing was
    /// begun and nothing will be told.
    pub(super) fn fetch_url(
        &mut self,
        fetch: FetchUrl,
        fx: &mut Effects,
    ) -> Result<ExchangeId, ExchangeError> {
        let FetchUrl { url, headers, plain, reach, proxy, body, timeout_ms, purpose, .. } = fetch;
        let max = if proxy.is_some() { 0 } else { fetch.redirects };
        let mut target = target_of(&url, &reach)?;
        target.proxy.clone_from(&proxy);
        let request = get(&url, &headers);
        let follow = Some(Box::new(Follow { url, headers, plain, left: max, max, reach }));
        let id = self.open_exchange(target, request, (body, timeout_ms), follow, purpose, fx)?;
        if let (Some(path), Some(open)) = (fetch.sink, self.exchanges.open.get_mut(&id)) {
            open.sink = Some((path, 0));
        }
        Ok(id)
    }

    /// Begins a POST.
    ///
    /// # Errors
    /// As [`Gateway::fetch_url`].
    pub(super) fn post_url(
        &mut self,
        post: Post,
        fx: &mut Effects,
    ) -> Result<ExchangeId, ExchangeError> {
        let Post { url, headers, body, bound, timeout_ms, reach, purpose } = post;
        let target = target_of(&url, &reach)?;
        let mut lines: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        lines.extend([("Accept-Encoding", "identity"), ("Connection", "close")]);
        let mut out = Vec::new();
        let host = url.host_header();
        request(&mut out, "POST", &host, &url.path_and_query, &lines, Some(&body));
        self.open_exchange(target, out, (bound, timeout_ms), None, purpose, fx)
    }

    fn open_exchange(
        &mut self,
        target: Target,
        request: Vec<u8>,
        (body, timeout_ms): (BodyBound, u64),
        follow: Option<Box<Follow>>,
        purpose: Purpose,
        fx: &mut Effects,
    ) -> Result<ExchangeId, ExchangeError> {
        if self.exchanges.open.len() >= limits::EXCHANGES {
            return Err(ExchangeError::Busy);
        }
        self.exchanges.last += 1;
        let id = ExchangeId(self.exchanges.last);
        let deadline = self.now.time.after_ms(timeout_ms);
        self.timers.arm(deadline, Timer::Exchange(id));
        let open = Open {
            dial: None,
            conn: None,
            request,
            client: Client::new(false),
            head: None,
            answer: Vec::new(),
            sink: None,
            truncated: false,
            body,
            deadline,
            timeout_ms,
            follow,
            purpose,
        };
        self.exchanges.open.insert(id, open);
        self.dial_exchange(id, target, fx);
        Ok(id)
    }

    fn dial_exchange(&mut self, id: ExchangeId, target: Target, fx: &mut Effects) {
        let dial = self.next_dial();
        let Some(open) = self.exchanges.open.get_mut(&id) else { return };
        let deadline = open.deadline;
        if deadline <= self.now.time {
            return self.exchange_due(id, fx);
        }
        open.dial = Some(dial);
        self.exchanges.dials.insert(dial, id);
        fx.push(Effect::Dial { dial, target, deadline });
    }

    /// Ends an exchange whose owner has gone: nothing of it is told.
    pub(super) fn cancel_exchange(&mut self, id: ExchangeId, fx: &mut Effects) {
        if let Some(mut open) = self.exchanges.open.remove(&id) {
            self.let_go(&mut open, fx);
        }
    }

    /// The gateway leaves.
    pub(super) fn cancel_exchanges(&mut self, fx: &mut Effects) {
        for (_, mut open) in std::mem::take(&mut self.exchanges.open) {
            self.let_go(&mut open, fx);
        }
    }

    /// Gives back the dial or connection of an exchange.
    fn let_go(&mut self, open: &mut Open, fx: &mut Effects) {
        if let Some(dial) = open.dial.take() {
            self.exchanges.dials.remove(&dial);
            fx.push(Effect::CancelDial { dial });
        }
        if let Some(conn) = open.conn.take() {
            fx.push(Effect::Abort { conn });
            self.drop_upstream(conn);
        }
    }

    fn end_exchange(&mut self, id: ExchangeId, error: Option<ExchangeError>, fx: &mut Effects) {
        let Some(mut open) = self.exchanges.open.remove(&id) else { return };
        self.let_go(&mut open, fx);
        let result = match (error, open.head) {
            (Some(error), _) => Err(error),
            (None, None) => Err(ExchangeError::Http(ClientError::NoResponse)),
            (None, Some((status, headers))) => Ok(Response {
                status,
                headers,
                body: open.answer,
                stored: open.sink.map_or(0, |(_, bytes)| bytes),
                truncated: open.truncated,
                url: open.follow.map(|follow| follow.url),
            }),
        };
        self.exchanged(open.purpose, result, fx);
    }

    pub(super) fn exchange_dialed(
        &mut self,
        id: ExchangeId,
        dial: DialId,
        result: Result<ConnId, DialError>,
        fx: &mut Effects,
    ) {
        self.exchanges.dials.remove(&dial);
        let Some(open) = self.exchanges.open.get_mut(&id) else { return };
        open.dial = None;
        let conn = match result {
            Ok(conn) => conn,
            Err(DialError::Timeout) => {
                let error = ExchangeError::Timeout(open.timeout_ms / 1000);
                return self.end_exchange(id, Some(error), fx);
            }
            Err(error) => return self.end_exchange(id, Some(ExchangeError::Dial(error)), fx),
        };
        open.conn = Some(conn);
        let request = std::mem::take(&mut open.request);
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.conns.insert(conn, nobody, State::Exchange(id));
        self.send(conn, fx, |out| out.extend_from_slice(&request));
    }

    pub(super) fn exchange_bytes(&mut self, id: ExchangeId, bytes: &[u8], fx: &mut Effects) {
        let room = self.has_room_for(bytes.len());
        let Some(open) = self.exchanges.open.get_mut(&id) else { return };
        if !room {
            return self.end_exchange(id, Some(ExchangeError::Memory), fx);
        }
        open.client.push(bytes);
        self.pump_exchange(id, fx);
    }

    /// The server closed: for some answers that is the end.
    pub(super) fn exchange_eof(&mut self, id: ExchangeId, fx: &mut Effects) {
        let Some(open) = self.exchanges.open.get_mut(&id) else { return };
        open.client.eof();
        self.pump_exchange(id, fx);
        // Whatever the machine made of it, nothing more comes.
        self.end_exchange(id, Some(ExchangeError::Http(ClientError::Truncated)), fx);
    }

    pub(super) fn exchange_due(&mut self, id: ExchangeId, fx: &mut Effects) {
        let Some(open) = self.exchanges.open.get(&id) else { return };
        let error = ExchangeError::Timeout(open.timeout_ms / 1000);
        self.end_exchange(id, Some(error), fx);
    }

    fn pump_exchange(&mut self, id: ExchangeId, fx: &mut Effects) {
        loop {
            let Some(open) = self.exchanges.open.get_mut(&id) else { return };
            match open.client.next() {
                None => return,
                Some(ClientEvent::Head { status, headers }) => {
                    let location = headers.get("location").map(str::to_owned);
                    open.head = Some((status, headers));
                    if let (301 | 302 | 303 | 307 | 308, Some(location), true) =
                        (status, location, open.follow.is_some())
                    {
                        return self.redirect(id, &location, fx);
                    }
                }
                Some(ClientEvent::Data(bytes)) => {
                    let whole = open.head.as_ref().is_some_and(|(status, _)| *status == 200);
                    let sink = open.sink.as_mut().filter(|_| whole);
                    let held = sink.as_ref().map_or(open.answer.len(), |(_, stored)| *stored);
                    let room = open.body.max.saturating_sub(held);
                    let fits = bytes.get(..room).unwrap_or(&bytes);
                    match sink {
                        None => open.answer.extend(fits),
                        Some((path, stored)) => match self.disk.append(path, fits) {
                            Ok(()) => *stored += fits.len(),
                            Err(error) => {
                                let error = ExchangeError::Disk(error.to_string());
                                return self.end_exchange(id, Some(error), fx);
                            }
                        },
                    }
                    if bytes.len() > room {
                        open.truncated = true;
                        let error = ExchangeError::TooLarge(open.body.max);
                        let error = (!open.body.cut).then_some(error);
                        return self.end_exchange(id, error, fx);
                    }
                }
                Some(ClientEvent::End { .. }) => return self.end_exchange(id, None, fx),
                Some(ClientEvent::Failed(error)) => {
                    return self.end_exchange(id, Some(ExchangeError::Http(error)), fx);
                }
            }
        }
    }

    /// Goes on to another URL, under the same id and deadline.
    fn redirect(&mut self, id: ExchangeId, location: &str, fx: &mut Effects) {
        let Some(mut open) = self.exchanges.open.remove(&id) else { return };
        self.let_go(&mut open, fx);
        match open.step(location) {
            Ok(target) => {
                self.exchanges.open.insert(id, open);
                self.dial_exchange(id, target, fx);
            }
            Err(error) => self.exchanged(open.purpose, Err(error), fx),
        }
    }
}

impl Open {
    /// Makes the request of a redirect.
    fn step(&mut self, location: &str) -> Result<Target, ExchangeError> {
        let Some(follow) = &mut self.follow else { return Err(ExchangeError::Redirects(0)) };
        let left = follow.left.checked_sub(1).ok_or(ExchangeError::Redirects(follow.max))?;
        follow.left = left;
        let next = follow.url.resolve(location).map_err(ExchangeError::Location)?;
        let target = target_of(&next, &follow.reach)?;
        let origin = |url: &Url| (url.scheme, url.host.clone(), url.port);
        if origin(&next) != origin(&follow.url) {
            follow.headers.truncate(follow.plain);
        }
        follow.url = next;
        self.request = get(&follow.url, &follow.headers);
        self.client = Client::new(false);
        self.head = None;
        Ok(target)
    }
}

fn target_of(url: &Url, reach: &Reach) -> Result<Target, ExchangeError> {
    if !matches!(url.scheme, Scheme::Http | Scheme::Https) {
        return Err(ExchangeError::Location(UrlError::Scheme));
    }
    let public_only = reach.public_only(&url.host, url.port)?;
    let (host, port, tls) = (url.host.clone(), url.port, url.scheme.is_tls());
    Ok(Target { host, port, tls, public_only, proxy: None })
}

fn get(url: &Url, headers: &[(String, String)]) -> Vec<u8> {
    let mut lines: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
    // No decompressor: what we cannot read we do not ask for.
    lines.extend([("Accept-Encoding", "identity"), ("Connection", "close")]);
    let mut out = Vec::new();
    request(&mut out, "GET", &url.host_header(), &url.path_and_query, &lines, None);
    out
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
