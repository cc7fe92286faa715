// Microsoft's SignalR client, as its documentation has it used.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const signalr = createRequire(`${process.env.MODULES}/`)("@microsoft/signalr");
const { HUB, BUCKET, ADMIN_KEY } = process.env;
const EVENTS = ["FileCreated", "FileUpdated", "FileDeleted", "BucketCreated", "BucketUpdated", "BucketDeleted"];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(words) {
  console.log(`@ask ${words}`);
  return (await answers.next()).value;
}

/** Events as `Name path`, in the order of their coming, and a way to wait for so many. */
function connect(times, options = {}) {
  const connection = new signalr.HubConnectionBuilder()
    .withUrl(HUB, options)
    .withAutomaticReconnect([0, 100, 1000])
    .configureLogging(signalr.LogLevel.None)
    .build();
  connection.keepAliveIntervalInMilliseconds = times.ping;
  connection.serverTimeoutInMilliseconds = times.timeout;
  const seen = [];
  let wake = () => {};
  for (const name of EVENTS) {
    connection.on(name, (bucket, file) => {
      seen.push(`${name} ${file?.path ?? file ?? bucket?.name ?? ""}`.trim());
      wake();
    });
  }
  const until = async (count) => {
    while (seen.length < count) await new Promise((resolve) => (wake = resolve));
    return seen;
  };
  return { connection, until };
}

const times = JSON.parse(await ask("times"));
const { connection, until } = connect(times);
const reconnected = new Promise((resolve) => connection.onreconnected(resolve));
await connection.start();
await assert.rejects(connection.invoke("SubscribeToAll"), /Admin authentication required/);
await assert.rejects(connection.invoke("NoSuchMethod"), /Method does not exist/);
assert.equal(await connection.invoke("SubscribeToBucket", BUCKET), null);
for (const words of ["upload a.txt", "upload a.txt", "upload b.txt", "delete a.txt"]) await ask(words);
assert.deepEqual(await until(4), ["FileCreated a.txt", "FileUpdated a.txt", "FileCreated b.txt", "FileDeleted a.txt"]);

// Both sides' time-outs pass twice; only pings keep them apart.
await new Promise((resolve) => setTimeout(resolve, 2 * times.timeout));
assert.equal(connection.state, signalr.HubConnectionState.Connected);
await ask("upload c.txt");
assert.equal((await until(5))[4], "FileCreated c.txt");

await ask("restart");
await reconnected;
await connection.invoke("SubscribeToBucket", BUCKET);
await ask("upload d.txt");
assert.equal((await until(6))[5], "FileCreated d.txt");
await connection.stop();

const admin = connect(times, { accessTokenFactory: () => ADMIN_KEY, skipNegotiation: true, transport: signalr.HttpTransportType.WebSockets });
// In node the token goes into a header, where this hub does not look for it; a browser puts it into the query.
admin.connection.baseUrl = `${HUB}?access_token=${ADMIN_KEY}`;
await admin.connection.start();
await admin.connection.invoke("SubscribeToAll");
await ask("upload e.txt");
assert.deepEqual(await admin.until(1), ["FileCreated e.txt"]);
await admin.connection.stop();
console.log("connected, subscribed, lived through two time-outs and a restart");
process.exit(0);
