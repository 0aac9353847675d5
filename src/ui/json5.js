// JSON5, as the configuration is written in: a reader that says where an error stands, and the
// difference of two texts.

export class Json5Error extends Error {
	constructor(message, line, column) {
		super(message);
		this.line = line;
		this.column = column;
	}
}

const DEPTH = 64;
const SPACE = /\s/;

/** Reads JSON5; throws Json5Error with the line, from 1. */
export function parse(text) {
	let at = 0;

	function fail(message, place = at) {
		const before = text.slice(0, place).split("\n");
		throw new Json5Error(message, before.length, before[before.length - 1].length + 1);
	}

	function skip() {
		for (;;) {
			if (at < text.length && SPACE.test(text[at])) at += 1;
			else if (text.startsWith("//", at)) {
				while (at < text.length && text[at] !== "\n") at += 1;
			} else if (text.startsWith("/*", at)) {
				const end = text.indexOf("*/", at + 2);
				if (end < 0) fail("this comment never ends");
				at = end + 2;
			} else return;
		}
	}

	function value(depth) {
		if (depth > DEPTH) fail("nested too deeply");
		skip();
		const c = text[at];
		if (c === undefined) fail("a value is missing");
		if (c === "{") return object(depth);
		if (c === "[") return array(depth);
		if (c === "\"" || c === "'") return string();
		return word();
	}

	function object(depth) {
		const open = at;
		const out = {};
		at += 1;
		for (;;) {
			skip();
			if (at >= text.length) fail("this { is never closed", open);
			if (text[at] === "}") {
				at += 1;
				return out;
			}
			const place = at;
			const key = text[at] === "\"" || text[at] === "'" ? string() : name();
			if (Object.hasOwn(out, key)) fail(`the key ${key} stands here twice`, place);
			skip();
			if (text[at] !== ":") fail(`a : is missing after ${key}`);
			at += 1;
			Object.defineProperty(out, key, { value: value(depth + 1), enumerable: true, configurable: true, writable: true });
			skip();
			if (text[at] === ",") at += 1;
			else if (text[at] !== "}") fail(at >= text.length ? "this { is never closed" : "a , or } is missing", at >= text.length ? open : at);
		}
	}

	function array(depth) {
		const open = at;
		const out = [];
		at += 1;
		for (;;) {
			skip();
			if (at >= text.length) fail("this [ is never closed", open);
			if (text[at] === "]") {
				at += 1;
				return out;
			}
			out.push(value(depth + 1));
			skip();
			if (text[at] === ",") at += 1;
			else if (text[at] !== "]") fail(at >= text.length ? "this [ is never closed" : "a , or ] is missing", at >= text.length ? open : at);
		}
	}

	function name() {
		const found = /^[\p{L}\p{Nl}$_][\p{L}\p{Nl}\p{Mn}\p{Nd}$_]*/u.exec(text.slice(at, at + 256));
		if (!found) fail("a key is missing");
		at += found[0].length;
		return found[0];
	}

	const ESCAPES = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", 0: "\0" };

	function string() {
		const quote = text[at];
		const open = at;
		let out = "";
		at += 1;
		for (;;) {
			const c = text[at];
			if (c === undefined || c === "\n") fail("this string is never closed", open);
			at += 1;
			if (c === quote) return out;
			if (c !== "\\") {
				out += c;
				continue;
			}
			const e = text[at];
			at += 1;
			if (e === "\n") continue;
			if (e === "\r") {
				if (text[at] === "\n") at += 1;
			} else if (e === "x" || e === "u") {
				const digits = text.slice(at, at + (e === "x" ? 2 : 4));
				if (!/^[0-9a-f]+$/i.test(digits) || digits.length !== (e === "x" ? 2 : 4)) fail("a wrong escape");
				out += String.fromCharCode(parseInt(digits, 16));
				at += digits.length;
			} else out += ESCAPES[e] ?? e ?? "";
		}
	}

	function word() {
		const found = /^[^\s,:[\]{}"'/]+/.exec(text.slice(at, at + 400));
		const written = found?.[0] ?? text[at];
		const known = { true: true, false: false, null: null, Infinity, NaN, "+Infinity": Infinity, "-Infinity": -Infinity, "+NaN": NaN, "-NaN": NaN };
		if (Object.hasOwn(known, written)) {
			at += written.length;
			return known[written];
		}
		if (/^[+-]?(?:0x[0-9a-f]+|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)$/i.test(written)) {
			at += written.length;
			const sign = written.startsWith("-") ? -1 : 1;
			return sign * Number(written.replace(/^[+-]/, ""));
		}
		return fail(`${written} is no value`);
	}

	const out = value(0);
	skip();
	if (at < text.length) fail("something stands behind the end");
	return out;
}

/** Lines of two texts: ["=" | "-" | "+", text]; of long texts only the part that differs. */
export function diffLines(before, after) {
	const a = before.split("\n");
	const b = after.split("\n");
	let head = 0;
	while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
	let tail = 0;
	while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
	const out = a.slice(Math.max(0, head - 2), head).map((line) => ["=", line]);
	out.push(...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)));
	out.push(...a.slice(a.length - tail, a.length - tail + 2).map((line) => ["=", line]));
	return out;
}

function middle(a, b) {
	if (a.length * b.length > 400_000) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
	const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
	for (let i = a.length - 1; i >= 0; i -= 1) {
		for (let j = b.length - 1; j >= 0; j -= 1) {
			common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
		}
	}
	const out = [];
	let i = 0;
	let j = 0;
	while (i < a.length || j < b.length) {
		if (i < a.length && j < b.length && a[i] === b[j]) {
			out.push(["=", a[i]]);
			i += 1;
			j += 1;
		}
		else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) out.push(["-", a[i++]]);
		else out.push(["+", b[j++]]);
	}
	return out;
}
