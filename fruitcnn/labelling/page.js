"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

// Everything that comes from file names and labels is set as text, never as markup.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const SKIPPED = null;
const classes = [...data.labels];
// What was said of each picture, by its number: a class, or SKIPPED. What a picture had before, for undoing.
const said = new Map();
const history = [];
let current = 0;
let saved = true;

const image = (one) => element("img", {src: one.src, alt: "", draggable: false});

const buttons = data.pictures.map((one, number) => {
  const button = element("button", {type: "button", title: one.file}, image(one), element("span"));
  button.addEventListener("click", () => show(number));
  return button;
});
for (const [unknown, title, words] of [
  [false, "Unsure", "The model can hardly decide between two classes."],
  [true, "Unknown", "Unlike all that the model has learned from: a new class, an odd picture of a known one, or nothing that is wanted."],
]) {
  const strip = element("div", {className: "strip"}, ...buttons.filter((_, number) => data.pictures[number].unknown === unknown));
  if (strip.children.length) at("all").append(element("h2", {}, `${title} (${strip.children.length})`), element("p", {}, words), strip);
}

function show(number) {
  current = number;
  const one = data.pictures[number];
  at("frame").replaceChildren(image(one));
  at("file").textContent = one.file;
  at("guess").textContent = one.unknown ? `unknown; of the known classes most like ${one.guess}` : `the model's guess: ${one.guess}`;
  buttons.forEach((button, index) => button.setAttribute("aria-current", String(index === number)));
  draw();
}

function draw() {
  const labelled = [...said.values()].filter((label) => label !== SKIPPED).length;
  const left = data.pictures.length - said.size;
  at("state").textContent = `${labelled} labelled, ${said.size - labelled} skipped, ${left} to go`;
  buttons.forEach((button, number) => {
    const word = button.lastChild;
    const label = said.get(number);
    word.textContent = label === undefined ? "?" : label === SKIPPED ? "skipped" : label;
    word.className = label === undefined || label === SKIPPED ? "open" : "done";
  });
  at("classes").replaceChildren(...classes.map((label, index) => {
    const button = element("button", {type: "button"}, label);
    if (index < 9) button.append(element("kbd", {}, String(index + 1)));
    button.setAttribute("aria-pressed", String(said.get(current) === label));
    button.addEventListener("click", () => say(label));
    return button;
  }));
  at("known").replaceChildren(...classes.map((label) => element("option", {value: label})));
  at("undo").disabled = !history.length;
  at("save").disabled = !labelled;
}

function say(label) {
  history.push({number: current, before: said.get(current)});
  said.set(current, label);
  saved = false;
  // The next one that nothing was said of, from here on and round again; where there is none, it stays here.
  const count = data.pictures.length;
  const order = Array.from({length: count}, (_, step) => (current + 1 + step) % count);
  show(order.find((number) => !said.has(number)) ?? current);
}

function undo() {
  const last = history.pop();
  if (!last) return;
  if (last.before === undefined) said.delete(last.number);
  else said.set(last.number, last.before);
  saved = false;
  show(last.number);
}

at("skip").addEventListener("click", () => say(SKIPPED));
at("undo").addEventListener("click", undo);
at("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = at("name").value.normalize("NFC").trim();
  if (!label) return;
  if (data.reserved.includes(label.toLowerCase())) {
    at("name").setCustomValidity("No class can have this name: results have a column or a meaning of it.");
    at("name").reportValidity();
    return;
  }
  // One class, however its letters are written.
  const known = classes.find((one) => one.toLowerCase() === label.toLowerCase());
  if (known === undefined) classes.push(label);
  at("name").value = "";
  at("name").blur();
  say(known ?? label);
});

at("name").addEventListener("input", () => at("name").setCustomValidity(""));
document.addEventListener("keydown", (event) => {
  if (event.target === at("name")) {
    if (event.key === "Escape") at("name").blur();
    return;
  }
  if (event.altKey || event.metaKey || (event.ctrlKey && event.key.toLowerCase() !== "z")) return;
  const key = event.key.toLowerCase();
  if (/^[1-9]$/.test(key) && Number(key) <= classes.length) say(classes[Number(key) - 1]);
  // A blank presses the button that has the focus, as everywhere.
  else if (key === "0" || (key === " " && event.target.tagName !== "BUTTON")) say(SKIPPED);
  else if (key === "u" || key === "backspace" || (event.ctrlKey && key === "z")) undo();
  else if (key === "n") at("name").focus();
  else if (key === "arrowright" || key === "arrowleft")
    show((current + (key === "arrowright" ? 1 : data.pictures.length - 1)) % data.pictures.length);
  else return;
  event.preventDefault();
});

// The list that `fruitcnn train` takes: the rows of the set that was given, then what was labelled here.
function labelled() {
  const quote = (value) => (/[",\r\n]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const empty = data.columns.slice(2).map(() => "");
  const added = data.pictures.map((one, number) => [one.file, said.get(number) ?? SKIPPED, ...empty]).filter((row) => row[1] !== SKIPPED);
  return [data.columns, ...data.rows, ...added].map((row) => row.map(quote).join(",") + "\n").join("");
}

// A file's name may hold bytes that are no text: each stands as half a character alone, and is written as it was.
function bytes(text) {
  const raw = /^[\udc80-\udcff]$/u;
  return text.split(/([\udc80-\udcff])/u).map((part) => (raw.test(part) ? Uint8Array.of(part.charCodeAt(0) - 0xdc00) : part));
}

at("save").addEventListener("click", () => {
  const link = element("a", {href: URL.createObjectURL(new Blob(bytes(labelled()), {type: "text/csv"})), download: "labelled.csv"});
  link.click();
  saved = true;
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});

at("asked").textContent = data.asked;
at("hint").textContent = data.hint;
show(0);
