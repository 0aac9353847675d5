//! Cron expressions as an operator writes them, and tables of time zones from the machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::gateway::fuzz_cron(data);
});
