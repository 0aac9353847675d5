// The official Node client: connects, runs one agent request and sees both of its responses and
// the events between them. Usage: gateway_client.mjs BASE_URL DIRECTORY_OF_NODE_MODULES
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [base, modules] = process.argv.slice(2);
const resolve = createRequire(path.resolve(modules, "package.json")).resolve;
const { GatewayClient } = await import(pathToFileURL(resolve("@openclaw/gateway-client")));

const deadline = setTimeout(() => { console.error("no end within 150 s"); process.exit(1); }, 150_000);
const events = [];
let ready, refused;
const connected = new Promise((yes, no) => { ready = yes; refused = no; });
const client = new GatewayClient({
  url: base.replace(/^http/, "ws"),
  token: process.env.OPENCLAW_GATEWAY_TOKEN,
  minProtocol: 4,
  maxProtocol: 4,
  scopes: ["operator.admin", "operator.read", "operator.write"],
  onHelloOk: ready,
  onConnectError: refused,
  onEvent: (event) => events.push(event),
  onGap: (gap) => { console.error("sequence gap", gap); process.exit(1); },
});
client.start();
const hello = await connected;
assert.equal(hello.protocol, 4);
console.log(`  connected: protocol ${hello.protocol}, server ${hello.server?.version}`);

let accepted;
const runId = randomUUID();
const final = await client.request(
  "agent",
  { message: "Say something about rivers.", agentId: "main", sessionKey: "agent:main:real", idempotencyKey: runId },
  { expectFinal: true, onAccepted: (payload) => { accepted = payload; } },
);
assert.equal(accepted?.status, "accepted", "the first response says accepted");
assert.equal(accepted.runId, runId);
assert.equal(final.status, "ok", JSON.stringify(final));
const text = (final.result?.payloads ?? []).map((payload) => payload.text ?? "").join("");
assert.match(text, /\S/, "the final response carries the answer");

const mine = events.filter((event) => event.payload?.runId === runId);
const agent = mine.filter((event) => event.event === "agent").map((event) => event.payload);
const chat = mine.filter((event) => event.event === "chat").map((event) => event.payload);
const phases = agent.filter((event) => event.stream === "lifecycle").map((event) => event.data?.phase);
assert.ok(phases.includes("start") && phases.includes("end"), `lifecycle ${phases}`);
assert.ok(agent.some((event) => event.stream === "assistant"), "assistant deltas");
assert.equal(chat.at(-1)?.state, "final", "the chat event of the end");
console.log(`  agent: accepted, ${agent.length} agent and ${chat.length} chat events, ok ${JSON.stringify(text.slice(0, 60))}`);

clearTimeout(deadline);
client.stop();
