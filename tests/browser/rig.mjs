// What every browser script shares: a headless Chromium, and words with the test that started it.
//
// The test starts `node SCRIPT` with BROWSER_MODULES (where playwright-core is) and the script's own variables. A line
// `@ask WORD` on standard output is answered with a line on standard input; everything else is passed on to be read.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(`${process.env.BROWSER_MODULES}/`)("playwright-core");

/** A guard against tests that hang, never a measure. */
export const DEADLINE = 60_000;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test to do something, and waits until it has; resolves to what it answers. */
export async function ask(word) {
  console.log(`@ask ${word}`);
  const { value, done } = await answers.next();
  if (done) throw new Error("the test has gone");
  return value;
}

/** Throws unless it holds. */
export function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Says how long something took. */
export async function timed(what, work) {
  const begun = performance.now();
  const outcome = await work();
  console.log(`${what} after ${Math.round(performance.now() - begun)} ms`);
  return outcome;
}

/** Runs the script on a page; whatever the page complains about fails it. */
export async function run(script, { width = 1100, height = 720, complaint = () => true } = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.BROWSER ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"],
  });
  try {
    const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: 2 });
    page.setDefaultTimeout(DEADLINE);
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (line) => line.type() === "error" && complaint(line.text()) && complaints.push(line.text()));
    await script(page);
    check(complaints.length === 0, `the page complained: ${complaints.join("; ")}`);
  } finally {
    await browser.close();
  }
  process.exit(0);
}
