//! `exec`: shell commands on the gateway's machine.
//!
//! ```text
//!   call --> Request --> policy: deny | ask somebody | run --> Spawn
//!     Child events --> Session --> updates, the call's output, `process`
//! ```
//!
//! The shell is started with the model's text as its one argument and nothing of ours in it. A
//! command runs in a process group of its own; to end it, the group gets TERM and after
//! [`limits::EXEC_GRACE_MS`] KILL. A run that ends takes its foreground commands along;
//! background ones end by themselves, by `process kill`, by their timeout, or with the gateway.

mod process;
mod session;

use super::super::Gateway;
use super::super::timers::Timer;
use super::Caller;
use crate::agent::exec::output::{Captured, Stream};
use crate::agent::exec::{Request, env};
use crate::agent::tools::Output;
use crate::driver::{ChildEvent, ChildId, Effect, Effects, Exit, Spawn};
use crate::limits;
use crate::store::Kind;
use serde_json::json;
pub(in crate::gateway) use session::Execs;
use session::{Ended, Session, Why};
use std::path::PathBuf;

/// Output in an update, and beside the news that a command went to the background.
const TAIL: usize = 2_000;
/// Shells that read a command as sh does; `SHELL` may choose among these.
const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "ksh", "ash"];

impl Gateway {
    pub(super) fn exec_tool(&mut self, number: u64, fx: &mut Effects) {
        let Some(calling) = self.tools.get(number) else { return };
        let request = match Request::parse(&calling.args) {
            Ok(request) => request,
            Err(error) => return self.tool_done(number, Output::error(error)),
        };
        let agent = calling.agent.clone();
        let cwd = match self.exec_cwd(&agent, &request) {
            Ok(cwd) => cwd,
            Err(error) => return self.tool_done(number, Output::error(error)),
        };
        self.judge_exec(number, &agent, request, cwd, fx);
    }

    /// The directory of a command; it must be there, since a shell would only say that it itself
    /// was not found.
    fn exec_cwd(&mut self, agent: &str, request: &Request) -> Result<PathBuf, String> {
        let base = self.place_of(agent).workspace;
        let cwd = request.workdir.as_ref().map_or_else(|| base.clone(), |dir| base.join(dir));
        if request.workdir.is_none() && self.disk.kind(&cwd).is_err() {
            let _ = self.disk.create_dir(&cwd);
        }
        let found = self.disk.canonical(&cwd).and_then(|cwd| self.disk.kind(&cwd));
        match found {
            Ok(Kind::Dir) => Ok(cwd),
            Ok(_) => Err(format!("workdir {} is not a directory", cwd.display())),
            Err(error) => Err(format!("workdir {}: {error}", cwd.display())),
        }
    }

