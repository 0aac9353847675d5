// The control page in a real browser. Usage: page.mjs STEP; the script beside it starts what is
// needed and passes it by environment (see there).
import { execFile } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { units } from "./page_units.mjs";

const { PAGE_URL: url, PAGE_SECRET: secret, PAGE_CACHE: cache, PAGE_SHOTS: shots, PAGE_BINARY: binary, PAGE_PID: pid, OPENCLAW_CONFIG_PATH: file } = process.env;
const require = createRequire(`${cache}/`);
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");
const TABS = ["chat", "overview", "channels", "devices", "approvals", "config", "cron", "logs", "debug"];
const FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" ");

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
const faults = [];

async function open(options = {}, signIn = true) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => faults.push(`page error: ${error.stack}`));
  page.on("console", (message) => {
    // While the gateway is away its socket is refused, as it should be.
    if (message.type() === "error" && !/ERR_CONNECTION_REFUSED|WebSocket/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).host !== new URL(url).host) faults.push(`asked another host: ${request.url()}`);
    if (request.url().includes(secret)) faults.push(`the secret stands in an address: ${request.url()}`);
  });
  await page.goto(`${url}/`);
  if (signIn) {
    await page.fill("#secret", secret);
    await page.click("button[type=submit]");
  }
  return page;
}

const framed = (page) => page.waitForSelector(".frame");
const tab = async (page, name) => {
  await page.click(`.rail [data-tab=${name}]`);
  await page.waitForSelector(`.rail [data-tab=${name}][aria-current=page]`, { state: "attached" });
};
const said = (page, text) => page.locator(".log").getByText(text).first().waitFor();
const cli = (...words) => promisify(execFile)(binary, words);
function hold(what, truth) {
  if (!truth) throw new Error(what);
}

async function send(page, text) {
  await page.fill(".composer textarea", text);
  await page.press(".composer textarea", "Enter");
}

