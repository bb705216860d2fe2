// Samples and rows of pairs: a filter, a page of results, and more on demand.
import { anchor, portrait, rowOf, tile } from "./cards.js";
import { el, empty, show, tell } from "./dom.js";
import { filters, paramsOf } from "./filters.js";
import { get } from "./net.js";

const LISTED = [["positive", "Positives"], ["negative", "Negatives"], ["false_negative", "Masked false negatives"], ["soft", "Soft target"]];

// Loads page after page into `list`; `draw` turns an answer into nodes.
function results(path, params, list, draw, none) {
  const said = el("p", { class: "said soft small", role: "status" },
    params.text === undefined ? "Looking…" : "Looking… (the first text of a session loads the encoder)");
  const more = el("button", { type: "button", class: "more", hidden: true }, "Show more");
  let start = params.start, shown = 0;
  const load = tell(async () => {
    more.disabled = true;
    try {
      const found = await get(path, { ...params, start });
      const nodes = draw(found);
      shown += nodes.length;
      list.append(...nodes);
      start = found.next;
      more.hidden = start === null;
      said.textContent = shown
        ? `${shown.toLocaleString("en")} shown${start === null ? "" : ", and there may be more"}`
        : start === null ? "" : `Nothing up to sample ${start.toLocaleString("en")} yet.`;
      more.textContent = shown ? "Show more" : "Look further";
      if (!shown && start === null) list.replaceWith(none());
    } catch (error) {
      said.textContent = error.message;
      throw error;
    } finally {
      more.disabled = false;
    }
  });
  more.addEventListener("click", load);
  return { load, nodes: [said, list, el("div", { class: "end" }, more)] };
}

const nothing = () => empty("Nothing passes this filter.", el("p", { class: "soft" }, "Take a word or a choice away, or clear it."));

export async function samples(facts, route) {
  const params = paramsOf(route);
  const somewhere = el("button", {
    type: "button",
    title: "Go on from a random sample",
    onclick: () => {
      const at = new URLSearchParams(paramsOf(route));
      at.set("start", Math.floor(Math.random() * facts.counts.samples));
      location.hash = `#/samples?${at}`;
    },
  }, "Random place");
  const list = el("ul", { class: "grid", "aria-label": "Samples" });
  const found = results("/api/samples", params, list, (answer) => answer.items.map(portrait), nothing);
  const ranked = params.near !== undefined || params.text !== undefined;
  show(filters(facts, route, "samples", !ranked && somewhere), ranked && title(params), ...found.nodes);
  await found.load();
}

function title(params) {
  const what = params.near !== undefined
    ? ["Most similar to ", el("a", { href: `#/sample?id=${Number(params.near)}` }, `sample ${Number(params.near)}`)]
    : ["Most similar to the text"];
  return el("h2", { class: "ranked" }, what, ` in space ${params.space}`);
}

export async function pairs(facts, route) {
  const list = el("div", { class: "stack", "aria-label": "Rows of pairs" });
  const draw = (answer) => answer.items.map((item) => pairCard(item, answer.samples));
  const none = () => facts.counts.pairs ? nothing() : empty("No pair was made.");
  const found = results("/api/pairs", paramsOf(route), list, draw, none);
  show(filters(facts, route, "pairs"), ...found.nodes);
  await found.load();
}

function pairCard(item, cards) {
  const rows = LISTED.map(([role, title]) => {
    const places = item.places.filter((place) => place.role === role);
    return places.length > 0 && rowOf(role, title, places.map((place) => placeTile(place, cards)));
  });
  const card = cards[item.anchor];
  return el("article", { class: "card sheet", "aria-label": `Pair of ${card.key}` },
    anchor(card, `pair ${item.pair_id}${item.weight === 1 ? "" : `, weight ${item.weight.toFixed(3)}`}`),
    el("div", { class: "rows" }, rows));
}

function placeTile(place, cards) {
  const weight = place.weight !== undefined && place.weight !== 1 ? `weight ${place.weight.toFixed(3)}` : "";
  const said = [[place.miner ?? (place.role === "false_negative" ? "never contrasted" : ""), weight]];
  // Places of miners without a space hold 0 for no similarity.
  const similarity = place.score === undefined || place.score === 0 ? null : place.score;
  return tile({ ...place, similarity, said }, cards[place.sample_id]);
}
