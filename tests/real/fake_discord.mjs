// discord.js against the fake of Discord: identifies, answers, resumes after breaks, operation 7
// and 9 and an unanswered heartbeat, waits out 429, slash commands, threads, files.
// Usage: node fake_discord.mjs MODULES CONTROL_URL API_URL
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { control } from './fake_control.mjs';

const [modules, controlUrl, root] = process.argv.slice(2);
const { Client, GatewayIntentBits, Partials, SlashCommandBuilder, AttachmentBuilder } =
  createRequire(`${modules}/node_modules/`)('discord.js');
const { act, report, until } = control(controlUrl, 'discord');
const heard = [];
const said = (text) => until(`"${text}" is posted`, (now) => now.posted.some((it) => it.text === text), 60);

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.DirectMessages,
    GatewayIntentBits.MessageContent],
  partials: [Partials.Channel, Partials.Message],
  rest: { api: `${root}/api` },
});
client.on('error', (error) => { throw error; });
client.on('messageCreate', async (message) => {
  if (message.author.bot) return;
  heard.push(message.content);
  if (message.attachments.size > 0) {
    const text = await (await fetch(message.attachments.first().url)).text();
    const file = new AttachmentBuilder(Buffer.from(text), { name: 'back.txt' });
    return message.channel.send({ content: text, files: [file] });
  }
  await message.channel.sendTyping();
  await message.react('👀');
  const answer = await message.reply(`re: ${message.content}`);
  await answer.edit(`edited: ${message.content}`);
});
client.on('interactionCreate', async (interaction) => {
  await interaction.deferReply();
  await interaction.editReply(`did ${interaction.commandName}`);
});
const ready = new Promise((resolve) => client.once('clientReady', resolve));
await client.login('fake-discord-token');
await ready;
await client.application.commands.set([
  new SlashCommandBuilder().setName('ask').setDescription('asks something').toJSON(),
]);

await act({ act: 'message', channel: 600, guild: 500, content: 'one' });
await said('edited: one');
await act({ act: 'message', channel: 700, content: 'direct' });
await said('edited: direct');

// Every way to lose a connection; the session is resumed and misses nothing.
const resumed = (count) => until(`${count} resumes`, (now) => now.resumes >= count && now.live === 1, 60);
await act({ act: 'drop', of: 'socket' });
await act({ act: 'message', channel: 600, guild: 500, content: 'two' });
await resumed(1);
await said('edited: two');
await act({ act: 'reconnect' });
await act({ act: 'message', channel: 600, guild: 500, content: 'three' });
await resumed(2);
await said('edited: three');
await act({ act: 'muteAcks', count: 1 });
await resumed(3);
await act({ act: 'message', channel: 600, guild: 500, content: 'four' });
await said('edited: four');
const before = (await report()).sessions;
await act({ act: 'invalidate' });
await until('a new session', (now) => now.sessions > before && now.live === 1, 60);
await act({ act: 'message', channel: 600, guild: 500, content: 'five' });
await said('edited: five');

// REST: a bucket that runs empty, a 429, a 502, a command, a thread, a file.
const channel = await client.channels.fetch('600');
for (let n = 0; n < 7; n += 1) await channel.send(`burst ${n}`);
await act({ act: 'trouble', path: '/channels/600/messages', woe: 'tooMany', seconds: 2 });
await channel.send('after 429');
await act({ act: 'trouble', path: '/channels/600/messages', woe: 'fails', status: 502 });
await channel.send('after 502');
await assert.rejects(channel.send('x'.repeat(2001)), /Must be 2000 or fewer in length/);
await act({ act: 'command', name: 'ask', channel: 600, guild: 500 });
await said('did ask');
const opener = await channel.send('opens a thread');
const thread = await opener.startThread({ name: 'a thread' });
await thread.send('in the thread');
await act({ act: 'message', channel: 700, content: '', file: 'the content' });
await said('the content');

const end = await report();
assert.deepEqual(end.broken, []);
assert.deepEqual(heard, ['one', 'direct', 'two', 'three', 'four', 'five', '']);
for (const text of ['after 429', 'after 502', 'in the thread']) {
  assert.equal(end.posted.filter((it) => it.text === text).length, 1, text);
}
await client.destroy();
console.log(`discord.js: ${end.requests} requests, ${end.posted.length} posted, ${end.resumes} resumes, no rule broken`);
process.exit(0);
