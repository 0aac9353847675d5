//! Tool calls at work: for a run's model, for `tools.invoke`, for `/tools/invoke`.
//!
//! ```text
//!  [Gateway::call_tool] --> How::Disk: a Work, stepped by Timer::Work --+
//!                      \--> How::Host: [Gateway::host_tool] ------------+--> tool_done
//!        caller <-- [Gateway::settle_tools], at the end of the turn <-- queue <--/
//! ```
//!
//! A call ends exactly once: with what the tool gave, with its deadline, or unheard when its
//! caller is gone. Whoever carries out a host tool keeps what it needs under the call's number
//! and lets go of it in [`Gateway::cancel_host_tool`].

mod exec;
mod sessions;
mod state;
mod web_fetch;

pub(super) use exec::Execs;
pub(super) use web_fetch::Web;

use super::Gateway;
use super::runs::Active;
use super::timers::{Armed, Timer};
use crate::agent::run::{Candidate, Run};
use crate::agent::tools::policy::{self, ForModel};
use crate::agent::tools::{Args, HostTool, How, Output, Place, Section, Tool, Work};
use crate::agent::turn::Part;
use crate::channels::bounds::Bounds;
use crate::driver::{ConnId, Effects, Time};
use crate::limits;
use crate::sessions::key;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Who gets the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The model of a run: which of the calls of its turn.
    Run {
        /// The run's number.
        run: u64,
        /// The place among the turn's calls.
        index: usize,
    },
    /// `tools.invoke`: a client and its request.
    Rpc {
        /// Who.
        conn: ConnId,
        /// Under which request id.
        request: String,
    },
    /// `/tools/invoke` on this connection.
    Http {
        /// Which.
        conn: ConnId,
    },
}

/// A call about to begin.
pub(super) struct NewCall {
    pub(super) caller: Caller,
    pub(super) tool: &'static Tool,
    /// `toolCallId`.
    pub(super) id: String,
    pub(super) agent: String,
    /// Canonical key of the session it is made in.
    pub(super) key: String,
    pub(super) args: Args,
}

/// A call at work.
pub(super) struct Calling {
    pub(super) caller: Caller,
    pub(super) tool: &'static Tool,
    pub(super) agent: String,
    pub(super) key: String,
    /// `toolCallId`.
    pub(super) id: String,
    pub(super) args: Args,
    /// A disk tool's state; host tools keep theirs elsewhere.
    work: Option<Box<dyn Work>>,
    due: Option<Time>,
    armed: Armed,
}

/// All calls at work.
#[derive(Default)]
pub(super) struct Tools {
    calls: BTreeMap<u64, Calling>,
    next: u64,
    done: VecDeque<(Calling, Output)>,
    /// Calls of `sessions_send` that wait for the reply of a run, by its id.
    replies: BTreeMap<String, u64>,
    stepping: bool,
    /// The disk tool that had the last slice.
    stepped: u64,
    /// Declarations of the sets in use, by the names in them.
    declared: BTreeMap<Vec<&'static str>, Rc<[Value]>>,
}

impl Tools {
    /// A call at work, by its number.
    pub(super) fn get(&self, number: u64) -> Option<&Calling> {
        self.calls.get(&number)
    }

    /// How many are at work.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Outputs wait for the end of a turn.
    pub(super) fn to_settle(&self) -> bool {
        !self.done.is_empty()
    }
}

