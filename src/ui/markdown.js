// Markdown to elements. Everything that was written becomes a text node; HTML in it is shown as it
// was written. Links go where the list of schemes allows, pictures become links, since a picture
// would tell its host that the message was read.

import { h } from "./dom.js";

const SCHEMES = ["http:", "https:", "mailto:"];

/** An address that may be followed, or null. */
export function safeHref(text) {
	const trimmed = text.trim();
	if (trimmed.startsWith("//") || !/^[a-z][a-z0-9+.-]*:/i.test(trimmed)) return null;
	try {
		const url = new URL(trimmed);
		return SCHEMES.includes(url.protocol) ? url.href : null;
	} catch {
		return null;
	}
}

function link(text, address) {
	const href = safeHref(address);
	if (!href) return h("span.nolink", { title: address }, text);
	return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, text);
}

const INLINE = [
	// The first that begins earliest counts; code before everything else.
	[/(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/, (m) => h("code", m[2].trim() || m[2])],
	[/!?\[([^\]\n]{0,500})\]\(\s*<?([^)\s>]{1,2000})>?(?:\s+"[^"\n]*")?\s*\)/, (m, deep) => link(m[1] ? inline(m[1], deep) : m[2], m[2])],
	[/<((?:https?:\/\/|mailto:)[^>\s]{1,2000})>/i, (m) => link(m[1], m[1])],
	[/\*\*(?=\S)([\s\S]*?\S)\*\*/, (m, deep) => h("strong", inline(m[1], deep))],
	[/__(?=\S)([\s\S]*?\S)__(?!\w)/, (m, deep) => h("strong", inline(m[1], deep))],
	[/~~(?=\S)([\s\S]*?\S)~~/, (m, deep) => h("del", inline(m[1], deep))],
	[/\*(?=[^\s*])([^*\n]*?[^\s*])\*/, (m, deep) => h("em", inline(m[1], deep))],
	[/(?<!\w)_(?=[^\s_])([^_\n]*?[^\s_])_(?!\w)/, (m, deep) => h("em", inline(m[1], deep))],
	[/\bhttps?:\/\/[^\s<>"'`]{1,2000}/i, (m) => bare(m[0])],
	[/\\([\\`*_{}[\]()#+\-.!~|<>])/, (m) => m[1]],
	[/ {2,}\n|\\\n/, () => h("br")],
];

/** An address in running text ends before the punctuation that ends the sentence. */
function bare(text) {
	let end = text.length;
	while (end > 0 && /[.,;:!?)\]}]/.test(text[end - 1])) {
		if (text[end - 1] === ")" && text.slice(0, end).includes("(")) break;
		end -= 1;
	}
	return [link(text.slice(0, end), text.slice(0, end)), text.slice(end)];
}

/** Inline parts: text and elements. */
export function inline(text, depth = 0) {
	const out = [];
	let rest = text;
	if (depth > 8) return [text];
	// For each rule its next match, found anew only when it has been passed.
	const next = INLINE.map(([pattern]) => pattern.exec(rest));
	let offset = 0;
	while (rest) {
		let best = -1;
		for (let at = 0; at < next.length; at += 1) {
			if (next[at] && next[at].index < offset) {
				const found = INLINE[at][0].exec(rest);
				next[at] = found;
				if (found) found.index += offset;
			}
			if (next[at] && (best < 0 || next[at].index < next[best].index)) best = at;
		}
		if (best < 0) {
			out.push(rest);
			break;
		}
		const found = next[best];
		const start = found.index - offset;
		if (start > 0) out.push(rest.slice(0, start));
		const made = INLINE[best][1](found, depth + 1);
		if (Array.isArray(made)) out.push(...made);
		else out.push(made);
		rest = rest.slice(start + found[0].length);
		offset = found.index + found[0].length;
	}
	return out;
}

const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]{0,40}).*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)(?:([-*+])|(\d{1,9})[.)])\s+(.*)$/;
const CELLS = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** Blocks of a text, as elements. */
export function markdown(text, depth = 0) {
	const lines = text.replace(/\r\n?/g, "\n").split("\n");
	const out = [];
	let at = 0;
	const paragraph = [];
	const flush = () => {
		if (paragraph.length) out.push(h("p", inline(paragraph.join("\n"))));
		paragraph.length = 0;
	};
	while (at < lines.length) {
		const line = lines[at];
		const fence = FENCE.exec(line);
		if (fence) {
			flush();
			const close = fence[1];
			const body = [];
			at += 1;
			while (at < lines.length && !lines[at].trim().startsWith(close)) body.push(lines[at++]);
			at += 1;
			out.push(h("pre", { tabindex: "0" }, h("code", { "data-language": fence[2] || null }, body.join("\n"))));
			continue;
		}
		const heading = HEADING.exec(line);
		if (heading) {
			flush();
			// The page's own headings end at 2.
			out.push(h(`h${Math.min(heading[1].length + 2, 6)}`, null, inline(heading[2])));
		} else if (RULE.test(line)) {
			flush();
			out.push(h("hr"));
		} else if (/^ {0,3}>/.test(line) && depth < 6) {
			flush();
			const quoted = [];
			while (at < lines.length && /^ {0,3}>/.test(lines[at])) quoted.push(lines[at++].replace(/^ {0,3}> ?/, ""));
			out.push(h("blockquote", markdown(quoted.join("\n"), depth + 1)));
			continue;
		} else if (ITEM.test(line) && depth < 6) {
			flush();
			at = list(lines, at, out, depth);
			continue;
		} else if (line.includes("|") && CELLS.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) {
			flush();
			at = grid(lines, at, out);
			continue;
		} else if (!line.trim()) {
			flush();
		} else {
			paragraph.push(line);
		}
		at += 1;
	}
	flush();
	return out;
}

function list(lines, start, out, depth) {
	const first = ITEM.exec(lines[start]);
	const indent = first[1].length;
	const ordered = first[3] !== undefined;
	const items = [];
	let at = start;
	while (at < lines.length) {
		const item = ITEM.exec(lines[at]);
		if (!item || item[1].length < indent || item[1].length > indent + 1 || (item[3] !== undefined) !== ordered) break;
		const body = [item[4]];
		at += 1;
		while (at < lines.length) {
			const line = lines[at];
			const deeper = /^\s/.test(line) && line.search(/\S/) > indent;
			const blank = !line.trim() && /^\s+\S/.test(lines[at + 1] ?? "") && lines[at + 1].search(/\S/) > indent;
			if (!deeper && !blank) break;
			body.push(line.slice(Math.min(line.length, indent + 2)));
			at += 1;
		}
		const task = /^\[([ xX])\]\s+/.exec(body[0]);
		if (task) body[0] = (task[1] === " " ? "☐ " : "☑ ") + body[0].slice(task[0].length);
		const blocks = markdown(body.join("\n"), depth + 1);
		const plain = blocks[0]?.tagName === "P" ? [...blocks[0].childNodes, ...blocks.slice(1)] : blocks;
		items.push(h("li", plain));
	}
	out.push(h(ordered ? "ol" : "ul", { start: ordered && first[3] !== "1" ? first[3] : null }, items));
	return at;
}

function grid(lines, start, out) {
	const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());
	const heads = cells(lines[start]);
	const rows = [];
	let at = start + 2;
	while (at < lines.length && lines[at].includes("|") && lines[at].trim()) rows.push(cells(lines[at++]));
	out.push(
		h(
			"div",
			{ class: "scroll", tabindex: "0" },
			h("table",
				h("thead", h("tr", heads.map((head) => h("th", { scope: "col" }, inline(head))))),
				h("tbody", rows.map((row) => h("tr", heads.map((_, column) => h("td", inline(row[column] ?? "")))))),
			),
		),
	);
	return at;
}
