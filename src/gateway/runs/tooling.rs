//! A model's turn that asks for tools: from its calls to the next turn.
//!
//! ```text
//!  RunEvent::Turn --> turn_over: transcript, events
//!     --> start_tools: calls in order; one that changes something works alone
//!     --> run_tool_done: transcript, events --all done--> continue_run: Run::go_on
//!  the run ends meanwhile --> abandon_turn: every call has a result, the tools are let go
//! ```
//!
//! The turn stands in the transcript before its tools begin, and each result as soon as it is
//! there: after a crash the session shows what had begun.

use super::super::Gateway;
use super::super::tools::{Caller, NewCall};
use super::{Active, QueueMode};
use crate::agent::ToolCall;
use crate::agent::run::Run;
use crate::agent::tools::loops::Verdict;
use crate::agent::tools::{self, Args, Output, Tool};
use crate::agent::turn::{Part, Turn};
use crate::driver::Effects;
use serde_json::{Value, json};
use std::rc::Rc;

/// The gateway's tools that a turn of the model asked for.
pub(super) struct ToolTurn {
    calls: Vec<Asked>,
    /// The disk refused the turn: no result may stand alone, and nothing is changed that a crash
    /// would leave no trace of.
    unkept: bool,
}

impl ToolTurn {
    fn is_working(&self, index: usize) -> bool {
        self.calls.get(index).is_some_and(|asked| matches!(asked.state, State::Working))
    }
}

/// One call.
struct Asked {
    call: ToolCall,
    tool: Option<&'static Tool>,
    state: State,
    started_ms: u64,
}

enum State {
    Waiting,
    Working,
    Done(Output),
}

impl Gateway {
    /// What the model of a run may use, as its request declares it.
    pub(super) fn house_tools(&mut self, run: &Active) -> Rc<[Value]> {
        match run.candidates.first().map(|candidate| &candidate.via) {
            Some(crate::agent::run::Via::Http(_)) => self.declared_tools(run),
            _ => Rc::default(),
        }
    }

    /// The model finished a turn and the run goes on: durable first, then told.
    pub(super) fn turn_over(&mut self, run: &mut Active, fx: &mut Effects) {
        let Some(machine) = &run.machine else { return };
        let calls: Vec<Asked> = machine
            .calls()
            .iter()
            .filter(|call| !machine.is_callers(&call.name))
            .map(|call| Asked {
                call: call.clone(),
                tool: tools::find(&call.name),
                state: State::Waiting,
                started_ms: 0,
            })
            .collect();
        self.speak_tokens(run, fx);
        let mut unkept = false;
        if run.keep {
            let message = self.turn_message(run);
            match self.append_message(&run.key, &run.id, &message) {
                Ok(appended) => self.tell_message(run, &message, &appended, fx),
                Err(_) => unkept = true,
            }
        }
        run.turn = Some(ToolTurn { calls, unkept });
    }

    /// Begins the calls that may begin now; when all are done, the run goes on.
    pub(super) fn start_tools(&mut self, number: u64, fx: &mut Effects) {
        let mut index = 0;
        let mut alone = true;
        loop {
            let Some(run) = self.runs.active.get_mut(&number) else { return };
            let Some(turn) = &mut run.turn else { return };
            let Some(asked) = turn.calls.get_mut(index) else { break };
            index += 1;
            let changes = asked.tool.is_some_and(|tool| tool.changes);
            match asked.state {
                State::Done(_) => continue,
                State::Working if changes => return,
                State::Working => {
                    alone = false;
                    continue;
                }
                State::Waiting if changes && !alone => return,
                State::Waiting => {}
            }
            if !self.start_tool(number, index - 1, fx) {
                continue;
            }
            if changes {
                return;
            }
            alone = false;
        }
        if alone {
            self.runs.going_on.push(number);
        }
    }

