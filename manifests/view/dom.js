// Elements are made here, and text goes into them as text: nothing of a corpus is ever markup.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child !== undefined && child !== null && child !== false && child !== "") node.append(child);
  }
  return node;
}

export function show(...nodes) {
  document.getElementById("main").replaceChildren(...nodes.filter(Boolean));
}

let timer;
export function toast(text, isError = false) {
  const box = document.getElementById("toast");
  box.textContent = text;
  box.className = isError ? "error" : "";
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (box.hidden = true), isError ? 8000 : 3500);
}

// Runs what a person started; what fails is said, not lost in a console.
export function tell(work) {
  return async (...args) => {
    try {
      return await work(...args);
    } catch (error) {
      toast(error.message, true);
    }
  };
}

export function empty(title, ...more) {
  return el("div", { class: "sheet empty" }, el("h2", {}, title), more);
}

export const plural = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
