// Tests of the control page's own modules. They run in the browser, on a page of the gateway: the
// function is handed to it as text and imports what the gateway serves.

export async function units(base) {
  const load = (name) => import(`${base}/assets/${name}.js`);
  const [md, json5, client, device, chat, cron, logs, config, channels, overview, dom, words] = await Promise.all(
    ["markdown", "json5", "client", "device", "tab_chat", "tab_cron", "tab_logs", "tab_config", "tab_channels", "tab_overview", "dom", "words"].map(load),
  );
  const failed = [];
  let count = 0;
  const same = (name, got, want) => {
    count += 1;
    const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
    if (a !== b) failed.push(`${name}: ${a} instead of ${b}`);
  };
  const html = (text) => dom.h("div", md.markdown(text)).innerHTML;
  const throws = (act) => {
    try {
      act();
    } catch (error) {
      return error;
    }
    return null;
  };

  // Markdown: what it makes, and that nothing written becomes HTML.
  const made = [
    ["plain", "a *b* **c** `d`", "<p>a <em>b</em> <strong>c</strong> <code>d</code></p>"],
    ["snake_case stays", "a_b_c and x*y", "<p>a_b_c and x*y</p>"],
    ["heading", "## Two", "<h4>Two</h4>"],
    ["rule", "a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"],
    ["fence", "```js\nlet a = '<b>';\n```", "<pre tabindex=\"0\"><code data-language=\"js\">let a = '&lt;b&gt;';</code></pre>"],
    ["open fence", "```\nx", "<pre tabindex=\"0\"><code>x</code></pre>"],
    ["list", "- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"],
    ["numbers", "3. a\n4. b", "<ol start=\"3\"><li>a</li><li>b</li></ol>"],
    ["quote", "> a\n> b", "<blockquote><p>a\nb</p></blockquote>"],
    ["script", "<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"],
    ["event handler", "<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"],
    ["link", "[a](https://x.example/?q=1)", "<p><a href=\"https://x.example/?q=1\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">a</a></p>"],
    ["script link", "[a](javascript:alert(1))", "<p><span class=\"nolink\" title=\"javascript:alert(1\">a</span>)</p>"],
    ["encoded script link", "[a](java&#x73;cript:alert)", "<p><span class=\"nolink\" title=\"java&amp;#x73;cript:alert\">a</span></p>"],
    ["data link", "[a](data:text/html,x)", "<p><span class=\"nolink\" title=\"data:text/html,x\">a</span></p>"],
    ["relative link", "[a](/v1/models)", "<p><span class=\"nolink\" title=\"/v1/models\">a</span></p>"],
    ["other host", "[a](//evil.example)", "<p><span class=\"nolink\" title=\"//evil.example\">a</span></p>"],
    ["picture", "![pic](https://x.example/p.png)", "<p><a href=\"https://x.example/p.png\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">pic</a></p>"],
    ["bare", "see https://x.example/a, now", "<p>see <a href=\"https://x.example/a\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">https://x.example/a</a>, now</p>"],
  ];
  for (const [name, text, want] of made) same(`markdown ${name}`, html(text), want);
  same("markdown table", html("|a|b|\n|-|-|\n|1|<i>|").includes("<td>&lt;i&gt;</td>"), true);
  same("no element but the known ones", [...dom.h("div", md.markdown("<iframe src=x></iframe> <svg onload=y> **b** \n\n<form><input>")).querySelectorAll("*")].map((e) => e.tagName), ["P", "STRONG", "P"]);
  const began = performance.now();
  for (const text of ["*".repeat(20_000), "[".repeat(20_000), "`".repeat(20_000), "> ".repeat(2_000), "- ".repeat(5_000), "_a".repeat(10_000), "|".repeat(20_000), "a **b".repeat(4_000), "![](".repeat(5_000)]) md.markdown(text);
  same("hostile text is read in time", performance.now() - began < 5_000, true);
  for (const [text, want] of [["https://a.example", "https://a.example/"], ["MAILTO:a@b.c", "mailto:a@b.c"], ["javascript:1", null], ["java\nscript:1", null], ["vbscript:x", null], ["file:///etc/passwd", null], ["blob:x", null], ["x", null], ["https://", null]]) same(`href ${text}`, md.safeHref(text), want);

  // JSON5.
  for (const [text, want] of [["{a: 1, 'b': [1, 2,], /* x */ c: \"d\\n\", // y\n}", { a: 1, b: [1, 2], c: "d\n" }], ["-0x10", -16], [".5e1", 5], ["'\\u0041\\x42'", "AB"], ["null", null], ["{__proto__: 1}", JSON.parse("{\"__proto__\": 1}")]]) same(`json5 ${text}`, json5.parse(text), want);
  for (const [text, line, part] of [["{\n a: 1\n b: 2\n}", 3, ", or }"], ["{a: 1,\n a: 2}", 2, "twice"], ["{\n\n", 1, "never closed"], ["{a: \"x\n}", 1, "never closed"], ["{a: tru}", 1, "no value"], ["1 2", 1, "behind the end"], ["[".repeat(70), 1, "deeply"], ["/* x", 1, "never ends"], ["{a:\n 012}", 2, "no value"]]) {
    const error = throws(() => json5.parse(text));
    same(`json5 error of ${text.slice(0, 20)}`, [error?.line, error?.message.includes(part)], [line, true]);
  }
  same("line difference", json5.diffLines("a\nb\nc\nd", "a\nx\nc\nd"), [["=", "a"], ["-", "b"], ["+", "x"], ["=", "c"], ["=", "d"]]);
  same("no difference", json5.diffLines("a", "a").filter(([sign]) => sign !== "="), []);

  // The connection.
  same("backoff grows and ends", [client.backoff(0, 1), client.backoff(3, 1), client.backoff(50, 1), client.backoff(50, 0)], [1000, 4913, 30000, 21000]);
  const sequence = new client.Sequence();
  same("gaps are counted", [1, 2, 5, 5, undefined, 6].map((seq) => sequence.missed(seq)), [0, 0, 2, 0, 0, 0]);

  const sockets = [];
  const { WebSocket: real } = globalThis;
  globalThis.WebSocket = class {
    sent = [];

    constructor() {
      sockets.push(this);
    }

    send(text) {
      this.sent.push(JSON.parse(text));
    }

    close() {}
  };
  const told = [];
  const link = new client.Client("ws://x", await device.identity(), { kind: "token", secret: "T" }, { state: (name) => told.push(name), event: (name) => told.push(name), gap: (missing) => told.push(missing), signedIn() {} });
  const hear = (socket, frame) => socket.onmessage({ data: JSON.stringify(frame) });
  const until = async (truth) => {
    while (!truth()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  link.connect();
  hear(sockets[0], { type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 1 } });
  await until(() => sockets[0].sent.length);
  const [asked] = sockets[0].sent;
  same("the connect", [asked.method, asked.params.client.id, asked.params.auth, asked.params.device.nonce], ["connect", "openclaw-control-ui", { token: "T" }, "n"]);
  hear(sockets[0], { type: "res", id: asked.id, ok: true, payload: { auth: {}, policy: {} } });
  await until(() => told.includes("open"));
  for (const seq of [1, 4]) hear(sockets[0], { type: "event", event: `e${seq}`, seq, payload: {} });
  const lost = link.request("x").catch((error) => error.code);
  sockets[0].onclose({ reason: "" });
  same("what waits for an answer is told", await lost, "NOT_CONNECTED");
  same("a gap is told before the event behind it", told, ["connecting", "open", "e1", 2, "e4", "waiting"]);
  link.connect();
  hear(sockets[1], { type: "event", event: "connect.challenge", payload: { nonce: "n", ts: 1 } });
  await until(() => sockets[1].sent.length);
  hear(sockets[1], { type: "res", id: sockets[1].sent[0].id, ok: false, error: { code: "INVALID_REQUEST", message: "no", details: { code: "AUTH_TOKEN_MISMATCH" } } });
  await until(() => told.includes("refused"));
  sockets[1].onclose({ reason: "" });
  same("a refused secret is not tried again", told.at(-1), "refused");
  link.close();
  globalThis.WebSocket = real;

  // The device.
  const params = { role: "operator", scopes: ["a", "b"], client: { id: "i", mode: "m", platform: " Linux X " }, auth: { token: "T" } };
  same("signed text", device.signedText({ id: "D" }, params, { ts: 5, nonce: "N" }), "v3|D|i|m|operator|a,b|5|T|N|linux x|");
  same("a password is not signed", device.signedText({ id: "D" }, { ...params, auth: { password: "P" } }, { ts: 5, nonce: "N" }).includes("P"), false);
  same("auth", ["token", "password", "device", "setup"].map((kind) => device.authOf({ kind, secret: "s" })), [{ token: "s" }, { password: "s" }, { token: "s", deviceToken: "s" }, { bootstrapToken: "s" }]);
  const code = device.base64url(new TextEncoder().encode(JSON.stringify({ url: "wss://evil.example", bootstrapToken: "B" })));
  same("a setup code's address is not used", device.authOf({ kind: "setup", secret: code }), { bootstrapToken: "B" });
  const moved = [];
  const history = { replaceState: (...values) => moved.push(values[2]) };
  same("token of the fragment", device.takeFragment({ hash: "#token=T1&x=2", pathname: "/chat", search: "?token=no" }, history), "T1");
  same("it is gone at once", moved, ["/chat#x=2"]);
  same("never of the query", device.takeFragment({ hash: "", pathname: "/", search: "?token=no" }, history), null);
  const one = await device.identity();
  const two = await device.identity();
  same("the identity stays", [one.id === two.id, /^[0-9a-f]{64}$/.test(one.id), one.key.extractable], [true, true, false]);

  // Tabs.
  const commands = [{ name: "help", textAliases: ["/help"] }, { name: "whoami", textAliases: ["/whoami", "/id"] }];
  same("completion", ["/", "/h", "/i", "/help me", "x/h"].map((text) => chat.completions(commands, text).map((command) => command.name)), [["help", "whoami"], ["help"], ["whoami"], [], []]);
  same("titles", [{ key: "agent:a:b" }, { key: "k", derivedTitle: "d" }, { key: "k", derivedTitle: "d", label: "l" }].map(chat.titleOf), ["a:b", "d", "l"]);
  same("spans", ["30m", "1h 30m", "2d", "5", "1x", "", "m"].map(cron.parseSpan), [1_800_000, 5_400_000, 172_800_000, null, null, null, null]);
  same("log line", logs.parseLine(JSON.stringify({ 0: "{\"subsystem\":\"s\"}", 1: "m", time: "t", _meta: { logLevelName: "WARN" } })), { time: "t", level: "WARN", from: "s", text: "m" });
  same("text that is no log line", logs.parseLine("<b>"), { time: "", level: "INFO", from: "", text: "<b>" });
  same("keys of a schema", config.keysOf({ properties: { a: { type: "object", properties: { b: { type: "string" } } }, c: { type: "array" } } }).map((key) => key.path.join(".")), ["a.b", "c"]);
  same("patch", config.patchOf([[["a", "b"], 1], [["a", "c"], undefined], [["d"], [1]]]), { a: { b: 1, c: null }, d: [1] });
  same("states of channels", [{ connected: true }, { running: true }, { enabled: false }, { configured: false }, { lastError: "x" }, {}].map((row) => channels.stateOf(row)[0]), ["good", "warn", "idle", "idle", "bad", "idle"]);
  same("next steps of a fresh install", overview.nextSteps({ issues: 0, approvals: 0, pairings: 0, modelConfigured: false, channels: 0, sessions: 0 }).map(([, tab]) => tab), ["config", "channels", "chat"]);
  same("lengths of time", [0, 999, 61_000, 3_600_000, 90_061_000].map(dom.span), ["0s", "0s", "1m 1s", "1h", "1d 1h"]);
  same("sizes", [0, 1023, 1536, 5e6].map(dom.bytes), ["0 B", "1023 B", "1.5 KB", "4.8 MB"]);
  same("words are put in", words.t("ago", "5s"), words.language() === "zh" ? "5s前" : "5s ago");
  const element = dom.h("p.a.b", { title: "<i>" }, "<b>", null, ["x"]);
  same("text stays text", [element.className, element.title, element.innerHTML], ["a b", "<i>", "&lt;b&gt;x"]);
  return { count, failed };
}
