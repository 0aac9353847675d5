//! Lines of IRC.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::channels::irc::fuzz(data);
});
