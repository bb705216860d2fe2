// Requests to the server that sent this page. The token comes behind "#", once, and is kept for
// this tab only; no address that a person sees holds it afterwards.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", "#/samples");
}
let pictureKey = "";

async function ask(path, options) {
  const headers = { "X-Curate-Token": sessionStorage.getItem("token") ?? "" };
  if (options?.body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is `curate view` still running?");
  }
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error), { status: answer.status });
  return body;
}

export function get(path, params = {}) {
  const known = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(known).toString();
  return ask(text ? `${path}?${text}` : path);
}

export function post(path, body = {}) {
  return ask(path, { method: "POST", body: JSON.stringify(body) });
}

export async function about() {
  const found = await get("/api/about");
  pictureKey = found.picture_key;
  return found;
}

export function pictureUrl(id, side) {
  return `/picture/${side}/${Number(id)}?key=${pictureKey}`;
}
