// The page of the dashboard. Names come from strangers: they are only ever set as text, and encoded in URLs.

const $ = (id) => document.getElementById(id);

/** Rows that are shown; a table of a hundred thousand helps nobody. */
const SHOWN = 500;
/** Uploads at a time; the others wait. */
const AT_ONCE = 3;

// ---- files: what the service's mirror has, kept right by its events -------------------------------------------------

const files = new Map();
const fresh = new Set();
let totals = { files: 0, size: 0 };
let largest = Infinity;
let connection = "connecting";
/** Whether what has no event may be missing. */
let behind = false;
let order = { by: "path", ascending: true };

const events = new EventSource("events");

events.addEventListener("about", ({ data }) => {
  const about = JSON.parse(data);
  $("bucket").textContent = document.title = about.bucket;
  largest = about.largest;
});

events.addEventListener("files", ({ data }) => {
  const { reset, changed, removed, total_files, total_size, stale } = JSON.parse(data);
  if (reset) files.clear();
  for (const path of removed) files.delete(path);
  for (const file of changed) {
    files.set(file.path, file);
    if (!reset) fresh.add(file.path);
  }
  totals = { files: total_files, size: total_size };
  behind = stale;
  tellConnection();
  draw();
});

events.addEventListener("state", ({ data }) => {
  connection = data;
  tellConnection();
});

/** A connection to the hub is not enough: what has no event is seen by listings. */
function tellConnection() {
  if (connection === "connected" && behind) tell("connecting", "live, but the listing fails: something may be missing");
  else if (connection === "connected") tell("connected", "live");
  else if (connection === "refused") tell("lost", "the server has refused the connection");
  else tell("connecting", connection === "waiting" ? "no connection to the server: it is tried again" : "connecting");
}

events.addEventListener("over", ({ data }) => {
  events.close();
  tell("lost", data);
});

// The browser connects again by itself and says what it has seen last.
events.addEventListener("error", () => tell("lost", "the dashboard's service is gone; trying again"));

function tell(state, text) {
  $("state").dataset.state = state;
  $("state").querySelector("span").textContent = text;
}

// ---- the table --------------------------------------------------------------------------------------------------------

let drawing = false;

/** Draws at the next frame, however often it is asked to until then. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawTable();
  });
}

/** As people sort names: letters before cases, 9 before 10. */
const names = new Intl.Collator(undefined, { numeric: true });

const comparisons = {
  path: (a, b) => names.compare(a.path, b.path),
  size: (a, b) => a.size - b.size,
  age: (a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at),
};

function drawTable() {
  const wanted = $("filter").value.toLowerCase();
  const matching = [...files.values()].filter((file) => file.path.toLowerCase().includes(wanted));
  const compare = comparisons[order.by];
  matching.sort((a, b) => (order.ascending ? compare(a, b) : compare(b, a)));
  const shown = matching.slice(0, SHOWN);
  const old = new Map([...$("files").children].map((row) => [row.dataset.path, row]));
  $("files").replaceChildren(...shown.map((file) => update(old.get(file.path) ?? row(file.path), file)));
  fresh.clear();
  $("totals").textContent = `${totals.files.toLocaleString("en")} file${totals.files === 1 ? "" : "s"}, ${bytes(totals.size)}`;
  $("more").hidden = matching.length <= SHOWN;
  $("more").textContent = `and ${(matching.length - SHOWN).toLocaleString("en")} more; the filter finds them`;
}

function row(path) {
  const row = document.createElement("tr");
  row.dataset.path = path;
  const [name, size, age, last] = Array.from({ length: 4 }, () => row.insertCell());
  const folder = document.createElement("em");
  const cut = path.lastIndexOf("/") + 1;
  folder.textContent = path.slice(0, cut);
  name.append(folder, path.slice(cut));
  const button = element("button", "delete", "Delete");
  button.addEventListener("click", () => remove(path, button));
  last.append(button);
  return row;
}

function update(row, file) {
  const [, size, age] = row.cells;
  size.textContent = bytes(file.size);
  age.textContent = since(file.updated_at);
  age.title = new Date(file.updated_at).toLocaleString();
  if (fresh.has(file.path)) {
    // Taking the class away and putting it back starts the animation anew.
    row.classList.remove("fresh");
    void row.offsetWidth;
    row.classList.add("fresh");
  }
  return row;
}