impl Gateway {
    /// Begins a call; its output comes to its caller at the end of this turn or later. Returns
    /// the call's number.
    pub(super) fn call_tool(&mut self, new: NewCall, fx: &mut Effects) -> u64 {
        let NewCall { caller, tool, id, agent, key, args } = new;
        self.tools.next += 1;
        let number = self.tools.next;
        let place = self.place_of(&agent);
        let (work, host) = match tool.how {
            How::Disk(start) => (Some(start(&place, &args)), None),
            How::Host(host) => (None, Some(host)),
        };
        let due = has_deadline(host).then(|| self.now.time.after_ms(limits::TOOL_MS));
        let (work, refused) = match work {
            Some(Ok(work)) => (Some(work), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let calling =
            Calling { caller, tool, agent, key, id, args, work, due, armed: Armed::default() };
        self.tools.calls.insert(number, calling);
        match (refused, host) {
            (Some(error), _) => self.tool_done(number, Output::error(error)),
            (None, Some(host)) => self.host_tool(number, host, fx),
            (None, None) => self.step_tool(number),
        }
        if let Some(calling) = self.tools.calls.get_mut(&number) {
            calling.armed.at(&mut self.timers, due, Timer::Tool(number));
        }
        number
    }

    /// What a run's model is told of the tools it may use. Equal sets share one text.
    pub(super) fn declared_tools(&mut self, run: &Active) -> Rc<[Value]> {
        let tools = self.tools_of(run, run.candidates.first());
        let names: Vec<&'static str> = tools.iter().map(|tool| tool.name).collect();
        if let Some(known) = self.tools.declared.get(&names) {
            return known.clone();
        }
        let declared: Rc<[Value]> = tools.iter().map(|tool| declaration(tool)).collect();
        if self.tools.declared.len() >= limits::TOOL_SETS {
            self.tools.declared.clear();
        }
        self.tools.declared.insert(names, declared.clone());
        declared
    }

    /// Whether a run's model may use a tool.
    pub(super) fn may_use(&self, run: &Active, tool: &Tool) -> bool {
        // The one that asks may be a fallback with a policy of its own.
        let asking = run.machine.as_ref().and_then(Run::candidate);
        self.tools_of(run, asking).iter().any(|allowed| std::ptr::eq(*allowed, tool))
    }

    /// The tools of a run with one of its models, in the order of the table.
    fn tools_of(&self, run: &Active, model: Option<&Candidate>) -> Vec<&'static Tool> {
        let model = model.map(|one| ForModel { provider: &one.provider, model: &one.model });
        let mut tools = policy::effective(&self.config, &run.agent, model);
        tools.retain(|tool| {
            !is_withheld(&run.key, tool)
                && self.offers(tool)
                && policy::within(&run.bounds.tools, tool)
        });
        tools
    }

    /// What the run that makes a call is held to; `None` for a call from outside.
    pub(super) fn bounds_of_call(&self, number: u64) -> Option<Bounds> {
        match self.tools.get(number)?.caller {
            Caller::Run { run, .. } => self.runs.get(run).map(|run| run.bounds.clone()),
            Caller::Rpc { .. } | Caller::Http { .. } => None,
        }
    }

    /// Where the message came from that the run of a call answers.
    pub(super) fn origin_of_call(&self, number: u64) -> Option<Value> {
        match self.tools.get(number)?.caller {
            Caller::Run { run, .. } => self.runs.get(run)?.origin.clone(),
            Caller::Rpc { .. } | Caller::Http { .. } => None,
        }
    }

    /// The tools that a session of an agent may use, whoever asks for it: those of the agent
    /// with its first model.
    pub(super) fn tools_for(&self, agent: &str, key: &str) -> Vec<&'static Tool> {
        let (first, _) = self.default_model(agent);
        let model = first.split_once('/');
        let model = model.map(|(provider, model)| ForModel { provider, model });
        let mut tools = policy::effective(&self.config, agent, model);
        tools.retain(|tool| !is_withheld(key, tool) && self.offers(tool));
        tools
    }

    /// Whether the configuration has a tool at all.
    fn offers(&self, tool: &Tool) -> bool {
        tool.name != "web_fetch" || self.config.web_fetch.enabled
    }

    /// Where an agent's tools work.
    fn place_of(&self, agent: &str) -> Place {
        Place {
            workspace: self.config.agents.workspace(agent, &self.state_dir),
            workspace_only: policy::workspace_only(&self.config, agent),
            patch_workspace_only: policy::patch_workspace_only(&self.config, agent),
            home: Some(self.config.home.clone()),
        }
    }

    /// A slice of a disk tool; the next one comes with the next turn of the loop.
    fn step_tool(&mut self, number: u64) {
        let Some(calling) = self.tools.calls.get_mut(&number) else { return };
        let Some(work) = &mut calling.work else { return };
        match work.step(self.disk.as_mut()) {
            Some(output) => self.tool_done(number, output),
            None if !self.tools.stepping => {
                self.tools.stepping = true;
                self.timers.arm(self.now.time, Timer::Work);
            }
            None => {}
        }
    }

