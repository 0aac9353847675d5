//! A URL, and host and port.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::url::fuzz(data);
});
