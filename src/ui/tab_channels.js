// Channels: how each account is, and who wants to talk to it.

import { button, card, dot, empty, facts, h, notice, put, table, tag, when } from "./dom.js";
import { t } from "./words.js";

/** How an account is: [colour, word]. */
export function stateOf(row) {
	if (row.enabled === false) return ["idle", t("disabled")];
	if (row.configured === false) return ["idle", t("not_configured")];
	if (row.lastError && !row.connected) return ["bad", t("failed")];
	if (row.connected) return ["good", t("connected_short")];
	return row.running ? ["warn", t("running")] : ["idle", t("stopped")];
}

export function mount(view, app) {
	const list = h("div.grid");
	const senders = h("div");
	let closed = false;
	const timer = setInterval(() => document.hidden || list.contains(document.activeElement) || load(), 10_000);
	put(view, h("div.page", h("div.row", button(t("refresh"), load), button(t("probe"), () => load(true))), list, card(t("senders"), null, senders)));

	async function load(probe = false) {
		const [status] = await Promise.all([app.call("channels.status", { probe: probe === true, timeoutMs: 8_000 }), waiting()]);
		if (closed) return;
		const ids = [...new Set([...(status.channelOrder ?? []), ...Object.keys(status.channels ?? {})])];
		put(list, ids.map((id) => channel(id, status)));
		if (!ids.length) put(list, h("section.card", empty(t("no_channels"), "openclaw channels add --help")));
	}

	function channel(id, status) {
		const accounts = status.channelAccounts?.[id] ?? [{ accountId: "default", ...status.channels?.[id] }];
		return card(status.channelLabels?.[id] ?? id, null, accounts.map((row) => account(id, row)));
	}

	function account(channel, row) {
		const [kind, word] = stateOf(row);
		const act = (method) => async () => {
			await app.call(method, { channel, accountId: row.accountId }, 30_000);
			await load();
		};
		const { probe } = row;
		return h("div.body",
			h("div.row", dot(kind), h("strong", row.name ?? row.accountId), tag(word, kind), h("span.grow"),
				app.has("channels.start") && channel !== "webchat" && !row.running && button(t("start"), act("channels.start"), "small"),
				app.has("channels.stop") && channel !== "webchat" && row.running && button(t("stop"), act("channels.stop"), "small danger")),
			facts([
				[t("name"), row.bot?.username], [t("last_in"), when(row.lastInboundAt)], [t("last_out"), when(row.lastOutboundAt)],
				[t("last_error"), row.lastError && h("span.bad-text", row.lastError)], [t("queue"), row.queued || null],
				[t("probe"), probe && (probe.ok ? tag(probe.elapsedMs ? t("answers_in", probe.elapsedMs) : t("good"), "good") : h("span.bad-text", probe.error ?? t("failed")))],
			]),
		);
	}

	async function waiting() {
		if (!app.has("channels.pairing.list")) {
			put(senders, empty(t("no_pairing")));
			return;
		}
		const answer = await app.call("channels.pairing.list", {});
		const decide = (row, method, word) => async () => {
			await app.call(method, { channel: row.channel, accountId: row.accountId, requestId: row.requestId });
			notice(t(word));
			await waiting();
		};
		const rows = (answer.requests ?? []).map((row) => [
			h("strong", row.senderLabel ?? row.senderId), row.senderId, `${row.channelLabel ?? row.channel} · ${row.accountId}`, when(Date.parse(row.createdAt) || row.createdAt),
			h("div.row", button(t("approve"), decide(row, "channels.pairing.approve", "approved"), "small primary"), button(t("dismiss"), decide(row, "channels.pairing.dismiss", "done"), "small")),
		]);
		put(senders, table(t("senders"), [t("name"), "ID", t("account"), t("last_seen"), ""], rows, t("no_senders")));
	}

	load().catch((error) => put(list, empty(error.message)));
	return {
		resync: load,
		close() {
			closed = true;
			clearInterval(timer);
		},
	};
}
