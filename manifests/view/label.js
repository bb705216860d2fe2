// Questions, one after the other: two pictures, and a key for each answer.
import { picture } from "./cards.js";
import { el, empty, plural, show, tell, toast } from "./dom.js";
import { get, pictureUrl, post } from "./net.js";

const ANSWERS = [["yes", "Same", "S"], ["no", "Different", "D"], ["unsure", "Can’t tell", "K"]];
let current = null;
let busy = false;

export async function label(facts, route, changed) {
  const found = await get("/api/questions");
  if (route.isCurrent()) draw(facts, found, changed);
}

function draw(facts, found, changed) {
  changed(found);
  const [question] = found.items;
  current = question ? { question, facts, changed } : { facts, changed };
  const undo = el("button", { type: "button", disabled: !found.can_undo, onclick: () => act("undo") }, "Undo ", el("kbd", {}, "Z"));
  if (!question) {
    show(done(facts, found, changed), el("p", { class: "end" }, undo));
    return;
  }
  for (const next of found.items.slice(1)) {
    for (const card of [next.a, next.b]) if (card.picture) new Image().src = pictureUrl(card.id, "large");
  }
  show(
    el("section", { class: "label", "aria-label": "Question" },
      el("h1", { class: "small-title" }, "Do these two show the same?"),
      el("div", { class: "twins" }, twin(question.a), twin(question.b)),
      el("div", { class: "answers" },
        ANSWERS.map(([said, text, key]) =>
          el("button", { type: "button", class: `say ${said}`, "data-answer": said, onclick: () => act(said) }, text, " ", el("kbd", {}, key))),
        undo),
      el("p", { class: "soft small num" }, status(question, found)),
      conflicts(found)),
  );
}

function twin(card) {
  return el("figure", {},
    picture(card, "large"),
    el("figcaption", {},
      el("a", { class: "key", href: `#/sample?id=${card.id}`, dir: "auto" }, card.key),
      card.labels.length > 0 && el("span", { dir: "auto" }, card.labels.join(", ")),
      card.captions.slice(0, 2).map((text) => el("span", { class: "soft", dir: "auto" }, text))));
}

function status(question, found) {
  const known = [];
  if (question.score !== null) known.push(`chance of the same ${question.score.toFixed(2)}`);
  if (question.similarity !== null) known.push(`similarity ${question.similarity.toFixed(3)}`);
  const { yes, no, unsure } = found.answers;
  const implied = found.open - found.waiting;
  known.push(`round ${question.round ?? 0}`, `${plural(found.waiting, "question")} left`, `${yes} same, ${no} different, ${unsure} can’t tell`);
  if (implied) known.push(`${implied} answered by what was said`);
  return known.join(" · ");
}

function conflicts(found) {
  if (!found.conflicts) return null;
  return el("div", { class: "sheet look" },
    el("b", {}, `${plural(found.conflicts, "answer")} contradict${found.conflicts === 1 ? "s" : ""} a chain of “same”`),
    el("p", {}, "One of the answers on the way is wrong; pairs of these samples are used for nothing until it is taken back:"),
    el("ul", {}, found.conflicting.map((pair) => el("li", { dir: "auto" }, pair.join("  ≠  ")))));
}

function done(facts, found, changed) {
  const { yes, no, unsure } = found.answers;
  const budget = el("input", { type: "number", min: 1, max: 10000, value: 50, id: "budget" });
  const more = el("button", { class: "main" }, "Ask more");
  const form = el("form", { class: "ask" }, el("label", { for: "budget" }, "Choose the next"), budget, el("span", {}, "least certain pairs"), more);
  form.addEventListener("submit", tell(async (event) => {
    event.preventDefault();
    more.disabled = true;
    try {
      const made = await post("/api/ask", { budget: Number(budget.value) });
      if (!made.asked) toast("No further pair is left to ask about.");
      draw(facts, await get("/api/questions"), changed);
    } finally {
      more.disabled = false;
    }
  }));
  const said = yes + no + unsure;
  return empty(
    said ? "Every question is answered." : "No question is waiting.",
    said > 0 && el("p", { class: "num" }, `${yes} same, ${no} different, ${unsure} can’t tell.`),
    facts.can_ask ? form : el("p", {}, "This pairset has no neighbour graph of one space to take pairs from."),
    conflicts(found),
    said > 0 && el("p", { class: "soft" }, "Mine with the answers: run again with"),
    said > 0 && el("pre", {}, `--recipe oracle --set positives.0.answers=${found.file} --set negatives.0.answers=${found.file}`),
    said === 0 && el("p", { class: "soft small" }, "Answers are appended to ", el("code", {}, found.file)),
  );
}

const act = tell(async (what) => {
  if (busy || !current) return;
  const { question, facts, changed } = current;
  busy = true;
  try {
    if (what === "undo") {
      const found = await post("/api/undo");
      if (found.undone) toast("Taken back.");
      draw(facts, found, changed);
    } else if (question) {
      draw(facts, await post("/api/answer", { a: question.a.id, b: question.b.id, answer: what }), changed);
    }
  } finally {
    busy = false;
  }
});

export function leave() {
  current = null;
}

document.addEventListener("keydown", (event) => {
  if (!current || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest?.("input, select, textarea")) return;
  const key = event.key.toLowerCase();
  const found = key === "z" ? "undo" : ANSWERS.find(([, , letter]) => letter.toLowerCase() === key)?.[0];
  if (!found) return;
  event.preventDefault();
  act(found);
});
