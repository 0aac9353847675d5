//! Markdown in every style and size of pieces, and in blocks while it is written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::channels::text::fuzz(data);
    openclaw_gateway::channels::draft::fuzz(data);
});
