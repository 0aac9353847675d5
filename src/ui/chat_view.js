// The messages of one session: what was said, what is being said, and the tools between.

import { h, icon, put, tag, when } from "./dom.js";
import { markdown } from "./markdown.js";
import { t } from "./words.js";

const TOOL_OUTPUT = 20_000;
/** Streaming text is drawn at most this often. */
const DRAW_MS = 80;

/** Text of a message's content, whichever form it has. */
export function textOf(content) {
	if (typeof content === "string") return content;
	return (content ?? []).filter((part) => part.type === "text").map((part) => part.text ?? "").join("\n");
}

const idOf = (message) => message.__openclaw?.id ?? message.messageId ?? message.idempotencyKey ?? `${message.role}:${message.timestamp}`;

function short(value) {
	const text = typeof value === "string" ? value : JSON.stringify(value ?? {});
	return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

function gist(args) {
	if (!args || typeof args !== "object") return short(args ?? "");
	return short(args.command ?? args.path ?? args.url ?? args.query ?? args.pattern ?? args);
}

function cut(text) {
	return text.length > TOOL_OUTPUT ? `${text.slice(0, TOOL_OUTPUT)}\n… (${text.length})` : text;
}

/** One tool call as a card that opens. */
export class ToolCard {
	constructor(id, name, args) {
		this.id = id;
		this.status = h("span", tag(t("running"), "warn"));
		this.what = h("span.what", gist(args));
		this.output = h("div");
		this.args = h("pre", { tabindex: "0" }, cut(JSON.stringify(args ?? {}, null, 2)));
		this.element = h("details.tool",
			h("summary", icon("tool"), h("code", name), this.what, this.status),
			h("div.inside", h("div", h("span.soft.small", t("input")), this.args), this.output),
		);
	}

	result(content, isError) {
		const text = textOf(content);
		put(this.status, tag(isError ? t("failed") : t("done"), isError ? "bad" : "good"));
		put(this.output, h("span.soft.small", t("output")), h("pre", { tabindex: "0" }, cut(text)), pictures(content));
	}

	over() {
		if (!this.output.childElementCount) put(this.status, tag(t("stopped")));
	}
}

function pictures(content) {
	if (!Array.isArray(content)) return null;
	const parts = content.filter((part) => part.type === "image");
	if (!parts.length) return null;
	const shown = parts.map((part) => {
		const data = part.data ?? part.source?.data;
		const mime = part.mimeType ?? part.source?.media_type ?? "";
		return data && /^image\/(png|jpeg|gif|webp|avif)$/.test(mime) ? h("img", { src: `data:${mime};base64,${data}`, alt: "" }) : tag(t("image_count", 1));
	});
	return h("div.images", shown);
}

/** The list of messages. */
export class Messages {
	#byId = new Map();
	#tools = new Map();
	#streams = new Map();
	#waiting = new Map();
	#lastRole = "";

	constructor(log) {
		this.log = log;
		this.list = h("div");
		this.live = h("div");
		this.waits = h("div");
		put(log, this.list, this.live, this.waits);
	}

	get size() {
		return this.#byId.size;
	}

	clear() {
		for (const map of [this.#byId, this.#tools, this.#streams, this.#waiting]) map.clear();
		this.#lastRole = "";
		put(this.list);
		put(this.live);
		put(this.waits);
	}

	/** Whether the end is in view, so that it should stay there. */
	get atEnd() {
		return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
	}

	toEnd() {
		this.log.scrollTop = this.log.scrollHeight;
	}

	/** Adds what is new of these at the end, in order. */
	append(messages) {
		const stay = this.atEnd;
		for (const message of messages) {
			const element = this.#make(message);
			if (element) this.list.append(element);
		}
		if (stay) this.toEnd();
	}

	/** Adds older ones in front; what was in view stays where it was. */
	prepend(messages) {
		const from = this.log.scrollHeight - this.log.scrollTop;
		const last = this.#lastRole;
		this.#lastRole = "";
		const elements = messages.map((message) => this.#make(message)).filter(Boolean);
		this.#lastRole = last;
		this.list.prepend(...elements);
		this.log.scrollTop = this.log.scrollHeight - from;
	}

	#make(message) {
		const id = idOf(message);
		if (this.#byId.has(id)) return null;
		this.#byId.set(id, message);
		if (message.role === "toolResult") {
			this.tool(message.toolCallId, message.toolName).result(message.content, message.isError);
			return null;
		}
		if (message.role === "user") {
			const run = (message.idempotencyKey ?? message.__openclaw?.idempotencyKey ?? "").replace(/:user$/, "");
			this.#waiting.get(run)?.remove();
			this.#waiting.delete(run);
		} else {
			this.endStream(message.__openclaw?.runId);
		}
		const parts = this.#parts(message);
		if (!parts.length) return null;
		const first = message.role !== this.#lastRole || message.role === "user";
		this.#lastRole = message.role;
		return this.#bubble(message, parts, first);
	}

	#bubble(message, parts, first) {
		const who = { user: t("you"), assistant: t("assistant") }[message.role] ?? t("system");
		return h(
			"article",
			{ class: `message ${message.role}`, "aria-label": who },
			first && h("div.who", h("strong", who), when(message.timestamp), message.model && message.model !== "gateway-injected" && h("span", message.model), message.openclawAbort && tag(t("stopped"), "warn")),
			parts,
		);
	}

	#parts(message) {
		const { content, role } = message;
		if (role === "user") {
			return [h("div.text", textOf(content)), pictures(content)];
		}
		const parts = [];
		for (const part of typeof content === "string" ? [{ type: "text", text: content }] : content ?? []) {
			if (part.type === "text" && part.text?.trim()) parts.push(h("div.text", markdown(part.text)));
			else if (part.type === "thinking" && part.thinking) parts.push(h("details.thinking", h("summary", t("thinking")), h("div.text.soft", markdown(part.thinking))));
			else if (part.type === "toolCall") parts.push(this.tool(part.id, part.name, part.arguments).element);
			else if (part.type === "image") parts.push(pictures([part]));
		}
		if (message.stopReason === "error" && message.errorMessage && !textOf(content).includes(message.errorMessage)) parts.push(h("div.alert", message.errorMessage));
		return parts;
	}

	/** The card of a call, made when it is new. */
	tool(id, name, args) {
		let card = this.#tools.get(id);
		if (!card) {
			card = new ToolCard(id, name ?? "tool", args);
			this.#tools.set(id, card);
		} else if (args) {
			put(card.what, gist(args));
			put(card.args, cut(JSON.stringify(args, null, 2)));
		}
		return card;
	}

	/** A tool event of a run. */
	toolEvent(data) {
		const known = this.#tools.has(data.toolCallId);
		const card = this.tool(data.toolCallId, data.name, data.args);
		const stay = this.atEnd;
		if (!known) this.live.append(card.element);
		if (data.phase === "result") card.result(data.result?.content ?? data.result, data.isError);
		if (stay) this.toEnd();
	}

	/** Text of a run that is still being written. */
	stream(run, text) {
		let stream = this.#streams.get(run);
		if (!stream) {
			const body = h("div.text");
			const element = h("article.message.assistant", { "aria-busy": "true", "aria-label": t("assistant") }, this.#lastRole !== "assistant" && h("div.who", h("strong", t("assistant"))), body);
			stream = { body, element, text: "", drawn: 0, timer: 0 };
			this.#streams.set(run, stream);
			this.live.append(element);
		}
		stream.text = text;
		if (stream.timer) return;
		const wait = Math.max(0, stream.drawn + DRAW_MS - performance.now());
		stream.timer = setTimeout(() => {
			const stay = this.atEnd;
			stream.timer = 0;
			stream.drawn = performance.now();
			put(stream.body, markdown(stream.text));
			if (stay) this.toEnd();
		}, wait);
	}

	streamed(run) {
		return this.#streams.get(run)?.text ?? "";
	}

	endStream(run) {
		const stream = this.#streams.get(run);
		if (!stream) return;
		clearTimeout(stream.timer);
		stream.element.remove();
		this.#streams.delete(run);
	}

	/** A run is over: nothing of it is under way any more. */
	settle(run) {
		this.endStream(run);
		put(this.live);
		for (const card of this.#tools.values()) card.over();
	}

	fail(text) {
		this.list.append(h("article.message.system", h("div.alert", { role: "alert" }, text)));
		this.#lastRole = "system";
		this.toEnd();
	}

	/** What was just sent, until the gateway has it in the conversation. */
	wait(run, text, images, queued) {
		const element = h(
			"article",
			{ class: "message user waits", "aria-label": t("you") },
			h("div.who", h("strong", t("you")), queued && tag(t("queued"), "warn")),
			text && h("div.text", text),
			images.length > 0 && h("div.images", images.map((image) => h("img", { src: image.url, alt: image.name }))),
		);
		this.#waiting.set(run, element);
		this.waits.append(element);
		this.toEnd();
	}

	unwait(run) {
		this.#waiting.get(run)?.remove();
		this.#waiting.delete(run);
	}
}
