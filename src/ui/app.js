// Where the page starts: who is signed in, which tab is shown, what the line at the top says.

import { Client } from "./client.js";
import * as device from "./device.js";
import { button, code, dot, h, icon, notice, noticePlace, put } from "./dom.js";
import { chooseLanguage, language, t } from "./words.js";

const BASE = document.documentElement.dataset.base ?? "";
const TABS = ["chat", "overview", "channels", "devices", "approvals", "config", "cron", "logs", "debug"];

/** What every tab is given. */
export const app = {
	client: null,
	hello: null,
	approvals: new Map(),
	pairings: 0,
	presence: [],
	health: null,
	gaps: 0,
	events: [],
	/** Asks the gateway; rejects with its words. */
	call: (method, params, timeoutMs) => app.client.request(method, params, timeoutMs),
	/** Whether the gateway has a method at all. */
	has: (method) => app.hello?.features?.methods?.includes(method) ?? false,
	/** Whether this sign-in holds a scope. */
	may(scope) {
		const scopes = app.hello?.auth?.scopes ?? [];
		return scopes.includes("operator.admin") || scopes.includes(`operator.${scope}`) || (scope === "read" && scopes.includes("operator.write"));
	},
	go,
	counts,
};

let tab = null;
let shown = "";
let parts = {};
let generation = 0;

const theme = matchMedia("(prefers-color-scheme: dark)");

function dress() {
	const chosen = localStorage.getItem("openclaw.theme");
	document.documentElement.dataset.theme = chosen ?? (theme.matches ? "dark" : "light");
	document.documentElement.lang = language() === "zh" ? "zh-Hans" : "en";
}

