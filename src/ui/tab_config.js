// Config: a form made from config.schema, and the file's own text beside it. Both are looked at as a
// difference before they are saved, against the file as it was loaded (baseHash).

import { button, card, dialog, empty, h, notice, put, select, tag } from "./dom.js";
import { diffLines, parse } from "./json5.js";
import { t } from "./words.js";

const SECRET = "__OPENCLAW_REDACTED__";
const REFUSED = /^(Accepted, but not acted on|Refused until)/;

/** Every key of a schema with a place of its own: {path, schema}. */
export function keysOf(schema, path = [], out = [], depth = 0) {
	for (const [name, part] of Object.entries(schema.properties ?? {})) {
		const here = [...path, name];
		if (name === "$schema") continue;
		if (part.type === "object" && part.properties && depth < 8) keysOf(part, here, out, depth + 1);
		else out.push({ path: here, schema: part });
	}
	return out;
}

export const at = (value, path) => path.reduce((part, key) => (part === null || part === undefined ? undefined : part[key]), value);

/** A merge patch out of changed keys; null takes a key away. */
export function patchOf(changes) {
	const patch = {};
	for (const [path, value] of changes) {
		let part = patch;
		for (const key of path.slice(0, -1)) part = part[key] ??= {};
		part[path.at(-1)] = value === undefined ? null : value;
	}
	return patch;
}

const isSecret = (hint, value) => Boolean(hint?.sensitive) || value === SECRET;
const shown = (value) => (value === undefined ? t("unset") : value === SECRET ? "***" : JSON.stringify(value, null, 1));