const steps = {
  /** Signs in, is not paired, is approved by the command that the page shows. */
  async pair() {
    const page = await open();
    const command = await page.locator(".command code").textContent();
    hold(`a command to approve: ${command}`, /^openclaw devices approve \S+$/.test(command));
    await cli(...command.split(" ").slice(1));
    await framed(page);
    await page.getByText("Connected", { exact: true }).waitFor();
    // Another browser asks; this one approves it.
    const other = await open();
    await other.locator(".command code").waitFor();
    await tab(page, "devices");
    await page.getByRole("button", { name: "Approve" }).first().click();
    await framed(other);
    await other.close();
    // What is kept of this visit is gone with it; the token of the fragment is taken and removed.
    const kept = await page.evaluate(() => [Object.keys(sessionStorage).length, localStorage.getItem("openclaw.signin")]);
    hold(`kept for this visit alone: ${kept}`, kept[0] === 1 && kept[1] === null);
    await page.context().close();
  },

  async chat() {
    const page = await open({ storageState: undefined });
    await approveIfAsked(page);
    await send(page, "hello **there**");
    await said(page, "You said: hello");
    hold("Markdown in the answer", await page.locator(".message.assistant strong", { hasText: "there" }).count());
    // A tool call that an approval stands before: decided on its tab.
    await send(page, "look into the notes");
    await page.locator(".rail [data-tab=approvals] .count").waitFor();
    await tab(page, "approvals");
    await page.getByText("wc -l < notes.txt", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "Allow once" }).click();
    await page.getByText("No command waits").waitFor();
    await tab(page, "chat");
    await said(page, "lines: 2");
    const card = page.locator("details.tool", { hasText: "read" }).last();
    await card.locator("summary").click();
    hold("the tool's output", (await card.textContent()).includes("ten green bottles"));
    // Streaming, seen before it ends; then stopped.
    await send(page, "count slowly");
    await page.locator(".message[aria-busy] .text", { hasText: "3" }).waitFor();
    hold("it is still being written", !(await page.locator(".log").textContent()).includes("400"));
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator(".tag", { hasText: "stopped" }).first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".message[aria-busy]"));
    // One that is written meanwhile waits its turn.
    await send(page, "count slowly");
    await page.locator(".message[aria-busy]").waitFor();
    await send(page, "second in line");
    await page.getByText("queued", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    // Commands are completed; a picture is pasted and sent.
    await page.fill(".composer textarea", "/wh");
    await page.keyboard.press("ArrowDown");
    hold("a completion", (await page.locator(".commands [aria-selected=true]").textContent()).includes("/whoami"));
    await page.keyboard.press("Tab");
    hold("completed", (await page.inputValue(".composer textarea")) === "/whoami");
    await page.fill(".composer textarea", "see this");
    await page.evaluate(() => {
      const bytes = Uint8Array.from(atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "dot.png", { type: "image/png" }));
      document.querySelector(".composer textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    });
    await page.locator(".draft img").waitFor();
    await page.press(".composer textarea", "Enter");
    await page.locator(".message.user:not(.waits) .images img").waitFor();
    // Sessions: a new one, renamed, reset, deleted.
    await page.getByRole("button", { name: "New session" }).click();
    await send(page, "in a session of its own");
    await said(page, "You said: in a session of its own");
    const more = async (name) => {
      await page.getByRole("button", { name: "More" }).click();
      await page.getByRole("menuitem", { name }).click();
    };
    await more("Rename");
    await page.locator("dialog input").fill("Renamed here");
    await page.keyboard.press("Enter");
    await page.locator(".talk h2", { hasText: "Renamed here" }).waitFor();
    await more("Compact");
    await page.locator(".notice").first().waitFor();
    await more("Reset");
    await page.locator("dialog").getByRole("button", { name: "Reset" }).click();
    await page.getByText("Say something to begin").waitFor();
    await more("Delete");
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    await page.waitForFunction(() => !document.querySelector(".sessions").textContent.includes("Renamed here"));
    await page.context().close();
  },

  async config() {
    const page = await open();
    await approveIfAsked(page);
    await tab(page, "config");
    await page.getByPlaceholder("Search keys").fill("agents.defaults.timeoutSeconds");
    const input = page.locator("[data-key='agents.defaults.timeoutSeconds'] input");
    await input.fill("321");
    await input.press("Tab");
    await page.getByRole("button", { name: "Review and save" }).click();
    hold("the difference", (await page.locator("dialog .diff").textContent()).includes("+ 321"));
    await page.locator("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved and live.").waitFor();
    hold("it stands in the file", fs.readFileSync(file, "utf8").includes("321"));
    const live = await page.evaluate(async (base) => (await (await import(`${base}/assets/app.js`)).app.call("config.get", {})).runtimeConfig?.agents?.defaults?.timeoutSeconds, url);
    hold(`it is live: ${live}`, live === undefined || live === 321);
    // Secrets are not shown.
    await page.getByPlaceholder("Search keys").fill("gateway.auth.token");
    hold("a masked secret", (await page.locator("[data-key='gateway.auth.token'] input").getAttribute("type")) === "password");
    hold("no secret on the page", !(await page.content()).includes(secret));
    // The text: an error names its line; somebody else's edit is a conflict, and nothing is lost.
    await page.getByRole("button", { name: "Text" }).click();
    const editor = page.locator(".editor");
    const text = await editor.inputValue();
    await editor.fill(text.replace("{", "{\n  oops"));
    await page.getByText(/^Line \d+:/).first().waitFor();
    await editor.fill(text.replace("321", "322"));
    fs.appendFileSync(file, "// by somebody else\n");
    await page.getByRole("button", { name: "Review and save" }).click();
    await page.locator("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText("changed by somebody else").waitFor();
    hold("what was typed is still there", (await editor.inputValue()).includes("322"));
    await page.context().close();
  },

  /** Follows the log through a restart. */
  async restart() {
    const page = await open();
    await approveIfAsked(page);
    await send(page, "before the restart");
    await said(page, "You said: before the restart");
    await tab(page, "logs");
    const line = page.locator(".line", { hasText: "listening on" });
    await line.first().waitFor();
    const seen = await line.count();
    process.kill(Number(pid), "SIGUSR1");
    await page.getByText("The gateway has restarted.").waitFor({ timeout: 60_000 });
    await page.getByText("Connected", { exact: true }).waitFor();
    await line.nth(seen).waitFor();
    await tab(page, "chat");
    await said(page, "You said: before the restart");
    await send(page, "after the restart");
    await said(page, "You said: after the restart");
    await page.context().close();
  },

  async look() {
    fs.mkdirSync(shots, { recursive: true });
    let wrong = 0;
    for (const [size, viewport] of [["desktop", { width: 1280, height: 800 }], ["phone", { width: 390, height: 844 }]]) {
      for (const colorScheme of ["light", "dark"]) {
        for (const locale of size === "phone" ? ["en-US", "zh-CN"] : ["en-US"]) {
          const page = await open({ viewport, colorScheme, locale, bypassCSP: true }, false);
          const name = `${shots}/${size}-${colorScheme}${locale === "zh-CN" ? "-zh" : ""}`;
          const check = async (what) => {
            await page.screenshot({ path: `${name}-${what}.png` });
            await page.addScriptTag({ path: axe });
            const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
            for (const one of violations) {
              console.log(`${name} ${what}: ${one.impact} ${one.id}: ${one.nodes.slice(0, 2).map((node) => node.html.slice(0, 120)).join(" | ")}`);
              if (["serious", "critical"].includes(one.impact)) wrong += 1;
            }
            const sideways = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
            if (sideways) throw new Error(`${name} ${what} scrolls sideways`);
          };
          await page.waitForSelector("#secret");
          await check("signin");
          await page.fill("#secret", secret);
          await page.click("button[type=submit]");
          await approveIfAsked(page);
          for (const one of TABS) {
            if (size === "phone") {
              await page.click(".bar .menu");
              await page.waitForSelector(".rail.open");
            }
            await tab(page, one);
            await page.waitForTimeout(700);
            await check(one);
          }
          await page.context().close();
        }
      }
    }
    hold(`axe-core finds ${wrong} serious faults`, wrong === 0);
  },

  /** The keyboard alone: sign in, go to a tab, write. */
  async keyboard() {
    const page = await open({}, false);
    await page.waitForSelector("#secret");
    await page.keyboard.type(secret);
    await page.keyboard.press("Enter");
    await approveIfAsked(page);
    await page.locator(".composer textarea").waitFor();
    await page.goto(`${url}/overview`);
    await page.locator(".tiles .plot").first().waitFor();
    await page.keyboard.press("Tab");
    hold("first comes the way to the content", await page.evaluate(() => document.activeElement.classList.contains("skip")));
    for (let n = 0; n < 9; n += 1) await page.keyboard.press("Tab");
    hold("then the tabs", (await page.evaluate(() => document.activeElement.dataset.tab)) === "debug");
    await page.keyboard.press("Enter");
    await page.getByText("Call a method").waitFor();
    hold("the heading has the focus", await page.evaluate(() => document.activeElement.tagName === "H1"));
    await page.context().close();
  },

  /** What an address may do: a token of the fragment signs in and is gone; nothing else counts. */
  async address() {
    const page = await open({}, false);
    const sockets = [];
    page.on("websocket", (socket) => sockets.push(socket.url()));
    // A new document: another fragment alone would load nothing.
    await page.goto("about:blank");
    await page.goto(`${url}/?gatewayUrl=ws://127.0.0.1:9/&token=x#token=${secret}`);
    await approveIfAsked(page);
    hold(`the fragment is gone: ${page.url()}`, !page.url().includes("token"));
    hold(`one gateway: ${sockets}`, sockets.length > 0 && sockets.every((one) => new URL(one).host === new URL(url).host));
    hold("nothing of it is kept beyond the visit", await page.evaluate(() => localStorage.getItem("openclaw.signin") === null));
    await page.context().close();
  },

  /** Channels as a gateway with some would tell of them: its answers are put in on the way. */
  async channels() {
    const page = await open({}, false);
    const asked = [];
    let running = true;
    const answers = {
      "channels.status": () => ({
        channelOrder: ["telegram"], channelLabels: { telegram: "Telegram" }, channels: { telegram: {} },
        channelAccounts: { telegram: [{ accountId: "home", enabled: true, configured: true, running, connected: running, lastInboundAt: Date.now() - 60_000, lastError: running ? null : "401 Unauthorized", probe: { ok: true, elapsedMs: 12 } }] },
      }),
      "channels.stop": () => ((running = false), { ok: true }),
      "channels.pairing.list": () => ({ accounts: [], requests: asked.includes("channels.pairing.approve") ? [] : [{ requestId: "r1", channel: "telegram", channelLabel: "Telegram", accountId: "home", senderId: "77", senderLabel: "Ann", createdAt: new Date().toISOString(), lastSeenAt: "", expiresAt: "", notifySupported: true }] }),
      "channels.pairing.approve": () => ({ requestId: "r1", senderId: "77" }),
    };
    await page.routeWebSocket(() => true, (socket) => {
      const server = socket.connectToServer();
      socket.onMessage((text) => {
        const { id, method } = JSON.parse(text);
        if (!answers[method]) return server.send(text);
        asked.push(method);
        return socket.send(JSON.stringify({ type: "res", id, ok: true, payload: answers[method]() }));
      });
      server.onMessage((text) => {
        const frame = JSON.parse(text);
        if (frame.payload?.type === "hello-ok") frame.payload.features.methods.push("channels.start", ...Object.keys(answers));
        socket.send(JSON.stringify(frame));
      });
    });
    await page.goto(`${url}/channels#token=${secret}`);
    await approveIfAsked(page);
    await page.getByText("answers in 12 ms").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("401 Unauthorized").waitFor();
    await page.getByRole("button", { name: "Start" }).waitFor();
    await page.getByRole("button", { name: "Approve" }).click();
    await page.getByText("Nobody waits.").waitFor();
    hold(`asked: ${asked}`, asked.includes("channels.stop") && asked.includes("channels.pairing.approve"));
    await page.context().close();
  },

  async units() {
    const page = await open({ bypassCSP: true }, false);
    const { count, failed } = await page.evaluate(units, url);
    for (const line of failed) console.log(line);
    hold(`${failed.length} of ${count} failed`, failed.length === 0);
    console.log(`${count} checks of the page's modules`);
    await page.context().close();
  },

  async speed() {
    // From an empty cache to the first thing seen.
    const times = [];
    for (let n = 0; n < 5; n += 1) {
      const page = await open({}, false);
      await page.waitForSelector("#secret");
      times.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? performance.now()));
      await page.context().close();
    }
    times.sort((a, b) => a - b);
    console.log(`first render from a cold cache: ${times.map((ms) => ms.toFixed(0)).join(", ")} ms (wanted: 150)`);
    hold("the first render takes seconds", times[2] < 2_000);

    const page = await open();
    await approveIfAsked(page);
    await page.locator(".composer textarea").waitFor();
    const watch = () => page.evaluate(() => {
      window.gaps = [];
      let last = performance.now();
      const frame = (now) => {
        window.gaps.push(now - last);
        last = now;
        window.watching = requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    const watched = () => page.evaluate(() => (cancelAnimationFrame(window.watching), { worst: Math.max(...window.gaps), frames: window.gaps.length }));
    // 2,000 messages in one session, paged in by scrolling up.
    const key = "agent:main:long";
    await page.evaluate(async ([base, key]) => {
      const { app } = await import(`${base}/assets/app.js`);
      await app.call("sessions.patch", { key, label: "Long" });
      for (let n = 0; n < 2_000; n += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => app.call("chat.inject", { sessionKey: key, message: `Message **${n + k}**\n\n- one\n- two \`code\`` })));
      app.go("chat", key);
    }, [url, key]);
    await said(page, "1999");
    await watch();
    for (let n = 0; n < 60 && (await page.locator(".message").count()) < 2_000; n += 1) {
      await page.evaluate(() => (document.querySelector(".log").scrollTop = 0));
      await pause(100);
    }
    const paged = await watched();
    const shown = await page.locator(".message").count();
    hold(`${shown} of 2,000 messages came by scrolling`, shown === 2_000);
    await watch();
    await page.evaluate(async () => {
      const log = document.querySelector(".log");
      for (let at = 0; at < log.scrollHeight; at += 900) {
        log.scrollTop = at;
        await new Promise(requestAnimationFrame);
      }
    });
    const scrolled = await watched();
    console.log(`2,000 messages: worst frame ${paged.worst.toFixed(0)} ms while paging in, ${scrolled.worst.toFixed(0)} ms while scrolling (${scrolled.frames} frames)`);
    hold("scrolling takes seconds", scrolled.worst < 2_000);
    // 500 events a second for five seconds, from another client.
    const other = await open();
    await approveIfAsked(other);
    await other.evaluate(async (base) => (await import(`${base}/assets/app.js`)).app.call("sessions.patch", { key: "agent:main:flood", label: "Flood" }), url);
    for (const one of ["chat", "debug"]) {
      await tab(page, one);
      const before = await page.evaluate(async (base) => (await import(`${base}/assets/app.js`)).app.gaps, url);
      await page.evaluate(async (base) => {
        const { app } = await import(`${base}/assets/app.js`);
        window.heard = 0;
        delete app.events.push;
        const { push } = app.events;
        app.events.push = function (...values) {
          window.heard += 1;
          return push.apply(this, values);
        };
      }, url);
      await watch();
      await other.evaluate(async (base) => {
        const { app } = await import(`${base}/assets/app.js`);
        const until = performance.now() + 5_000;
        while (performance.now() < until) {
          const tick = performance.now();
          await Promise.all(Array.from({ length: 20 }, () => app.call("chat.inject", { sessionKey: "agent:main:flood", message: "flood" })));
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, 80 - (performance.now() - tick))));
        }
      }, url);
      const flood = await watched();
      const heard = await page.evaluate(() => window.heard);
      const missed = (await page.evaluate(async (base) => (await import(`${base}/assets/app.js`)).app.gaps, url)) - before;
      console.log(`${one}: ${(heard / 5).toFixed(0)} events a second, worst frame ${flood.worst.toFixed(0)} ms, ${flood.frames} frames, ${missed} missed`);
      hold("the page froze", flood.worst < 3_000 && missed === 0);
    }
    await page.context().close();
    await other.context().close();
  },

  /** The reference's own page, served from its folder. */
  async reference() {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US" });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    page.on("console", (message) => /Content Security Policy/.test(message.text()) && console.log(`its page: ${message.text().slice(0, 200)}`));
    const answers = [];
    page.on("response", (response) => response.status() >= 400 && answers.push(`${response.status()} ${new URL(response.url()).pathname}`));
    await page.goto(`${url}/#token=${secret}`);
    const input = page.locator("textarea, [contenteditable=true]").first();
    await input.waitFor();
    await input.click();
    await page.keyboard.type("hello from the other page");
    await page.keyboard.press("Enter");
    await page.getByText("You said: hello from the other page").first().waitFor();
    await page.screenshot({ path: `${shots}/reference.png` });
    const text = await page.evaluate(() => document.body.innerText);
    hold("its list of sessions has the session", /hello from the other page|main/i.test(text));
    console.log(`not served: ${[...new Set(answers)].join(", ") || "nothing"}`);
    await context.close();
  },
};

/** The command line approves this browser, if the gateway wants that. */
async function approveIfAsked(page) {
  const asked = await Promise.race([framed(page).then(() => null), page.locator(".command code").textContent()]);
  if (asked) await cli(...asked.split(" ").slice(1));
  await framed(page);
}

const name = process.argv[2];
try {
  await steps[name]();
  hold(faults.join("\n"), faults.length === 0);
} catch (error) {
  console.log(`FAIL ${name}: ${error.stack}`);
  for (const context of browser.contexts()) {
    for (const page of context.pages()) await page.screenshot({ path: `${shots}/failed-${name}.png` }).catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await browser.close();
}