function switches() {
	return [
		button("", () => {
			localStorage.setItem("openclaw.theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
			dress();
		}, { kind: "ghost", title: t("theme"), icon: "theme" }),
		button(language() === "zh" ? "English" : "中文", () => {
			chooseLanguage(language() === "zh" ? "en" : "zh");
			location.reload();
		}, { kind: "ghost", lang: language() === "zh" ? "en" : "zh" }),
	];
}

/** Before there is a frame: one card in the middle, and where notices appear. */
function atDoor(props, ...children) {
	put(root, h("main.door", props, h("div", brand(), children)), noticePlace());
}

function brand() {
	return h("div.brand", h("span.mark", icon("channels")), "OpenClaw");
}

// --- sign in

function door(problem) {
	leave();
	let how = device.kept()?.kind ?? "token";
	if (how === "device") how = "token";
	const secret = h("input", { type: "password", id: "secret", autocomplete: "current-password", required: true, spellcheck: "false", "aria-describedby": "how" });
	const remember = h("input", { type: "checkbox", id: "remember" });
	const label = h("span", t(`door_${how}`));
	const help = h("small", { id: "how" }, t(`door_${how}_help`));
	const kinds = h("fieldset.kinds", h("legend.hidden", t("door_kind")), ["token", "password", "setup"].map((name) =>
		h("label", h("input", {
			type: "radio",
			name: "kind",
			value: name,
			checked: name === how,
			onchange: () => {
				how = name;
				label.textContent = t(`door_${name}`);
				help.textContent = t(`door_${name}_help`);
			},
		}), t(`door_${name}`))));
	const enter = (event) => {
		event.preventDefault();
		begin({ kind: how, secret: secret.value.trim() }, remember.checked);
	};
	atDoor(
		{},
		h(
			"form",
			{ class: "card", onsubmit: enter },
			h("div.body",
				h("h1", t("signin")),
				problem && h("div.alert", { role: "alert" }, problem),
				kinds,
				h("label.field", label, secret, help),
				h("label.check", remember, t("remember")),
				h("button.button.primary", { type: "submit" }, t("signin")),
			),
		),
		h("div.foot", switches()),
	);
	secret.focus();
}

function pairing(error) {
	const id = error.details.requestId;
	if (document.querySelector(`[data-request="${CSS.escape(id)}"]`)) return;
	leave();
	atDoor(
		{ "data-request": id },
		h("section.card",
			h("div.body",
				h("h1", t("pairing")),
				h("p", t("pairing_text")),
				code(`openclaw devices approve ${id}`),
				h("p.soft.small", { role: "status" }, h("span.pulse"), " ", t("pairing_waits")),
				h("p.soft.small", error.message),
				button(t("cancel"), signOut),
			),
		),
	);
}

async function begin(credentials, remember) {
	app.client?.close();
	generation += 1;
	const mine = generation;
	let identity;
	try {
		identity = await device.identity();
	} catch (error) {
		door(error.message === "insecure" ? t("insecure", location.host) : t("no_keys", error.message));
		return;
	}
	const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${BASE}/`;
	const only = (act) => (...values) => mine === generation && act(...values);
	app.client = new Client(url, identity, credentials, {
		state: only(stateChanged),
		event: only(event),
		gap: only(gap),
		signedIn: only((auth) => {
			// Beyond this visit only the device's own token is kept: it can be revoked by itself.
			const token = auth.deviceToken;
			if ((remember || credentials.kind === "setup") && token) device.keep({ kind: "device", secret: token }, remember);
			else if (credentials.kind !== "device" && credentials.kind !== "setup") device.keep(credentials, remember);
			if (token && credentials.kind === "setup") app.client.credentials = { kind: "device", secret: token };
		}),
	});
	app.client.connect();
}

function signOut() {
	device.forget();
	generation += 1;
	app.client?.close();
	app.client = null;
	door();
}

// --- the frame

function leave() {
	tab?.close?.();
	tab = null;
	shown = "";
	parts = {};
}

function frame() {
	if (parts.view) return;
	const links = Object.fromEntries(TABS.map((name) => [
		name,
		h("a", { href: `${BASE}/${name}`, "data-tab": name, onclick: (event) => follow(event, name) }, icon(name), t(name)),
	]));
	const rail = h(
		"nav",
		{ class: "rail", id: "rail", "aria-label": t("sections") },
		brand(),
		TABS.map((name) => links[name]),
		h("div.grow"),
		h("div.foot", switches(), button("", signOut, { kind: "ghost", title: t("signout"), icon: "leave" })),
	);
	const title = h("h1", { tabindex: "-1" });
	const status = h("div.status", { role: "status" });
	const menu = button("", () => slide(!rail.classList.contains("open")), { kind: "ghost menu", title: t("menu"), icon: "menu", "aria-controls": "rail", "aria-expanded": "false" });
	const view = h("main.view", { id: "view", tabindex: "-1" });
	const banner = h("div", { role: "status" });
	const slide = (open) => {
		rail.classList.toggle("open", open);
		menu.setAttribute("aria-expanded", String(open));
		parts.shade?.remove();
		if (open) {
			parts.shade = h("div.shade", { onclick: () => slide(false) });
			root.append(parts.shade);
			links[shown]?.focus();
		}
	};
	rail.addEventListener("keydown", (event) => event.key === "Escape" && (slide(false), menu.focus()));
	parts = { links, title, status, view, banner, slide };
	put(
		root,
		h("a.skip", { href: "#view", onclick: (event) => (event.preventDefault(), view.focus()) }, t("skip")),
		h("div.frame", rail, h("div", h("header.bar", menu, title, status), banner), view),
		noticePlace(),
	);
}

function follow(event, name) {
	if (event.metaKey || event.ctrlKey || event.shiftKey || event.button > 0) return;
	event.preventDefault();
	go(name);
	parts.slide?.(false);
	parts.title?.focus();
}

/** Shows a tab; `rest` is what stands behind it in the address. */
export function go(name, rest) {
	const path = `${BASE}/${name}${rest ? `/${encodeURIComponent(rest)}` : ""}`;
	if (path !== location.pathname) history.pushState(null, "", path);
	show();
}

function place() {
	const [name, rest] = location.pathname.slice(BASE.length + 1).split("/");
	return { name: TABS.includes(name) ? name : "chat", rest: rest ? decodeURIComponent(rest) : "" };
}

async function show(anew = false) {
	if (!parts.view || !app.hello) return;
	const { name, rest } = place();
	if (name === shown && !anew) {
		tab?.moved?.(rest);
		return;
	}
	tab?.close?.();
	tab = null;
	shown = name;
	parts.title.textContent = t(name);
	document.title = `${t(name)} – OpenClaw`;
	for (const [key, link] of Object.entries(parts.links)) {
		if (key === name) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	put(parts.view);
	const module = await import(`./tab_${name}.js`);
	if (shown !== name || !parts.view) return;
	tab = module.mount(parts.view, app, rest) ?? {};
	parts.view.scrollTop = 0;
}

/** Numbers at the rail: what waits for somebody. */
function counts() {
	for (const [name, count] of [["approvals", app.approvals.size], ["devices", app.pairings]]) {
		const link = parts.links?.[name];
		if (!link) continue;
		link.querySelector(".count")?.remove();
		if (count) link.append(h("span.count", { "aria-label": t("waiting_count", count) }, String(count)));
	}
}

// --- what the connection says

function stateChanged(state, detail) {
	if (state === "open") {
		opened();
	} else if (state === "pairing") {
		// Who loads the page anew meanwhile need not type the secret again.
		if (!device.kept()) device.keep(app.client.credentials, false);
		pairing(detail);
	} else if (state === "refused") {
		const wasDevice = app.client.credentials.kind === "device";
		device.forget();
		generation += 1;
		app.client.close();
		app.client = null;
		app.hello = null;
		door(wasDevice ? t("again", detail.message) : detail.message);
	} else if (parts.status) {
		put(parts.status, dot(state === "connecting" ? "warn" : "bad"), t(state === "connecting" ? "connecting" : "offline"));
		if (state === "waiting") {
			put(parts.banner, h("div.banner", t(detail.restarting ? "restarting" : "lost", Math.ceil(detail.ms / 1000)), button(t("now"), () => app.client.connect(), "small")));
		}
	} else if (state === "waiting" && !document.querySelector("main.door")) {
		atDoor({}, h("p.soft", { role: "status" }, t("unreachable", location.host)));
	}
}

async function opened() {
	const before = app.hello?.server?.bootId;
	app.hello = app.client.hello;
	app.presence = app.hello.snapshot?.presence ?? [];
	app.health = app.hello.snapshot?.health ?? null;
	frame();
	put(parts.banner);
	put(parts.status, dot("good"), t("connected"));
	const again = Boolean(tab);
	if (before && before !== app.hello.server?.bootId) notice(t("restarted"));
	if (again && tab.resync) tab.resync();
	else show(true);
	if (app.has("sessions.subscribe")) app.call("sessions.subscribe", {}).catch(() => {});
	await refreshWaiting();
}

/** What waits for a decision, asked anew. */
async function refreshWaiting() {
	const [approvals, devices, nodes] = await Promise.all([
		app.may("approvals") && app.has("exec.approval.list") ? app.call("exec.approval.list", {}).catch(() => []) : [],
		app.may("pairing") ? app.call("device.pair.list", {}).catch(() => ({})) : {},
		app.may("pairing") && app.has("node.pair.list") ? app.call("node.pair.list", {}).catch(() => ({})) : {},
	]);
	app.approvals = new Map(approvals.map((row) => [row.id, row]));
	app.pairings = (devices.pending?.length ?? 0) + (nodes.pending?.length ?? 0);
	counts();
	tab?.event?.("waiting", null);
}

function gap(missing) {
	app.gaps += missing;
	notice(t("gap", missing), "warn");
	Promise.all([app.call("health", {}), app.call("system-presence", {})]).then(([health, presence]) => {
		app.health = health;
		app.presence = presence;
		tab?.resync?.();
	}).catch(() => {});
	refreshWaiting();
}

const KEPT_EVENTS = 500;

function event(name, payload) {
	app.events.push({ at: Date.now(), name, payload });
	if (app.events.length > KEPT_EVENTS * 2) app.events.splice(0, KEPT_EVENTS);
	if (name === "presence") app.presence = payload.presence ?? [];
	else if (name === "health") app.health = payload;
	else if (name === "exec.approval.requested") {
		app.approvals.set(payload.id, payload);
		counts();
		if (shown !== "approvals") notice(t("approval_came", payload.request?.command ?? ""), "warn");
	} else if (name === "exec.approval.resolved") {
		app.approvals.delete(payload.id);
		counts();
	} else if (name.includes(".pair.")) {
		refreshWaiting();
	}
	tab?.event?.(name, payload);
}

const root = document.getElementById("app");
addEventListener("popstate", () => show());
theme.addEventListener("change", dress);
dress();
const given = device.takeFragment(location, history);
const known = given ? { kind: "token", secret: given } : device.kept();
if (known) begin(known, known.kind === "device");
else door();
