// The form above samples and pairs. Its state is the address, so that "back" and a copied address
// work; a change writes the address, and the address draws the page.
import { el } from "./dom.js";

const CHOICES = ["split", "label", "cluster", "role", "miner", "reason", "kind"];
const NAMES = ["q", ...CHOICES, "text", "space", "near", "start"];

export function paramsOf(route) {
  return Object.fromEntries(NAMES.filter((name) => route.params.has(name)).map((name) => [name, route.params.get(name)]));
}

function go(page, params) {
  const kept = Object.entries(params).filter(([name, value]) => value !== undefined && (value !== "" || name === "split"));
  const text = new URLSearchParams(kept).toString();
  location.hash = `#/${page}${text ? `?${text}` : ""}`;
}

function field(title, control) {
  return el("label", { class: "field" }, el("span", {}, title), control);
}

function select(title, name, options, params, change) {
  if (!options.length) return null;
  const control = el("select", { name, onchange: () => change(name, control.selectedIndex ? control.value : undefined) },
    el("option", { value: "" }, "any"),
    options.map(([value, text]) =>
      el("option", { value, selected: params[name] === value }, text)));
  return field(title, control);
}

function labels(facts, params, change) {
  if (!facts.labels.length) return null;
  const more = facts.more_labels ? ` (${facts.more_labels} more can be typed)` : "";
  const control = el("input", {
    name: "label", list: "labels", value: params.label, placeholder: "any", autocomplete: "off",
    title: `A label${more}`, onchange: () => change("label", control.value || undefined),
  });
  const known = el("datalist", { id: "labels" },
    facts.labels.map(([name, count]) => el("option", { value: name }, `${count}`)));
  return field("Label", [control, known]);
}

function clusters(facts, params, change) {
  const names = Object.keys(facts.clusters);
  if (!names.length) return null;
  const [set, number] = params.cluster ? [params.cluster.replace(/\/\d+$/, ""), params.cluster.match(/\d+$/)[0]] : [names[0], ""];
  const chosen = () => change("cluster", control.value === "" ? undefined : `${name.value}/${control.value}`);
  const name = el("select", { name: "cluster-set", "aria-label": "Set of clusters", onchange: chosen },
    names.map((item) => el("option", { value: item, selected: item === set }, item)));
  const control = el("input", {
    name: "cluster", type: "number", min: 0, max: facts.clusters[set] - 1, value: number, placeholder: "any",
    onchange: chosen,
  });
  return field(names.length > 1 ? "Cluster" : `Cluster of ${set}`, names.length > 1 ? [name, control] : control);
}

function search(facts, params, page) {
  const spaces = page === "samples" ? facts.text_spaces : [];
  const input = el("input", {
    type: "search", name: "q", value: params.text ?? params.q, maxlength: 500,
    "aria-label": "Search", autocomplete: "off",
  });
  const hints = { "": "Words in keys and captions" };
  for (const space of spaces) hints[space] = `A sentence; the nearest in space ${space} come first`;
  const how = el("select", { name: "how", "aria-label": "How to search", onchange: () => (input.placeholder = hints[how.value]) },
    el("option", { value: "" }, "by words"),
    spaces.map((space) => el("option", { value: space, selected: params.text !== undefined && params.space === space }, `by meaning: ${space}`)));
  input.placeholder = hints[how.value];
  const send = (event) => {
    event.preventDefault();
    const { q, text, space, near, start, ...kept } = params;
    const words = input.value.trim();
    go(page, !words ? kept : how.value ? { ...kept, text: words, space: how.value } : { ...kept, q: words });
  };
  return el("form", { class: spaces.length ? "search" : "search plain", role: "search", onsubmit: send },
    input, spaces.length > 0 && how, el("button", { class: "main" }, "Search"));
}

export function filters(facts, route, page, ...more) {
  const params = paramsOf(route);
  const change = (name, value) => {
    const { start, ...kept } = params;
    go(page, { ...kept, [name]: value });
  };
  const splits = facts.splits.map(([name, count]) => [name, `${name || "no split"} (${count.toLocaleString("en")})`]);
  const used = Object.keys(params).length > 0;
  const fields = [
    splits.length > 1 && select("Split", "split", splits, params, change),
    labels(facts, params, change),
    clusters(facts, params, change),
    page === "pairs" && select("Filled by", "kind", facts.miners.filter(([, role]) => role === "positive" || role === "negative"), params, change),
    select("Has candidates that are", "role", facts.roles.map(([role, title]) => [role, title.toLowerCase()]), params, change),
    select("of miner", "miner", facts.miners, params, change),
    select("refused because", "reason", facts.reasons, params, change),
  ].filter(Boolean);
  // In a narrow window the choices stand behind one line, unless one of them is made.
  const wide = matchMedia("(min-width: 721px)").matches;
  const chosen = Object.keys(params).filter((name) => CHOICES.includes(name)).length;
  return el("div", { class: "filter" },
    search(facts, params, page),
    el("details", { open: wide || chosen > 0 },
      el("summary", {}, chosen ? `Filters (${chosen})` : "Filters"),
      el("div", { class: "fields" }, fields,
        el("div", { class: "actions" }, more,
          el("button", { type: "button", disabled: !used, onclick: () => go(page, {}) }, "Clear")))));
}
