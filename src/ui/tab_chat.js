// Chat: sessions at the left, the conversation at the right.

import { Messages, textOf } from "./chat_view.js";
import { bytes, button, confirm, h, notice, number, prompt, put, select, when } from "./dom.js";
import { t } from "./words.js";

const PAGE = 100;

/** What a session is called. */
export function titleOf(row) {
	return row.label || row.displayName || row.derivedTitle || row.key.replace(/^agent:/, "");
}

/** Commands that begin with what was typed; none once a space follows. */
export function completions(commands, text) {
	const typed = /^\/([\w-]*)$/.exec(text)?.[1]?.toLowerCase();
	if (typed === undefined) return [];
	const names = (command) => [command.name, ...(command.textAliases ?? []).map((alias) => alias.slice(1))];
	return commands.filter((command) => names(command).some((name) => name.toLowerCase().startsWith(typed)));
}

export function mount(view, app, rest) {
	const main = app.hello.snapshot?.sessionDefaults?.mainSessionKey ?? "agent:main:main";
	const limits = app.hello.policy?.attachments ?? {};
	let key = rest || main;
	let rows = [];
	let row = null;
	let models = [];
	let commands = [];
	let offset = 0;
	let older = false;
	let active = new Set();
	let images = [];
	let picked = 0;
	let listed = 0;
	let timer = 0;
	let loading = 0;

	// --- parts

	const find = h("input", { type: "search", placeholder: t("find_session"), "aria-label": t("find_session"), oninput: () => list() });
	const items = h("ul", { "aria-label": t("sessions") });
	const title = h("h2", { tabindex: "-1" });
	const meter = h("div.meter");
	const pickers = h("div.row");
	const log = h("div.log", { role: "log", "aria-label": t("chat"), "aria-live": "off", tabindex: "0" });
	const messages = new Messages(log);
	const above = h("div.row");
	const working = h("div.working");
	const spoken = h("div.hidden", { role: "status", "aria-live": "polite" });
	const draft = h("div.draft");
	const popup = h("ul.commands", { role: "listbox", id: "commands", "aria-label": t("commands"), hidden: true });
	const input = h("textarea", {
		rows: "1",
		placeholder: t("write"),
		"aria-label": t("message"),
		"aria-autocomplete": "list",
		"aria-controls": "commands",
	});
	const picker = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true, onchange: () => (take(picker.files), (picker.value = "")) });
	const stop = button("", () => app.call("chat.abort", { sessionKey: key }), { kind: "danger", title: t("stop"), icon: "stop", hidden: true });
	const sendButton = button("", send, { kind: "primary", title: t("send"), icon: "send" });
	const more = button("", () => (menu.hidden ? openMenu() : closeMenu()), { kind: "ghost", title: t("more"), icon: "more", "aria-haspopup": "menu", "aria-expanded": "false" });
	const menu = h("div.menu-list", { role: "menu", hidden: true });
	const talk = h(
		"section",
		{ class: "talk", "aria-label": t("chat") },
		h("div.head", button("", () => chat.classList.remove("talking"), { kind: "ghost back", title: t("back_to"), icon: "back" }), title, meter, pickers, more),
		menu,
		log,
		h("div.composer", popup, h("div", draft, h("div.box", button("", () => picker.click(), { kind: "ghost", title: t("attach"), icon: "image" }), input, stop, sendButton))),
		picker,
		spoken,
	);
	const chat = h("div.chat.talking",
		h("section.sessions", { "aria-label": t("sessions") }, h("div.top", find, button("", fresh, { title: t("new_session"), icon: "plus" })), items),
		talk,
	);
	log.prepend(above);
	log.append(working);
	put(view, chat);

	// --- sessions

	async function sessions() {
		const answer = await app.call("sessions.list", { includeDerivedTitles: true, includeLastMessage: true, limit: 200 });
		rows = answer.sessions ?? [];
		row = { ...rows.find((one) => one.key === key), ...row, key };
		list();
		heads();
	}

	function list() {
		const wanted = find.value.trim().toLowerCase();
		const fitting = rows.filter((one) => !wanted || `${titleOf(one)} ${one.key} ${one.lastMessagePreview ?? ""}`.toLowerCase().includes(wanted));
		fitting.sort((a, b) => (b.updatedAt ?? 0) - (a.updatedAt ?? 0));
		put(items, fitting.map((one) => h("li", h(
			"button",
			{ class: "session", type: "button", "aria-current": one.key === key ? "true" : null, title: one.key, onclick: () => choose(one.key) },
			h("span.name", h("span", titleOf(one)), one.hasActiveRun && h("span.pulse", { title: t("running") }), when(one.updatedAt)),
			h("span.last", one.lastMessagePreview ?? ""),
		))));
		if (!fitting.length) put(items, h("li.empty", t("no_sessions")));
	}

	/** Rows change often while runs go on: the list is drawn at most four times a second. */
	function changed(payload) {
		const at = rows.findIndex((one) => one.key === payload.key || one.key === payload.sessionKey);
		if (payload.reason === "delete" && at >= 0) rows.splice(at, 1);
		else if (at >= 0) rows[at] = { ...rows[at], ...payload, key: rows[at].key };
		if ((payload.key ?? payload.sessionKey) === key) {
			row = { ...row, ...payload, key };
			running(payload.activeRunIds);
		}
		if (timer) return;
		timer = setTimeout(() => {
			timer = 0;
			if (at < 0 && Date.now() - listed > 2_000) {
				listed = Date.now();
				sessions().catch(() => {});
			} else list();
			heads();
		}, 250);
	}

	function choose(next) {
		app.go("chat", next === main ? "" : next);
		chat.classList.add("talking");
		title.focus();
	}

	async function fresh() {
		const made = await app.call("sessions.create", {});
		await sessions();
		choose(made.key);
		input.focus();
	}

	// --- the head of the conversation

	function heads() {
		title.textContent = titleOf(row ?? { key });
		const used = row?.totalTokens;
		const room = row?.contextTokens;
		put(meter, used && room && [
			h("meter", { min: "0", max: String(room), high: String(room * 0.8), value: String(Math.min(used, room)), "aria-label": t("context") }),
			h("span", `${number(used)} / ${number(room)}`),
		]);
		const named = (model) => `${model.provider}/${model.id}`;
		const current = row?.modelOverrideSource ? `${row.modelProvider}/${row.model}` : "";
		const standard = app.standard ?? "";
		const patch = (change) => app.call("sessions.patch", { key, ...change }).then(load, (error) => (notice(error.message, "bad"), heads()));
		const known = models.map((model) => [named(model), model.name ?? model.id]);
		if (current && !known.some(([name]) => name === current)) known.push([current, current]);
		const levels = row?.thinkingLevels ?? models.find((model) => model.tags?.includes("default"))?.thinkingLevels ?? [];
		if (pickers.contains(document.activeElement)) return;
		put(
			pickers,
			models.length > 0 && select([["", t("default_of", standard.split("/").pop())], ...known], current, (value) => patch({ model: value || null }), t("model")),
			levels.length > 1 && select([["", `${t("thinking")}: ${row?.thinkingDefault ?? models[0]?.thinkingDefault ?? ""}`], ...levels.map((level) => [level.id, `${t("thinking")}: ${level.label}`])], row?.thinkingLevel ?? "", (value) => patch({ thinkingLevel: value || null }), t("thinking")),
		);
	}

	function openMenu() {
		const item = (label, act, kind) => button(label, async () => {
			closeMenu();
			await act();
		}, { role: "menuitem", kind });
		put(
			menu,
			item(t("rename"), async () => {
				const label = await prompt(t("rename"), t("name"), row?.label ?? "", t("save"));
				if (label !== null) await app.call("sessions.patch", { key, label: label || null });
				await sessions();
				await load();
			}),
			item(t("compact"), async () => {
				const done = await app.call("sessions.compact", { key }, 180_000);
				notice(done.compacted ? t("compacted") : done.reason ?? t("nothing_changed"));
				await load();
			}),
			item(t("reset"), async () => {
				if (!(await confirm(t("reset"), t("reset_text"), t("reset")))) return;
				await app.call("sessions.reset", { key, reason: "reset" });
				await load();
			}),
			key !== main && item(t("delete"), async () => {
				if (!(await confirm(t("delete"), t("delete_text"), t("delete")))) return;
				await app.call("sessions.delete", { key });
				await sessions();
				choose(main);
			}, "danger"),
		);
		menu.hidden = false;
		more.setAttribute("aria-expanded", "true");
		menu.firstElementChild.focus();
	}

	function closeMenu() {
		menu.hidden = true;
		more.setAttribute("aria-expanded", "false");
		more.focus();
	}
	menu.addEventListener("keydown", (event) => {
		const all = [...menu.querySelectorAll("button")];
		const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (event.key === "Escape") closeMenu();
		else if (step) {
			event.preventDefault();
			all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
		}
	});

	// --- history

	async function load() {
		loading += 1;
		const mine = loading;
		const answer = await app.call("chat.history", { sessionKey: key, limit: PAGE });
		if (mine !== loading) return;
		messages.clear();
		row = { ...rows.find((one) => one.key === key), ...answer.sessionInfo, key };
		app.standard = `${answer.defaults?.modelProvider ?? ""}/${answer.defaults?.model ?? ""}`;
		messages.append(answer.messages ?? []);
		for (const item of answer.pendingInputs?.items ?? []) {
			const run = item.runId ?? item.id;
			if (run) messages.wait(run, item.text ?? item.message ?? textOf(item.content), [], true);
		}
		offset = answer.messages?.length ?? 0;
		older = Boolean(answer.hasMore);
		active = new Set();
		running(row?.activeRunIds ?? []);
		edge(answer.totalMessages ?? offset);
		heads();
		messages.toEnd();
	}

	function edge(total) {
		put(above, older
			? button(t("earlier"), earlier, "small")
			: !messages.size && h("div.empty.grow", h("p", app.hello.snapshot?.sessionDefaults?.modelConfigured === false ? t("setup_model") : t("say_something"))));
		above.dataset.total = total;
	}

	async function earlier() {
		const mine = loading;
		const answer = await app.call("chat.history", { sessionKey: key, limit: 200, offset });
		if (mine !== loading) return;
		messages.prepend(answer.messages ?? []);
		offset += answer.messages?.length ?? 0;
		older = Boolean(answer.hasMore) && answer.messages?.length > 0;
		edge(answer.totalMessages);
	}
	log.addEventListener("scroll", () => {
		const press = above.querySelector("button");
		if (log.scrollTop < 200 && older && press && !press.getAttribute("aria-busy")) press.click();
	}, { passive: true });

	/** What is newer than what is shown: a run has ended, or events were missed. */
	async function catchUp() {
		const mine = loading;
		const answer = await app.call("chat.history", { sessionKey: key, limit: 30 });
		if (mine !== loading) return;
		messages.append(answer.messages ?? []);
		row = { ...row, ...answer.sessionInfo, key };
		edge(answer.totalMessages);
		heads();
	}

	// --- runs

	function running(ids) {
		if (ids) active = new Set(ids);
		stop.hidden = active.size === 0;
		if (!active.size) put(working);
		else if (!working.childElementCount) doing(t("working"));
	}

	function doing(text) {
		put(working, h("span.pulse"), text);
		if (messages.atEnd) messages.toEnd();
	}

	function chatEvent(payload) {
		const run = payload.runId;
		if (payload.state === "status") {
			active.add(run);
			running();
			doing(payload.phase === "starting_model" ? t("starting_model", row?.model ?? t("model")) : t("preparing"));
		} else if (payload.state === "delta") {
			active.add(run);
			running();
			put(working, h("span.pulse"), t("working"));
			const whole = payload.message?.content?.[0]?.text;
			messages.stream(run, whole ?? (payload.replace ? payload.deltaText : messages.streamed(run) + payload.deltaText));
		} else {
			active.delete(run);
			running();
			const said = textOf(payload.message?.content);
			if (payload.state === "error") messages.fail(payload.errorMessage ?? t("failed"));
			else if (said) spoken.textContent = `${t("assistant")}: ${said.slice(0, 500)}`;
			const keep = payload.message && said && !payload.message.__openclaw;
			catchUp().catch(() => {}).finally(() => {
				messages.settle(run);
				if (keep && !log.textContent.includes(said.slice(0, 24).trim())) messages.append([{ ...payload.message, messageId: `${run}:said` }]);
			});
		}
	}

	// --- writing

	async function send() {
		const text = input.value.trim();
		if (!text && !images.length) return;
		const run = crypto.randomUUID();
		const sent = images;
		messages.wait(run, text, sent, active.size > 0);
		input.value = "";
		images = [];
		put(draft);
		grow();
		suggest();
		const params = { sessionKey: key, message: text, idempotencyKey: run, deliver: false };
		if (sent.length) params.attachments = sent.map(({ mimeType, content, name }) => ({ type: "image", mimeType, content, fileName: name }));
		try {
			const answer = await app.call("chat.send", params);
			if (answer.aborted !== undefined) messages.unwait(run);
			else if (text.startsWith("/")) setTimeout(() => messages.unwait(run), 4_000);
		} catch (error) {
			messages.unwait(run);
			input.value = text;
			images = sent;
			drafts();
			grow();
			throw error;
		}
	}

	function grow() {
		input.style.height = "auto";
		input.style.height = `${Math.min(input.scrollHeight, innerHeight * 0.38)}px`;
	}

	function suggest() {
		const found = completions(commands, input.value).slice(0, 40);
		picked = Math.min(picked, Math.max(found.length - 1, 0));
		popup.hidden = !found.length;
		put(popup, found.map((command, at) => h(
			"li",
			{ role: "option", id: `command-${at}`, "aria-selected": String(at === picked), onmousedown: (event) => (event.preventDefault(), complete(command)) },
			h("code", `/${command.name}`),
			h("span", command.description ?? ""),
		)));
		if (found.length) {
			input.setAttribute("aria-activedescendant", `command-${picked}`);
			popup.children[picked].scrollIntoView({ block: "nearest" });
		} else input.removeAttribute("aria-activedescendant");
		return found;
	}

	function complete(command) {
		input.value = `/${command.name}${command.acceptsArgs ? " " : ""}`;
		picked = 0;
		suggest();
		popup.hidden = true;
		input.focus();
	}

	input.addEventListener("input", () => {
		grow();
		suggest();
	});
	input.addEventListener("keydown", (event) => {
		const found = popup.hidden ? [] : completions(commands, input.value).slice(0, 40);
		if (event.isComposing) return;
		if (found.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
			event.preventDefault();
			picked = (picked + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length;
			suggest();
		} else if (found.length && (event.key === "Tab" || (event.key === "Enter" && input.value !== `/${found[picked].name}`))) {
			event.preventDefault();
			complete(found[picked]);
		} else if (event.key === "Escape" && found.length) {
			popup.hidden = true;
		} else if (event.key === "Enter" && !event.shiftKey) {
			event.preventDefault();
			sendButton.click();
		}
	});
	input.addEventListener("blur", () => (popup.hidden = true));

	// --- pictures

	function take(files) {
		for (const file of files) {
			if (!file.type.startsWith("image/")) {
				notice(t("only_images", file.name), "bad");
			} else if (limits.maxImageBytes && file.size > limits.maxImageBytes) {
				notice(t("too_large", file.name, bytes(limits.maxImageBytes)), "bad");
			} else {
				const reader = new FileReader();
				reader.onload = () => {
					images.push({ name: file.name || "image", mimeType: file.type, url: reader.result, content: reader.result.split(",")[1] });
					drafts();
				};
				reader.readAsDataURL(file);
			}
		}
	}

	function drafts() {
		put(draft, images.map((image, at) => h("figure", h("img", { src: image.url, alt: image.name }), button("", () => (images.splice(at, 1), drafts()), { kind: "small", title: t("remove"), icon: "plus" }))));
	}

	talk.addEventListener("paste", (event) => {
		const files = [...(event.clipboardData?.files ?? [])];
		if (!files.length) return;
		event.preventDefault();
		take(files);
	});
	talk.addEventListener("dragover", (event) => {
		if (!event.dataTransfer?.types.includes("Files")) return;
		event.preventDefault();
		talk.classList.add("drop");
	});
	talk.addEventListener("dragleave", () => talk.classList.remove("drop"));
	talk.addEventListener("drop", (event) => {
		event.preventDefault();
		talk.classList.remove("drop");
		take(event.dataTransfer.files);
	});

	// --- beginning

	const told = (error) => notice(error.message, "bad");
	sessions().catch(told);
	load().catch(told);
	app.call("models.list", { view: "configured" }).then((answer) => {
		models = answer.models ?? [];
		heads();
	}).catch(() => {});
	if (app.has("commands.list")) {
		app.call("commands.list", {}).then((answer) => {
			commands = answer.commands ?? [];
		}).catch(() => {});
	}
	if (matchMedia("(min-width: 761px)").matches) input.focus();

	return {
		moved(next) {
			key = next || main;
			chat.classList.add("talking");
			row = rows.find((one) => one.key === key) ?? null;
			list();
			load().catch(told);
		},
		resync() {
			sessions().catch(() => {});
			load().catch(() => {});
		},
		event(name, payload) {
			if (name === "sessions.changed") return changed(payload);
			if (payload?.sessionKey !== key) return undefined;
			if (name === "chat") chatEvent(payload);
			else if (name === "session.message") messages.append([{ ...payload.message, messageId: payload.messageId }]);
			else if (name === "session.tool" || (name === "agent" && payload.stream === "tool")) {
				messages.toolEvent(payload.data);
				if (payload.data.phase === "start") doing(t("running_tool", payload.data.name));
			} else if (name === "agent" && payload.stream === "run_status" && payload.data.phase === "retrying") {
				doing(t("retrying", payload.data.retryAttempt ?? payload.data.attempt, payload.data.maxRetries ?? payload.data.maxAttempts));
			}
			return undefined;
		},
		close() {
			clearTimeout(timer);
			loading += 1;
		},
	};
}
