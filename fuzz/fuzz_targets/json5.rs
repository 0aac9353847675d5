//! A configuration document.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::json5::fuzz(data);
    openclaw_gateway::config::load::fuzz(data);
});
