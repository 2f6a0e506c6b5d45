// The page as it is served is whole. This keeps it up to date while it is open, lets the picture be
// dragged and zoomed, tells what is under the pointer, and posts forms in place.

const parser = new DOMParser();

// What the server last sent of each part, so that only what has changed is put in.
const sent = new Map();
for (const part of document.querySelectorAll("[data-live]")) sent.set(part.id, part.outerHTML);

let shown = new URL(location.href);
let running = null;
let again = null;

// Fetches the page at `url` and puts in what is new; one at a time, the last wish wins.
async function refresh(url) {
  if (running) {
    again = url;
    return running;
  }
  running = load(url);
  try {
    await running;
  } finally {
    running = null;
  }
  if (again) {
    const next = again;
    again = null;
    return refresh(next);
  }
}

async function load(url) {
  const reply = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (!reply.ok) return;
  const fresh = parser.parseFromString(await reply.text(), "text/html");
  document.title = fresh.title;
  const parts = [...fresh.querySelectorAll("[data-live]")];
  const ids = new Set(parts.map((part) => part.id));
  for (const part of parts) put(part);
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!ids.has(part.id)) part.remove();
  }
}

// Puts one part in, and keeps what the reader did to the old one: what is open, where the focus is.
function put(part) {
  const html = part.outerHTML;
  if (sent.get(part.id) === html) return;
  sent.set(part.id, html);
  const old = document.getElementById(part.id);
  if (!old) {
    place(part);
    return;
  }
  for (const details of part.querySelectorAll("details[id]")) {
    const before = document.getElementById(details.id);
    if (before) details.open = before.open;
  }
  const focus = old.contains(document.activeElement) ? pathTo(document.activeElement, old) : null;
  const known = new Set([...old.querySelectorAll(".lines li, .row")].map((line) => line.textContent));
  old.replaceWith(part);
  for (const line of part.querySelectorAll(".lines li, .row")) {
    if (known.size > 0 && !known.has(line.textContent)) line.classList.add("is-new");
  }
  if (focus) followed(focus, part)?.focus({ preventScroll: true });
}

// A part that was not there before stands before the one that it stands before on the new page: what
// is in front of it has been taken out of there by now.
function place(part) {
  let next = part.nextElementSibling;
  while (next && !document.getElementById(next.id)) next = next.nextElementSibling;
  const anchor = next && document.getElementById(next.id);
  if (anchor) anchor.before(part);
  else document.getElementById("main").append(part);
}

function pathTo(node, root) {
  const path = [];
  for (let at = node; at !== root; at = at.parentElement) {
    path.unshift([...at.parentElement.children].indexOf(at));
  }
  return path;
}

function followed(path, root) {
  return path.reduce((at, index) => at?.children[index], root);
}

// Live: the daemon says that something is assessed, and the page is fetched again.
if (document.body.dataset.stream) {
  const stream = new EventSource(document.body.dataset.stream);
  stream.addEventListener("open", () => document.body.classList.add("is-live"));
  stream.addEventListener("error", () => document.body.classList.remove("is-live"));
  stream.addEventListener("assessed", () => refresh(shown));
  addEventListener("pagehide", () => stream.close());
}

// Forms are posted in place; the answer says which page shows what was said.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-say]")) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const reply = await fetch(form.action, { method: "POST", body, credentials: "same-origin" });
  if (!reply.ok) {
    form.submit();
    return;
  }
  form.reset();
  const seen = new URL(reply.url);
  const wish = new URL(shown);
  wish.searchParams.set("wait_seq", seen.searchParams.get("wait_seq") ?? "0");
  await refresh(wish);
});

// The picture: its links move it in place; so do dragging, and the wheel with Ctrl.
function look(url) {
  shown = new URL(url, location.href);
  history.replaceState(null, "", shown.pathname + shown.search);
  return refresh(shown);
}

function lookAt(from, to) {
  const url = new URL(shown);
  url.hash = "";
  url.searchParams.set("start", new Date(from).toISOString());
  url.searchParams.set("end", new Date(to).toISOString());
  return look(url);
}

function drawing() {
  const part = document.getElementById("picture");
  if (!part) return null;
  const svg = [...part.querySelectorAll("svg.picture")].find((one) => one.clientWidth > 0);
  if (!svg) return null;
  const box = svg.getBoundingClientRect();
  const gutter = svg.closest(".wide") ? (190 / 1080) * box.width : 0;
  const from = Date.parse(part.dataset.from);
  const to = Date.parse(part.dataset.to);
  const timeAt = (x) => from + ((x - box.left - gutter) / (box.width - gutter)) * (to - from);
  return { svg, from, to, timeAt };
}

document.addEventListener("click", (event) => {
  const link = event.target.closest(".moves a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  look(link.href);
});

document.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey || !event.target.closest?.("svg.picture")) return;
    const view = drawing();
    if (!view) return;
    event.preventDefault();
    const middle = view.timeAt(event.clientX);
    const factor = event.deltaY > 0 ? 1.5 : 1 / 1.5;
    lookAt(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  },
  { passive: false },
);

let drag = null;
document.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || event.pointerType === "touch") return;
  if (!event.target.closest?.("svg.picture")) return;
  const view = drawing();
  if (view) drag = { x: event.clientX, view };
});
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { x, view } = drag;
  drag = null;
  if (Math.abs(event.clientX - x) < 8) return;
  const by = view.timeAt(x) - view.timeAt(event.clientX);
  lookAt(view.from + by, view.to + by);
});
document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.("svg.picture")) event.preventDefault();
});

// What is under the pointer, or has the focus, is told in full.
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

function tell(mark) {
  tip.textContent = mark.dataset.detail;
  tip.hidden = false;
  const box = mark.getBoundingClientRect();
  const left = Math.min(box.left + scrollX, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 12);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${box.bottom + scrollY + 6}px`;
}
for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const mark = event.target.closest?.("[data-detail]");
    if (mark) tell(mark);
    else if (kind === "pointerover") tip.hidden = true;
  });
}
document.addEventListener("focusout", () => (tip.hidden = true));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") tip.hidden = true;
});
