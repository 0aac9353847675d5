// What node's own parser (llhttp) makes of every input in fuzz/corpus/http_request and
// fuzz/corpus/http_second, as JSON for tests/smuggling.rs. Usage:
//   node tests/real/second_parser.mjs > tests/data/llhttp.json
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";

const root = new URL("../../fuzz/corpus/", import.meta.url);
let found = [];
let fault = null;

const server = http.createServer({ insecureHTTPParser: false, keepAlive: true }, (request, response) => {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (part) => { hash.update(part); length += part.length; });
  request.on("end", () => {
    found.push({ method: request.method, target: request.url, length, body: hash.digest("hex").slice(0, 16) });
    response.end("x");
  });
});
server.on("checkExpectation", (request, response) => { fault = "expectation"; response.writeHead(417).end(); });
server.on("clientError", (error, socket) => {
  // The end of the input in the middle of a request is no fault of it.
  if (error.code !== "HPE_INVALID_EOF_STATE" && error.code !== "ECONNRESET") fault ??= error.code;
  socket.destroy();
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const { port } = server.address();

const say = (bytes) => new Promise((done) => {
  const socket = net.connect(port, "127.0.0.1", () => socket.end(bytes));
  socket.on("data", () => {}).on("error", () => {}).on("close", done);
  socket.setTimeout(3000, () => socket.destroy());
});

const all = {};
for (const corpus of ["http_request", "http_second"]) {
  for (const name of readdirSync(new URL(corpus, root)).sort()) {
    [found, fault] = [[], null];
    await say(readFileSync(new URL(`${corpus}/${name}`, root)));
    all[`${corpus}/${name}`] = { requests: found, fault };
  }
}
server.close();
server.closeAllConnections();
console.log(`{"node": "${process.version}", "llhttp": "${process.versions.llhttp}", "inputs": {`);
console.log(Object.entries(all).map(([name, of]) => `${JSON.stringify(name)}: ${JSON.stringify(of)}`).join(",\n"));
console.log("}}");
