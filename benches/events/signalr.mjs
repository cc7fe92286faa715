// @microsoft/signalr as a client of the flood. Prints one line of figures, as client.rs does.
// usage: node signalr.mjs MODULES URL COUNT
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const [modules, url, total] = process.argv.slice(2);
const signalR = createRequire(modules + "/")("@microsoft/signalr");
const count = Number(total);
const connection = new signalR.HubConnectionBuilder()
  .withUrl(url + "/hub/files", { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets })
  .configureLogging(signalR.LogLevel.Error)
  .build();
connection.serverTimeoutInMilliseconds = 3600_000;

let next = 0, disorder = 0, start, cpu;
const delays = [];
connection.on("FileCreated", (_bucket, file) => {
  if (next === 0) { start = performance.now(); cpu = process.cpuUsage(); }
  const number = Number(file.path.slice(1, 8));
  if (number !== next) disorder++;
  next = number + 1;
  if (file.size > 1e9) {
    const [seconds, nanos] = process.hrtime();
    delays.push((seconds * 1e9 + nanos - file.size) / 1000);
  }
  if (next >= count) {
    const seconds = (performance.now() - start) / 1000;
    const used = process.cpuUsage(cpu);
    delays.sort((a, b) => a - b);
    const rank = (share) => Math.max(0, Math.round(delays[Math.floor(delays.length * share)] ?? 0));
    const perEvent = Math.round(((used.user + used.system) * 1000) / count);
    console.log(`${Math.round(count / seconds)} ${perEvent} 0 ${disorder} ${rank(0.5)} ${rank(0.99)} ${rank(0.9999999)}`);
    process.exit(0);
  }
});
await connection.start();
await connection.invoke("SubscribeToBucket", "flood00000");
