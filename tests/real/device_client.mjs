// The official Node client with a device of its own: it is paired, comes back with its device
// token alone, is rotated and must show the secret again, is revoked and stays out.
// Usage: device_client.mjs BASE_URL DIRECTORY_OF_NODE_MODULES
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [base, modules] = process.argv.slice(2);
const resolve = createRequire(path.resolve(modules, "package.json")).resolve;
const { GatewayClient } = await import(pathToFileURL(resolve("@openclaw/gateway-client")));
const deadline = setTimeout(() => { console.error("no end within 60 s"); process.exit(1); }, 60_000);
const secret = process.env.OPENCLAW_GATEWAY_TOKEN;

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
const deviceIdentity = {
  deviceId: createHash("sha256").update(raw).digest("hex"),
  publicKeyPem: publicKey.export({ type: "spki", format: "pem" }),
  privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
};
const stored = new Map();
const hostDeps = {
  signDevicePayload: (pem, payload) => sign(null, Buffer.from(payload), pem).toString("base64url"),
  publicKeyRawBase64UrlFromPem: () => raw.toString("base64url"),
  loadDeviceAuthToken: ({ role }) => stored.get(role) ?? null,
  storeDeviceAuthToken: ({ role, token, scopes }) => void stored.set(role, { token, role, scopes }),
  clearDeviceAuthToken: ({ role }) => void stored.delete(role),
};

/** Connects once; resolves to the hello or the error, with the client to stop. */
function connect(options) {
  return new Promise((done) => {
    const client = new GatewayClient({
      url: base.replace(/^http/, "ws"),
      clientName: "cli", mode: "cli", platform: "linux",
      minProtocol: 4, maxProtocol: 4,
      scopes: ["operator.admin", "operator.read"],
      deviceIdentity, hostDeps,
      onHelloOk: (hello) => done({ client, hello }),
      onConnectError: (error) => { done({ client, error }); client.stop(); },
      onClose: (code, reason) => options.onClose?.(code, reason),
      ...options.with,
    });
    client.start();
  });
}

const first = await connect({ with: { token: secret } });
assert.ok(first.hello, `paired: ${first.error}`);
const token = first.hello.auth.deviceToken;
assert.equal(token?.length, 43);
assert.equal(stored.get("operator")?.token, token, "the client keeps it");
first.client.stop();
console.log("  paired, token kept");

let closed;
const gone = new Promise((yes) => { closed = yes; });
const second = await connect({ with: {}, onClose: (code, reason) => closed({ code, reason }) });
assert.ok(second.hello, `by its device token alone: ${second.error}`);
assert.equal(second.hello.auth.deviceToken, token, "the same token again");
console.log("  came back by its token");

const admin = await connect({ with: { token: secret, clientName: "gateway-client", mode: "backend", deviceIdentity: null } });
assert.ok(admin.hello, `${admin.error}`);
const target = { deviceId: deviceIdentity.deviceId, role: "operator" };
const rotated = await admin.client.request("device.token.rotate", target);
assert.equal(rotated.tokenDelivery, "withheld-cross-device");
assert.equal(rotated.token, undefined);
const end = await gone;
assert.equal(end.code, 1008, JSON.stringify(end));
second.client.stop();
stored.set("operator", { token, role: "operator", scopes: ["operator.read"] });
const stale = await connect({ with: {} });
assert.match(stale.error?.details?.code ?? "", /DEVICE_TOKEN_MISMATCH|TOKEN_MISMATCH/, `${stale.error}`);
console.log(`  rotated: ${end.reason}; the old token is ${stale.error.details.code}`);

stored.clear();
const third = await connect({ with: { token: secret } });
assert.ok(third.hello && third.hello.auth.deviceToken !== token, `a new token: ${third.error}`);
third.client.stop();
await admin.client.request("device.token.revoke", target);
const revoked = await connect({ with: {} });
assert.ok(revoked.error, "a revoked token does not enter");
const list = await admin.client.request("device.pair.list", {});
const row = list.paired.find((device) => device.deviceId === target.deviceId);
assert.ok(!row.roles.includes("operator") && row.tokens[0].revokedAtMs, JSON.stringify(row));
console.log("  revoked, and out");
admin.client.stop();
clearTimeout(deadline);
process.exit(0);
