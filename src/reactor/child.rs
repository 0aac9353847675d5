//! Child processes: started in a group of their own, with pipes that the loop reads.
//!
//! A child is over when both pipes are at their end and it has been reaped; only then does the
//! core hear `Exited`, so that no output comes after it.

use crate::driver::{ChildEvent, ChildId, Spawn};
use crate::limits;
use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Tokens a child uses: standard output, error, input.
const TOKENS: usize = 3;

struct Running {
    child: Child,
    out: Option<Receiver>,
    err: Option<Receiver>,
    stdin: Option<(Sender, Vec<u8>)>,
    exited: Option<Option<i32>>,
}

/// Children by token number.
#[derive(Default)]
pub(super) struct Children {
    running: BTreeMap<usize, (ChildId, Running)>,
}

impl Children {
    /// Starts one; a failure is told as `Failed`.
    pub(super) fn start(
        &mut self,
        registry: &Registry,
        base: usize,
        id: ChildId,
        spawn: Spawn,
        tell: &mut dyn FnMut(ChildEvent<'_>),
    ) {
        let number = (0..limits::CHILDREN).find(|n| !self.running.contains_key(n));
        let Some(number) = number else {
            return tell(ChildEvent::Failed(format!(
                "{} child processes are already running",
                limits::CHILDREN
            )));
        };
        match launch(registry, base + number * TOKENS, spawn) {
            Ok(mut running) => {
                running.write_stdin();
                self.running.insert(number, (id, running));
            }
            Err(error) => tell(ChildEvent::Failed(error.to_string())),
        }
    }

    /// A pipe has something.
    pub(super) fn readable(
        &mut self,
        token: usize,
        base: usize,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(ChildId, ChildEvent<'_>),
    ) {
        let Some(relative) = token.checked_sub(base) else { return };
        let Some((id, running)) = self.running.get_mut(&(relative / TOKENS)) else { return };
        let id = *id;
        running.write_stdin();
        drain(&mut running.out, scratch, &mut |bytes| tell(id, ChildEvent::Stdout(bytes)));
        drain(&mut running.err, scratch, &mut |bytes| tell(id, ChildEvent::Stderr(bytes)));
    }

    /// Collects children that ended; tells of those whose pipes are drained.
    pub(super) fn reap(&mut self, tell: &mut dyn FnMut(ChildId, ChildEvent<'_>)) {
        let mut over = Vec::new();
        for (number, (id, running)) in &mut self.running {
            if running.exited.is_none()
                && let Ok(Some(status)) = running.child.try_wait()
            {
                running.exited = Some(status.code());
            }
            if let Some(code) = running.exited
                && running.out.is_none()
                && running.err.is_none()
            {
                over.push(*number);
                tell(*id, ChildEvent::Exited(code));
            }
        }
        for number in over {
            self.running.remove(&number);
        }
    }

    /// Signals the whole group of a child.
    pub(super) fn kill(&mut self, id: ChildId, kill: bool) {
        for (_, running) in self.running.values_mut().filter(|(child, _)| *child == id) {
            if running.exited.is_none() {
                signal_group(&mut running.child, kill);
            }
        }
    }
}

#[cfg(feature = "process")]
fn signal_group(child: &mut Child, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// Without rustix only the child itself can be reached, and only by KILL.
#[cfg(not(feature = "process"))]
fn signal_group(child: &mut Child, kill: bool) {
    if kill {
        let _ = child.kill();
    }
}

impl Running {
    /// Writes what the child takes of its input, then closes the pipe.
    fn write_stdin(&mut self) {
        let Some((pipe, bytes)) = &mut self.stdin else { return };
        while !bytes.is_empty() {
            match pipe.write(bytes) {
                Ok(n) => {
                    bytes.drain(..n.min(bytes.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The child closed its input: it does not want the rest.
                Err(_) => break,
            }
        }
        self.stdin = None;
    }
}

fn launch(registry: &Registry, first: usize, spawn: Spawn) -> io::Result<Running> {
    let mut child = Command::new(&spawn.program)
        .args(&spawn.args)
        .env_clear()
        .envs(&spawn.env)
        .current_dir(&spawn.cwd)
        .stdin(if spawn.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut out = child.stdout.take().map(Receiver::from);
    let mut err = child.stderr.take().map(Receiver::from);
    let mut stdin = child.stdin.take().map(|pipe| (Sender::from(pipe), spawn.stdin));
    for (n, pipe) in [&mut out, &mut err].into_iter().enumerate() {
        if let Some(pipe) = pipe {
            pipe.set_nonblocking(true)?;
            registry.register(pipe, Token(first + n), Interest::READABLE)?;
        }
    }
    if let Some((pipe, _)) = &mut stdin {
        pipe.set_nonblocking(true)?;
        registry.register(pipe, Token(first + 2), Interest::WRITABLE)?;
    }
    Ok(Running { child, out, err, stdin, exited: None })
}

/// Reads a pipe until it blocks; at its end the pipe is dropped.
fn drain(pipe: &mut Option<Receiver>, scratch: &mut [u8], tell: &mut dyn FnMut(&[u8])) {
    loop {
        let Some(open) = pipe else { return };
        match open.read(scratch) {
            Ok(0) => *pipe = None,
            Ok(n) => tell(scratch.get(..n).unwrap_or(&[])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
}
