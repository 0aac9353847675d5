// OpenAI's own Node client against the gateway: completions, streams, responses, tools, embeddings.
// Usage: openai_client.mjs BASE_URL DIRECTORY_OF_NODE_MODULES; the secret: OPENCLAW_GATEWAY_TOKEN.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [base, modules] = process.argv.slice(2);
const resolve = createRequire(path.resolve(modules, "package.json")).resolve;
const loaded = await import(pathToFileURL(resolve("openai")));
const OpenAI = loaded.OpenAI ?? loaded.default?.OpenAI ?? loaded.default;
const client = new OpenAI({
  baseURL: `${base}/v1`, apiKey: process.env.OPENCLAW_GATEWAY_TOKEN, maxRetries: 0, timeout: 120_000,
});
const messages = [{ role: "user", content: "Tell me one sentence about rivers." }];
const script = { headers: { "x-openclaw-model": "scripted/script" } };

const ids = [];
for await (const model of client.models.list()) ids.push(model.id);
assert.ok(ids.includes("openclaw/default"), String(ids));

const whole = await client.chat.completions.create({ model: "openclaw", messages });
assert.ok(whole.choices[0].message.content.trim());
let streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "openclaw", messages, stream: true }))
  streamed += chunk.choices[0]?.delta?.content ?? "";
assert.ok(streamed.trim());
console.log("  completions:", JSON.stringify(streamed.slice(0, 60)));

const response = await client.responses.create({ model: "openclaw", input: messages[0].content });
// The tiny model may run out of tokens.
assert.match(response.status, /^(in)?complete/);
const kinds = [];
for await (const event of await client.responses.create({ model: "openclaw", input: "hi", stream: true }))
  kinds.push(event.type);
assert.match(kinds.at(-1), /^response\.(in)?complete/, String(kinds));
console.log("  responses:", kinds.length, "events");

const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const said = [{ role: "user", content: "What is the weather?" }];
const asked = await client.chat.completions.create({ model: "openclaw", messages: said, tools }, script);
const [call] = asked.choices[0].message.tool_calls;
assert.equal(call.function.name, "get_weather");
said.push(asked.choices[0].message, { role: "tool", tool_call_id: call.id, content: "fog" });
const told = await client.chat.completions.create({ model: "openclaw", messages: said }, script);
assert.match(told.choices[0].message.content, /fog/);
console.log("  the caller's tool:", told.choices[0].message.content);

const vectors = await client.embeddings.create({ model: "openclaw", input: ["sea", "river"] });
assert.equal(vectors.data.length, 2);
assert.ok(vectors.data[0].embedding.length > 100);
console.log("  embeddings:", vectors.data.length, "of", vectors.data[0].embedding.length);
