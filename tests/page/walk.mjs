// Walks through the desk's pages with a browser; tests/page/run calls it.
//
//     node walk.mjs URL FOLDER      screenshots go to FOLDER; exit code 1: a check failed
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [base, folder] = process.argv.slice(2);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
let failed = 0;
function check(good, what) {
  console.log(`${good ? "ok    " : "FAILED"} ${what}`);
  if (!good) failed += 1;
}

const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"], protocolTimeout: 300000 });
const tab = await browser.newPage();
tab.setDefaultTimeout(120000);
const complaints = [];
tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
tab.on("pageerror", (error) => complaints.push(String(error)));
tab.on("dialog", async (dialog) => { complaints.push(`a dialog: ${dialog.message()}`); await dialog.dismiss(); });

async function open(path) {
  for (let i = 0; i < 30; i += 1) {
    try {
      const answer = await tab.goto(base + path, { waitUntil: "load" });
      const waits = await tab.$("meta[http-equiv=refresh]");
      if (!waits) return answer;
    } catch (error) {
      if (i === 29) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new Error(`${path}: the page is not there after 30 seconds`);
}

await tab.setViewport({ width: 1280, height: 900 });
await open("/messages");
const message = await tab.$eval("tbody tr:nth-child(4) th a", (link) => link.getAttribute("href"));
const hostile = await tab.$eval("tbody tr:nth-child(1) th a", (link) => link.getAttribute("href"));
const pages = { now: "/", messages: "/messages", message, hostile, senders: "/senders", gaits: "/senders?by=gait",
  "what-if": "/what-if?tempfail=2&quarantine=off&reject=8", health: "/health", refused: "/messages?pattern=spam" };

for (const scheme of ["light", "dark"]) {
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  for (const width of [1280, 500, 320]) {
    await tab.setViewport({ width, height: 900 });
    for (const [name, path] of Object.entries(pages)) {
      const answer = await open(path);
      const size = (await answer.buffer()).length;
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      check(wide <= 0, `${name} at ${width} px, ${scheme}: nothing has to be scrolled sideways (${wide} px too wide)`);
      check(size <= 200000, `${name}: ${size} bytes`);
      await tab.screenshot({ path: `${folder}/${name}-${width}-${scheme}.png`, fullPage: true });
    }
  }
}
// The content security policy keeps scripts of others out, so axe is given to the page by the debugger.
await tab.emulateMediaFeatures([]);
await tab.setViewport({ width: 1280, height: 900 });
complaints.length = 0;
const source = (await import("node:fs")).readFileSync(axe, "utf8");
for (const [name, path] of Object.entries(pages)) {
  await open(path);
  const own = complaints.filter((text) => !text.includes("status of 400"));
  check(own.length === 0, `${name}: the browser reports no error ${own.join("; ")}`);
  complaints.length = 0;
  await tab.evaluate(source);
  const found = await tab.evaluate(() => globalThis.axe.run(document));
  const broken = found.violations.map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 120)}`);
  check(found.passes.length > 10, `${name}: axe has ${found.passes.length} rules that pass`);
  check(broken.length === 0, `${name}: axe finds nothing ${broken.join(" | ")}`);
}

// No hostile text runs as a script or becomes an element.
for (const path of ["/messages", hostile, "/senders?by=gait", "/"]) {
  await open(path);
  const elements = await tab.evaluate(() => document.querySelectorAll("main img, main b, main u, main script").length);
  const title = await tab.title();
  check(elements === 0 && title.endsWith("segmilter"), `${path}: hostile words are text`);
}
await open("/messages");
const shown = await tab.$eval("main", (main) => main.innerText);
check(shown.includes("\\u202e<b onmouseover"), "a character that changes the direction of text is shown as its number");

// The keyboard: the first key leads to the skip link, the next ones to the views, and j to the first message.
await open("/messages");
await tab.keyboard.press("Tab");
check(await tab.evaluate(() => document.activeElement.className === "skip"), "Tab: the skip link comes first");
const visible = await tab.evaluate(() => document.activeElement.getBoundingClientRect().left >= 0);
check(visible, "the skip link can be seen when it has the focus");
await tab.keyboard.press("Tab");
check(await tab.evaluate(() => document.activeElement.textContent === "Now"), "Tab: then the views");
const reached = await tab.evaluate(() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, summary")];
  return all.every((one) => one.tabIndex >= 0);
});
check(reached, "everything that can be used can be reached with Tab");
await open("/messages");
await tab.keyboard.press("j");
await tab.keyboard.press("j");
check(await tab.evaluate(() => document.activeElement === document.querySelectorAll("tbody th a")[1]), "j j: the second message");
await tab.keyboard.press("Enter");
await tab.waitForFunction(() => location.pathname.startsWith("/messages/"));
check(true, "Enter: its page");

// Without a script.
await tab.setJavaScriptEnabled(false);
const answer = await open("/messages?pattern=bot-template");
check(answer.status() === 200, "without a script: a filter");
await tab.screenshot({ path: `${folder}/no-script.png` });
await tab.setJavaScriptEnabled(true);
await open("/");
await tab.emulateMediaType("print");
await tab.screenshot({ path: `${folder}/print.png`, fullPage: true });

const crossed = await fetch(`${base}/`, { headers: { "Sec-Fetch-Site": "cross-site" } });
check(crossed.status === 403, "a page of another site is refused");
await browser.close();
console.log(failed === 0 ? "all checks hold" : `${failed} checks failed`);
process.exit(failed === 0 ? 0 : 1);
