//! Networks of addresses, as an operator writes them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::cidr::fuzz(data);
});
