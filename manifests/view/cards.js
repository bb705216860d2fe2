// Samples as pictures with what is known of them written below.
import { el } from "./dom.js";
import { pictureUrl } from "./net.js";

const named = (card) => card.captions[0] || card.key;

// A square of fixed size, whatever becomes of the picture, so that nothing below it moves.
export function picture(card, side = "small") {
  const box = el("div", { class: "picture" });
  const instead = (text, isText) =>
    box.replaceChildren(el("span", { class: isText ? "none text" : "none", dir: "auto" }, text));
  if (!card.picture) {
    instead(named(card), true);
    return box;
  }
  const image = el("img", {
    src: pictureUrl(card.id, side), alt: named(card), decoding: "async", loading: "lazy",
  });
  image.addEventListener("error", () => instead("not readable", false));
  box.append(image);
  return box;
}

export const link = (card, ...children) =>
  el("a", { class: "plain", href: `#/sample?id=${card.id}` }, children);

export function portrait(card) {
  const words = card.captions[0];
  return el(
    "li", { class: "portrait", title: `${card.key}${words ? `: ${words}` : ""}` },
    link(card, picture(card)),
    card.similarity !== undefined && el("b", { class: "num" }, card.similarity.toFixed(3)),
    el("span", { class: "key", dir: "auto" }, card.key),
    card.labels.length > 0 && el("span", { class: "label-line", dir: "auto" }, card.labels.join(", ")),
    card.picture && words && el("span", { class: "caption", dir: "auto" }, words),
  );
}

const SAME = { true: ["=", "same label"], false: ["≠", "other label"] };

// One candidate of an anchor; `card` is its sample, none for a text or a generated picture.
export function tile(item, card, ...more) {
  const text = item.text ?? "";
  const mark = SAME[item.same_label];
  const labels = card?.labels.join(", ");
  return el(
    "li",
    { class: `tile${item.alarm ? " alarm" : ""}`, title: card ? card.key : text },
    card
      ? link(card, picture(card))
      : el("div", { class: "picture" }, el("span", { class: "none text", dir: "auto" }, text)),
    el("div", { class: "sim" },
      item.similarity === null || item.similarity === undefined
        ? el("span", { class: "soft" }, "no similarity")
        : item.similarity.toFixed(3)),
    item.alarm && el("span", { class: "alarm-text" }, item.alarm),
    (item.said ?? []).map(([who, why]) =>
      el("span", { class: "because" }, el("span", { class: "by" }, who), why && ` ${why}`)),
    labels && el("span", { class: "label-line", dir: "auto" },
      mark && [el("span", { "aria-hidden": true }, mark[0]), el("span", { class: "sr" }, `${mark[1]}:`), " "],
      labels),
    card?.picture && card.captions[0] && el("span", { class: "caption", dir: "auto" }, card.captions[0]),
    more,
  );
}

export function rowOf(role, title, tiles, note) {
  return el(
    "div", { class: "role" },
    el("h3", {}, el("span", { class: `dot r-${role}` }), title, note && el("span", { class: "soft" }, ` ${note}`)),
    el("ul", { class: "tiles" }, tiles),
  );
}

export function anchor(card, why, captions = 2) {
  return el(
    "div", { class: `anchor${card.picture ? "" : " plain"}` },
    why && el("p", { class: "why" }, why),
    card.picture && link(card, picture(card)),
    el("div", {},
      el("p", { class: "key", dir: "auto" }, link(card, card.key)),
      card.labels.length > 0 && el("p", { class: "label", dir: "auto" }, card.labels.join(", ")),
      card.captions.length > 0 &&
        el("ul", { class: "captions" }, card.captions.slice(0, captions).map((text) => el("li", { dir: "auto" }, text)))),
  );
}
