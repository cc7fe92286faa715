// The example `tenantbox_web` as a visitor uses it.

import { readFile } from "node:fs/promises";

import { ask, check, run } from "./rig.mjs";

const NAME = "ü %+#?.txt";
const TEXT = "bytes that go straight to the storage\n".repeat(50_000);

await run(async (page) => {
  await page.goto(process.env.APP);
  const upload = async (name, text) => {
    await page.setInputFiles("input[type=file]", { name, mimeType: "text/plain", buffer: Buffer.from(text) });
    await page.click("form button");
  };

  await upload(NAME, TEXT);
  await page.waitForSelector("li a");
  check((await page.textContent("li a")) === NAME, "the name is not shown as it is");
  // The storage has the bytes from the browser, from this page's origin and without a credential.
  const seen = JSON.parse(await ask("stored"));
  check(seen.text_bytes === TEXT.length, `the storage has ${seen.text_bytes} bytes`);
  check(seen.origin === new URL(process.env.APP).origin, `it was sent from ${seen.origin}`);
  check(seen.content_type === "text/plain" && seen.credential === null, "it was sent otherwise than it should be");

  const [download] = await Promise.all([page.waitForEvent("download"), page.click("li a")]);
  check(download.suggestedFilename().startsWith("ü"), `it is saved as ${download.suggestedFilename()}`);
  check((await readFile(await download.path(), "utf8")) === TEXT, "other bytes were downloaded");

  await page.click("li button");
  await page.waitForSelector("li", { state: "detached" });
  check((await ask("objects")) === "0", "the storage still has it");

  // A used-up quota is told, and nothing is listed.
  await ask("use up the quota");
  await upload("more.txt", "x");
  await page.waitForFunction(() => document.querySelector("#failed").textContent.includes("quota"));
  check((await page.locator("li").count()) === 0, "a file is listed that was refused");
}, { complaint: (line) => !line.includes("413") });
