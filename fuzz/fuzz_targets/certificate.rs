//! What is read of a certificate in DER.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::der::fuzz(data);
});
