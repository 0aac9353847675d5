//! A conversation that a provider takes: what a request adds to a kept one, and tool calls
//! with their results right behind them.
//!
//! Clients send either only what is new or all that was said; transcripts may lack the results
//! of tools that a client never sent, or have them behind a later message. Providers refuse a
//! call without result and a result without call.

use super::turn::{Part, Turn, result_message};
use serde_json::Value;
use std::collections::BTreeSet;

/// In place of a result that is nowhere.
const LOST: &str = "no result was recorded: this tool was cut short and may have taken effect";

fn calls(turn: &Turn) -> impl Iterator<Item = &str> {
    let parts = match turn {
        Turn::Assistant(parts) => parts.as_slice(),
        _ => &[],
    };
    parts.iter().filter_map(|part| match part {
        Part::ToolCall { id, .. } => Some(id.as_str()),
        _ => None,
    })
}

/// The turns of a request that a kept conversation does not have yet: those behind its last
/// answer. All of them when nothing is kept, or when one is the result of a call that is not
/// in what is kept.
pub fn new_turns(kept: &[Turn], mut request: Vec<Turn>) -> Vec<Turn> {
    let answered = request.iter().rposition(|turn| matches!(turn, Turn::Assistant(_)));
    let Some(answered) = answered.filter(|_| !kept.is_empty()) else { return request };
    let known: BTreeSet<&str> = kept.iter().flat_map(calls).collect();
    let foreign = request.iter().skip(answered).any(|turn| match turn {
        Turn::ToolResult { call_id, .. } => !known.contains(call_id.as_str()),
        _ => false,
    });
    if foreign { request } else { request.split_off(answered + 1) }
}

/// Results behind the last answer of a request, as transcript messages.
pub fn new_results(request: &[Turn], now_ms: u64) -> Vec<Value> {
    let answered = request.iter().rposition(|turn| matches!(turn, Turn::Assistant(_)));
    let new = request.iter().skip(answered.map_or(0, |at| at + 1));
    new.filter_map(|turn| result_message(turn, now_ms)).collect()
}

/// Puts each result right behind its call; a call without result gets one that says so, a
/// result without call is dropped.
pub fn mend(turns: Vec<Turn>) -> Vec<Turn> {
    let is_whole = turns.iter().all(|turn| !matches!(turn, Turn::ToolResult { .. }))
        && turns.iter().all(|turn| calls(turn).next().is_none());
    if is_whole {
        return turns;
    }
    let mut left: Vec<Option<Turn>> = turns.into_iter().map(Some).collect();
    let mut mended = Vec::with_capacity(left.len());
    for at in 0..left.len() {
        let Some(turn) = left.get_mut(at).and_then(Option::take) else { continue };
        if matches!(turn, Turn::ToolResult { .. }) {
            continue;
        }
        let wanted: Vec<(String, String)> = match &turn {
            Turn::Assistant(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::ToolCall { id, name, .. } => Some((id.clone(), name.clone())),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        mended.push(turn);
        for (id, name) in wanted {
            let found = left.iter_mut().skip(at).find(
                |turn| matches!(turn, Some(Turn::ToolResult { call_id, .. }) if *call_id == id),
            );
            mended.push(found.and_then(Option::take).unwrap_or_else(|| Turn::ToolResult {
                call_id: id,
                name: Some(name),
                parts: vec![Part::Text(LOST.to_owned())],
                is_error: true,
            }));
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str) -> Turn {
        let (kind, rest) = text.split_at(1);
        let parts = vec![Part::Text(rest.to_owned())];
        match kind {
            "u" => Turn::User(parts),
            "a" => Turn::Assistant(parts),
            "c" => Turn::Assistant(
                rest.chars()
                    .map(|id| Part::ToolCall {
                        id: id.to_string(),
                        name: "t".to_owned(),
                        arguments: "{}".to_owned(),
                    })
                    .collect(),
            ),
            _ => Turn::ToolResult {
                call_id: rest.to_owned(),
                name: None,
                parts: Vec::new(),
                is_error: false,
            },
        }
    }

    fn turns(text: &str) -> Vec<Turn> {
        text.split_whitespace().map(turn).collect()
    }

    fn shown(turns: &[Turn]) -> String {
        let one = |turn: &Turn| match turn {
            Turn::System(text) => format!("s{text}"),
            Turn::User(parts) => format!("u{}", super::super::turn::text_of_parts(parts)),
            Turn::Assistant(parts) => {
                let ids: String = calls(turn).collect();
                match ids.is_empty() {
                    true => format!("a{}", super::super::turn::text_of_parts(parts)),
                    false => format!("c{ids}"),
                }
            }
            Turn::ToolResult { call_id, is_error, .. } => {
                format!("{}{call_id}", if *is_error { "?" } else { "r" })
            }
        };
        turns.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_request_adds_what_is_new() {
        let table = [
            ("", "u1 a1 u2", "u1 a1 u2"),
            ("u1 a1", "u1 a1 u2", "u2"),
            ("u1 a1", "u2", "u2"),
            ("u1 cx", "rx", "rx"),
            ("u1 cx", "u1 cx rx u2", "rx u2"),
            ("u1 a1", "u1 cy ry", "u1 cy ry"),
        ];
        for (kept, request, want) in table {
            assert_eq!(shown(&new_turns(&turns(kept), turns(request))), want, "{kept} + {request}");
        }
    }

    #[test]
    fn calls_and_results_stand_together() {
        let table = [
            ("u1 a1 u2", "u1 a1 u2"),
            ("u1 cxy ry rx a2", "u1 cxy rx ry a2"),
            ("u1 cx u2 rx", "u1 cx rx u2"),
            ("u1 cx u2", "u1 cx ?x u2"),
            ("rx u1", "u1"),
            ("u1 cx rx cx rx rx u2", "u1 cx rx cx rx u2"),
        ];
        for (before, want) in table {
            assert_eq!(shown(&mend(turns(before))), want, "{before}");
        }
    }
}
