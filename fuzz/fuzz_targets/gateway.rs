//! The whole gateway on fake sockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::gateway::fuzz(data);
});
