//! A page, read as Markdown and as text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::wire::html::fuzz(data);
});
