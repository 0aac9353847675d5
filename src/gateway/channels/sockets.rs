//! Sockets and requests of accounts: what they ask for becomes dials, frames and exchanges, and
//! what comes back becomes their input.

use super::super::Gateway;
use super::super::conn::State;
use super::super::exchange::{BodyBound, Exchange, ExchangeError, Purpose, Response};
use super::{LiveId, Sock, Ws};
use crate::channels::port::{Answered, ChannelInput, Gone, HttpRequest, ReqId, SockId, Trouble};
use crate::driver::{ConnId, DialError, DialId, Effect, Effects, Proxy, Target};
use crate::limits;
use crate::wire::hash::base64;
use crate::wire::http::client::request as write_request;
use crate::wire::http::{Client, ClientEvent};
use crate::wire::url::{Scheme, Url};
use crate::wire::ws::{self, Message, Receiver, Role};
use std::net::{Ipv4Addr, SocketAddr};

impl Gateway {
    pub(super) fn open_tcp(
        &mut self,
        id: LiveId,
        sock: SockId,
        (host, port, tls): (String, u16, bool),
        proxy: Option<Box<Proxy>>,
        ws: Option<Ws>,
        fx: &mut Effects,
    ) {
        let dial = self.next_dial();
        let deadline = self.now.time.after_ms(limits::CHANNEL_DIAL_MS);
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        let new = Sock { dial: Some(dial), conn: None, ws, opened: false, timeout: None };
        live.socks.insert(sock, new);
        if live.socks.len() > limits::CHANNEL_SOCKETS {
            return self.socket_failed(id, sock, "too many sockets of one account", None, fx);
        }
        self.channels.dials.insert(dial, (id, sock));
        let target = Target { host, port, tls, public_only: false, proxy };
        fx.push(Effect::Dial { dial, target, deadline });
    }

    pub(super) fn open_ws(
        &mut self,
        id: LiveId,
        sock: SockId,
        url: &str,
        headers: &[(String, String)],
        proxy: Option<&str>,
        fx: &mut Effects,
    ) {
        let parsed =
            Url::parse(url).ok().filter(|it| matches!(it.scheme, Scheme::Ws | Scheme::Wss));
        let (url, proxy) = match (parsed, proxy.map(parse_proxy).transpose()) {
            (Some(url), Ok(proxy)) => (url, proxy),
            (None, _) => return self.never_opened(id, sock, "not a ws:// address", fx),
            (_, Err(why)) => return self.never_opened(id, sock, &why, fx),
        };
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let key = base64(&random);
        let extra: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let mut request = Vec::new();
        ws::client_request(&mut request, &url.host_header(), &url.path_and_query, &key, &extra);
        let target = (url.host.clone(), url.port, url.scheme.is_tls());
        self.open_tcp(id, sock, target, proxy, Some(Ws::Asking { request, key }), fx);
    }

    /// A socket that cannot even be dialled.
    fn never_opened(&mut self, id: LiveId, sock: SockId, what: &str, fx: &mut Effects) {
        let trouble = Trouble { what: what.to_owned(), permanent: true, ..Trouble::default() };
        self.channel_on(id, ChannelInput::Failed { sock, trouble }, fx);
    }

    /// The outcome of a dial.
    pub(in crate::gateway) fn channel_dialed(
        &mut self,
        (id, sock): (LiveId, SockId),
        dial: DialId,
        result: Result<ConnId, DialError>,
        fx: &mut Effects,
    ) {
        self.channels.dials.remove(&dial);
        let known = self.channels.live.get_mut(&id).and_then(|live| live.socks.get_mut(&sock));
        let Some(open) = known else {
            if let Ok(conn) = result {
                fx.push(Effect::Abort { conn });
            }
            return;
        };
        open.dial = None;
        let conn = match result {
            Ok(conn) => conn,
            Err(error) => {
                return self.fail_socket(id, sock, Trouble::of_dial(&error), fx);
            }
        };
        open.conn = Some(conn);
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.conns.insert(conn, nobody, State::Channel(id, sock));
        match open.ws.take() {
            None => {
                open.opened = true;
                self.channel_on(id, ChannelInput::Opened { sock }, fx);
            }
            Some(Ws::Asking { request, key }) => {
                open.timeout = Some(self.now.time.after_ms(limits::CHANNEL_DIAL_MS));
                open.ws = Some(Ws::Answer { client: Box::new(Client::new(false)), key });
                self.send(conn, fx, |out| out.extend_from_slice(&request));
                self.channel_drain(id, fx);
            }
            Some(other) => open.ws = Some(other),
        }
    }

