// Slack of npm emulate as the platform of a running gateway. Arguments: node_modules' parent, port.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import assert from "node:assert/strict";

const [home, port] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}`;
const gateway = `http://127.0.0.1:${process.env.OPENCLAW_GATEWAY_PORT}`;

// The package has no way to say where events go: that is asked of its parts, as they are made.
const dist = `${home}/node_modules/emulate/dist`;
const part = readdirSync(dist).find((name) => /^dist-.*\.js$/.test(name)
  && readFileSync(`${dist}/${name}`, "utf8").includes("slackPlugin"));
const { slackPlugin } = await import(pathToFileURL(`${dist}/${part}`));
const { createEmulator } = await import(pathToFileURL(`${dist}/api.js`));
let webhooks;
const register = slackPlugin.register;
slackPlugin.register = (app, store, dispatcher, ...rest) => {
  webhooks = dispatcher;
  return register.call(slackPlugin, app, store, dispatcher, ...rest);
};
const emulator = await createEmulator({
  service: "slack",
  port: Number(port),
  seed: {
    slack: {
      signing_secret: "emulated-secret",
      users: [{ name: "al", email: "al@example.com" }, { name: "claw", email: "claw@example.com" }],
      channels: [{ name: "talk" }],
      tokens: [
        { token: "xoxb-emulated", user: "claw", type: "bot" },
        { token: "xoxp-al", user: "al", type: "user" },
      ],
    },
  },
});

const call = async (method, params, token = "xoxp-al") => {
  const answer = await fetch(`${base}/api/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(params ?? {}),
  });
  const done = await answer.json();
  assert.ok(done.ok, `${method}: ${JSON.stringify(done)}`);
  return done;
};
const cli = async (...words) => {
  const done = await promisify(execFile)(process.env.BINARY, words, { timeout: 60_000 });
  return done.stdout;
};
const act = (action, params) => cli("gateway", "call", "message.action", "--params",
  JSON.stringify({ channel: "slack", action, params, idempotencyKey: `${action}-1` }));
const until = async (what, holds, seconds = 60) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

try {
  const bot = await call("auth.test", {}, "xoxb-emulated");
  const room = (await call("conversations.list")).channels.find((it) => it.name === "talk").id;
  await call("conversations.join", { channel: room });
  await call("conversations.join", { channel: room }, "xoxb-emulated");
  await until("the gateway listens", async () =>
    (await fetch(`${gateway}/slack/events`, { method: "POST", body: "{}" })).status === 401);
  webhooks.register({
    url: `${gateway}/slack/events`, events: ["*"], active: true, owner: "slack",
  });
  const history = async () =>
    (await call("conversations.history", { channel: room })).messages.concat(
      ...await Promise.all((await call("conversations.history", { channel: room })).messages
        .filter((it) => it.reply_count)
        .map(async (it) => (await call("conversations.replies", { channel: room, ts: it.ts }))
          .messages.slice(1))));
  const own = async () => (await history()).filter((it) => it.user === bot.user_id);
  const answer = (word) => until(`an answer to ${word}`, async () =>
    (await own()).find((it) => it.text.includes(word)));

  await call("chat.postMessage", { channel: room, text: "nobody asked the bot" });
  for (const word of ["first-word", "second-word"]) {
    await call("chat.postMessage", { channel: room, text: `<@${bot.user_id}> ${word}` });
    await answer(word);
  }
  const said = (await own()).map((it) => it.text);
  // What nobody asked for is heard, as context, and not answered.
  assert.equal(said.length, 2, said.join("\n"));
  for (const word of ["first-word", "second-word"]) {
    assert.equal(said.filter((text) => text.includes(word)).length, 1, `${word}: ${said}`);
  }

  await cli("message", "send", "--channel", "slack", "--target", `channel:${room}`,
    "--message", "sent by hand");
  const sent = await answer("sent by hand");
  await act("edit", { target: `channel:${room}`, messageId: sent.ts, message: "edited by hand" });
  await answer("edited by hand");
  await act("react", { target: `channel:${room}`, messageId: sent.ts, emoji: "eyes" });
  await until("the reaction", async () =>
    (await own()).find((it) => it.reactions?.some((one) => one.name === "eyes")));
  assert.match(await cli("channels", "status", "--probe"), /Slack[^]*works/);
} finally {
  await emulator.close();
}
console.log("emulate: mentions answered once, an edit, a reaction, signed events");
