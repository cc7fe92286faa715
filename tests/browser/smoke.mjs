import { ask, check, run } from "./rig.mjs";

await run(async (page) => {
  await page.setContent("<p id=shown></p>");
  await page.evaluate((text) => (document.querySelector("#shown").textContent = text), await ask("what to show"));
  check((await page.textContent("#shown")) === "ü <b> %", "the text is not shown as text");
});
