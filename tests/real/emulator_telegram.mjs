// npm telegram-test-api as the Bot API of a running gateway. Arguments: node_modules' parent, port.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import assert from "node:assert/strict";

const [home, port] = process.argv.slice(2);
const TelegramServer = createRequire(`${home}/package.json`)("telegram-test-api").default
  ?? createRequire(`${home}/package.json`)("telegram-test-api");
const token = "42:emulated-token";
const server = new TelegramServer({ port: Number(port), host: "127.0.0.1", storeTimeout: 600 });
const asked = [];
const cli = async (...words) => {
  const done = await promisify(execFile)(process.env.BINARY, words, { timeout: 60_000 });
  return done.stdout;
};
const act = (action, params) => cli("gateway", "call", "message.action", "--params",
  JSON.stringify({ channel: "telegram", action, params, idempotencyKey: `${action}-1` }));
const until = async (what, holds, seconds = 60) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() < end, `never: ${what}; asked: ${JSON.stringify(asked.slice(-12))}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

await server.start();
// What the gateway asks, in order.
server.server.on("request", (request) => asked.push(request.url.split("/").pop()));
try {
  const client = server.getClient(token, { userId: 7, chatId: 7, timeout: 60_000 });
  const said = () => server.getUpdatesHistory(token).filter((it) => it.message?.chat_id);
  const answer = (word) =>
    until(`an answer to ${word}`, () => said().find((it) => it.message.text?.includes(word)));

  await client.sendMessage(client.makeMessage("hello from an emulator"));
  await answer("hello from an emulator");
  await client.sendCommand(client.makeCommand("/whoami"));
  await answer("telegram");
  await client.sendCallback(client.makeCallbackQuery("pressed-button-word"));
  await answer("pressed-button-word");
  await until("the button stops spinning", () => asked.includes("answerCallbackQuery"));

  // Many at once come back in their order, each once.
  const words = Array.from({ length: 5 }, (_, at) => `burst-${at}-end`);
  for (const word of words) await client.sendMessage(client.makeMessage(word));
  for (const word of words) await answer(word);
  const all = said().map((it) => it.message.text).join("\n");
  for (const word of ["hello from an emulator", ...words]) {
    assert.equal(all.split(word).length - 1, 1, `${word} is answered once: ${all}`);
  }

  // By the command line: a message, and its edit.
  const sent = JSON.parse(await cli("message", "send", "--channel", "telegram", "--target", "7",
    "--message", "sent by hand", "--json"));
  const bot = await answer("sent by hand");
  const id = String(bot.messageId);
  assert.ok(JSON.stringify(sent).includes(id), `${JSON.stringify(sent)} names message ${id}`);
  await act("edit", { target: "7", messageId: id, message: "edited by hand" });
  await until("the edit", () =>
    said().find((it) => String(it.messageId) === id && it.message.text.includes("edited by hand")));

  // This server does not hold a poll: it must not be asked in a circle.
  const before = asked.filter((method) => method.startsWith("getUpdates")).length;
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const polls = asked.filter((method) => method.startsWith("getUpdates")).length - before;
  assert.ok(polls >= 1 && polls <= 5, `${polls} polls in three seconds`);
  assert.match(await cli("channels", "status", "--probe"), /Telegram[^]*works/);
} finally {
  await server.stop();
}
console.log("telegram-test-api: a conversation, a command, a button, an edit");