    /// Begins one call; false when it is answered already.
    fn start_tool(&mut self, number: u64, index: usize, fx: &mut Effects) -> bool {
        let Some(mut run) = self.runs.active.remove(&number) else { return false };
        let refused = self.begin_call(&mut run, index, fx);
        let begun = refused.is_none();
        if let Some(output) = refused {
            self.finish_call(&mut run, index, output, fx);
        }
        let new = begun.then(|| new_call(&run, index)).flatten();
        self.runs.active.insert(number, run);
        match new {
            Some(new) => {
                self.call_tool(new, fx);
                true
            }
            None => false,
        }
    }

    /// Tells that a call begins; the output when it may not.
    fn begin_call(&mut self, run: &mut Active, index: usize, fx: &mut Effects) -> Option<Output> {
        let now_ms = self.now.wall_ms;
        let steered = run.mode != QueueMode::Interrupt && self.somebody_rides(run.number);
        let turn = run.turn.as_mut()?;
        let unkept = turn.unkept;
        let asked = turn.calls.get_mut(index)?;
        asked.started_ms = now_ms;
        asked.state = State::Working;
        let call = asked.call.clone();
        let tool = asked.tool;
        let args = Args::parse(&call.arguments);
        self.speak_tool_start(run, &call, tool, args.as_ref().ok(), now_ms, fx);
        match run.loops.before(&call.name, &call.arguments) {
            Verdict::Go => {}
            Verdict::Block(text) => return Some(Output::error(text)),
            Verdict::Stop(text) => {
                run.circling = Some(text.clone());
                return Some(Output::error(text));
            }
        }
        let tool = match tool {
            Some(tool) if self.may_use(run, tool) => tool,
            _ => {
                let text = format!("Tool {} not found", call.name);
                run.loops.after(&call.name, &call.arguments, &text);
                return Some(Output::error(text));
            }
        };
        if let Err(error) = args {
            return Some(Output::error(error));
        }
        if unkept && tool.changes {
            let text = "not done: the gateway cannot write this session; its disk may be full";
            return Some(Output::error(text));
        }
        // What was said meanwhile is heard before anything else is changed.
        (steered && tool.changes).then(|| {
            Output::error("skipped: the user said something before this tool began; read it first")
        })
    }

    /// A tool of a run gave its output.
    pub(in crate::gateway) fn run_tool_done(
        &mut self,
        number: u64,
        index: usize,
        mut output: Output,
        fx: &mut Effects,
    ) {
        let Some(mut run) = self.runs.active.remove(&number) else { return };
        let asked = run.turn.as_ref().and_then(|turn| turn.calls.get(index));
        let note = asked.map(|asked| &asked.call).and_then(|call| {
            run.loops.after(&call.name, &call.arguments, &output.content_json().to_string())
        });
        output.content.extend(note.map(|note| Part::Text(format!("\n{note}"))));
        let again = self.faults.run_tool_twice.then(|| new_call(&run, index)).flatten();
        let working = run.turn.as_ref().is_some_and(|turn| turn.is_working(index));
        self.finish_call(&mut run, index, output, fx);
        self.runs.active.insert(number, run);
        if let Some(again) = again.filter(|_| working) {
            self.call_tool(again, fx);
        }
        self.start_tools(number, fx);
    }

    /// A tool of a run has something to show before it is done.
    pub(in crate::gateway) fn run_tool_update(
        &mut self,
        number: u64,
        call: (&str, &str),
        partial: &Output,
        fx: &mut Effects,
    ) {
        if let Some(mut run) = self.runs.active.remove(&number) {
            self.speak_tool_update(&mut run, call, partial, fx);
            self.runs.active.insert(number, run);
        }
    }

