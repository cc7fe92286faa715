// The dashboard in a browser: live rows, names that are text, a hub that restarts, uploads with progress, deletions.

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { ask, check, run, timed } from "./rig.mjs";

const { PAGE, SCREENSHOT } = process.env;
const STRANGE = "ü <b> %41&#65; \"q\".txt";

await run(
  async (page) => {
    const row = (path) => page.locator(`#files tr[data-path=${JSON.stringify(path)}]`);
    const dot = (state) => page.waitForSelector(`#state[data-state=${state}]`);
    const paths = () => page.$$eval("#files tr", (rows) => rows.map((row) => row.dataset.path));

    await page.goto(PAGE);
    await dot("connected");

    await ask("upload docs/elsewhere.txt");
    await timed("a file uploaded elsewhere appeared", () => row("docs/elsewhere.txt").waitFor());

    await ask(`upload ${STRANGE}`);
    await row(STRANGE).waitFor();
    check((await row(STRANGE).locator("td").first().textContent()) === STRANGE, "a name is not shown as it is");
    check((await page.locator("#files b").count()) === 0, "a name has become markup");

    // The hub goes, and is refused for a while; what happens meanwhile has no event.
    await ask("hub down");
    await page.waitForSelector("#state:not([data-state=connected])");
    for (const words of ["upload gap.txt", "delete docs/elsewhere.txt"]) await ask(words);
    await ask("hub up");
    await timed("after the hub's restart the table was right", async () => {
      await row("gap.txt").waitFor();
      await row("docs/elsewhere.txt").waitFor({ state: "detached" });
    });
    await dot("connected");

    // The whole server goes, and one comes back on which things have happened from its first moment on.
    await ask("server restart");
    await ask("upload after.txt");
    await timed("after the server's restart the table was right", () => row("after.txt").waitFor());
    await dot("connected");
    check((await page.textContent("#totals")).startsWith("3 files"), await page.textContent("#totals"));

    // An upload from the page, over a slow link between the service and the server.
    await ask("fill the table");
    await ask("uploads slow");
    await page.evaluate(() => {
      window.seen = new Set();
      const look = (changes) => changes.forEach(({ target }) => window.seen.add(target.value));
      new MutationObserver(look).observe(document.querySelector("#uploads"), { subtree: true, attributeFilter: ["value"] });
    });
    // Large beside what all the buffers on the way hold.
    const video = { name: "Überfahrt <100%>.mp4" };
    const path = join(mkdtempSync(join(tmpdir(), "dashboard-")), video.name);
    writeFileSync(path, "video");
    truncateSync(path, 96 << 20);
    await page.setInputFiles("#chooser", path);
    await page.waitForFunction(() => [...window.seen].some((value) => value > 0.2 && value < 0.9));
    if (SCREENSHOT) await page.screenshot({ path: SCREENSHOT });
    await row(video.name).waitFor();
    check((await row(video.name).locator("td").nth(1).textContent()) === "96.0 MiB", "the size is not shown");
    const steps = await page.evaluate(() => [...window.seen].filter((value) => value > 0 && value < 1).length);
    console.log(`the progress bar had ${steps} steps on its way`);
    check(steps >= 2, "the bar jumped");
    check((await ask(`sha ${video.name}`)) === "same", "other bytes have arrived");
    rmSync(dirname(path), { recursive: true });

    // Drag and drop, two at once.
    const dropped = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      for (const name of ["dropped 1.txt", "dropped 2.txt"]) transfer.items.add(new File([name], name));
      return transfer;
    });
    await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
    for (const name of ["dropped 1.txt", "dropped 2.txt"]) await row(name).waitFor();

    // Deletion asks once.
    await row(STRANGE).locator("button").click();
    check((await paths()).includes(STRANGE), "one click has deleted it");
    await row(STRANGE).locator("button").click();
    await row(STRANGE).waitFor({ state: "detached" });
    check((await ask(`sha ${STRANGE}`)) === "gone", "it is still there");

    // Filter and order.
    await page.fill("#filter", "DROPPED");
    await page.waitForFunction(() => document.querySelectorAll("#files tr").length === 2);
    await page.fill("#filter", "");
    await page.click("button[data-by=size]");
    await page.click("button[data-by=size]");
    await page.waitForFunction(() => document.querySelector("#files tr").dataset.path.startsWith("Über"));

    // Nobody's script runs here, and no other host's name opens the page.
    check((await page.evaluate(() => document.scripts.length)) === 1, "there is a script more");
    const answer = await page.request.get(PAGE, { headers: { host: "evil.example" } });
    check(answer.status() === 421, `another host's name is answered with ${answer.status()}`);
  },
  { height: 760 },
);
