// Overview: how the gateway is, as numbers over time, and what wants doing.

import { button, bytes, card, dot, facts, h, money, number, plot, put, span, table, tag, when } from "./dom.js";
import { t } from "./words.js";

const EVERY_MS = 3_000;
const KEPT = 60;

/** What wants doing, the most urgent first: [text, tab]. */
export function nextSteps({ issues, approvals, pairings, modelConfigured, channels, sessions }) {
	const steps = [];
	if (issues) steps.push([t("next_issues", issues), "config"]);
	if (approvals) steps.push([t("next_approval", approvals), "approvals"]);
	if (pairings) steps.push([t("next_pair", pairings), "devices"]);
	if (modelConfigured === false) steps.push([t("next_model"), "config"]);
	if (channels === 0) steps.push([t("next_channel"), "channels"]);
	if (sessions === 0) steps.push([t("next_talk"), "chat"]);
	return steps;
}

export function mount(view, app) {
	const series = {};
	const tiles = h("div.tiles");
	const next = h("div.body");
	const about = h("div.body");
	const live = h("div.body");
	const people = h("div");
	const days = h("div");
	let costs = null;
	let channels = null;
	let config = null;
	let closed = false;
	let timer = 0;
	let ticks = 0;

	put(view, h("div.page",
		tiles,
		h("div.grid", card(t("next"), null, next), card(t("live_config"), null, live)),
		h("div.grid", card("OpenClaw", null, about), card(t("presence"), null, people)),
		card(t("last_days"), null, days),
	));

	function sample(name, value) {
		const values = (series[name] ??= []);
		values.push(Number.isFinite(value) ? value : 0);
		if (values.length > KEPT) values.shift();
		return values;
	}

	const count = (name, value) => plot(t(name), sample(name, value), number(value));

	async function look() {
		const began = performance.now();
		const status = await app.call("status", {});
		const trip = performance.now() - began;
		if (ticks % 10 === 0) {
			[costs, channels, config] = await Promise.all([
				app.call("usage.cost", { days: 14 }).catch(() => null),
				app.call("channels.status", { probe: false, timeoutMs: 8_000 }).catch(() => null),
				app.call("config.get", {}).catch(() => null),
			]);
		}
		ticks += 1;
		if (closed) return;
		draw(status, trip);
	}

	function draw(status, trip) {
		const loop = status.eventLoop ?? app.health?.eventLoop;
		const memory = status.processMemory?.rss ?? status.processMemory?.rssBytes ?? status.memory?.heldBytes;
		const today = costs?.daily?.at(-1);
		const late = loop?.delayP99Ms ?? loop?.delayMaxMs;
		const bad = status.degradedSecretOwners?.length || status.modelRuntime?.degraded || loop?.degraded;
		put(
			tiles,
			plot(t("uptime"), [], span(status.uptimeMs)),
			late === undefined ? plot(t("round_trip"), sample("trip", trip), `${trip.toFixed(1)} ms`) : plot(t("lateness"), sample("late", late), `${late.toFixed(1)} ms`),
			plot(t("memory"), sample("memory", memory), bytes(memory)),
			count("connections", status.connections?.clients ?? app.presence.length),
			count("runs", status.tasks?.active ?? 0),
			plot(t("tokens"), costs?.daily?.map((day) => day.totalTokens) ?? [], number(today?.totalTokens ?? 0)),
			plot(t("cost"), costs?.daily?.map((day) => day.totalCost) ?? [], money(today?.totalCost ?? 0)),
		);
		const steps = nextSteps({
			issues: status.configIssues?.length ?? 0,
			approvals: app.approvals.size,
			pairings: app.pairings,
			modelConfigured: app.hello.snapshot?.sessionDefaults?.modelConfigured,
			channels: channels ? Object.keys(channels.channels ?? {}).filter((id) => id !== "webchat").length : undefined,
			sessions: status.sessions?.count,
		});
		keep(next, steps.length
			? steps.map(([text, tab]) => h("div.row", h("span.grow", text), button(t("open"), () => app.go(tab), "small")))
			: h("p.soft", t("next_nothing")));
		const waits = status.configWaitsForRestart ?? [];
		const pending = waits.length > 0 || (config && config.hash !== config.appliedConfigHash && config.valid === false);
		put(
			live,
			h("div.row", dot(pending ? "warn" : "good"), pending ? t("pending") : t("live"), tag((config?.appliedConfigHash ?? app.hello.snapshot?.appliedConfigHash ?? "").split(":").pop().slice(0, 10))),
			waits.length > 0 && h("p.alert.warn", t("waits_restart", waits.join(", "))),
			(status.configIssues ?? []).slice(0, 5).map((issue) => h("p.alert", typeof issue === "string" ? issue : t("value_error", issue.path, issue.message))),
			facts([[t("file"), h("span.mono", app.hello.snapshot?.configPath ?? "–")], [t("state_dir"), h("span.mono", app.hello.snapshot?.stateDir ?? "–")]]),
		);
		put(about, facts([
			[t("health"), h("span.row", dot(bad ? "warn" : "good"), bad ? t("degraded") : t("good"))],
			[t("version"), status.runtimeVersion ?? app.hello.server?.version],
			[t("process"), status.pid && `pid ${status.pid}`],
			[t("round_trip"), `${trip.toFixed(1)} ms`],
			[t("queue"), status.memory && bytes(status.memory.queuedBytes)],
			[t("sessions"), number(status.sessions?.count)],
			[t("model"), status.sessions?.defaults?.model],
			[t("auth_mode"), app.hello.snapshot?.authMode],
			[t("gaps"), number(app.gaps)],
		]));
		put(people, table(t("presence"), [t("name"), t("role"), t("since")], app.presence.map((row) => [row.host ?? row.clientId ?? row.deviceId ?? row.text, h("span.tags", tag(row.mode ?? ""), row.deviceFamily && tag(row.deviceFamily)), when(row.onlineSince ?? row.ts)]), t("none")));
		const rows = (costs?.daily ?? []).filter((day) => day.totalTokens).reverse();
		put(days, table(t("last_days"), [t("day"), t("input"), t("output"), t("total"), "USD"], rows.map((day) => [day.date, number(day.input), number(day.output), number(day.totalTokens), money(day.totalCost)]), t("none")));
	}

	/** What holds the focus is not taken away from under it. */
	function keep(element, ...children) {
		if (!element.contains(document.activeElement)) put(element, ...children);
	}

	function again() {
		clearTimeout(timer);
		look().catch(() => {}).finally(() => {
			if (!closed) timer = setTimeout(again, document.hidden ? EVERY_MS * 5 : EVERY_MS);
		});
	}
	again();

	return {
		resync: again,
		event(name) {
			if (name === "config.changed") ticks = 0;
			if (name === "presence" || name === "config.changed" || name === "waiting") {
				clearTimeout(timer);
				timer = setTimeout(again, 200);
			}
		},
		close() {
			closed = true;
			clearTimeout(timer);
		},
	};
}
