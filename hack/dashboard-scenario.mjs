// Receivers good and bad, and a producer, for the picture of the dashboard:
//   node hack/dashboard-scenario.mjs API_URL PORT MINUTES
import { createServer, request } from "node:http";

const [api, port, minutes] = process.argv.slice(2);
const start = Date.now();
const part = () => (Date.now() - start) / (Number(minutes) * 60_000); // of the whole time, 0 to 1
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const between = (low, high) => low + Math.random() ** 3 * (high - low);

const receivers = {
  "/orders": async () => { await wait(between(3, 60)); return 204; },
  "/shipping": async () => { await wait(between(80, 1500)); return 200; },
  "/invoices": async () => { await wait(between(5, 90)); return part() > 0.3 && part() < 0.55 ? 503 : 200; }, // down for a while
  "/crm": async () => { await wait(between(10, 200)); return Math.random() < 0.12 ? 429 : 200; },
  "/gone": async () => 410,
};
createServer(async (message, response) => {
  message.resume();
  response.writeHead((await receivers[message.url]?.()) ?? 404).end();
}).listen(Number(port), "127.0.0.1");

let id = 0;
function publish(namespace, type, body) {
  const url = new URL(`/v1/namespaces/${namespace}/events`, api);
  const headers = { "ce-specversion": "1.0", "ce-id": `${start}-${id++}`, "ce-source": "/shop", "ce-type": type, "content-type": "application/json" };
  return new Promise((done) => request(url, { method: "POST", headers }, (answer) => answer.resume().on("end", done)).on("error", done).end(body));
}
while (part() < 1) {
  const busy = 1 + Math.sin(part() * 9) ** 2 * 3;
  publish("acme", Math.random() < 0.7 ? "com.acme.order.created" : "com.acme.order.returned", JSON.stringify({ order: id, amount: id % 500 }));
  if (Math.random() < 0.5) publish("beta", "com.beta.contact.changed", "{}");
  if (Math.random() < 0.01) publish("beta", "com.beta.contact.changed", "{");
  if (Math.random() < 0.02) publish("acme", "", "{}");
  await wait(200 / busy);
}
process.exit(0);
