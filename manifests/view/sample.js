// One sample: what is known of it, and every candidate that a miner looked at for it, with why.
import { picture, rowOf, tile } from "./cards.js";
import { el, plural, show, tell, toast } from "./dom.js";
import { get, post } from "./net.js";

const FIRST = 12;
const FEW = 4;

export async function sample(facts, route, changed) {
  const page = await get("/api/sample", { id: route.params.get("id") ?? "" });
  if (!route.isCurrent()) return;
  const card = page.samples[page.id];
  const rows = page.rows.map((row) => roleRow(row, page, changed));
  show(
    el("section", { class: "about-sample", "aria-label": "Sample" },
      card.picture && el("div", { class: "portrait-large" }, picture(card, "large")),
      el("div", { class: "words" },
        el("h1", { class: "small-title", dir: "auto" }, page.key),
        card.captions.length > 0 && el("ul", { class: "captions" }, card.captions.map((text) => el("li", { dir: "auto" }, text))),
        facts_(page, card),
        el("p", { class: "actions" }, facts.spaces.map((space) =>
          el("a", { class: "button", href: `#/samples?${new URLSearchParams({ near: page.id, space })}` }, `Similar in ${space}`))))),
    rows.length ? el("div", { class: "rows long" }, rows) : el("p", { class: "soft" }, "No candidate of this sample was looked at."),
  );
}

function facts_(page, card) {
  const selection = page.selection.map((item) => item.why);
  const cluster = (name, ids) => [
    el("a", { href: `#/samples?${new URLSearchParams({ cluster: `${name}/${ids[0]}` })}` }, `${ids[0]}`),
    ids.length > 1 ? ` (coarser: ${ids.slice(1).join(", ")})` : "",
  ];
  const lines = [
    ["Sample", `${page.id}`],
    ["Labels", card.labels.join(", ")],
    ["Split", card.split],
    ["Near-duplicates", page.duplicates.join(", ")],
    ...Object.entries(page.clusters).map(([name, ids]) => [`Cluster of ${name}`, ids[0] < 0 ? "none" : cluster(name, ids)]),
    ["Selection", selection.join("; ")],
    ["Row in pairs", page.pair ? "" : "none"],
    ["Synthetic negatives", page.synthetic ? plural(page.synthetic, "recipe") : ""],
  ];
  return el("dl", { class: "lines" }, lines.filter(([, text]) => text.length > 0).map(([name, text]) =>
    el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, text))));
}

function roleRow(row, page, changed) {
  const held = row.tiles.filter((item) => item.in_row).length;
  const refused = row.role === "refused";
  const make = (item) => tile(item, page.samples[item.id],
    !refused && !item.in_row && el("span", { class: "because" }, "its row had no place left"),
    item.why.length > 0 && el("details", { class: "why" }, el("summary", {}, "why"), item.why.map((text) => el("p", {}, text))),
    item.id !== null && item.id !== page.id && judge(page.id, item.id, changed));
  const note = refused ? plural(row.tiles.length, "candidate") : `${held} in the row, of ${plural(row.tiles.length, "candidate")}`;
  const first = row.tiles.length > FIRST + FEW ? FIRST : row.tiles.length;
  const node = rowOf(row.role, row.title, row.tiles.slice(0, first).map(make), note);
  if (row.tiles.length > first) {
    const all = el("button", { type: "button", class: "more" }, `Show all ${row.tiles.length}`);
    all.addEventListener("click", () => {
      node.querySelector(".tiles").append(...row.tiles.slice(first).map(make));
      all.remove();
    });
    node.append(all);
  }
  return node;
}

function judge(a, b, changed) {
  const box = el("span", { class: "judge", role: "group", "aria-label": "Do the two show the same?" });
  const button = (said, text) => el("button", {
    type: "button",
    "aria-pressed": "false",
    onclick: tell(async (event) => {
      changed(await post("/api/answer", { a, b, answer: said }));
      for (const other of box.children) other.setAttribute("aria-pressed", String(other === event.target));
      toast(`Noted: ${text.toLowerCase()}.`);
    }),
  }, text);
  box.append(button("yes", "Same"), button("no", "Different"));
  return box;
}
