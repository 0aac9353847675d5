// Devices and nodes: who may come in, who asks to, and what nodes can do.

import { button, card, code, confirm, dialog, dot, empty, field, h, notice, prompt, put, select, table, tag, when } from "./dom.js";
import { t } from "./words.js";

export function mount(view, app) {
	const pending = h("div", { "aria-live": "polite" });
	const paired = h("div");
	const nodes = h("div");
	const mine = app.client.device.id;
	let closed = false;
	put(view, h("div.page",
		card(t("pending_devices"), [button(t("refresh"), load, "small"), app.has("device.pair.setupCode") && button(t("door_setup"), invite, "small")], pending),
		card(t("paired"), null, paired),
		card(t("nodes"), null, nodes),
	));

	async function load() {
		if (!app.may("pairing")) {
			put(pending, empty(t("not_allowed", "operator.pairing")));
			return;
		}
		const [devices, asking, known] = await Promise.all([app.call("device.pair.list", {}), app.call("node.pair.list", {}).catch(() => ({})), app.call("node.list", {}).catch(() => ({}))]);
		if (closed) return;
		app.pairings = (devices.pending?.length ?? 0) + (asking.pending?.length ?? 0);
		app.counts();
		const rows = [...(devices.pending ?? []).map((row) => request(row, "device")), ...(asking.pending ?? []).map((row) => request(row, "node"))];
		put(pending, table(t("pending_devices"), [t("name"), t("wants"), t("last_seen"), ""], rows, t("nothing_waits")));
		put(paired, table(t("paired"), [t("name"), t("role"), t("scopes"), t("last_seen"), ""], (devices.paired ?? []).map(device), t("none_paired")));
		put(nodes, table(t("nodes"), [t("name"), t("state"), t("commands"), t("last_seen"), ""], (known.nodes ?? []).map(node), t("no_nodes")));
	}

	const act = (method, params, word) => async () => {
		await app.call(method, params);
		notice(t(word));
		await load();
	};
	const words = (list, first) => h("div.tags", first, (list ?? []).map((word) => tag(word.replace("operator.", ""))));
	const nameOf = (row) => h("div", h("strong", row.displayName ?? row.operatorLabel ?? row.clientId ?? row.nodeId?.slice(0, 12) ?? ""), row.deviceId === mine && [" ", tag(t("this_browser"), "good")],
		h("div.soft.small.mono", (row.deviceId ?? row.nodeId ?? "").slice(0, 16)), row.remoteIp && h("div.soft.small", t("from", row.remoteIp)), row.platform && h("div.soft.small", row.platform));

	function request(row, kind) {
		const { requestId } = row;
		return [
			nameOf(row), [words(row.roles ?? [kind]), words(row.scopes ?? row.caps), words(row.commands)], when(row.ts),
			h("div.row", button(t("approve"), act(`${kind}.pair.approve`, { requestId }, "approved"), "small primary"), button(t("reject"), act(`${kind}.pair.reject`, { requestId }, "done"), "small danger")),
		];
	}

	function device(row) {
		const { deviceId } = row;
		const live = (row.tokens ?? []).filter((token) => !token.revokedAtMs);
		const asked = (label, text, method, params, word) => async () => {
			if (await confirm(label, text, label)) await act(method, params, word)();
		};
		return [
			nameOf(row), words(row.roles, dot(row.connected ? "good" : "idle")), words(row.scopes), when(row.lastSeenAtMs),
			h("div.row",
				app.has("device.pair.rename") && button(t("rename"), async () => {
					const label = await prompt(t("rename"), t("name"), row.operatorLabel ?? row.displayName ?? "", t("save"));
					if (label) await act("device.pair.rename", { deviceId, label }, "done")();
				}, "small"),
				live.map(({ role }) => [
					button(t("rotate"), asked(t("rotate"), t("rotate_text"), "device.token.rotate", { deviceId, role }, "rotated"), { kind: "small", title: role }),
					button(t("revoke"), asked(t("revoke"), t("revoke_text"), "device.token.revoke", { deviceId, role }, "done"), { kind: "small danger", title: role }),
				]),
				button(t("remove"), asked(t("remove"), t("remove_text", row.displayName ?? deviceId.slice(0, 12)), "device.pair.remove", { deviceId }, "done"), "small danger")),
		];
	}

	function node(row) {
		return [
			nameOf(row), [dot(row.connected ? "good" : "idle"), ` ${t(row.connected ? "online" : "away")} `, row.approvalState !== "approved" && tag(row.approvalState ?? "", "warn")], words(row.commands), when(row.lastSeenAtMs),
			h("div.row", row.connected && row.commands?.length > 0 && button(t("invoke"), () => invoke(row), "small"),
				row.pendingRequestId && button(t("approve"), act("node.pair.approve", { requestId: row.pendingRequestId }, "approved"), "small primary")),
		];
	}

	function invoke(row) {
		return dialog(`${t("invoke")}: ${row.displayName ?? row.nodeId.slice(0, 12)}`, (close) => {
			let command = row.commands[0];
			const params = h("textarea.mono", { rows: "4" }, "{}");
			const result = h("pre", { hidden: true, tabindex: "0" });
			const run = async () => {
				const answer = await app.call("node.invoke", { nodeId: row.nodeId, command, params: JSON.parse(params.value), idempotencyKey: crypto.randomUUID() }, 60_000).catch((error) => error.message);
				result.hidden = false;
				put(result, typeof answer === "string" ? answer : JSON.stringify(answer.payload ?? answer, null, 2));
			};
			return [field(t("commands"), select(row.commands.map((name) => [name, name]), command, (value) => (command = value))), field(t("params"), params), result, h("div.actions", button(t("close"), () => close(null)), button(t("invoke"), run, "primary"))];
		});
	}

	async function invite() {
		const made = await app.call("device.pair.setupCode", {});
		await dialog(t("door_setup"), (close) => [h("p", t("invite_text")), code(made.setupCode), h("div.actions", button(t("close"), () => close(null)))]);
	}

	const told = (error) => put(pending, empty(error.message));
	load().catch(told);
	return {
		resync: () => load().catch(told),
		event(name) {
			if (name.includes(".pair.") || name === "presence") load().catch(() => {});
		},
		close: () => (closed = true),
	};
}