    /// Bytes of an account's socket.
    pub(in crate::gateway) fn channel_bytes(
        &mut self,
        id: LiveId,
        sock: SockId,
        bytes: &[u8],
        fx: &mut Effects,
    ) {
        let wall = self.now.wall_ms;
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        live.seen.transport = Some(wall);
        let Some(open) = live.socks.get_mut(&sock) else { return };
        match &mut open.ws {
            None => self.channel_on(id, ChannelInput::Bytes { sock, bytes }, fx),
            Some(Ws::Asking { .. }) => {}
            Some(Ws::Answer { client, .. }) => {
                client.push(bytes);
                self.upgrade_answer(id, sock, fx);
            }
            Some(Ws::Open(receiver)) => {
                receiver.push(bytes);
                self.channel_frames(id, sock, fx);
            }
        }
    }

    /// What the server said to the upgrade.
    fn upgrade_answer(&mut self, id: LiveId, sock: SockId, fx: &mut Effects) {
        let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.get_mut(&sock));
        let Some(open) = open else { return };
        let Some(Ws::Answer { client, key }) = &mut open.ws else { return };
        let (status, headers) = match client.next() {
            None => return,
            Some(ClientEvent::Head { status, headers }) => (status, headers),
            Some(ClientEvent::Failed(error)) => {
                return self.socket_failed(id, sock, &error.to_string(), None, fx);
            }
            Some(_) => return self.socket_failed(id, sock, "no upgrade", None, fx),
        };
        if let Err(error) = ws::check_answer(status, &headers, key) {
            return self.socket_failed(id, sock, &error.to_string(), Some(status), fx);
        }
        let rest = client.take_rest();
        let mut receiver = Receiver::new(Role::Client, limits::CHANNEL_WS_MESSAGE);
        receiver.push(&rest);
        open.ws = Some(Ws::Open(Box::new(receiver)));
        open.timeout = None;
        open.opened = true;
        self.channel_on(id, ChannelInput::Opened { sock }, fx);
        self.channel_frames(id, sock, fx);
    }

    /// Messages of a WebSocket.
    fn channel_frames(&mut self, id: LiveId, sock: SockId, fx: &mut Effects) {
        loop {
            let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.get_mut(&sock));
            let Some(Sock { ws: Some(Ws::Open(receiver)), conn: Some(conn), .. }) = open else {
                return;
            };
            let conn = *conn;
            match receiver.next() {
                None => return,
                Some(Ok(Message::Text(text))) => {
                    self.channel_on(id, ChannelInput::Text { sock, text }, fx);
                }
                Some(Ok(Message::Binary(bytes))) => {
                    self.channel_on(id, ChannelInput::Binary { sock, bytes }, fx);
                }
                Some(Ok(Message::Ping(payload))) => {
                    let mask = self.mask();
                    self.send(conn, fx, |out| ws::pong_masked(out, &payload, mask));
                }
                Some(Ok(Message::Pong(_))) => {
                    self.channel_on(id, ChannelInput::Pong { sock }, fx);
                }
                Some(Ok(Message::Close { code, reason })) => {
                    let mask = self.mask();
                    let back = code.unwrap_or(1000);
                    self.send(conn, fx, |out| ws::close_masked(out, back, "", mask));
                    let gone = Gone { code, why: crate::wire::text::escape_log(&reason, 123) };
                    return self.socket_gone(id, sock, gone, true, fx);
                }
                Some(Err(violation)) => {
                    let mask = self.mask();
                    let (code, why) = (violation.close_code(), violation.reason());
                    self.send(conn, fx, |out| ws::close_masked(out, code, why, mask));
                    let gone = Gone { code: None, why: why.to_owned() };
                    return self.socket_gone(id, sock, gone, true, fx);
                }
            }
        }
    }

    fn mask(&mut self) -> [u8; 4] {
        let mut mask = [0; 4];
        self.entropy.fill(&mut mask);
        mask
    }

    /// The peer of a socket is gone.
    pub(in crate::gateway) fn channel_closed(
        &mut self,
        id: LiveId,
        sock: SockId,
        why: &str,
        fx: &mut Effects,
    ) {
        let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.get_mut(&sock));
        let Some(open) = open else { return };
        if let Some(Ws::Answer { client, .. }) = &mut open.ws {
            client.eof();
            return self.socket_failed(id, sock, "closed before the upgrade", None, fx);
        }
        let gone = Gone { code: None, why: why.to_owned() };
        self.socket_gone(id, sock, gone, false, fx);
    }

    /// An open socket ends: its connection goes, its account hears how.
    fn socket_gone(&mut self, id: LiveId, sock: SockId, gone: Gone, flush: bool, fx: &mut Effects) {
        let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.remove(&sock));
        let Some(open) = open else { return };
        self.let_socket_go(&open, flush, fx);
        if open.opened {
            self.channel_on(id, ChannelInput::Closed { sock, gone }, fx);
        } else {
            let trouble = Trouble { what: gone.why, ..Trouble::default() };
            self.channel_on(id, ChannelInput::Failed { sock, trouble }, fx);
        }
    }

    fn let_socket_go(&mut self, open: &Sock, flush: bool, fx: &mut Effects) {
        if let Some(dial) = open.dial {
            self.channels.dials.remove(&dial);
            fx.push(Effect::CancelDial { dial });
        }
        if let Some(conn) = open.conn {
            match flush {
                true => fx.close(conn),
                false => fx.push(Effect::Abort { conn }),
            }
            self.drop_upstream(conn);
        }
    }

    /// A socket that did not open.
    pub(super) fn socket_failed(
        &mut self,
        id: LiveId,
        sock: SockId,
        what: &str,
        status: Option<u16>,
        fx: &mut Effects,
    ) {
        let trouble = Trouble { what: what.to_owned(), status, ..Trouble::default() };
        self.fail_socket(id, sock, trouble, fx);
    }

    fn fail_socket(&mut self, id: LiveId, sock: SockId, trouble: Trouble, fx: &mut Effects) {
        let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.remove(&sock));
        let Some(open) = open else { return };
        self.let_socket_go(&open, false, fx);
        self.channel_on(id, ChannelInput::Failed { sock, trouble }, fx);
    }

    fn conn_of(&self, id: LiveId, sock: SockId) -> Option<ConnId> {
        self.channels.live.get(&id)?.socks.get(&sock).filter(|open| open.opened)?.conn
    }

    pub(super) fn socket_bytes(
        &mut self,
        id: LiveId,
        sock: SockId,
        bytes: &[u8],
        fx: &mut Effects,
    ) {
        if let Some(conn) = self.conn_of(id, sock) {
            self.send(conn, fx, |out| out.extend_from_slice(bytes));
        }
    }

    pub(super) fn socket_text(&mut self, id: LiveId, sock: SockId, text: &str, fx: &mut Effects) {
        let mask = self.mask();
        if let Some(conn) = self.conn_of(id, sock) {
            self.send(conn, fx, |out| ws::text_masked(out, text, mask));
        }
    }

    pub(super) fn socket_ping(&mut self, id: LiveId, sock: SockId, fx: &mut Effects) {
        let mask = self.mask();
        if let Some(conn) = self.conn_of(id, sock) {
            self.send(conn, fx, |out| ws::ping_masked(out, b"", mask));
        }
    }

    /// The account lets go of a socket.
    pub(super) fn close_channel_socket(
        &mut self,
        id: LiveId,
        sock: SockId,
        farewell: Option<(u16, &str)>,
        fx: &mut Effects,
    ) {
        let open = self.channels.live.get_mut(&id).and_then(|live| live.socks.remove(&sock));
        let Some(open) = open else { return };
        if let (Some((code, reason)), Some(conn), Some(Ws::Open(_))) =
            (farewell, open.conn, &open.ws)
        {
            let mask = self.mask();
            self.send(conn, fx, |out| ws::close_masked(out, code, reason, mask));
        }
        self.let_socket_go(&open, farewell.is_some() && open.opened, fx);
    }

    /// The driver holds so many bytes for a server that takes none.
    pub(in crate::gateway) fn channel_queued(
        &mut self,
        id: LiveId,
        sock: SockId,
        bytes: usize,
        fx: &mut Effects,
    ) {
        if bytes > limits::CHANNEL_OUT {
            let gone = Gone { code: None, why: "the server takes nothing any more".to_owned() };
            self.socket_gone(id, sock, gone, false, fx);
        }
    }

    /// A request of an account.
    pub(super) fn channel_asks(
        &mut self,
        id: LiveId,
        req: ReqId,
        request: &HttpRequest,
        fx: &mut Effects,
    ) {
        let url = Url::parse(&request.url);
        let proxy = request.proxy.as_deref().map(parse_proxy).transpose();
        let (url, proxy) = match (url, proxy) {
            (Ok(url), Ok(proxy)) if matches!(url.scheme, Scheme::Http | Scheme::Https) => {
                (url, proxy)
            }
            (_, Err(why)) => return self.channel_unanswered(id, req, &why, fx),
            _ => return self.channel_unanswered(id, req, "not an http:// address", fx),
        };
        let mut lines: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        lines.extend([("Accept-Encoding", "identity"), ("Connection", "close")]);
        let body = (!request.body.is_empty() || request.method != "GET").then_some(&*request.body);
        let mut bytes = Vec::new();
        let (host, path) = (url.host_header(), &url.path_and_query);
        write_request(&mut bytes, request.method, &host, path, &lines, body);
        let exchange = Exchange {
            target: Target {
                host: url.host.clone(),
                port: url.port,
                tls: url.scheme.is_tls(),
                public_only: false,
                proxy,
            },
            request: bytes,
            body: BodyBound { max: request.max_bytes, cut: request.cut },
            timeout_ms: request.timeout_ms,
            purpose: Purpose::Channel { live: id, req },
        };
        match self.exchange(exchange, fx) {
            Err(error) => self.channel_unanswered(id, req, &error.to_string(), fx),
            Ok(exchange) => {
                if let Some(live) = self.channels.live.get_mut(&id) {
                    live.reqs.insert(req, exchange);
                }
            }
        }
    }

    fn channel_unanswered(&mut self, id: LiveId, req: ReqId, what: &str, fx: &mut Effects) {
        let result = Err(Trouble { what: what.to_owned(), ..Trouble::default() });
        self.channel_on(id, ChannelInput::Http { req, result }, fx);
    }

    /// The outcome of a request.
    pub(in crate::gateway) fn channel_answered(
        &mut self,
        id: LiveId,
        req: ReqId,
        result: Result<Response, ExchangeError>,
        fx: &mut Effects,
    ) {
        let wall = self.now.wall_ms;
        let Some(live) = self.channels.live.get_mut(&id) else { return };
        live.reqs.remove(&req);
        let result = match result {
            Ok(response) => {
                live.seen.transport = Some(wall);
                let Response { status, headers, body, .. } = response;
                Ok(Answered { status, headers, body })
            }
            Err(ExchangeError::Dial(error)) => Err(Trouble::of_dial(&error)),
            Err(error) => Err(Trouble {
                what: error.to_string(),
                sent: error != ExchangeError::Busy,
                too_long: matches!(error, ExchangeError::TooLarge(_)),
                ..Trouble::default()
            }),
        };
        self.channel_on(id, ChannelInput::Http { req, result }, fx);
    }
}

/// `http://[user:password@]host:port`.
pub(super) fn parse_proxy(text: &str) -> Result<Box<Proxy>, String> {
    let wrong = || "the proxy's address is not http://[user:password@]host:port".to_owned();
    let rest = text.trim().strip_prefix("http://").ok_or_else(wrong)?;
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let url = Url::parse(&format!("http://{place}")).map_err(|_| wrong())?;
    let authorization = login.map(|login| format!("Basic {}", base64(login.as_bytes())));
    Ok(Box::new(Proxy { host: url.host.clone(), port: url.port, authorization }))
}
