// Elements, made from text nodes only: no string here ever becomes HTML.

import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name === "class") element.setAttribute("class", value);
		else if (name in PROPERTIES) element[name] = value;
		else element.setAttribute(name, value === true ? "" : String(value));
	}
	append(element, children);
	return element;
}

// What a browser keeps apart from the attribute of that name.
const PROPERTIES = { value: 1, checked: 1, disabled: 1, selected: 1, open: 1, indeterminate: 1 };

function append(element, children) {
	for (const child of children) {
		if (child === null || child === undefined || child === false) continue;
		if (Array.isArray(child)) append(element, child);
		else element.append(child instanceof Node ? child : String(child));
	}
}

/** An element: h("p.x", {onclick: f}, "text", other); classes stand behind the name. */
export function h(name, ...children) {
	const [tag, ...classes] = name.split(".");
	const element = document.createElement(tag);
	if (classes.length) element.className = classes.join(" ");
	const props = children[0]?.constructor === Object ? children.shift() : null;
	return fill(element, props, children);
}

/** The same of SVG. */
export function s(tag, props, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

/** Replaces what is in an element. */
export function put(element, ...children) {
	element.replaceChildren();
	append(element, children);
	return element;
}

const ICONS = {
	chat: "M4 5h16v11H9l-5 4z",
	overview: "M4 20V11M10 20V4M16 20v-7M21 20H3",
	channels: "M5 12a7 7 0 0 1 14 0M8.5 12a3.5 3.5 0 0 1 7 0M12 12v8",
	devices: "M3 5h13v10H3zM7 19h5M19 9h2v10h-6v-3",
	approvals: "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM8.5 12l2.5 2.5 4.5-5",
	config: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
	cron: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
	logs: "M5 5h14M5 10h14M5 15h9M5 20h6",
	debug: "M5 6l5 6-5 6M12 18h7",
	menu: "M4 7h16M4 12h16M4 17h16",
	plus: "M12 5v14M5 12h14",
	send: "M4 12l16-7-6 16-3-7z",
	stop: "M7 7h10v10H7z",
	more: "M5 12h.01M12 12h.01M19 12h.01",
	back: "M15 5l-7 7 7 7",
	image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
	theme: "M12 4a8 8 0 1 0 8 8 6 6 0 0 1-8-8z",
	leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
	tool: "M14 6a4 4 0 0 1 5 5l-8 8-4-4 8-8zM6 18l-2 2",
};

/** A line drawing; beside a label it says nothing of its own. */
export function icon(name) {
	return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] ?? "" }));
}

/** A button that is off while what it does is under way, and tells what went wrong. */
export function button(label, act, options = {}) {
	const { kind, icon: drawing, title, ...rest } = typeof options === "string" ? { kind: options } : options;
	const element = h(
		"button",
		{ type: "button", class: `button ${kind ?? ""}`, title, "aria-label": drawing && !label ? title : null, ...rest },
		drawing && icon(drawing),
		label && h("span", label),
	);
	element.addEventListener("click", async (event) => {
		if (element.getAttribute("aria-busy")) return;
		element.setAttribute("aria-busy", "true");
		try {
			await act(event);
		} catch (error) {
			notice(error.message, "bad");
		} finally {
			element.removeAttribute("aria-busy");
		}
	});
	return element;
}

/** A word in a colour: "good", "warn", "bad", "idle". */
export function tag(text, kind = "idle") {
	return h("span", { class: `tag ${kind}` }, text);
}

export function dot(kind) {
	return h("span", { class: `dot ${kind}`, "aria-hidden": "true" });
}

/** A section with a heading, and something at its right. */
export function card(title, right, ...children) {
	return h("section.card", h("header", h("h2", title), right && h("div.right", right)), ...children);
}

/** Nothing here, and what to do about it. */
export function empty(text, command) {
	return h("div.empty", h("p", text), command && code(command));
}

/** A command to copy. */
export function code(text) {
	return h("div.command",
		h("code", text),
		button(t("copy"), async () => {
			await navigator.clipboard.writeText(text);
			notice(t("copied"));
		}, "small"),
	);
}

/** Name and value, one pair a line. */
export function facts(pairs) {
	return h("dl.facts", pairs.filter((pair) => pair && pair[1] !== undefined && pair[1] !== null && pair[1] !== "").map(([name, value]) => [h("dt", name), h("dd", value)]));
}

/** A table that becomes a list of cards on a phone; without rows it says `none`. */
export function table(label, heads, rows, none) {
	if (!rows.length) return empty(none);
	return h(
		"div",
		{ class: "table", role: "region", "aria-label": label, tabindex: "0" },
		h("table",
			h("thead", h("tr", heads.map((head) => (head ? h("th", { scope: "col" }, head) : h("td"))))),
			h("tbody", rows.map((row) => h("tr", row.map((cell, at) => h("td", { "data-head": heads[at] || null }, cell))))),
		),
	);
}

