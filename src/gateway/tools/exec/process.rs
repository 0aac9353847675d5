//! `process`: looking after commands in the background. An agent sees its own only.

use super::super::super::Gateway;
use super::session::{Session, Why};
use super::{end, finished};
use crate::agent::tools::{Args, Output};
use crate::driver::{ChildId, Effect, Effects};
use crate::limits;
use serde_json::{Value, json};

/// Characters of a command in a list.
const SHOWN: usize = 120;

impl Gateway {
    pub(in crate::gateway::tools) fn process_tool(&mut self, number: u64, fx: &mut Effects) {
        let Some(calling) = self.tools.get(number) else { return };
        let (args, agent) = (calling.args.clone(), calling.agent.clone());
        match self.process(number, &agent, &args, fx) {
            Ok(Some(output)) => self.tool_done(number, output),
            Ok(None) => {}
            Err(error) => {
                let details = json!({"status": "failed", "error": error});
                let output = Output { details: Some(details), ..Output::error(error) };
                self.tool_done(number, output);
            }
        }
    }

    /// `None` when the answer comes later.
    fn process(
        &mut self,
        number: u64,
        agent: &str,
        args: &Args,
        fx: &mut Effects,
    ) -> Result<Option<Output>, String> {
        let now = self.now;
        let action = args.must_text(&["action"])?;
        if action == "list" {
            return Ok(Some(self.process_list(agent)));
        }
        let id = args.must_text(&["sessionId"])?;
        let session = self.execs.find(agent, id).ok_or_else(|| {
            let id = crate::wire::text::escape_log(id, 64);
            format!("no session {id}; process list shows those there are")
        })?;
        let child = session.child;
        let running = session.ended.is_none();
        match action {
            "poll" => {
                let wait = args.number("timeout")?.unwrap_or(0).min(limits::EXEC_POLL_MS);
                if running && wait > 0 {
                    session.polls.push((number, now.time.after_ms(wait)));
                    self.arm_execs();
                    return Ok(None);
                }
                Ok(Some(poll(session, now)))
            }
            "log" => {
                let line = |name: &str| -> Result<Option<usize>, String> {
                    let line = args.number(name)?;
                    Ok(line.map(|line| usize::try_from(line).unwrap_or(usize::MAX)))
                };
                Ok(Some(log(session, line("offset")?, line("limit")?, now)))
            }
            "write" | "submit" | "paste" => {
                let text = match action {
                    "submit" => "\n",
                    "paste" => args.must_text(&["text", "data"])?,
                    _ => args.text(&["data"])?.unwrap_or_default(),
                };
                let eof = action == "write" && args.flag("eof")?;
                write(session, text, eof, fx).map(Some)
            }
            "send-keys" => Err("send-keys needs a terminal, which commands do not have: use \
                                write, submit or kill"
                .to_owned()),
            "kill" | "remove" if running => {
                session.unwanted |= action == "remove";
                end(session, Why::Killed, now.time, fx);
                let text = format!("{id} is being ended.");
                let details = session.details(now);
                self.arm_execs();
                Ok(Some(Output { details: Some(details), ..Output::text(text) }))
            }
            "kill" => Err(format!("{id} has ended already; poll tells how")),
            "clear" if running => Err(format!("{id} still runs; kill it first")),
            "clear" | "remove" => {
                self.execs.all.remove(&child);
                Ok(Some(Output::text(format!("{id} is forgotten."))))
            }
            _ => Err("action must be list, poll, log, write, submit, paste, kill, clear or remove"
                .to_owned()),
        }
    }

    fn process_list(&self, agent: &str) -> Output {
        let mut lines = Vec::new();
        let mut rows = Vec::new();
        for session in self.execs.all.values() {
            // What an exec call still waits for is not in the background.
            if session.agent != agent || session.unwanted || session.call.is_some() {
                continue;
            }
            let command = crate::wire::text::escape_log(&session.command, SHOWN);
            let mut row = session.details(self.now);
            let ms = row["durationMs"].as_u64().unwrap_or_default();
            lines.push(format!("{} {} {}s {command}", session.id, session.status(), ms / 1000));
            row["command"] = json!(command);
            row["waitingForInput"] = json!(session.waits_for_input(self.now.time));
            rows.push(row);
        }
        let text = if lines.is_empty() {
            "No commands in the background.".to_owned()
        } else {
            lines.join("\n")
        };
        let details = json!({"status": "completed", "sessions": rows});
        Output { details: Some(details), ..Output::text(text) }
    }

    /// Answers a poll that waited.
    pub(super) fn answer_poll(&mut self, call: u64, child: ChildId) {
        let now = self.now;
        let Some(session) = self.execs.all.get_mut(&child) else { return };
        let output = poll(session, now);
        self.tool_done(call, output);
    }
}

/// What is new, and how it stands.
fn poll(session: &mut Session, now: crate::driver::Now) -> Output {
    let (fresh, lost) = session.output.fresh();
    let mut text = String::new();
    if lost > 0 {
        text.push_str(&format!("[{lost} bytes before this are left out; see log]\n"));
    }
    text.push_str(fresh.trim_end());
    if text.is_empty() {
        text.push_str("(no new output)");
    }
    let state = match &session.ended {
        None if session.waits_for_input(now.time) => {
            "Still running; it is silent and may wait for input.".to_owned()
        }
        None => "Still running.".to_owned(),
        Some(_) => session.verdict().unwrap_or_else(|| "(exit code 0)".to_owned()),
    };
    text.push_str("\n\n");
    text.push_str(&state);
    let mut details = session.details(now);
    details["aggregated"] = json!(fresh);
    let is_error = session.ended.is_some() && finished(session, now).is_error;
    let is_error = is_error && session.why != Some(Why::Killed);
    Output { is_error, details: Some(details), ..Output::text(text) }
}

fn log(
    session: &Session,
    offset: Option<usize>,
    limit: Option<usize>,
    now: crate::driver::Now,
) -> Output {
    let (page, from, total) = session.output.lines(offset, limit);
    let shown = page.lines().count();
    let mut text = if page.is_empty() { "(no output)".to_owned() } else { page.clone() };
    if shown < total {
        let to = from + shown;
        text.push_str(&format!("\n\n[lines {from} to {to} of {total}; page with offset, limit]"));
    }
    if session.output.lost() > 0 {
        text.push_str(&format!("\n[{} earlier bytes are not kept]", session.output.lost()));
    }
    let mut details = session.details(now);
    let fields: [(&str, Value); 4] = [
        ("output", json!(page)),
        ("totalLines", json!(total)),
        ("stdinWritable", json!(session.stdin_open)),
        ("waitingForInput", json!(session.waits_for_input(now.time))),
    ];
    for (name, value) in fields {
        details[name] = value;
    }
    Output { details: Some(details), ..Output::text(text) }
}

fn write(session: &mut Session, text: &str, eof: bool, fx: &mut Effects) -> Result<Output, String> {
    if session.ended.is_some() || !session.stdin_open {
        return Err(format!("{} takes no input any more", session.id));
    }
    if text.len() > limits::CHILD_INPUT {
        return Err(format!("data is longer than {} bytes", limits::CHILD_INPUT));
    }
    let child = session.child;
    if !text.is_empty() {
        fx.push(Effect::ChildInput { child, bytes: text.as_bytes().to_vec() });
    }
    if eof {
        session.stdin_open = false;
        fx.push(Effect::ChildInputEnd { child });
    }
    let end = if eof { ", and its end" } else { "" };
    Ok(Output::text(format!("{} bytes{end} were sent to {}.", text.len(), session.id)))
}
