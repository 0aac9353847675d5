//! Requests of hooks: fixed paths, mappings, templates.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::api::hooks::fuzz(data);
});
