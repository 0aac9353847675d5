// @slack/socket-mode and @slack/web-api against the fake of Slack: acknowledges, answers,
// survives breaks, a warning, a refresh and a half-open socket, waits out 429, commands, files.
// Usage: node fake_slack.mjs MODULES CONTROL_URL API_URL
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { control } from './fake_control.mjs';

const [modules, controlUrl, root] = process.argv.slice(2);
const need = createRequire(`${modules}/node_modules/`);
const { SocketModeClient, LogLevel } = need('@slack/socket-mode');
const { WebClient } = need('@slack/web-api');
const { act, report, until } = control(controlUrl, 'slack');
const slackApiUrl = `${root}/api/`;
const heard = new Map();
const said = (text, seconds = 60) =>
  until(`"${text}" is posted`, (now) => now.posted.some((it) => it.text === text), seconds);

const web = new WebClient('xoxb-fake-slack-token', { slackApiUrl });
const client = new SocketModeClient({
  appToken: 'xapp-fake-slack-token',
  logLevel: LogLevel.ERROR,
  clientOptions: { slackApiUrl },
});
client.on('message', async ({ event, body, ack }) => {
  await ack();
  if (heard.has(body.event_id)) return; // an event may come twice
  heard.set(body.event_id, event.text);
  if (event.files) {
    const bytes = await (await fetch(event.files[0].url_private, {
      headers: { Authorization: 'Bearer xoxb-fake-slack-token' } })).text();
    await web.filesUploadV2({ channel_id: event.channel, filename: 'back.txt', content: bytes, initial_comment: bytes });
    return;
  }
  await web.reactions.add({ channel: event.channel, timestamp: event.ts, name: 'eyes' });
  const answer = await web.chat.postMessage({
    channel: event.channel, text: `re: ${event.text}`, thread_ts: event.thread_ts ?? event.ts });
  await web.chat.update({ channel: event.channel, ts: answer.ts, text: `edited: ${event.text}` });
});
client.on('slash_commands', async ({ body, ack }) => {
  await ack({ text: `did ${body.command}` });
  await fetch(body.response_url, { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text: `later ${body.command}` }) });
});
client.on('interactive', async ({ body, ack }) => {
  await ack();
  await web.views.open({ trigger_id: body.trigger_id, view: { type: 'modal', title: { type: 'plain_text', text: 'x' }, blocks: [] } });
  await web.chat.postMessage({ channel: body.channel.id, text: `pressed ${body.actions[0].value}` });
});
client.on('error', () => {});
await client.start();
assert.equal((await web.auth.test()).user_id, 'UFAKEBOT');

await act({ act: 'message', channel: 'C1', text: 'one' });
await said('edited: one');
const live = () => until('a socket stands', (now) => now.sockets >= 1, 60);
await act({ act: 'drop', of: 'socket' });
await act({ act: 'message', channel: 'C1', text: 'two' });
await said('edited: two');
await live();
await act({ act: 'refresh' });
await act({ act: 'message', channel: 'D1', text: 'three' });
await said('edited: three');
await live();
await act({ act: 'warn' });
await act({ act: 'message', channel: 'D1', text: 'four' });
await said('edited: four');
await live();
await act({ act: 'halfOpen', of: 'socket' });
await act({ act: 'message', channel: 'D2', text: 'five' });
// Slack sends it again at once, to the same socket, and then after a minute.
await said('edited: five', 120);
await act({ act: 'again', count: 1 });

await act({ act: 'slash', command: '/ask', text: 'x', channel: 'D1' });
await said('later /ask');
await act({ act: 'press', action: 'a', value: 'go', channel: 'D1' });
await said('pressed go');
await act({ act: 'message', channel: 'D3', text: 'a file', file: 'the content' });
await said('the content');
await act({ act: 'trouble', path: 'chat.postMessage', woe: 'tooMany', seconds: 2 });
await web.chat.postMessage({ channel: 'D3', text: 'after 429' });
await assert.rejects(web.chat.postMessage({ channel: 'C404', text: 'x' }), /channel_not_found/);
await until('all is delivered', (now) => now.waiting === 0);

const end = await report();
assert.deepEqual(end.broken, []);
assert.deepEqual([...heard.values()], ['one', 'two', 'three', 'four', 'five', 'a file']);
assert.equal(end.posted.filter((it) => it.text === 'after 429').length, 1);
await client.disconnect();
console.log(`@slack: ${end.requests} requests, ${end.posted.length} posted, no rule broken`);
process.exit(0);
