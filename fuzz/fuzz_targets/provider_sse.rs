//! A provider's stream, from the response's head to the deltas.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::sse::fuzz(data);
    openclaw_gateway::agent::provider::fuzz(data);
    openclaw_gateway::agent::call::fuzz(data);
});
