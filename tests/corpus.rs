//! Every input that was ever worth keeping, through the functions that `fuzz/` calls, as an
//! ordinary test: seeds by hand, what the fuzzer found to reach new code, and every crash.

use openclaw_gateway::{agent, api, channels, config, gateway, protocol, sessions, wire};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A function that takes any bytes, and its path.
type Function = (&'static str, fn(&[u8]));

/// A fuzz target: its name and the functions it calls.
struct Target {
    name: &'static str,
    functions: &'static [Function],
}

/// Names each function once, for the call and for the comparison with the target's source.
macro_rules! target {
    ($name:literal: $($function:path),+) => {
        Target { name: $name, functions: &[$((stringify!($function), $function)),+] }
    };
}

const TARGETS: [Target; 27] = [
    target!("certificate": wire::der::fuzz),
    target!("chunked_body": wire::http::body::fuzz),
    target!("cidr": wire::cidr::fuzz),
    target!("schedule": gateway::fuzz_cron),
    target!("documents": gateway::fuzz_documents),
    target!("connect_request": protocol::frame::fuzz, gateway::fuzz_connect),
    target!("gateway": gateway::fuzz),
    target!("hash_text": wire::hash::fuzz, wire::text::fuzz),
    target!("hook_request": api::hooks::fuzz),
    target!("irc_line": channels::irc::fuzz),
    target!("channel_text": channels::text::fuzz, channels::draft::fuzz),
    target!("channel_events": channels::fuzz::fuzz),
    target!("http_request": wire::http::server::fuzz),
    target!("http_second": wire::http::second::fuzz),
    target!("http_response": wire::http::client::fuzz),
    target!("openai_request": api::openai::responses::fuzz, api::openai::embeddings::fuzz),
    target!("json5": wire::json5::fuzz, config::load::fuzz),
    target!(
        "provider_sse": wire::sse::fuzz, agent::provider::fuzz,
        agent::call::fuzz
    ),
    target!("tool_edits": agent::tools::patch::fuzz, agent::tools::edit::fuzz),
    target!("tool_patterns": agent::tools::regex::fuzz, agent::tools::glob::fuzz),
    target!("secrets_reply": config::secrets::reply::fuzz),
    target!("transcript": sessions::transcript::fuzz),
    target!("url": wire::url::fuzz),
    target!("exec_shell": agent::exec::shell::fuzz),
    target!("html": wire::html::fuzz),
    target!("media": wire::sniff::fuzz, channels::enclosed::fuzz),
    target!("ws_frames": wire::ws::fuzz),
];

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a directory, without their extension.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries
        .map(|entry| entry.expect("readable").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn every_target_has_a_row_a_corpus_and_a_binary() {
    let rows: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(rows, names(&fuzz_dir().join("fuzz_targets")), "rows here, targets there");
    assert_eq!(rows, names(&fuzz_dir().join("corpus")), "rows here, corpora there");
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for target in TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path} in fuzz/Cargo.toml");
        let source = fs::read_to_string(fuzz_dir().join(path)).expect("a target");
        for (function, _) in target.functions {
            assert!(source.contains(&format!("openclaw_gateway::{function}(data)")), "{function}");
        }
        assert_eq!(source.matches("(data)").count(), target.functions.len(), "{}", target.name);
    }
}

#[test]
fn every_kept_input_passes() {
    for target in TARGETS {
        let dir = fuzz_dir().join("corpus").join(target.name);
        let mut inputs = 0;
        for entry in fs::read_dir(&dir).expect("a corpus") {
            let path = entry.expect("readable").path();
            let data = fs::read(&path).expect("an input");
            for (name, function) in target.functions {
                let outcome = std::panic::catch_unwind(|| function(&data));
                assert!(outcome.is_ok(), "{name} on {}; its panic is above", path.display());
            }
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", dir.display());
    }
}

/// The two readers of requests agree on what the other one's corpus found, too.
#[test]
fn two_readers_agree_on_every_kept_request() {
    let mut seen = 0;
    for entry in fs::read_dir(fuzz_dir().join("corpus/http_request")).expect("a corpus") {
        let bytes = fs::read(entry.expect("readable").path()).expect("readable");
        wire::http::second::fuzz(&bytes);
        seen += 1;
    }
    assert!(seen > 200, "{seen}");
}