    /// One slice for the next disk tool in turn: however many work, a turn of the loop is held
    /// no longer than one of them takes.
    pub(super) fn step_tools(&mut self) {
        self.tools.stepping = false;
        let working = |(number, calling): (&u64, &Calling)| calling.work.as_ref().map(|_| *number);
        let calls = &self.tools.calls;
        let behind = calls.range(self.tools.stepped + 1..).find_map(working);
        let Some(number) = behind.or_else(|| calls.iter().find_map(working)) else { return };
        self.tools.stepped = number;
        self.step_tool(number);
        let more = self.tools.calls.values().any(|calling| calling.work.is_some());
        if more && !self.tools.stepping {
            self.tools.stepping = true;
            self.timers.arm(self.now.time, Timer::Work);
        }
    }

    /// A call took too long.
    pub(super) fn tool_due(&mut self, number: u64, fx: &mut Effects) {
        let now = self.now.time;
        let Some(calling) = self.tools.calls.get_mut(&number) else { return };
        let due = calling.due;
        if !calling.armed.came_up(&mut self.timers, due, Timer::Tool(number), now) {
            return;
        }
        if let How::Host(host) = calling.tool.how {
            if host == HostTool::SessionsSend {
                return self.sessions_send_late(number);
            }
            self.cancel_host_tool(number, host, fx);
        }
        let seconds = limits::TOOL_MS / 1000;
        self.tool_done(number, Output::error(format!("the tool was given up after {seconds} s")));
    }

    /// A call is over; its caller hears of it at the end of the turn.
    pub(super) fn tool_done(&mut self, number: u64, output: Output) {
        if let Some(calling) = self.tools.calls.remove(&number) {
            self.tools.done.push_back((calling, capped(output)));
        }
    }

    /// Hands outputs to their callers.
    pub(super) fn settle_tools(&mut self, fx: &mut Effects) {
        while let Some((calling, output)) = self.tools.done.pop_front() {
            match calling.caller {
                Caller::Run { run, index } => self.run_tool_done(run, index, output, fx),
                Caller::Http { conn } => self.invoked(conn, &output, fx),
                Caller::Rpc { conn, request } => {
                    let name = calling.tool.name;
                    let value = if output.is_error {
                        let error = json!({"code": "tool_error", "message": output.all_text()});
                        json!({"ok": false, "toolName": name, "source": "core", "error": error})
                    } else {
                        let mut result = json!({"content": output.content_json()});
                        if let Some(details) = output.details {
                            result["details"] = details;
                        }
                        json!({"ok": true, "toolName": name, "source": "core", "output": result})
                    };
                    self.respond_ok(conn, &request, &value, fx);
                }
            }
        }
    }

    /// Lets go of the calls of a caller that does not want them any more. What such a tool did
    /// so far stays done.
    pub(super) fn cancel_tools(&mut self, wanted: impl Fn(&Caller) -> bool, fx: &mut Effects) {
        let gone: Vec<u64> = self
            .tools
            .calls
            .iter()
            .filter(|(_, calling)| wanted(&calling.caller))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            let Some(calling) = self.tools.calls.get(&number) else { continue };
            if let How::Host(host) = calling.tool.how {
                self.cancel_host_tool(number, host, fx);
            }
            self.tools.calls.remove(&number);
        }
        self.tools.done.retain(|(calling, _)| !wanted(&calling.caller));
    }

    /// Carries out a tool that needs the gateway: it calls [`Gateway::tool_done`] now or later.
    fn host_tool(&mut self, number: u64, host: HostTool, fx: &mut Effects) {
        match host {
            HostTool::AgentsList => self.agents_list_tool(number),
            HostTool::SessionStatus => self.session_status_tool(number),
            HostTool::WebFetch => self.web_fetch_tool(number, fx),
            HostTool::Exec => self.exec_tool(number, fx),
            HostTool::Process => self.process_tool(number, fx),
            HostTool::SessionsList => self.sessions_list_tool(number),
            HostTool::SessionsHistory => self.sessions_history_tool(number),
            HostTool::SessionsSend => self.sessions_send_tool(number),
            HostTool::SessionsSpawn => self.sessions_spawn_tool(number),
            HostTool::Message => self.message_tool(number, fx),
        }
    }

    /// Stops what a host tool has under way for this call.
    fn cancel_host_tool(&mut self, number: u64, host: HostTool, fx: &mut Effects) {
        match host {
            HostTool::WebFetch => self.cancel_web_fetch(number, fx),
            HostTool::Exec | HostTool::Process => self.cancel_exec(number, fx),
            HostTool::SessionsSend => self.tools.replies.retain(|_, call| *call != number),
            HostTool::AgentsList
            | HostTool::SessionStatus
            | HostTool::SessionsList
            | HostTool::SessionsHistory
            | HostTool::SessionsSpawn
            | HostTool::Message => {}
        }
    }

    /// A host tool waits at most this long, instead of [`limits::TOOL_MS`].
    fn tool_waits(&mut self, number: u64, ms: u64) {
        let due = self.now.time.after_ms(ms);
        if let Some(calling) = self.tools.calls.get_mut(&number) {
            calling.due = Some(due);
            calling.armed.at(&mut self.timers, Some(due), Timer::Tool(number));
        }
    }
}

