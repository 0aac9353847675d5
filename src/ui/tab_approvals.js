// Approvals: commands that wait for somebody, and what is always allowed.

import { button, card, empty, facts, h, put, table, tag, when } from "./dom.js";
import { t } from "./words.js";

export function mount(view, app) {
	const waiting = h("div", { "aria-live": "polite" });
	const rules = h("div.body");
	put(view, h("div.page", card(t("wants_to_run"), null, waiting), card(t("rules"), button(t("refresh"), load, "small"), rules)));

	function draw() {
		if (!app.may("approvals")) {
			put(waiting, empty(t("not_allowed", "operator.approvals")));
			return;
		}
		const rows = [...app.approvals.values()];
		put(waiting, rows.length ? rows.map(one) : empty(t("no_approvals")));
	}

	function one(row) {
		const { request } = row;
		const allowed = request.allowedDecisions ?? ["allow-once", "allow-always", "deny"];
		const decide = (decision) => async () => {
			await app.call("exec.approval.resolve", { id: row.id, decision });
			app.approvals.delete(row.id);
			app.counts();
			draw();
			(waiting.querySelector("button") ?? document.getElementById("view")).focus();
		};
		return h(
			"article",
			{ class: "approval", "aria-label": request.command },
			h("pre", { tabindex: "0" }, request.command),
			request.warningText && h("p.alert.warn", request.warningText),
			(request.commandAnalysis?.warningLines ?? []).map((line) => h("p.alert.warn", line)),
			facts([
				[t("program"), request.resolvedPath], [t("folder"), request.cwd], [t("host"), request.nodeId ?? request.host],
				[t("agent"), request.agentId], [t("session"), request.sessionKey], [t("expires"), row.expiresAtMs && when(row.expiresAtMs)],
			]),
			h("div.row",
				allowed.includes("allow-once") && button(t("allow_once"), decide("allow-once"), "primary"),
				allowed.includes("allow-always") && button(t("allow_always"), decide("allow-always")),
				allowed.includes("deny") && button(t("deny"), decide("deny"), "danger"),
			),
		);
	}

	async function load() {
		if (!app.has("exec.approvals.get")) {
			put(rules, h("p.soft", t("absent", "exec.approvals.get")));
			return;
		}
		const answer = await app.call("exec.approvals.get", {});
		const file = answer.file ?? {};
		const standard = { ...answer.resolvedDefaults, ...file.defaults };
		const rows = Object.entries(file.agents ?? {}).flatMap(([agent, entry]) => (entry.allowlist ?? []).map((rule) => [
			tag(agent), h("code", typeof rule === "string" ? rule : rule.pattern ?? rule.command ?? JSON.stringify(rule)), when(rule.lastUsedAt ?? rule.lastUsedAtMs),
		]));
		put(
			rules,
			facts([[t("security"), standard.security && tag(standard.security)], [t("ask_when"), standard.ask && tag(standard.ask)], [t("file"), h("span.mono", answer.path)]]),
			rows.length ? table(t("allowlist"), [t("agent"), t("pattern"), t("last_used")], rows) : h("p.soft", t("no_rules")),
		);
	}

	draw();
	load().catch((error) => put(rules, h("p.soft", error.message)));
	return {
		resync: draw,
		event(name) {
			if (name === "waiting" || name.startsWith("exec.approval.")) draw();
		},
	};
}
