//! Encodings, log escaping, JSON strings.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::hash::fuzz(data);
    openclaw_gateway::wire::text::fuzz(data);
});
