//! The fake's own requests: to the webhook of a client.

use super::session::judge;
use super::{Call, Shared};
use crate::driver::Time;
use crate::sim::check::Checks;
use crate::sim::peers::{Event, Io, Kind, Peer};
use crate::wire::http::client::{Client, ClientEvent, request};
use crate::wire::url::Url;

/// One request to the client's webhook.
pub struct Caller {
    fake: Shared,
    call: Call,
    client: Client,
    status: u16,
    body: Vec<u8>,
    over: bool,
    told: usize,
}

impl Caller {
    pub(super) fn new(fake: Shared, call: Call) -> Self {
        let client = Client::new(false);
        Self { fake, call, client, status: 0, body: Vec::new(), over: false, told: 0 }
    }

    fn finish(&mut self, now: Time, heard: bool, io: &mut Io) {
        if !std::mem::replace(&mut self.over, true) {
            let answer = heard.then(|| (self.status, std::mem::take(&mut self.body)));
            self.fake.borrow_mut().answered(now, self.call.id, answer);
            io.rouse = true;
        }
        io.end = true;
    }

    fn read(&mut self, now: Time, io: &mut Io) {
        while let Some(event) = self.client.next() {
            match event {
                ClientEvent::Head { status, .. } => self.status = status,
                ClientEvent::Data(bytes) => self.body.extend(bytes),
                ClientEvent::End { .. } => self.finish(now, true, io),
                ClientEvent::Failed(_) => self.finish(now, false, io),
            }
        }
    }
}

impl Peer for Caller {
    fn kind(&self) -> Kind {
        Kind::Http
    }

    fn on(&mut self, now: Time, event: Event<'_>, io: &mut Io, checks: &mut Checks) {
        match event {
            Event::Connected => {
                let url = Url::parse(&self.call.url);
                let (host, path) = match &url {
                    Ok(url) => (url.host_header(), url.path_and_query.as_str()),
                    Err(_) => ("127.0.0.1".to_owned(), "/"),
                };
                let mut headers = vec![("Connection", "close")];
                let own = &self.call.headers;
                headers.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                let body = Some(self.call.body.as_slice());
                request(&mut io.send, "POST", &host, path, &headers, body);
                io.wake = Some(now.after_ms(self.call.patience_ms));
            }
            Event::Bytes(bytes) => {
                self.client.push(bytes);
                self.read(now, io);
            }
            Event::Ended => {
                self.client.eof();
                self.read(now, io);
                self.finish(now, false, io);
            }
            Event::Lost { .. } | Event::Wake => self.finish(now, false, io),
        }
        judge(self.fake.borrow_mut().desk(), &mut self.told, checks);
    }

    fn done(&self) -> bool {
        self.over
    }

    fn state(&self) -> String {
        format!("call {} to {} over={}", self.call.id, self.call.url, self.over)
    }
}
