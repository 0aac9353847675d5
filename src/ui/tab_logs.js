// Logs: the file as it grows, by level and by word.

import { button, card, empty, h, put, select } from "./dom.js";
import { t } from "./words.js";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const KEPT = 2_000;
const EVERY_MS = 1_000;

/** A line of the file: {time, level, from, text}. */
export function parseLine(line) {
	try {
		const row = JSON.parse(line);
		let from = row["0"] ?? "";
		try {
			from = JSON.parse(from).subsystem ?? from;
		} catch {
			// It is a text already.
		}
		const text = row["1"] ?? row.message ?? "";
		return { time: row.time ?? row._meta?.date ?? "", level: row._meta?.logLevelName ?? row.level ?? "INFO", from: String(from), text: typeof text === "string" ? text : JSON.stringify(text) };
	} catch {
		return { time: "", level: "INFO", from: "", text: line };
	}
}

export function mount(view, app) {
	let rows = [];
	let cursor;
	let level = "";
	let follow = true;
	let timer = 0;
	let closed = false;
	const filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), oninput: draw });
	const lines = h("div.lines", { role: "log", "aria-live": "off", tabindex: "0", "aria-label": t("logs") });
	const pressed = button(t("follow"), () => {
		follow = !follow;
		pressed.setAttribute("aria-pressed", String(follow));
		if (follow) look();
	}, { "aria-pressed": "true", kind: "small" });
	const name = h("span.soft.small.mono");
	put(view, h("div.page", card(t("logs"), [filter, select([["", t("all_levels")], ...LEVELS.map((one) => [one, one])], "", (value) => ((level = value), draw()), t("level")), pressed], lines), name));

	const fits = (row) => {
		const word = filter.value.trim().toLowerCase();
		return (!level || LEVELS.indexOf(row.level) >= LEVELS.indexOf(level)) && (!word || `${row.from} ${row.text}`.toLowerCase().includes(word));
	};
	const element = (row) => h("div.line", h("span.soft", { title: row.time }, row.time.slice(11, 23)), h("span", { class: row.level }, row.level), h("span.soft", row.from), h("span", { class: row.level }, row.text));

	function draw() {
		const fitting = rows.filter(fits);
		put(lines, fitting.length ? fitting.map(element) : empty(t("no_lines")));
		lines.scrollTop = lines.scrollHeight;
	}

	async function look() {
		clearTimeout(timer);
		try {
			const answer = await app.call("logs.tail", { limit: 1_000, maxBytes: 500_000, ...(cursor === undefined ? {} : { cursor }) });
			if (closed) return;
			cursor = answer.cursor;
			name.textContent = answer.file ?? "";
			const fresh = answer.lines.map(parseLine);
			if (answer.reset && rows.length) fresh.unshift({ time: "", level: "INFO", from: "", text: `— ${t("log_cut")}` });
			if (fresh.length) add(fresh);
		} catch (error) {
			if (!rows.length && !closed) put(lines, empty(error.message));
		}
		if (follow && !closed) timer = setTimeout(look, document.hidden ? EVERY_MS * 10 : EVERY_MS);
	}

	function add(fresh) {
		const first = !rows.length;
		const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 60;
		rows.push(...fresh);
		if (first || rows.length > KEPT) {
			rows = rows.slice(-KEPT);
			draw();
			return;
		}
		const fitting = fresh.filter(fits);
		if (!fitting.length) return;
		lines.querySelector(".empty")?.remove();
		lines.append(...fitting.map(element));
		if (atEnd) lines.scrollTop = lines.scrollHeight;
	}

	look();
	return {
		resync: look,
		close() {
			closed = true;
			clearTimeout(timer);
		},
	};
}