    /// What reads the command.
    fn exec_shell(&self) -> PathBuf {
        let named = self.config.env.get("SHELL").map(PathBuf::from);
        let fits = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            path.is_absolute()
                && name.is_some_and(|name| SHELLS.contains(&name))
                && self.disk.stat(path).is_ok()
        };
        named.filter(fits).unwrap_or_else(|| PathBuf::from("/bin/sh"))
    }

    /// Starts what was judged.
    pub(in crate::gateway) fn start_exec(
        &mut self,
        number: u64,
        request: &Request,
        cwd: PathBuf,
        fx: &mut Effects,
    ) {
        let Some(calling) = self.tools.get(number) else { return };
        let agent = calling.agent.clone();
        if self.execs.running() >= limits::CHILDREN {
            let text = format!(
                "{} commands run already; end one with process kill, or wait",
                limits::CHILDREN
            );
            return self.tool_done(number, Output::error(text));
        }
        let skills = self.bounds_of_call(number).and_then(|bounds| bounds.skills);
        let skills_env = self.skills_env(&agent, skills.as_deref());
        let config = &self.config.exec;
        let texts: Vec<String> =
            config.path_prepend.iter().map(|dir| dir.to_string_lossy().into_owned()).collect();
        let mut env = env::whole(self.config.env.all(), &texts, &request.env);
        for (name, value) in skills_env {
            env.entry(name).or_insert(value);
        }
        let seconds = request.timeout_seconds.unwrap_or(config.timeout_seconds);
        let yield_ms = request.yield_ms.unwrap_or(config.background_ms);
        let keep_ms = config.cleanup_ms;
        let now = self.now;
        self.execs.children += 1;
        let child = ChildId(self.execs.children);
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        let timeout = now.time.after_ms(seconds.saturating_mul(1000));
        let session = Session {
            // The number makes it unlike every other.
            id: format!("{}-{}", crate::wire::hash::hex(&random), child.0),
            agent,
            command: request.command.clone(),
            cwd: cwd.clone(),
            child,
            output: Captured::default(),
            started: now,
            last_output: now.time,
            ended: None,
            call: Some(number),
            yield_at: Some(if request.background { now.time } else { now.time.after_ms(yield_ms) }),
            update_at: None,
            polls: Vec::new(),
            timeout: (seconds > 0).then_some((timeout, seconds)),
            kill_at: None,
            why: None,
            stdin_open: true,
            unwanted: false,
            keep_ms,
        };
        let spawn = Spawn {
            program: self.exec_shell(),
            args: vec!["-c".into(), request.command.clone().into()],
            env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            cwd,
            stdin: Vec::new(),
            keep_stdin: true,
        };
        self.execs.all.insert(child, session);
        fx.push(Effect::Spawn { child, spawn });
        self.arm_execs();
    }

    fn arm_execs(&mut self) {
        let due = self.execs.all.values().filter_map(Session::due).min();
        self.execs.armed.at(&mut self.timers, due, Timer::Exec);
    }

    /// News of a child.
    pub(in crate::gateway) fn exec_child(
        &mut self,
        child: ChildId,
        event: ChildEvent<'_>,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let Some(session) = self.execs.all.get_mut(&child) else { return };
        let (stream, bytes) = match event {
            ChildEvent::Stdout(bytes) => (Stream::Out, bytes),
            ChildEvent::Stderr(bytes) => (Stream::Err, bytes),
            ChildEvent::Exited(exit) => return self.exec_over(child, Ended::Exit(exit), fx),
            ChildEvent::Failed(text) => return self.exec_over(child, Ended::Failed(text), fx),
        };
        session.output.push(stream, bytes);
        session.last_output = now.time;
        if session.call.is_some() && session.update_at.is_none() {
            session.update_at = Some(now.time.after_ms(limits::EXEC_UPDATE_MS));
            self.arm_execs();
        }
    }

    fn exec_over(&mut self, child: ChildId, ended: Ended, _fx: &mut Effects) {
        let now = self.now;
        let Some(session) = self.execs.all.get_mut(&child) else { return };
        session.ended = Some((ended, now));
        session.stdin_open = false;
        let (call, polls) = (session.call.take(), std::mem::take(&mut session.polls));
        if call.is_some() || session.unwanted {
            let Some(session) = self.execs.all.remove(&child) else { return };
            if let Some(call) = call {
                self.tool_done(call, finished(&session, now));
            }
            return;
        }
        for (poll, _) in polls {
            self.answer_poll(poll, child);
        }
        self.execs.bound();
        self.arm_execs();
    }

    /// Something is due.
    pub(in crate::gateway) fn execs_due(&mut self, fx: &mut Effects) {
        let now = self.now;
        let due = self.execs.all.values().filter_map(Session::due).min();
        if !self.execs.armed.came_up(&mut self.timers, due, Timer::Exec, now.time) {
            return;
        }
        let children: Vec<ChildId> = self.execs.all.keys().copied().collect();
        for child in children {
            self.exec_due(child, fx);
        }
        self.arm_execs();
    }

    fn exec_due(&mut self, child: ChildId, fx: &mut Effects) {
        let now = self.now;
        let Some(session) = self.execs.all.get_mut(&child) else { return };
        if session.ended.is_some() {
            if session.due().is_some_and(|due| due <= now.time) {
                self.execs.all.remove(&child);
            }
            return;
        }
        let past = |at: Option<crate::driver::Time>| at.is_some_and(|at| at <= now.time);
        if past(session.kill_at) {
            // Again after another grace: something outside the group may hold the pipes.
            session.kill_at = Some(now.time.after_ms(limits::EXEC_GRACE_MS));
            fx.push(Effect::Kill { child, kill: true });
        }
        if session.why.is_none()
            && let Some((at, seconds)) = session.timeout
            && at <= now.time
        {
            end(session, Why::Timeout(seconds), now.time, fx);
        }
        let (update, yields) = (past(session.update_at), past(session.yield_at));
        if update || yields {
            session.update_at = None;
        }
        let polls: Vec<u64> =
            session.polls.iter().filter(|(_, at)| *at <= now.time).map(|(call, _)| *call).collect();
        session.polls.retain(|(_, at)| *at > now.time);
        let call = session.call;
        if let (Some(call), true) = (call, yields) {
            session.call = None;
            session.yield_at = None;
            let output = backgrounded(session, now);
            self.tool_done(call, output);
        } else if let (Some(call), true) = (call, update) {
            self.exec_update(call, child, fx);
        }
        for poll in polls {
            self.answer_poll(poll, child);
        }
    }

    /// Shows clients what a command has written so far.
    fn exec_update(&mut self, call: u64, child: ChildId, fx: &mut Effects) {
        let Some(calling) = self.tools.get(call) else { return };
        let Caller::Run { run, .. } = calling.caller else { return };
        let (id, name) = (calling.id.clone(), calling.tool.name);
        let Some(session) = self.execs.all.get(&child) else { return };
        let partial = Output {
            details: Some(session.details(self.now)),
            ..Output::text(session.output.tail(TAIL))
        };
        self.run_tool_update(run, (&id, name), &partial, fx);
    }

    /// The caller of a foreground command has gone: so does the command.
    pub(super) fn cancel_exec(&mut self, number: u64, fx: &mut Effects) {
        self.cancel_approval(number, fx);
        let now = self.now.time;
        for session in self.execs.all.values_mut() {
            session.polls.retain(|(call, _)| *call != number);
            if session.call == Some(number) {
                session.call = None;
                session.yield_at = None;
                session.unwanted = true;
                end(session, Why::Cancelled, now, fx);
            }
        }
        self.arm_execs();
    }

    /// The gateway leaves: every command ends. The driver kills what is left a second later.
    pub(in crate::gateway) fn end_execs(&mut self, fx: &mut Effects) {
        let now = self.now.time;
        for session in self.execs.all.values_mut() {
            end(session, Why::Cancelled, now, fx);
        }
        self.arm_execs();
    }
}

