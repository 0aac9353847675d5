//! Names to addresses, on the one other thread.
//!
//! The thread starts at the first look-up, runs the system's blocking resolver (so that hosts
//! files, MagicDNS and search domains work) and sends the answer back over a bounded channel
//! and a waker. It never sees gateway state. One stuck look-up holds it; the names behind it
//! fail at their own deadline with `resolver busy`.

use crate::driver::Time;
use crate::limits;
use mio::{Registry, Token, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

type Outcome = Result<Vec<IpAddr>, String>;

/// What a look-up says at once.
pub(super) enum Answer {
    /// From the cache, or the name was an address.
    Addresses(Vec<IpAddr>),
    /// Failed lately; the text of that failure.
    Failed(String),
    /// The thread was asked; `answers` will have it.
    Pending,
    /// The queue before the thread is full.
    Busy,
}

struct Worker {
    ask: SyncSender<String>,
    hear: Receiver<(String, Outcome)>,
}

pub(super) struct Resolver {
    waker: Option<Arc<Waker>>,
    worker: Option<Worker>,
    /// Names sent and not answered, in order: the first is the one being looked up.
    asked: VecDeque<String>,
    cache: BTreeMap<String, (Time, Outcome)>,
}

impl Resolver {
    pub(super) fn new(registry: &Registry, token: Token) -> Self {
        let waker = Waker::new(registry, token).ok().map(Arc::new);
        Self { waker, worker: None, asked: VecDeque::new(), cache: BTreeMap::new() }
    }

    pub(super) fn look_up(&mut self, host: &str, now: Time) -> Answer {
        if let Some((until, outcome)) = self.cache.get(host)
            && *until > now
        {
            return match outcome {
                Ok(ips) => Answer::Addresses(ips.clone()),
                Err(text) => Answer::Failed(text.clone()),
            };
        }
        if self.asked.iter().any(|name| name == host) {
            return Answer::Pending;
        }
        if self.worker.is_none() {
            self.worker = self.waker.clone().and_then(|waker| start(waker).ok());
        }
        let Some(worker) = &self.worker else {
            return Answer::Failed("the resolver thread could not be started".to_owned());
        };
        match worker.ask.try_send(host.to_owned()) {
            Ok(()) => {
                self.asked.push_back(host.to_owned());
                Answer::Pending
            }
            Err(_) => Answer::Busy,
        }
    }

    /// Answers that have arrived; they are in the cache from now on.
    pub(super) fn answers(&mut self, now: Time) -> Vec<(String, Outcome)> {
        let Some(worker) = &self.worker else { return Vec::new() };
        let fresh: Vec<(String, Outcome)> = worker.hear.try_iter().collect();
        for (host, outcome) in &fresh {
            self.asked.retain(|name| name != host);
            let keep_ms = if outcome.is_ok() { limits::RESOLVED_MS } else { limits::UNRESOLVED_MS };
            if self.cache.len() >= limits::RESOLVER_CACHE {
                self.cache.retain(|_, (until, _)| *until > now);
            }
            if self.cache.len() < limits::RESOLVER_CACHE {
                self.cache.insert(host.clone(), (now.after_ms(keep_ms), outcome.clone()));
            }
        }
        fresh
    }

    #[cfg(test)]
    pub(super) fn know(&mut self, host: &str, ips: Vec<IpAddr>) {
        self.cache.insert(host.to_owned(), (Time(u64::MAX), Ok(ips)));
    }

    /// True when another name is being looked up and this one waits behind it.
    pub(super) fn is_behind(&self, host: &str) -> bool {
        self.asked.front().is_some_and(|first| first != host)
    }
}

fn start(waker: Arc<Waker>) -> std::io::Result<Worker> {
    let (ask, asked) = sync_channel::<String>(limits::RESOLVER_QUEUE);
    let (answer, hear) = sync_channel::<(String, Outcome)>(limits::RESOLVER_QUEUE + 1);
    std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        while let Ok(host) = asked.recv() {
            let outcome = (host.as_str(), 0)
                .to_socket_addrs()
                .map(|addrs| addrs.map(|addr| addr.ip()).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
                .and_then(
                    |ips| {
                        if ips.is_empty() { Err("no address".to_owned()) } else { Ok(ips) }
                    },
                );
            if answer.send((host, outcome)).is_err() || waker.wake().is_err() {
                return;
            }
        }
    })?;
    Ok(Worker { ask, hear })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};

    fn answered(resolver: &mut Resolver, poll: &mut Poll) -> Vec<(String, Outcome)> {
        let mut events = Events::with_capacity(4);
        loop {
            poll.poll(&mut events, Some(std::time::Duration::from_secs(20))).unwrap();
            let fresh = resolver.answers(Time(0));
            if !fresh.is_empty() || events.is_empty() {
                return fresh;
            }
        }
    }

    #[test]
    fn localhost_is_found_and_cached() {
        let mut poll = Poll::new().unwrap();
        let mut resolver = Resolver::new(poll.registry(), Token(1));
        assert!(matches!(resolver.look_up("localhost", Time(0)), Answer::Pending));
        assert!(!resolver.is_behind("localhost"));
        assert!(resolver.is_behind("other.invalid"));
        let fresh = answered(&mut resolver, &mut poll);
        assert!(fresh[0].1.as_ref().unwrap().iter().all(IpAddr::is_loopback));
        assert!(matches!(resolver.look_up("localhost", Time(0)), Answer::Addresses(_)));
        let stale = Time(0).after_ms(limits::RESOLVED_MS);
        assert!(matches!(resolver.look_up("localhost", stale), Answer::Pending));
    }

    #[test]
    fn a_full_queue_says_busy() {
        let poll = Poll::new().unwrap();
        let mut resolver = Resolver::new(poll.registry(), Token(1));
        // A worker whose thread never takes anything, as when a look-up hangs.
        let (ask, _asked) = sync_channel(1);
        let (_answer, hear) = sync_channel(1);
        resolver.worker = Some(Worker { ask, hear });
        assert!(matches!(resolver.look_up("a.invalid", Time(0)), Answer::Pending));
        assert!(matches!(resolver.look_up("a.invalid", Time(0)), Answer::Pending));
        assert!(matches!(resolver.look_up("b.invalid", Time(0)), Answer::Busy));
    }
}
