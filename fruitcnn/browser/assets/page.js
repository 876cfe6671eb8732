// The page: takes files, hands them to the worker in order, and shows what comes back.

import { currentLanguage, labelText, list, percent, say, setLanguage, text } from "./language.js";
import { showAnswer, showError, waitingCard } from "./card.js";
import { fetchJson, fileUrl } from "./files.js";
import { keepVersions } from "./versions.js";

const $ = (id) => document.getElementById(id);
const card = await fetchJson("card.json");
const refuseBelow = card.outputs?.find((output) => output.name === "familiarity")?.refuse_below ?? 0;
// id -> { file, element, label }; label: once it is there, null for a file that can't be read.
const pictures = new Map();
let next = 0;
// The picture that the worker is at.
let sent = null;
let loaded = "loading";
let reason = "";
let worker = startWorker();

// The worker's first line comes from a blob, because such a worker keeps this page's content security policy.
function startWorker() {
  const line = `import ${JSON.stringify(fileUrl("worker.js"))};`;
  const url = URL.createObjectURL(new Blob([line], { type: "text/javascript" }));
  const started = new Worker(url, { type: "module" });
  started.onmessage = ({ data }) => ("loaded" in data ? onLoaded(data) : onAnswer(data));
  started.onerror = () => onLoaded({ loaded: false, missing: true, reason: "worker.js" });
  return started;
}

function onLoaded({ loaded: fine, missing, reason: why }) {
  loaded = fine ? "ready" : missing ? "missing" : "failed";
  reason = why;
  document.documentElement.dataset.model = loaded;
  summarise();
}

function sendNext() {
  if (sent !== null) return;
  for (const [id, { file, label }] of pictures) {
    if (label === undefined) {
      sent = id;
      worker.postMessage({ id, file });
      return;
    }
  }
}

function onAnswer({ id, over, ...answer }) {
  sent = null;
  if (over) {
    worker.terminate();
    worker = startWorker();
  }
  const picture = pictures.get(id);
  if (picture) show(picture, answer);
  sendNext();
  summarise();
}

function show(picture, answer) {
  if (answer.error) {
    picture.label = null;
    showError(picture.element, answer);
  } else {
    picture.label = showAnswer(picture.element, answer, { labels: card.labels, refuseBelow });
  }
  picture.file = null;
}

function add(files) {
  const elements = [];
  for (const file of files) {
    const id = next++;
    const element = waitingCard(file.name, () => remove(id));
    pictures.set(id, { file, element });
    elements.push(element);
  }
  sendNext();
  $("results").prepend(...elements);
  summarise();
}

function remove(id) {
  const { element } = pictures.get(id);
  const neighbour = element.nextElementSibling ?? element.previousElementSibling;
  (neighbour?.querySelector("button.remove") ?? $("choose")).focus();
  element.release?.();
  element.remove();
  pictures.delete(id);
  summarise();
}

// At once: a picture at a time would lay the page out anew for each.
function removeAll() {
  for (const { element } of pictures.values()) element.release?.();
  pictures.clear();
  $("results").replaceChildren();
  $("choose").focus();
  summarise();
}

function summarise() {
  const all = [...pictures.values()];
  const open = all.filter(({ label }) => label === undefined).length;
  document.documentElement.dataset.open = open;
  $("bar").hidden = !all.length && loaded === "ready";
  $("clear").hidden = !all.length;
  $("summary").className = loaded;
  $("summary").textContent = summary(all, open);
}

function summary(all, open) {
  if (loaded !== "ready") return text(loaded, { reason });
  if (!all.length) return "";
  if (open) return text("working", { done: all.length - open + 1, all: all.length });
  const counts = new Map();
  for (const { label } of all) counts.set(label, (counts.get(label) ?? 0) + 1);
  const name = (label) => (label === null ? text("unreadable") : label === "" ? text("unknown") : labelText(label));
  return text("summary", { all: all.length, counts: [...counts].map(([label, count]) => `${count} × ${name(label)}`.replaceAll(" ", "\u00a0")).join(text("separator")) });
}

function listen() {
  for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) {
    $(button).onclick = () => $(input).click();
    $(input).onchange = ({ target }) => {
      add(target.files);
      // So that the same file can be chosen again.
      target.value = "";
    };
  }
  $("clear").onclick = removeAll;
  addEventListener("paste", ({ clipboardData }) => add(clipboardData.files));
  listenToDrops();
}

function listenToDrops() {
  // Entered and left elements overlap: what counts is whether the pointer is in the window.
  let inside = 0;
  const mark = (change) => document.documentElement.classList.toggle("dropping", (inside += change) > 0);
  addEventListener("dragenter", () => mark(1));
  addEventListener("dragleave", () => mark(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-inside);
    add(event.dataTransfer.files);
  });
}

function write() {
  const known = () => ({ labels: list(card.labels.slice(0, 12).map(labelText)), share: percent(refuseBelow, 0) });
  for (const element of document.querySelectorAll("[data-text]")) say(element, element.dataset.text, known);
  say($("model"), "model", () => ({ name: card.provenance.architecture ?? "?", date: card.provenance.created ?? "?" }));
  document.documentElement.lang = currentLanguage();
  $("language").value = currentLanguage();
  $("language").onchange = ({ target }) => {
    setLanguage(target.value);
    document.title = text("title");
    summarise();
  };
  document.title = text("title");
}

write();
listen();
summarise();
document.documentElement.classList.add("started");
keepVersions();
