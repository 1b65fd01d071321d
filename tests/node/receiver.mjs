// A receiver of webhooks that verifies with code that is not this project's: the official library for HMAC,
// Node's own crypto for Ed25519, which the library does not know. Answers each request, and prints one line of
// JSON for it: its path, its webhook-id, the SHA-256 of its body, and the names of the keys that verify it.
//
// node receiver.mjs '{"old":"whsec_…","new":"whsec_…","public":"whpk_…"}'    prints its port first
import { createHash, createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

function hmac(secret) {
  const webhook = new Webhook(secret);
  return (headers, body) => {
    try {
      webhook.verify(body, headers, { jsonParse: false });
      return true;
    } catch {
      return false;
    }
  };
}

function ed25519(text) {
  const x = Buffer.from(text.slice("whpk_".length), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return (headers, body) => {
    const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
    return (headers["webhook-signature"] ?? "")
      .split(" ")
      .filter((signature) => signature.startsWith("v1a,"))
      .some((signature) => verify(null, signed, key, Buffer.from(signature.slice("v1a,".length), "base64")));
  };
}

const keys = Object.entries(JSON.parse(process.argv[2])).map(([name, text]) => [
  name,
  text.startsWith("whpk_") ? ed25519(text) : hmac(text),
]);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const verifiedBy = keys.filter(([, verifies]) => verifies(request.headers, body)).map(([name]) => name);
  const line = JSON.stringify({
    path: request.url,
    webhookId: request.headers["webhook-id"],
    sha256: createHash("sha256").update(body).digest("hex"),
    verifiedBy,
  });
  console.log(line);
  response.writeHead(verifiedBy.length > 0 ? 200 : 401, { "content-type": "application/json" }).end(line);
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// Gone with its parent, however that ends.
process.stdin.on("end", () => process.exit()).resume();
