//! A patch or edits as a model writes them, and a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::agent::tools::patch::fuzz(data);
    openclaw_gateway::agent::tools::edit::fuzz(data);
});
