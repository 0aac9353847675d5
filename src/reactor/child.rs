//! Child processes: started in a group of their own, with pipes that the loop reads.
//!
//! A child is over when both pipes are at their end and it has been reaped; only then does the
//! core hear `Exited`, so that no output comes after it. What is left of its group when the
//! child itself has ended is killed: a process in the background would hold the pipes for ever.
//!
//! A child that writes without end gets [`limits::READ_BUDGET`] a turn like any peer.

use crate::driver::{ChildEvent, ChildId, Exit, Spawn};
use crate::limits;
use mio::unix::pipe::{Receiver, Sender};
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// Tokens a child uses: standard output, error, input.
const TOKENS: usize = 3;

struct Running {
    child: Child,
    out: Option<Receiver>,
    err: Option<Receiver>,
    stdin: Option<Stdin>,
    exited: Option<Exit>,
    /// The pipes may have more than one turn's budget.
    more: bool,
}

struct Stdin {
    pipe: Sender,
    queued: Vec<u8>,
    /// The pipe is closed when nothing is queued.
    end: bool,
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
        running.read(id, scratch, tell);
    }

    /// Goes on with children that had more to say than fitted into a turn.
    pub(super) fn go_on(
        &mut self,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(ChildId, ChildEvent<'_>),
    ) {
        for (id, running) in self.running.values_mut().filter(|(_, running)| running.more) {
            running.read(*id, scratch, tell);
        }
    }

    /// Some child has more to say.
    pub(super) fn have_more(&self) -> bool {
        self.running.values().any(|(_, running)| running.more)
    }

    /// None is left.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Queues bytes for a child's input, or its end.
    pub(super) fn input(&mut self, id: ChildId, bytes: &[u8], end: bool) {
        for (_, running) in self.running.values_mut().filter(|(child, _)| *child == id) {
            if let Some(stdin) = &mut running.stdin {
                let room = limits::CHILD_INPUT.saturating_sub(stdin.queued.len());
                stdin.queued.extend(bytes.iter().take(room));
                stdin.end |= end;
            }
            running.write_stdin();
        }
    }

    /// The process leaves: nothing of its children stays.
    pub(super) fn kill_all(&mut self) {
        for (_, running) in self.running.values_mut() {
            if running.exited.is_none() {
                signal_group(&mut running.child, true);
                let _ = running.child.wait();
            }
        }
        self.running.clear();
    }

    /// Collects children that ended; tells of those whose pipes are drained.
    pub(super) fn reap(&mut self, tell: &mut dyn FnMut(ChildId, ChildEvent<'_>)) {
        let mut over = Vec::new();
        for (number, (id, running)) in &mut self.running {
            if running.exited.is_none() && has_ended(&running.child) {
                // It is not reaped yet, so its number cannot be anybody else's.
                signal_group(&mut running.child, true);
            }
            if running.exited.is_none()
                && let Ok(Some(status)) = running.child.try_wait()
            {
                let signal = Exit::Signal(status.signal().unwrap_or_default());
                running.exited = Some(status.code().map_or(signal, Exit::Code));
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
            } else if kill {
                // Something that left the group holds the pipes: it is not listened to further.
                running.out = None;
                running.err = None;
            }
        }
    }
}

/// Whether a child has ended, without reaping it.
#[cfg(feature = "process")]
fn has_ended(child: &Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
}

/// Without rustix only the child itself is known.
#[cfg(not(feature = "process"))]
fn has_ended(_: &Child) -> bool {
    false
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
    /// Reads both pipes within a turn's budget.
    fn read(
        &mut self,
        id: ChildId,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(ChildId, ChildEvent<'_>),
    ) {
        let out = drain(&mut self.out, scratch, &mut |bytes| tell(id, ChildEvent::Stdout(bytes)));
        let err = drain(&mut self.err, scratch, &mut |bytes| tell(id, ChildEvent::Stderr(bytes)));
        self.more = out || err;
    }

    /// Writes what the child takes of its input; at its end closes the pipe.
    fn write_stdin(&mut self) {
        let Some(Stdin { pipe, queued: bytes, end }) = &mut self.stdin else { return };
        while !bytes.is_empty() {
            match pipe.write(bytes) {
                Ok(n) => {
                    bytes.drain(..n.min(bytes.len()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The child closed its input: it does not want the rest.
                Err(_) => {
                    self.stdin = None;
                    return;
                }
            }
        }
        if *end {
            self.stdin = None;
        }
    }
}

fn launch(registry: &Registry, first: usize, spawn: Spawn) -> io::Result<Running> {
    let mut child = Command::new(&spawn.program)
        .args(&spawn.args)
        .env_clear()
        .envs(&spawn.env)
        .current_dir(&spawn.cwd)
        .stdin(if spawn.stdin.is_empty() && !spawn.keep_stdin {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut out = child.stdout.take().map(Receiver::from);
    let mut err = child.stderr.take().map(Receiver::from);
    let end = !spawn.keep_stdin;
    let mut stdin =
        child.stdin.take().map(|pipe| Stdin { pipe: Sender::from(pipe), queued: spawn.stdin, end });
    for (n, pipe) in [&mut out, &mut err].into_iter().enumerate() {
        if let Some(pipe) = pipe {
            pipe.set_nonblocking(true)?;
            registry.register(pipe, Token(first + n), Interest::READABLE)?;
        }
    }
    if let Some(Stdin { pipe, .. }) = &mut stdin {
        pipe.set_nonblocking(true)?;
        registry.register(pipe, Token(first + 2), Interest::WRITABLE)?;
    }
    Ok(Running { child, out, err, stdin, exited: None, more: false })
}

/// Reads a pipe until it blocks; at its end the pipe is dropped. True when the budget of a turn
/// ended first.
fn drain(pipe: &mut Option<Receiver>, scratch: &mut [u8], tell: &mut dyn FnMut(&[u8])) -> bool {
    let mut budget = limits::READ_BUDGET;
    loop {
        let Some(open) = pipe else { return false };
        if budget == 0 {
            return true;
        }
        match open.read(scratch) {
            Ok(0) => *pipe = None,
            Ok(n) => {
                budget = budget.saturating_sub(n);
                tell(scratch.get(..n).unwrap_or(&[]));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
}
