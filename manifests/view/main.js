// Which page the address names; the address is "#/page?filters".
import { pairs, samples } from "./browse.js";
import { el, empty, plural, show } from "./dom.js";
import { label, leave } from "./label.js";
import { about } from "./net.js";
import { sample } from "./sample.js";

const PAGES = { samples, pairs, sample, label };
let facts = null;
let turn = 0;

function route() {
  const [page, params] = location.hash.replace(/^#\//, "").split(/\?(.*)/s);
  return { page: Object.hasOwn(PAGES, page) ? page : "samples", params: new URLSearchParams(params ?? "") };
}

function questionsChanged(found) {
  const box = document.getElementById("waiting");
  box.textContent = found.waiting ? found.waiting.toLocaleString("en") : "";
  box.setAttribute("aria-label", `${plural(found.waiting, "question")} left`);
}

async function draw() {
  if (location.hash === "#main") return;
  const mine = ++turn;
  // A page that comes late must not cover the one that was asked for after it.
  const here = { ...route(), isCurrent: () => mine === turn };
  leave();
  for (const tab of document.querySelectorAll("#tabs a")) {
    const is = tab.getAttribute("href") === `#/${here.page}`;
    if (is) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  try {
    await PAGES[here.page](facts, here, questionsChanged);
    if (mine === turn) document.title = `${facts.name}: ${here.page}`;
  } catch (error) {
    if (mine === turn) show(empty("This cannot be shown.", el("p", {}, error.message)));
  }
}

async function begin() {
  try {
    facts = await about();
  } catch (error) {
    const closed = error.status === 403;
    show(empty(
      closed ? "This page is closed." : "This cannot be shown.",
      el("p", {}, closed ? "Open the address that `curate view` printed; it holds the token." : error.message)));
    return;
  }
  const corpus = document.getElementById("corpus");
  corpus.textContent = facts.name;
  corpus.title = `${facts.root}: ${plural(facts.counts.samples, "sample")}, ${plural(facts.counts.pairs, "pair")}`;
  questionsChanged(facts.questions);
  addEventListener("hashchange", () => {
    scrollTo(0, 0);
    draw();
  });
  await draw();
}

begin();
