//! What a secrets program answers, and a JSON pointer into a file of secrets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::config::secrets::reply::fuzz(data);
});
