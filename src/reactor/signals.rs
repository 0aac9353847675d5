//! Signals as bytes on socket pairs, read by the loop like everything else.

use crate::driver::Signal;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use std::io::{self, Read};

/// What a signal means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// For the core.
    Operator(Signal),
    /// A child ended.
    Child,
}

pub(super) struct Signals {
    pipes: Vec<(UnixStream, Arrived)>,
}

impl Signals {
    /// Registers a pipe for each signal at tokens `first ..`.
    pub(super) fn install(registry: &Registry, first: usize) -> io::Result<Self> {
        let wanted = [
            (SIGTERM, Arrived::Operator(Signal::Terminate)),
            (SIGINT, Arrived::Operator(Signal::Terminate)),
            (SIGHUP, Arrived::Operator(Signal::Reload)),
            (SIGUSR1, Arrived::Operator(Signal::Restart)),
            (SIGCHLD, Arrived::Child),
        ];
        let mut pipes = Vec::with_capacity(wanted.len());
        for (n, (signal, meaning)) in wanted.into_iter().enumerate() {
            let (write, read) = std::os::unix::net::UnixStream::pair()?;
            signal_hook::low_level::pipe::register(signal, write)?;
            read.set_nonblocking(true)?;
            let mut read = UnixStream::from_std(read);
            registry.register(&mut read, Token(first + n), Interest::READABLE)?;
            pipes.push((read, meaning));
        }
        Ok(Self { pipes })
    }

    /// Signals that arrived since the last call; several of a kind count once.
    pub(super) fn take(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for (pipe, meaning) in &mut self.pipes {
            let mut any = false;
            let mut sink = [0; 64];
            while matches!(pipe.read(&mut sink), Ok(n) if n > 0) {
                any = true;
            }
            if any {
                arrived.push(*meaning);
            }
        }
        arrived
    }
}
