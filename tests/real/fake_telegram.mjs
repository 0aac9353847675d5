// grammY against the fake of Telegram: polls, answers, survives breaks, 409, 429, presses,
// files, a webhook. Usage: node fake_telegram.mjs MODULES CONTROL_URL API_URL
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import assert from 'node:assert/strict';
import { control } from './fake_control.mjs';

const [modules, controlUrl, apiRoot] = process.argv.slice(2);
const { Bot, InlineKeyboard, InputFile, webhookCallback } =
  createRequire(`${modules}/node_modules/`)('grammy');
const { act, report, until } = control(controlUrl, 'telegram');
const token = '42:fake-telegram-token';
const heard = [];

function makeBot() {
  const bot = new Bot(token, { client: { apiRoot } });
  bot.command('start', (ctx) => ctx.reply('<b>welcome</b> &amp; hello', { parse_mode: 'HTML' }));
  bot.on('message:text', async (ctx) => {
    heard.push(ctx.message.text);
    await ctx.replyWithChatAction('typing');
    await ctx.react('👀');
    await ctx.reply(`re: ${ctx.message.text}`, {
      reply_parameters: { message_id: ctx.message.message_id },
      reply_markup: new InlineKeyboard().text('more', 'go'),
    });
  });
  bot.on('message:document', async (ctx) => {
    const file = await ctx.getFile();
    const bytes = await (await fetch(`${apiRoot}/file/bot${token}/${file.file_path}`)).text();
    await ctx.replyWithPhoto(new InputFile(Buffer.from(bytes), 'p.png'), { caption: bytes });
  });
  bot.on('callback_query:data', async (ctx) => {
    await ctx.answerCallbackQuery({ text: 'going' });
    await ctx.editMessageText(`pressed ${ctx.callbackQuery.data}`);
  });
  bot.catch((error) => { throw error.error; });
  return bot;
}

const said = (text) => until(`"${text}" is posted`, (now) => now.posted.some((it) => it.text === text));

const bot = makeBot();
await bot.api.setMyCommands([{ command: 'start', description: 'says hello' }]);
const polling = bot.start({ drop_pending_updates: false });
await until('the poll is held', (now) => now.polled);
await act({ act: 'message', chat: 7, text: '/start' });
await said('welcome & hello');
await act({ act: 'message', chat: 7, text: 'one' });
await said('re: one');

// Breaks: under the poll, in the middle of an answer, a 502.
await act({ act: 'drop', of: 'poll' });
await act({ act: 'message', chat: 7, text: 'two' });
await said('re: two');
await act({ act: 'trouble', path: 'getUpdates', woe: 'fails', status: 502 });
await act({ act: 'message', chat: 8, text: 'three' });
await said('re: three');

// In a group, in a topic; a press on the button; a file both ways.
await act({ act: 'message', chat: -100, text: 'four', from: 9, topic: 5 });
await said('re: four');
const answer = (await report()).posted.find((it) => it.text === 're: four');
await act({ act: 'press', chat: -100, from: 9, message: Number(answer.id), data: 'go' });
await said('pressed go');
await act({ act: 'message', chat: 8, document: 'the content', file: 'a.txt' });
await said('the content');

// What is refused is refused in Telegram's words.
await assert.rejects(bot.api.sendMessage(8, 'x'.repeat(4097)), /400: Bad Request: message is too long/);
await assert.rejects(bot.api.sendMessage(8, '<b>x', { parse_mode: 'HTML' }), /can't parse entities/);
await assert.rejects(bot.api.sendMessage(99, 'x'), /chat not found/);
await act({ act: 'trouble', path: 'sendMessage', woe: 'tooMany', seconds: 3 });
await assert.rejects(bot.api.sendMessage(8, 'x'), (error) => error.parameters.retry_after === 3);

// A second poller ends the first, which grammY takes as its end.
await bot.stop();
await polling;
assert.deepEqual((await report()).broken, []);

// Webhook mode: the same bot behind a server of its own.
const hooked = makeBot();
const handler = webhookCallback(hooked, 'http', { secretToken: 's3cret' });
const server = createServer((request, response) => handler(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}/hook`;
await bot.api.setWebhook(url, { secret_token: 's3cret', allowed_updates: ['message'] });
await act({ act: 'message', chat: 11, text: 'five' });
await said('re: five');
await assert.rejects(bot.api.getUpdates(), /409: Conflict: can't use getUpdates/);
await until('all is delivered', (now) => now.waiting === 0);
assert.equal((await bot.api.getWebhookInfo()).pending_update_count, 0);
await bot.api.deleteWebhook();
server.closeAllConnections();
server.close();

const end = await report();
assert.deepEqual(end.broken, []);
assert.deepEqual(heard, ['one', 'two', 'three', 'four', 'five']);

// The rule is enforced: two pollers.
const rivals = [makeBot(), makeBot()].map((rival) =>
  rival.api.raw.getUpdates({ timeout: 20 }, AbortSignal.timeout(8000)).catch((error) => error));
assert.match(String(await Promise.race(rivals)), /terminated by other getUpdates request/);
await until('the broken rule is written down', (now) => now.broken.some((it) => it.includes('two polls')));
console.log(`grammY: ${end.requests} requests, ${end.posted.length} posted, no rule broken`);
process.exit(0);
