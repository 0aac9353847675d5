//! What a file is by its bytes and name, and which files an answer names.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::sniff::fuzz(data);
    openclaw_gateway::channels::enclosed::fuzz(data);
});