/** The first click asks, the second one deletes. The row goes when the mirror says that the file has gone. */
async function remove(path, button) {
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = "Sure?";
    setTimeout(() => {
      button.classList.remove("sure");
      button.textContent = "Delete";
    }, 3000);
    return;
  }
  button.disabled = true;
  const answer = await fetch(url(path), { method: "DELETE" }).catch(() => null);
  if (!answer?.ok) {
    button.disabled = false;
    button.title = answer ? (await answer.json().catch(() => ({}))).error : "the service does not answer";
    button.textContent = "Failed";
  }
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const by = button.dataset.by;
    order = { by, ascending: order.by === by ? !order.ascending : true };
    for (const other of document.querySelectorAll("th")) other.removeAttribute("aria-sort");
    button.parentElement.setAttribute("aria-sort", order.ascending ? "ascending" : "descending");
    draw();
  });
}
$("filter").addEventListener("input", draw);
setInterval(() => {
  for (const row of $("files").children) {
    const file = files.get(row.dataset.path);
    if (file) row.cells[2].textContent = since(file.updated_at);
  }
}, 1000);

// ---- uploads ------------------------------------------------------------------------------------------------------------

const waiting = [];
let running = 0;

function add(list) {
  for (const file of list) waiting.push(new Upload(file));
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length > 0) {
    running += 1;
    waiting.shift().run().finally(() => {
      running -= 1;
      next();
    });
  }
}

class Upload {
  constructor(file) {
    this.file = file;
    this.item = element("li", "", "");
    this.how = element("span", "how", "waiting");
    this.bar = document.createElement("progress");
    this.bar.max = 1;
    this.bar.value = 0;
    this.cancel = element("button", "cancel", "Cancel");
    this.cancel.addEventListener("click", () => this.stop());
    this.request = new XMLHttpRequest();
    this.item.append(element("span", "name", file.name), this.how, this.cancel, this.bar);
    $("uploads").append(this.item);
  }

  stop() {
    const at = waiting.indexOf(this);
    if (at >= 0) waiting.splice(at, 1);
    this.request.abort();
    this.item.remove();
  }

  /** `fetch` can't tell how much of a body is out; the older way can. */
  run() {
    const { file, request } = this;
    if (file.size > largest) return Promise.resolve(this.fail(`larger than ${bytes(largest)}`));
    const begun = performance.now();
    return new Promise((done) => {
      request.upload.addEventListener("progress", ({ loaded, total }) => {
        const rate = loaded / ((performance.now() - begun) / 1000);
        this.bar.value = total > 0 ? loaded / total : 1;
        const percent = Math.floor(this.bar.value * 100);
        this.how.textContent = loaded < total ? `${percent} %, ${bytes(rate)}/s` : "stored in a moment";
      });
      request.addEventListener("load", () => {
        if (request.status === 201) this.finish();
        else this.fail(reason(request.responseText));
      });
      request.addEventListener("error", () => this.fail("the connection broke"));
      request.addEventListener("loadend", done);
      request.open("PUT", url(file.name));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(file);
    });
  }

  finish() {
    this.bar.value = 1;
    this.how.textContent = "done";
    this.item.className = "done";
    this.cancel.remove();
    setTimeout(() => this.item.remove(), 4000);
  }

  fail(why) {
    this.how.textContent = why;
    this.item.className = "failed";
    this.cancel.textContent = "Dismiss";
  }
}

function reason(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return "the service did not take it";
  }
}

$("chooser").addEventListener("change", ({ target }) => {
  add(target.files);
  target.value = "";
});
let dragged = 0;
const dragging = (depth) => {
  dragged = depth;
  document.body.classList.toggle("dragging", dragged > 0);
};
addEventListener("dragenter", () => dragging(dragged + 1));
addEventListener("dragleave", () => dragging(Math.max(0, dragged - 1)));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragging(0);
  add(event.dataTransfer.files);
});

// ---- words ----------------------------------------------------------------------------------------------------------------

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Segment by segment, so that slashes stay slashes and nothing else means anything. */
function url(path) {
  return `files/${path.split("/").map(encodeURIComponent).join("/")}`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

function since(time) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  const steps = [[86400, "d"], [3600, "h"], [60, "min"]];
  const [length, unit] = steps.find(([length]) => seconds >= length) ?? [1, "s"];
  return seconds < 5 ? "now" : `${Math.floor(seconds / length)} ${unit}`;
}