/// A spawned run minds its own matter.
fn is_withheld(key: &str, tool: &Tool) -> bool {
    key::is_subagent(key) && matches!(tool.section, Section::Sessions | Section::Messaging)
}

/// A tool as a request to a model declares it, in OpenAI's form.
fn declaration(tool: &Tool) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": (tool.parameters)(),
    }})
}

/// Whether [`limits::TOOL_MS`] bounds it; tools that wait for others have times of their own.
fn has_deadline(host: Option<HostTool>) -> bool {
    !matches!(
        host,
        Some(HostTool::SessionsSend | HostTool::WebFetch | HostTool::Exec | HostTool::Process)
    )
}

/// An output whose text fits [`limits::TOOL_RESULT`]: the middle of a longer one is cut out.
fn capped(mut output: Output) -> Output {
    let total: usize = output.content.iter().map(text_len).sum();
    if total <= limits::TOOL_RESULT {
        return output;
    }
    let mut room = limits::TOOL_RESULT;
    for part in &mut output.content {
        if let Part::Text(text) = part {
            *text = cut_middle(text, room);
            room = room.saturating_sub(text.len());
        }
    }
    output
}

fn text_len(part: &Part) -> usize {
    match part {
        Part::Text(text) => text.len(),
        _ => 0,
    }
}

/// At most about `room` bytes of a text, its beginning and its end.
fn cut_middle(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let half = room / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    let cut = tail - head;
    format!(
        "{}\n[... {cut} bytes left out ...]\n{}",
        text.get(..head).unwrap_or_default(),
        text.get(tail..).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never done; notes its steps.
    struct Endless(Rc<std::cell::Cell<u32>>);

    impl Work for Endless {
        fn step(&mut self, _: &mut dyn crate::store::Disk) -> Option<Output> {
            self.0.set(self.0.get() + 1);
            None
        }
    }

    #[test]
    fn a_turn_of_the_loop_gives_one_slice_and_each_tool_has_its_turn() {
        use super::super::fuzz::{Memory, boot};
        let now = crate::driver::Now { time: Time(1), wall_ms: 1 };
        let mut gateway = boot(0, crate::config::AuthMode::None, &Memory::default(), now);
        let steps: Vec<Rc<std::cell::Cell<u32>>> = (0..3).map(|_| Rc::default()).collect();
        for (number, steps) in (1..).zip(&steps) {
            let calling = Calling {
                caller: Caller::Run { run: number, index: 0 },
                tool: crate::agent::tools::TOOLS.first().expect("a tool"),
                agent: String::new(),
                key: String::new(),
                id: String::new(),
                args: Args::default(),
                work: Some(Box::new(Endless(steps.clone()))),
                due: None,
                armed: Armed::default(),
            };
            gateway.tools.calls.insert(number, calling);
        }
        for turn in 1..=7 {
            gateway.step_tools();
            assert_eq!(steps.iter().map(|steps| steps.get()).sum::<u32>(), turn);
            assert!(gateway.tools.stepping, "the next slice is armed");
        }
        let each: Vec<u32> = steps.iter().map(|steps| steps.get()).collect();
        assert_eq!(each, [3, 2, 2]);
    }

    #[test]
    fn a_long_output_keeps_its_beginning_and_end() {
        let long = format!("begin{}ü{}end", "x".repeat(limits::TOOL_RESULT), "y".repeat(9));
        let text = capped(Output::text(long)).all_text();
        assert!(text.len() < limits::TOOL_RESULT + 64, "{}", text.len());
        assert!(text.starts_with("begin") && text.ends_with("end") && text.contains("left out"));
        assert_eq!(capped(Output::text("short")).all_text(), "short");
    }
}