/// Makes a command end: TERM now, KILL after a grace.
fn end(session: &mut Session, why: Why, now: crate::driver::Time, fx: &mut Effects) {
    if session.ended.is_some() {
        return;
    }
    session.why.get_or_insert(why);
    if session.kill_at.is_none() {
        session.kill_at = Some(now.after_ms(limits::EXEC_GRACE_MS));
        fx.push(Effect::Kill { child: session.child, kill: false });
    }
}

/// What the model reads of a command that is over.
fn finished(session: &Session, now: crate::driver::Now) -> Output {
    let mut text = String::new();
    let lost = session.output.lost();
    if lost > 0 {
        text.push_str(&format!("[{lost} bytes of earlier output are not kept]\n"));
    }
    text.push_str(session.output.all().trim_end());
    let verdict = session.verdict();
    if text.is_empty() && verdict.is_none() {
        text.push_str("(no output)");
    }
    if let Some(verdict) = verdict {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&verdict);
    }
    let mut details = session.details(now);
    details["aggregated"] = json!(session.output.all());
    let good = matches!(session.ended, Some((Ended::Exit(Exit::Code(_)), _)));
    let is_error = !good || session.why.is_some();
    Output { is_error, details: Some(details), ..Output::text(text) }
}

fn backgrounded(session: &mut Session, now: crate::driver::Now) -> Output {
    let tail = session.output.tail(TAIL).trim_end().to_owned();
    let id = &session.id;
    let mut text = format!(
        "The command still runs, in the background: sessionId {id}. Use process (poll, log, \
         write, kill) for it."
    );
    if !tail.is_empty() {
        text.push_str("\n\nSo far:\n");
        text.push_str(&tail);
    }
    let mut details = session.details(now);
    details["tail"] = json!(tail);
    Output { details: Some(details), ..Output::text(text) }
}