let notices;

/** The place where notices appear; it is read aloud. */
export function noticePlace() {
	notices ??= h("div.notices", { role: "status", "aria-live": "polite" });
	return notices;
}

export function notice(text, kind = "good") {
	const element = h("div", { class: `notice ${kind}` }, h("span", text));
	element.append(button("", () => element.remove(), { kind: "ghost", title: t("close"), icon: "plus" }));
	noticePlace().append(element);
	while (notices.childElementCount > 4) notices.firstElementChild.remove();
	setTimeout(() => element.remove(), kind === "bad" ? 12_000 : 4_000);
}

/** A dialog; resolves with what `close` was called with, or null. */
export function dialog(title, build) {
	return new Promise((resolve) => {
		const element = h("dialog", { "aria-labelledby": "dialog-title" });
		const before = document.activeElement;
		let answer = null;
		const close = (value) => {
			answer = value;
			element.close();
		};
		put(element, h("h2", { id: "dialog-title" }, title), build(close));
		element.addEventListener("close", () => {
			element.remove();
			before?.focus?.();
			resolve(answer);
		});
		document.body.append(element);
		element.showModal();
	});
}

export function confirm(title, text, action, danger = true) {
	return dialog(title, (close) => [
		h("p", text),
		h("div.actions", button(t("cancel"), () => close(null)), button(action, () => close(true), { kind: danger ? "danger" : "primary", autofocus: true })),
	]);
}

export function prompt(title, label, value, action) {
	return dialog(title, (close) => {
		const input = h("input", { value, autofocus: true, maxlength: "200" });
		return h(
			"form",
			{ method: "dialog", onsubmit: () => close(input.value.trim()) },
			h("label", label, input),
			h("div.actions", button(t("cancel"), () => close(null)), h("button.button.primary", action)),
		);
	});
}

/** One form field under its label. */
export function field(label, ...inputs) {
	return h("label.field", h("span", label), inputs);
}

export function select(options, value, onchange, label) {
	return h(
		"select",
		{ "aria-label": label, onchange: (event) => onchange?.(event.target.value) },
		options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
	);
}

/** A small plot of numbers over time, with its last value in words. */
export function plot(label, values, shown) {
	const width = 160;
	const height = 36;
	const top = Math.max(...values, 0) || 1;
	const step = width / Math.max(values.length - 1, 1);
	const points = values.map((value, at) => `${(at * step).toFixed(1)},${(height - 2 - (value / top) * (height - 6)).toFixed(1)}`);
	const line = points.join(" ");
	return h("figure.plot",
		h("figcaption", h("span", label), h("strong", shown)),
		s(
			"svg",
			{ viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${shown}` },
			points.length > 1 && s("polygon", { points: `0,${height} ${line} ${width},${height}` }),
			points.length > 1 && s("polyline", { points: line }),
		),
	);
}

const locale = () => document.documentElement.lang || "en";

export function number(value) {
	if (typeof value !== "number" || !Number.isFinite(value)) return "–";
	return new Intl.NumberFormat(locale(), value >= 10_000 ? { notation: "compact", maximumFractionDigits: 1 } : {}).format(value);
}

export function money(value) {
	if (typeof value !== "number") return "–";
	return `$${value.toFixed(value > 0 && value < 1 ? 4 : 2)}`;
}

export function bytes(value) {
	if (typeof value !== "number") return "–";
	let unit = 0;
	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit += 1;
	}
	return `${value.toFixed(unit && value < 10 ? 1 : 0)} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
}

/** A length of time in its two largest units. */
export function span(ms) {
	if (typeof ms !== "number") return "–";
	const seconds = Math.max(0, Math.floor(ms / 1000));
	const parts = [[86_400, "d"], [3_600, "h"], [60, "m"], [1, "s"]];
	const first = parts.findIndex(([size]) => seconds >= size);
	if (first < 0) return "0s";
	let rest = seconds;
	return parts.slice(first, first + 2).map(([size, unit]) => {
		const count = Math.floor(rest / size);
		rest -= count * size;
		return count ? `${count}${unit}` : "";
	}).filter(Boolean).join(" ");
}

/** When something was, said so that it can be compared; the whole time is behind it. */
export function when(ms) {
	if (!ms) return "–";
	const date = new Date(ms);
	const away = Date.now() - ms;
	const text = Math.abs(away) < 86_400_000
		? (away >= 0 ? t("ago", span(away)) : t("in", span(-away)))
		: date.toLocaleDateString(locale(), { month: "short", day: "numeric", year: "numeric" });
	return h("time", { datetime: date.toISOString(), title: date.toLocaleString(locale()) }, text);
}
