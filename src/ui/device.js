// Who this browser is to the gateway: an Ed25519 key that never leaves it, and what it keeps of a
// sign-in. The private key lies in IndexedDB and cannot be read out, not even by this page.

const DATABASE = "openclaw";
const STORE = "identity";
const KEPT = "openclaw.signin";

function open() {
	return new Promise((resolve, reject) => {
		const request = indexedDB.open(DATABASE, 1);
		request.onupgradeneeded = () => request.result.createObjectStore(STORE);
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});
}

async function stored(mode, act) {
	const database = await open();
	try {
		return await new Promise((resolve, reject) => {
			const request = act(database.transaction(STORE, mode).objectStore(STORE));
			request.onsuccess = () => resolve(request.result);
			request.onerror = () => reject(request.error);
		});
	} finally {
		database.close();
	}
}

export function base64url(bytes) {
	let text = "";
	for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
	return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function make() {
	const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
	const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
	const id = hex(await crypto.subtle.digest("SHA-256", raw));
	return { id, publicKey: base64url(raw), key: pair.privateKey };
}

/** This browser's identity; throws "insecure" where browsers give pages no keys. */
export async function identity() {
	if (!globalThis.isSecureContext || !crypto.subtle) throw new Error("insecure");
	let kept = null;
	try {
		kept = await stored("readonly", (store) => store.get("key"));
	} catch {
		// Private windows of some browsers have no database: the identity then lasts one visit.
	}
	if (kept?.key) return kept;
	const made = await make();
	await stored("readwrite", (store) => store.put(made, "key")).catch(() => {});
	return made;
}

/** The text that a device signs at a connect, payload v3. */
export function signedText(device, params, challenge) {
	const plain = (text) => (text ?? "").trim().toLowerCase();
	const { client, auth } = params;
	return [
		"v3",
		device.id,
		client.id,
		client.mode,
		params.role,
		params.scopes.join(","),
		String(challenge.ts),
		auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? "",
		challenge.nonce,
		plain(client.platform),
		plain(client.deviceFamily),
	].join("|");
}

/** The params of a connect with this device in them. */
export async function signed(device, params, challenge) {
	const text = new TextEncoder().encode(signedText(device, params, challenge));
	const signature = await crypto.subtle.sign({ name: "Ed25519" }, device.key, text);
	return {
		...params,
		device: {
			id: device.id,
			publicKey: device.publicKey,
			signature: base64url(signature),
			signedAt: challenge.ts,
			nonce: challenge.nonce,
		},
	};
}

/** What is kept of a sign-in: {kind, secret} of this visit, or a device token beyond it. */
export function kept() {
	for (const storage of [sessionStorage, localStorage]) {
		try {
			const value = JSON.parse(storage.getItem(KEPT) ?? "null");
			if (value?.secret && value.kind) return value;
		} catch {
			storage.removeItem(KEPT);
		}
	}
	return null;
}

export function keep(value, remember) {
	forget();
	(remember ? localStorage : sessionStorage).setItem(KEPT, JSON.stringify(value));
}

export function forget() {
	sessionStorage.removeItem(KEPT);
	localStorage.removeItem(KEPT);
}

/** `auth` of a connect. */
export function authOf({ kind, secret }) {
	if (kind === "password") return { password: secret };
	if (kind === "setup") return { bootstrapToken: setupToken(secret) };
	if (kind === "device") return { token: secret, deviceToken: secret };
	return { token: secret };
}

/** The token in a setup code. Its address is not looked at: this page has its gateway. */
export function setupToken(code) {
	try {
		const text = atob(code.trim().replace(/-/g, "+").replace(/_/g, "/"));
		return JSON.parse(text).bootstrapToken ?? code.trim();
	} catch {
		return code.trim();
	}
}

/** Takes a token out of the address: the fragment only, and it is gone at once. */
export function takeFragment(place, history) {
	if (!place.hash.includes("token=")) return null;
	const values = new URLSearchParams(place.hash.slice(1));
	const token = values.get("token");
	values.delete("token");
	const rest = values.toString();
	history.replaceState(null, "", place.pathname + (rest ? `#${rest}` : ""));
	return token?.trim() || null;
}
