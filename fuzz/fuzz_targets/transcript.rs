//! A transcript file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::sessions::transcript::fuzz(data);
});
