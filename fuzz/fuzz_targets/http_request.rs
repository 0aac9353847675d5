//! An HTTP request, whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::http::server::fuzz(data);
});
