//! An HTTP response of a provider, whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::http::client::fuzz(data);
});
