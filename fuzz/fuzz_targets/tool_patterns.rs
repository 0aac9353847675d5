//! A pattern as a model writes it, and a text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::agent::tools::regex::fuzz(data);
    openclaw_gateway::agent::tools::glob::fuzz(data);
});
