//! What lies in the state directory, damaged in any way.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::gateway::fuzz_documents(data);
});
