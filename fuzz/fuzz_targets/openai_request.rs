//! Bodies of the OpenAI doors: chat completions, responses, embeddings.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    openclaw_gateway::api::openai::responses::fuzz(data);
    openclaw_gateway::api::openai::embeddings::fuzz(data);
});
