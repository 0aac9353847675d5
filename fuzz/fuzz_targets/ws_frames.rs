//! WebSocket frames into the gateway's decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::ws::fuzz(data);
});
