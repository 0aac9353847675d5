// Cron: what is scheduled, when it ran, and something new.

import { button, card, confirm, dialog, dot, empty, facts, field, h, notice, put, select, table, tag, when, span } from "./dom.js";
import { t } from "./words.js";

const UNITS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

/** Milliseconds of "30m", "1h 30m"; null when it is none. */
export function parseSpan(text) {
	const parts = [...text.trim().matchAll(/(\d+)\s*([smhd])\s*/gy)];
	if (!parts.length || parts.map((part) => part[0]).join("").length !== text.trim().length) return null;
	return parts.reduce((sum, [, count, unit]) => sum + count * UNITS[unit], 0);
}

export function scheduleText(schedule) {
	if (schedule?.kind === "every") return `${t("every")} ${span(schedule.everyMs)}`;
	if (schedule?.kind === "at") return [`${t("at")} `, when(Date.parse(schedule.at) || schedule.atMs)];
	return h("code", `${schedule?.expr ?? schedule?.kind ?? ""}${schedule?.tz ? ` (${schedule.tz})` : ""}`);
}

const outcome = (word) => tag(word, { ok: "good", error: "bad" }[word]);

export function mount(view, app) {
	const head = h("div.body");
	const list = h("div");
	let closed = false;
	put(view, h("div.page", card(t("scheduler"), [button(t("refresh"), load, "small"), app.may("admin") && button(t("add_job"), add, { kind: "small primary", icon: "plus" })], head), card(t("jobs"), null, list)));

	async function load() {
		const [status, answer] = await Promise.all([app.call("cron.status", {}), app.call("cron.list", { includeDisabled: true, limit: 200, offset: 0 })]);
		if (closed) return;
		put(head, facts([[t("state"), h("span.row", dot(status.enabled ? "good" : "idle"), t(status.enabled ? "enabled" : "disabled"))], [t("jobs"), status.jobs], [t("next_run"), when(status.nextWakeAtMs)]]));
		const jobs = answer.jobs ?? [];
		put(list, table(t("jobs"), [t("name"), t("schedule"), t("next_run"), t("last_run"), ""], jobs.map(row), t("no_jobs")));
	}

	function row(job) {
		const state = job.state ?? {};
		const act = (method, params, word = "done") => async () => {
			await app.call(method, { id: job.id, ...params });
			notice(t(word));
			await load();
		};
		return [
			h("div", h("strong", job.displayName ?? job.name), " ", !job.enabled && tag(t("disabled")), h("div.soft.small", (job.payload?.message ?? job.payload?.text ?? job.payload?.kind ?? "").slice(0, 140))),
			scheduleText(job.schedule),
			when(job.enabled && (job.nextRunAtMs ?? state.nextRunAtMs)),
			h("div", when(state.lastRunAtMs), " ", state.lastStatus && outcome(state.lastStatus), state.lastError && h("div.bad-text.small", state.lastError)),
			h("div.row", button(t("run_now"), act("cron.run", { mode: "force" }, "enqueued"), "small"), button(t(job.enabled ? "disable" : "enable"), act("cron.update", { patch: { enabled: !job.enabled } }), "small"), button(t("history"), () => runs(job), "small"),
				button(t("remove"), async () => (await confirm(t("remove"), job.name, t("remove"))) && act("cron.remove", {})(), "small danger")),
		];
	}

	async function runs(job) {
		const answer = await app.call("cron.runs", { id: job.id, limit: 30 });
		const rows = (answer.entries ?? []).map((entry) => [when(entry.runAtMs ?? entry.ts), outcome(entry.status ?? entry.action ?? ""), span(entry.durationMs), (entry.error ?? entry.summary ?? "").slice(0, 300)]);
		await dialog(`${t("history")}: ${job.name}`, (close) => [table(t("history"), [t("last_run"), t("state"), "ms", t("result")], rows, t("no_runs")), h("div.actions", button(t("close"), () => close(null)))]);
	}

	async function add() {
		let kind = "every";
		const name = h("input", { required: true, maxlength: "200" });
		const value = h("input", { required: true, value: "1h" });
		const zone = h("input", { value: Intl.DateTimeFormat().resolvedOptions().timeZone });
		const what = h("textarea", { rows: "3", required: true });
		const help = h("small", t("every_help"));
		const asked = await dialog(t("add_job"), (close) => h(
			"form",
			{ method: "dialog", onsubmit: (event) => {
				event.preventDefault();
				const everyMs = parseSpan(value.value);
				if (kind === "every" && !everyMs) return notice(t("wrong_span", value.value), "bad");
				const schedule = { every: { kind, everyMs }, at: { kind, at: kind === "at" ? new Date(value.value).toISOString() : "" }, cron: { kind, expr: value.value.trim(), tz: zone.value.trim() || undefined } }[kind];
				return close({ name: name.value.trim(), schedule, sessionTarget: "isolated", wakeMode: "now", payload: { kind: "agentTurn", message: what.value } });
			} },
			field(t("name"), name),
			field(t("kind"), select([["every", t("every")], ["at", t("at")], ["cron", t("expression")]], kind, (next) => {
				kind = next;
				value.type = next === "at" ? "datetime-local" : "text";
				value.value = { every: "1h", at: "", cron: "0 9 * * 1-5" }[next];
				help.textContent = t({ every: "every_help", at: "at_help", cron: "expression_help" }[next]);
			})),
			field(t("schedule"), value, help),
			field(t("time_zone"), zone),
			field(t("what"), what),
			h("div.actions", button(t("cancel"), () => close(null)), h("button.button.primary", t("add"))),
		));
		if (!asked) return;
		await app.call("cron.add", asked);
		await load();
	}

	load().catch((error) => put(list, empty(error.message)));
	return {
		resync: () => load().catch(() => {}),
		event: (name) => name === "cron" && load().catch(() => {}),
		close: () => (closed = true),
	};
}
