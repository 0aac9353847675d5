//! What services say to channels.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::channels::fuzz::fuzz(data);
});
