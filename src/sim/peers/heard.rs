//! What one client heard of one run, held against the rules of FACTS.md section 5.

use crate::sim::check::{Checks, Invariant};
use serde_json::Value;
use std::collections::BTreeMap;

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Heard {
    /// The text the deltas add up to.
    text: String,
    /// A terminal chat event came.
    pub ended: bool,
    aborted: bool,
    seq: u64,
    /// It was heard from the beginning, or caught up with by a delta.
    synced: bool,
    /// It was heard from the beginning.
    whole: bool,
    /// Tool calls by stream and id: whether they are over.
    tools: BTreeMap<(String, String), bool>,
}

impl Heard {
    /// A `chat` or `agent` event of the run.
    pub fn event(&mut self, name: usize, protocol: u64, frame: &Value, checks: &mut Checks) {
        let payload = &frame["payload"];
        let run = payload["runId"].as_str().unwrap_or_default();
        let seq = payload["seq"].as_u64().unwrap_or(0);
        checks.require(seq >= self.seq, Invariant::Sequence, || {
            format!("client {name}: {run} goes back from {} to {seq}", self.seq)
        });
        self.whole |= self.seq == 0 && seq == 1;
        self.synced |= self.whole;
        self.seq = seq;
        if frame["event"] == "agent" {
            self.tool(name, payload, checks);
            let trailing = self.aborted && payload["stream"] == "lifecycle";
            return checks.require(!self.ended || trailing, Invariant::OneEnd, || {
                format!("client {name}: after the end of {run}: {payload}")
            });
        }
        checks.require(!self.ended, Invariant::OneEnd, || {
            format!("client {name}: a chat event after the end of {run}: {payload}")
        });
        let whole = payload["message"]["content"][0]["text"].as_str();
        match payload["state"].as_str() {
            Some("status") => checks.require(protocol >= 4, Invariant::WellServed, || {
                format!("client {name}: protocol 3 was sent a status: {payload}")
            }),
            Some("delta") => {
                let whole = whole.unwrap_or_default();
                if protocol >= 4 && self.synced {
                    if payload["replace"] == true {
                        self.text.clear();
                    }
                    self.text.push_str(payload["deltaText"].as_str().unwrap_or_default());
                    checks.require(self.text == whole, Invariant::OneEnd, || {
                        format!("client {name}: deltas of {run} say {:?}, not {whole:?}", self.text)
                    });
                } else {
                    whole.clone_into(&mut self.text);
                    self.synced = true;
                }
            }
            Some("final") => {
                self.ended = true;
                let whole = whole.unwrap_or_default();
                let same = !self.synced || self.text == whole;
                checks.require(same, Invariant::OneEnd, || {
                    format!("client {name}: {run} ends as {whole:?} after {:?}", self.text)
                });
                // Whether it answers this run, the transcript will tell.
                if let Some(message) = checks.messages.get_mut(run) {
                    message.ended.get_or_insert_with(|| whole.to_owned());
                }
            }
            Some("aborted") => {
                self.ended = true;
                self.aborted = true;
            }
            Some("error") => {
                self.ended = true;
                checks.require(
                    checks.provider_trouble || checks.disk_trouble,
                    Invariant::WellServed,
                    || format!("client {name}: {run} failed for no reason: {payload}"),
                );
            }
            _ => checks.fail(Invariant::WellServed, || {
                format!("client {name}: an unknown state: {payload}")
            }),
        }
        checks.ends += u64::from(self.ended);
        let open = self.tools.iter().find(|(_, over)| self.ended && !**over);
        checks.require(open.is_none(), Invariant::ToolsOnce, || {
            format!("client {name}: {run} ended, and {open:?} did not: {payload}")
        });
    }

    /// An event of a tool call: `tool` has start and result, `item` start and end.
    fn tool(&mut self, name: usize, payload: &Value, checks: &mut Checks) {
        let data = &payload["data"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = (text(&payload["stream"]), text(&data["toolCallId"]));
        if !matches!(id.0.as_str(), "tool" | "item") {
            return;
        }
        let fine = match data["phase"].as_str() {
            Some("start") => self.tools.insert(id, false).is_none(),
            Some("result" | "end") => match self.tools.insert(id, true) {
                Some(over) => !over,
                None => !self.whole,
            },
            _ => true,
        };
        checks.require(fine, Invariant::ToolsOnce, || {
            format!("client {name}: a tool begins or ends out of turn: {payload}")
        });
    }
}
