//! Every dialect: recorded streams cut at every byte, and the binary against scripted servers.

mod common;

use openclaw_gateway::agent::call::{Call, CallEvent};
use openclaw_gateway::agent::provider::{Delta, Dialect};
use openclaw_gateway::agent::turn::thinking_content;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const WALL_MS: u64 = 1_795_008_000_000;

fn recordings() -> Vec<(Dialect, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/providers");
    let mut all = Vec::new();
    for dialect in Dialect::ALL {
        // Azure speaks as its model does.
        if dialect == Dialect::AzureOpenAiResponses {
            continue;
        }
        let entries = fs::read_dir(root.join(dialect.as_str())).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "sse"));
        files.sort();
        assert!(files.len() >= 3, "{}: {} recordings", dialect.as_str(), files.len());
        all.extend(files.into_iter().map(|path| (dialect, path)));
    }
    all
}

fn answer(dialect: Dialect, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<CallEvent> {
    let mut events = Vec::new();
    let mut call = Call::new(dialect.reader(), Vec::new());
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    call.push(head, WALL_MS, &mut |event| events.push(event));
    for piece in pieces {
        call.push(piece, WALL_MS, &mut |event| events.push(event));
    }
    call.eof(&mut |event| events.push(event));
    events
}

/// What a run keeps of the deltas.
fn summary(events: &[CallEvent]) -> Value {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut calls: Vec<[String; 3]> = Vec::new();
    let mut rest = json!({"thoughts": []});
    for event in events {
        match event {
            CallEvent::Delta(Delta::Text(piece)) => text.push_str(piece),
            CallEvent::Delta(Delta::Reasoning(piece)) => reasoning.push_str(piece),
            CallEvent::Delta(Delta::Thought(thought)) => {
                rest["thoughts"].as_array_mut().unwrap().push(thinking_content(thought));
            }
            CallEvent::Delta(Delta::ToolCall { index, id, name, arguments }) => {
                let index = usize::try_from(*index).unwrap();
                calls.resize_with(calls.len().max(index + 1), Default::default);
                let pieces = [id.as_deref(), name.as_deref(), Some(arguments.as_str())];
                for (whole, piece) in calls[index].iter_mut().zip(pieces) {
                    whole.push_str(piece.unwrap_or_default());
                }
            }
            CallEvent::Delta(Delta::Usage(usage)) => {
                let counts =
                    [usage.input, usage.output, usage.total, usage.cache_read, usage.cache_write];
                rest["usage"] = json!(counts);
            }
            CallEvent::Delta(Delta::ResponseId(id)) => rest["id"] = json!(id),
            CallEvent::Delta(Delta::Finish(reason)) => rest["stop"] = json!(reason.as_str()),
            CallEvent::Done => rest["done"] = json!(true),
            CallEvent::Failed(error) => rest["failed"] = json!(error.message),
        }
    }
    rest["text"] = json!(text);
    rest["reasoning"] = json!(reasoning);
    rest["calls"] = json!(calls);
    rest
}

#[test]
fn recorded_streams_read_as_written_down() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        let got = summary(&answer(dialect, &mut std::iter::once(bytes.as_slice())));
        let beside = path.with_extension("json");
        let want = fs::read_to_string(&beside).unwrap_or_default();
        let want: Value = serde_json::from_str(&want).unwrap_or_default();
        assert_eq!(got, want, "{}: {got:#}", beside.display());
    }
}

#[test]
fn recorded_streams_read_the_same_split_at_every_byte() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        let want = answer(dialect, &mut std::iter::once(bytes.as_slice()));
        assert_eq!(want.last(), Some(&CallEvent::Done), "{}", path.display());
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            let got = answer(dialect, &mut [a, b].into_iter());
            assert_eq!(got, want, "{} cut at {cut}", path.display());
        }
        let got = answer(dialect, &mut bytes.chunks(1));
        assert_eq!(got, want, "{} in single bytes", path.display());
    }
}

#[test]
fn recorded_streams_cut_short_end_in_one_way() {
    for (dialect, path) in recordings() {
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            let got = answer(dialect, &mut std::iter::once(&bytes[..cut]));
            let ends = got.iter().filter(|event| !matches!(event, CallEvent::Delta(_))).count();
            assert_eq!(ends, 1, "{} cut at {cut}", path.display());
            let finished = got.iter().any(|e| matches!(e, CallEvent::Delta(Delta::Finish(_))));
            let done = got.last() == Some(&CallEvent::Done);
            assert!(done <= finished, "{} cut at {cut}: done without a reason", path.display());
        }
    }
}
