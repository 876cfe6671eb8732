"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

// Everything that comes from file names and labels is set as text, never as markup.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function image(source, words) {
  return source ? element("img", {src: source, alt: words}) : element("div", {className: "missing"}, "no picture");
}

function card(number) {
  const one = data.pictures[number];
  const wrong = one.label && one.answer !== one.label;
  const images = element("div", {className: "images"}, image(one.src, one.file));
  if (one.map) images.append(image(one.map, `what ${one.answer} comes from in ${one.file}`));
  const words = element("figcaption", {}, element("span", {className: wrong ? "bad" : "good"}, `${one.answer} ${one.rate}`));
  if (wrong) words.append(`; label ${one.label} ${one.labelRate}`);
  if (one.familiarity !== null) words.append(`; familiarity ${one.familiarity}`);
  words.append(element("code", {}, one.file));
  return element("figure", {className: one.map ? "card" : "card single"}, images, words);
}

function fill(box, numbers) {
  box.replaceChildren(...numbers.map(card));
  box.classList.toggle("narrow", !numbers.some((number) => data.pictures[number].map));
}

for (const box of document.querySelectorAll("[data-pictures]"))
  fill(box, box.dataset.pictures.split(" ").filter(Boolean).map(Number));

const cells = document.querySelectorAll("[data-cell]");
for (const button of cells)
  button.addEventListener("click", () => {
    for (const other of cells) other.setAttribute("aria-pressed", String(other === button));
    const [label, answer] = button.dataset.cell.split("-").map((index) => data.labels[index]);
    const numbers = data.cells[button.dataset.cell] || [];
    const count = Number(button.dataset.count);
    const heading = `Labelled ${label}, answered ${answer}: ` + (numbers.length < count ? `${numbers.length} of ${count}` : count);
    const box = element("div", {className: "cards"});
    fill(box, numbers);
    document.getElementById("cell").replaceChildren(element("h3", {}, heading), box);
  });

// The corrected list: every row of the set, with what is ticked changed or left out.
const LEAVE_OUT = -1;
const changes = new Map();
const download = document.getElementById("download");

function count() {
  download.disabled = !changes.size;
  document.getElementById("ticked").textContent = changes.size ? `${changes.size} ticked` : "nothing ticked";
}

document.querySelectorAll("#labels .card").forEach((figure, index) => {
  const row = data.relabel.suspects[index];
  if (row === null) return;
  const file = data.pictures[data.suspects[index]].file;
  const choice = element("select", {ariaLabel: `right label of ${file}`});
  data.labels.forEach((label, number) => choice.append(element("option", {value: number}, label)));
  choice.append(element("option", {value: LEAVE_OUT}, "leave it out"));
  choice.value = data.labels.indexOf(data.suggested[index]);
  const tick = element("input", {type: "checkbox"});
  const update = () => {
    if (tick.checked) changes.set(row, Number(choice.value));
    else changes.delete(row);
    count();
  };
  tick.addEventListener("change", update);
  choice.addEventListener("change", () => { tick.checked = true; update(); });
  figure.append(element("div", {className: "relabel"}, element("label", {}, tick, "relabel as"), choice));
});

function relabelled() {
  const {columns, rows} = data.relabel;
  const at = columns.indexOf("label");
  const kept = rows.map((row, number) => {
    const change = changes.get(number);
    return change === undefined ? row : change === LEAVE_OUT ? null : row.with(at, data.labels[change]);
  });
  const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return [columns, ...kept.filter(Boolean)].map((row) => row.map(quote).join(",") + "\n").join("");
}

// A file's name may hold bytes that are no text: each stands as half a character alone, and is written as it was.
function bytes(text) {
  const raw = /^[\udc80-\udcff]$/u;
  return text.split(/([\udc80-\udcff])/u).map((part) => (raw.test(part) ? Uint8Array.of(part.charCodeAt(0) - 0xdc00) : part));
}

download.addEventListener("click", () => {
  const link = element("a", {href: URL.createObjectURL(new Blob(bytes(relabelled()), {type: "text/csv"})), download: "relabelled.csv"});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
count();
