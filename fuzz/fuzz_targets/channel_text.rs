//! Markdown in every style and size of pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::channels::text::fuzz(data);
});
