//! The first frame of a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::protocol::frame::fuzz(data);
    openclaw_gateway::gateway::fuzz_connect(data);
});
