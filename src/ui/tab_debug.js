// Debug: call any method of the protocol, and watch what the gateway tells.

import { button, card, empty, field, h, put } from "./dom.js";
import { t } from "./words.js";

const SHOWN = 200;

export function mount(view, app) {
	const method = h("input", { list: "methods", class: "mono", autocomplete: "off", spellcheck: "false", value: "status" });
	const params = h("textarea.mono", { rows: "5", spellcheck: "false" }, "{}");
	const result = h("pre", { tabindex: "0", "aria-live": "polite", "aria-label": t("result") }, "–");
	const took = h("span.soft.small");
	const filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), oninput: draw });
	const events = h("div.lines", { role: "log", "aria-live": "off", tabindex: "0", "aria-label": t("events") });
	let paused = false;
	let frame = 0;
	const pause = button(t("pause"), () => {
		paused = !paused;
		pause.setAttribute("aria-pressed", String(paused));
		if (!paused) draw();
	}, { kind: "small", "aria-pressed": "false" });

	async function call() {
		const began = performance.now();
		const answer = await app.call(method.value.trim(), JSON.parse(params.value || "{}"), 60_000).catch((error) => ({ error: error.message, code: error.code, details: error.details }));
		took.textContent = t("took", Math.round(performance.now() - began));
		const text = JSON.stringify(answer, null, 2) ?? "null";
		put(result, text.length > 200_000 ? `${text.slice(0, 200_000)}\n…` : text);
	}

	function draw() {
		frame = 0;
		if (paused) return;
		const word = filter.value.trim().toLowerCase();
		const rows = app.events.filter((row) => !word || row.name.includes(word)).slice(-SHOWN).reverse();
		put(events, rows.length ? rows.map((row) => h("details", h("summary", h("span.soft", `${new Date(row.at).toISOString().slice(11, 23)} `), h("strong", row.name), h("span.soft", ` ${JSON.stringify(row.payload ?? null).slice(0, 160)}`)), h("pre", JSON.stringify(row.payload, null, 2)))) : empty(t("no_events")));
	}

	put(view, h("div.page",
		card(t("call"), took, h("div.body", field(t("method"), method), h("datalist", { id: "methods" }, (app.hello.features?.methods ?? []).map((name) => h("option", { value: name }))), field(t("params"), params), h("div.row", button(t("send_call"), call, "primary")), result)),
		card(t("events"), [filter, pause], events),
		card(t("hello"), null, h("details.body", h("summary", "hello-ok"), h("pre", JSON.stringify({ ...app.hello, auth: { ...app.hello.auth, deviceToken: undefined } }, null, 2)))),
	));
	draw();
	return {
		event() {
			// Drawn four times a second at most, and not while one of them is read.
			if (!frame && !events.querySelector("details[open]")) frame = setTimeout(draw, 250);
		},
		close: () => clearTimeout(frame),
	};
}