export function mount(view, app) {
	const writes = app.may("admin");
	const body = h("div");
	const status = h("div", { role: "status" });
	const banner = h("div");
	let mode = "form";
	let file = null;
	let keys = [];
	let hints = {};
	let section = "";
	let all = false;
	let text = null;
	const changes = new Map();
	const search = h("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), oninput: () => draw() });
	const modes = ["form", "raw"].map((name) => button(t(name), () => {
		mode = name;
		draw();
	}, { kind: "small", "data-mode": name }));
	const every = h("input", { type: "checkbox", onchange: () => ((all = every.checked), draw()) });
	put(view, h("div.page", h("div.row", modes, search, h("label.check.small", every, t("show_advanced"))), banner, body, status));

	async function load() {
		const [got, schema] = await Promise.all([app.call("config.get", {}), keys.length ? null : app.call("config.schema", {})]);
		file = got;
		if (schema) {
			hints = schema.uiHints ?? {};
			keys = keysOf(schema.schema);
			section = keys.some((key) => key.path[0] === "agents") ? "agents" : keys[0]?.path[0];
		}
		put(banner, (file.issues ?? []).map((issue) => h("p.alert", t("value_error", issue.path || file.path, issue.message))));
		draw();
	}

	// What every channel has is described once.
	const hintOf = ({ path }) => hints[path.join(".")] ?? hints[["channels", "*", ...path.slice(2)].join(".")];

	function draw() {
		for (const one of modes) one.setAttribute("aria-pressed", String(one.dataset.mode === mode));
		if (mode === "raw") raw();
		else form();
		pending();
	}

	function pending() {
		const count = mode === "raw" ? (text !== null && text !== file.raw ? 1 : 0) : changes.size;
		put(status, count > 0 && h("div.sticky", h("strong.grow", t("changed_keys", count)), button(t("discard"), () => {
			changes.clear();
			text = null;
			draw();
		}), button(t("review"), review, "primary")));
	}

	// --- the form

	function form() {
		const word = search.value.trim().toLowerCase();
		const words = (key) => `${key.path.join(".")} ${hintOf(key)?.label ?? ""} ${hintOf(key)?.help ?? ""}`.toLowerCase();
		const counts = (key) => all || !REFUSED.test(hintOf(key)?.help ?? "") || at(file.parsed, key.path) !== undefined;
		const fitting = keys.filter((key) => counts(key) && (word ? words(key).includes(word) : key.path[0] === section));
		const sections = [...new Set(keys.filter(counts).map((key) => key.path[0]))];
		put(body, h("div.settings",
			h("nav", { "aria-label": t("config") }, sections.map((name) => h("button", { type: "button", "aria-current": !word && name === section ? "true" : null, onclick: () => {
				section = name;
				search.value = "";
				draw();
			} }, hints[name]?.label ?? name))),
			h("section.card", { "aria-label": word || section }, !word && h("p.help.about", hints[section]?.help), fitting.length ? fitting.slice(0, 300).map(line) : empty(t("no_keys_found"))),
		));
	}

	function line(key) {
		const path = key.path.join(".");
		const hint = hintOf(key);
		const row = h("div", { class: `key${changes.has(path) ? " changed" : ""}`, "data-key": path });
		const change = (value) => {
			const before = at(file.parsed, key.path);
			if (JSON.stringify(value) === JSON.stringify(before)) changes.delete(path);
			else changes.set(path, [key.path, value]);
			row.classList.toggle("changed", changes.has(path));
			pending();
		};
		const now = changes.has(path) ? changes.get(path)[1] : at(file.parsed, key.path);
		const label = hint?.label ?? key.path.at(-1);
		put(row, h("div", h("strong", label), h("div.path", path), h("div.help", hint?.help ?? (key.schema.maximum < 9e15 ? `${key.schema.minimum} – ${key.schema.maximum}` : ""))), h("div.value", editor(key, hint, now, change, `${label} (${path})`)));
		return row;
	}

	function editor(key, hint, value, change, label) {
		const { schema } = key;
		const plain = { "aria-label": label, disabled: !writes };
		const written = (input) => input.value.trim() === "" ? undefined : input.value.trim();
		if (isSecret(hint, value)) {
			return h("input", { ...plain, type: "password", autocomplete: "new-password", placeholder: value === undefined ? t("unset") : t("secret_kept"), onchange: (event) => event.target.value && change(event.target.value) });
		}
		if (schema.enum || schema.type === "boolean") {
			const options = schema.enum ?? [true, false];
			const element = select([["", t("unset")], ...options.map((one) => [String(one), String(one)])], String(value ?? ""), (next) => change(next === "" ? undefined : schema.enum ? options.find((one) => String(one) === next) : next === "true"), label);
			element.disabled = !writes;
			return element;
		}
		if (schema.type === "integer" || schema.type === "number") {
			return h("input", { ...plain, type: "number", min: schema.minimum, max: schema.maximum, step: schema.type === "integer" ? 1 : "any", value: value ?? "", placeholder: t("unset"), onchange: (event) => event.target.reportValidity() && change(written(event.target) === undefined ? undefined : Number(event.target.value)) });
		}
		if (schema.type === "string") {
			return h("input", { ...plain, value: value ?? "", placeholder: t("unset"), spellcheck: "false", onchange: (event) => change(written(event.target)) });
		}
		const complex = value !== null && typeof value === "object";
		const problem = h("small.bad-text", { role: "alert" });
		const input = h("textarea", { ...plain, class: "mono", rows: String(complex ? Math.min(10, JSON.stringify(value, null, 1).split("\n").length) : 1), spellcheck: "false", placeholder: t("unset"), onchange: () => {
			try {
				change(written(input) === undefined ? undefined : parse(input.value));
				problem.textContent = "";
			} catch (error) {
				problem.textContent = t("line_error", error.line ?? 1, error.message);
			}
		} }, value === undefined ? "" : JSON.stringify(value, null, 1));
		return [input, problem];
	}

	// --- the text

	function raw() {
		const said = h("div.small", { role: "status", id: "said" });
		const input = h("textarea.editor.mono", { spellcheck: "false", "aria-label": file.path, "aria-describedby": "said", readonly: !writes, oninput: () => {
			text = input.value;
			check();
			pending();
		} }, text ?? file.raw ?? "");
		const check = () => {
			try {
				parse(input.value);
				put(said, tag(t("valid_json5"), "good"));
			} catch (error) {
				put(said, button(t("line_error", error.line, error.message), () => {
					const start = input.value.split("\n").slice(0, error.line - 1).join("\n").length + (error.line > 1 ? 1 : 0);
					input.focus();
					input.setSelectionRange(start, start + (input.value.split("\n")[error.line - 1]?.length ?? 0));
					input.scrollTop = Math.max(0, error.line - 6) * 19;
				}, "small danger"));
			}
		};
		put(body, card(file.path, said, input));
		check();
	}

	// --- saving

	function difference() {
		if (mode === "raw") return diffLines(file.raw ?? "", text).map(([sign, line]) => h("span", { class: { "-": "minus", "+": "plus" }[sign] ?? "" }, `${sign === "=" ? " " : sign} ${line}`));
		return [...changes.values()].flatMap(([path, value]) => {
			const before = at(file.parsed, path);
			const secret = isSecret(hintOf({ path }), before);
			return [h("span", path.join(".")), h("span.minus", `- ${shown(before)}`), h("span.plus", `+ ${secret && value !== undefined ? "***" : shown(value)}`)];
		});
	}

	async function review() {
		if (mode === "raw") {
			try {
				parse(text);
			} catch (error) {
				throw new Error(t("line_error", error.line, error.message));
			}
		}
		const yes = await dialog(t("review_title"), (close) => [h("pre.diff", { tabindex: "0" }, difference()), h("div.actions", button(t("cancel"), () => close(null)), button(t("save"), () => close(true), "primary"))]);
		if (yes) await save();
	}

	async function save() {
		const base = file.exists === false ? {} : { baseHash: file.hash };
		try {
			if (mode === "raw") await app.call("config.set", { raw: text, ...base });
			else {
				const lists = [...changes.values()].filter(([, value]) => Array.isArray(value)).map(([path]) => path.join("."));
				await app.call("config.patch", { raw: JSON.stringify(patchOf(changes.values())), ...base, ...(lists.length ? { replacePaths: lists } : {}) });
			}
		} catch (error) {
			const issues = error.details?.issues ?? [];
			if (/changed since last load/.test(error.message)) {
				put(banner, h("p.alert.warn", { role: "alert" }, t("conflict")));
				file = await app.call("config.get", {});
				draw();
				return;
			}
			put(banner, h("div.alert", { role: "alert" }, issues.length ? issues.map((issue) => h("div", t("value_error", issue.path, issue.message))) : error.message));
			return;
		}
		changes.clear();
		text = null;
		put(banner);
		await load();
		const waits = (await app.call("status", {})).configWaitsForRestart ?? [];
		notice(waits.length ? t("saved_waits", waits.join(", ")) : t("saved"), waits.length ? "warn" : "good");
	}

	const told = (error) => put(body, empty(error.message));
	load().catch(told);
	return {
		resync: () => changes.size || text !== null || load().catch(told),
		event(name) {
			if (name !== "config.changed") return;
			if (changes.size || text !== null) put(banner, h("p.alert.warn", { role: "status" }, t("config_came")));
			else if (!body.contains(document.activeElement)) load().catch(() => {});
		},
	};
}
