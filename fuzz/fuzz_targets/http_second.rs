//! An HTTP request, by two readers that must agree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::http::second::fuzz(data);
});
