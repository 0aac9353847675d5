//! A shell command cut into simple commands, and a glob.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::agent::exec::shell::fuzz(data);
});