    fn finish_call(&mut self, run: &mut Active, index: usize, output: Output, fx: &mut Effects) {
        let ended_ms = self.now.wall_ms;
        let asked = run.turn.as_mut().and_then(|turn| turn.calls.get_mut(index));
        let Some(asked) = asked else { return };
        if matches!(asked.state, State::Done(_)) {
            return;
        }
        let (call, tool, started_ms) = (asked.call.clone(), asked.tool, asked.started_ms);
        asked.state = State::Done(output.clone());
        if let Some(tool) = tool.filter(|_| !output.is_error)
            && !run.tools_used.contains(&tool.name)
        {
            run.tools_used.push(tool.name);
        }
        self.speak_tool_end(run, &call, tool, &output, (started_ms, ended_ms), fx);
        if !run.keep || run.turn.as_ref().is_some_and(|turn| turn.unkept) {
            return;
        }
        let mut message = json!({
            "role": "toolResult", "toolCallId": call.id, "toolName": call.name,
            "content": output.content_json(), "isError": output.is_error, "timestamp": ended_ms,
            "__openclaw": {"runId": run.id},
        });
        if let Some(details) = &output.details {
            message["details"] = details.clone();
        }
        // Those who follow the session heard of it by its `session.tool`: no `session.message`.
        let _ = self.append_message(&run.key, &run.id, &message);
    }

    /// All tools of a turn are done: the model hears of them, and of what was said meanwhile.
    pub(super) fn continue_run(&mut self, number: u64, fx: &mut Effects) {
        let Some(mut run) = self.runs.active.remove(&number) else { return };
        let Some(turn) = run.turn.take() else {
            self.runs.active.insert(number, run);
            return;
        };
        let mut new: Vec<Turn> = turn.calls.into_iter().filter_map(result).collect();
        new.extend(self.say_riders(&run, fx));
        let bytes: usize = new.iter().map(Turn::bytes).sum();
        run.asked += bytes + run.machine.as_ref().map_or(0, Run::answer_bytes);
        run.voice.next_turn();
        let dial = self.next_dial();
        let room = self.has_room_for(bytes);
        let circling = run.circling.take();
        self.drive(run, fx, |machine, now, fx, tell| {
            if let Some(why) = &circling {
                machine.give_up(why, fx, tell);
            } else if room {
                machine.go_on(now, dial, new, fx, tell);
            } else {
                machine.give_up(
                    "the gateway holds as much as it may (limit memory); try again later",
                    fx,
                    tell,
                );
            }
        });
    }

    /// A run ends while its tools work: they are let go, and each call has a result. True when
    /// that was so: the turn stands in the transcript already.
    pub(super) fn abandon_turn(&mut self, run: &mut Active, fx: &mut Effects) -> bool {
        let Some(turn) = &run.turn else { return false };
        let calls = turn.calls.len();
        let number = run.number;
        self.cancel_tools(|caller| matches!(caller, Caller::Run { run, .. } if *run == number), fx);
        for index in 0..calls {
            let working = run.turn.as_ref().and_then(|turn| turn.calls.get(index));
            let text = match working.map(|asked| &asked.state) {
                Some(State::Working) => {
                    "cancelled: the run ended while this tool worked; what it did so far stays done"
                }
                _ => "cancelled: the run ended before this tool began",
            };
            self.finish_call(run, index, Output::error(text), fx);
        }
        run.turn = None;
        true
    }

    /// Whether something waits to be said to this run.
    fn somebody_rides(&self, number: u64) -> bool {
        self.runs.active.values().any(|run| run.standing == super::queue::Standing::Rides(number))
    }
}

/// The call of a turn, for the registry of tools.
fn new_call(run: &Active, index: usize) -> Option<NewCall> {
    let asked = run.turn.as_ref()?.calls.get(index)?;
    Some(NewCall {
        caller: Caller::Run { run: run.number, index },
        tool: asked.tool?,
        id: asked.call.id.clone(),
        agent: run.agent.clone(),
        key: run.key.clone(),
        args: Args::parse(&asked.call.arguments).ok()?,
    })
}

fn result(asked: Asked) -> Option<Turn> {
    let State::Done(output) = asked.state else { return None };
    Some(Turn::ToolResult {
        call_id: asked.call.id,
        name: Some(asked.call.name),
        parts: output.content,
        is_error: output.is_error,
    })
}
