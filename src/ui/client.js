// The gateway's WebSocket: handshake, requests, events with their numbers, and coming back.
//
//   connecting -> open -> waiting (backoff) -> connecting
//       |-> pairing (asks again every few seconds)    |-> refused (sign in anew)

import { authOf, signed } from "./device.js";

const REQUEST_MS = 30_000;
const PAIRING_MS = 3_000;
export const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"];

/** Milliseconds before try number `attempt`, from 0; `chance` is 0 to 1. */
export function backoff(attempt, chance) {
	const full = Math.min(30_000, 1_000 * 1.7 ** attempt);
	return Math.round(full * (0.7 + 0.3 * chance));
}

/** Counts events that a connection did not get. */
export class Sequence {
	last = 0;

	/** How many are missing before this one. */
	missed(seq) {
		if (typeof seq !== "number") return 0;
		const missing = Math.max(0, seq - this.last - 1);
		this.last = Math.max(this.last, seq);
		return missing;
	}
}

/** A refusal as the gateway words it. */
export class GatewayError extends Error {
	constructor(error) {
		super(error?.message ?? "the gateway refused");
		this.code = error?.code;
		this.details = error?.details ?? {};
		this.retryable = error?.retryable;
	}
}

// What another try with the same credentials cannot mend.
const FINAL = /^(AUTH_|DEVICE_|CONTROL_UI_|PROTOCOL_)/;

export class Client {
	state = "waiting";
	hello = null;
	#socket = null;
	#waits = new Map();
	#number = 0;
	#attempt = 0;
	#timer = 0;
	#watch = 0;
	#heard = 0;
	#sequence = new Sequence();
	#restarting = false;

	/** `on` has state(name, detail), event(name, payload), gap(missing) and signedIn(auth). */
	constructor(url, device, credentials, on) {
		this.url = url;
		this.device = device;
		this.credentials = credentials;
		this.on = on;
		this.back = () => document.visibilityState === "visible" && this.state === "waiting" && this.#again(0);
		addEventListener("online", this.back);
		document.addEventListener("visibilitychange", this.back);
	}

	connect() {
		clearTimeout(this.#timer);
		this.#set("connecting");
		const socket = new WebSocket(this.url);
		this.#socket = socket;
		this.#sequence = new Sequence();
		socket.onmessage = (message) => socket === this.#socket && this.#frame(message.data);
		socket.onclose = (event) => socket === this.#socket && this.#closed(event);
	}

	/** Ends it for good. */
	close() {
		removeEventListener("online", this.back);
		document.removeEventListener("visibilitychange", this.back);
		this.#drop("closed");
		this.#set("closed");
	}

	/** Asks; resolves with the payload. */
	request(method, params = {}, timeoutMs = REQUEST_MS) {
		if (this.state !== "open" && method !== "connect") return Promise.reject(new GatewayError({ message: "not connected", code: "NOT_CONNECTED" }));
		this.#number += 1;
		const id = `${this.#number}`;
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => {
				this.#waits.delete(id);
				reject(new GatewayError({ message: `${method}: no answer in ${timeoutMs / 1000} s`, code: "TIMEOUT" }));
			}, timeoutMs);
			this.#waits.set(id, { resolve, reject, timer });
			this.#socket.send(JSON.stringify({ type: "req", id, method, params }));
		});
	}

	#set(state, detail) {
		this.state = state;
		this.on.state(state, detail);
	}

	#frame(data) {
		this.#heard = Date.now();
		let frame;
		try {
			frame = JSON.parse(data);
		} catch {
			return;
		}
		if (frame.type === "res") {
			const wait = this.#waits.get(frame.id);
			if (!wait) return;
			this.#waits.delete(frame.id);
			clearTimeout(wait.timer);
			if (frame.ok) wait.resolve(frame.payload);
			else wait.reject(new GatewayError(frame.error));
		} else if (frame.type === "event") {
			if (frame.event === "connect.challenge") {
				this.#answer(frame.payload);
				return;
			}
			const missing = this.#sequence.missed(frame.seq);
			if (missing) this.on.gap(missing);
			if (frame.event === "shutdown") this.#restarting = true;
			this.on.event(frame.event, frame.payload);
		}
	}

	async #answer(challenge) {
		const params = {
			minProtocol: 4,
			maxProtocol: 4,
			role: "operator",
			scopes: this.credentials.scopes ?? SCOPES,
			client: {
				id: "openclaw-control-ui",
				displayName: "Control page",
				version: "1",
				platform: navigator.platform || "web",
				mode: "webchat",
			},
			caps: ["tool-events", "approvals", "exec-approvals"],
			locale: navigator.language,
			auth: authOf(this.credentials),
		};
		try {
			const hello = await this.request("connect", await signed(this.device, params, challenge));
			this.hello = hello;
			this.#attempt = 0;
			this.#restarting = false;
			this.on.signedIn(hello.auth ?? {});
			const tick = hello.policy?.tickIntervalMs ?? 30_000;
			this.#watch = setInterval(() => {
				if (Date.now() - this.#heard > 2 * tick + 2_000) this.#silent();
			}, 5_000);
			this.#set("open");
		} catch (error) {
			this.#refused(error);
		}
	}

	#refused(error) {
		if (!(error instanceof GatewayError) || error.code === "NOT_CONNECTED") return;
		const code = error.details.code ?? "";
		if (error.code === "NOT_PAIRED" && error.details.requestId) {
			this.#drop();
			this.#set("pairing", error);
			this.#timer = setTimeout(() => this.connect(), PAIRING_MS);
		} else if (code.match(FINAL) || (error.code === "INVALID_REQUEST" && error.retryable !== true) || error.code === "NOT_PAIRED") {
			this.#drop();
			this.#set("refused", error);
		}
		// Anything else: the socket closes and the next try follows.
	}

	#silent() {
		const socket = this.#socket;
		this.#drop();
		socket?.close(4000, "tick timeout");
		this.#again();
	}

	#closed(event) {
		this.#drop();
		if (this.state === "refused" || this.state === "pairing" || this.state === "closed") return;
		this.#again(undefined, event.reason);
	}

	#again(ms, reason) {
		clearTimeout(this.#timer);
		const wait = ms ?? (this.#restarting ? 400 : backoff(this.#attempt, Math.random()));
		this.#attempt += 1;
		this.#set("waiting", { ms: wait, restarting: this.#restarting, reason });
		this.#timer = setTimeout(() => this.connect(), wait);
	}

	/** Forgets the socket; whoever waits is told. */
	#drop() {
		clearInterval(this.#watch);
		clearTimeout(this.#timer);
		const socket = this.#socket;
		this.#socket = null;
		socket?.close();
		for (const { reject, timer } of this.#waits.values()) {
			clearTimeout(timer);
			reject(new GatewayError({ message: "the connection was lost", code: "NOT_CONNECTED" }));
		}
		this.#waits.clear();
	}
}
