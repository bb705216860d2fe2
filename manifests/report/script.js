"use strict";
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  const buttons = [...document.querySelectorAll(".filters button")];
  const cards = [...document.querySelectorAll(".card")];
  const said = document.querySelector(".filters output");
  const show = (button) => {
    const flag = button.dataset.flag;
    let shown = 0;
    for (const card of cards) {
      const fits = !flag || card.dataset.flags.split(" ").includes(flag);
      card.hidden = !fits;
      shown += fits;
    }
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    said.textContent = `${shown} of ${cards.length} anchors`;
  };
  for (const button of buttons) button.addEventListener("click", () => show(button));
});
