// One picture and its answer.

import { labelText, percent, say, text } from "./language.js";

// Labels that get a bar; of hundreds only the likeliest say something.
const BARS = 5;
// Orange speaks for the label, blue against it; how much of a pixel the strongest place covers.
const FOR = [255, 120, 0];
const AGAINST = [0, 90, 255];
const COVER = 0.6;

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// A card that waits for its answer. onRemove: what its button does.
export function waitingCard(name, onRemove) {
  const remove = make("button", { type: "button", className: "remove", onclick: onRemove });
  const hidden = make("span", { className: "hidden" });
  say(hidden, "remove", () => ({ name }));
  remove.append(hidden);
  const heading = make("h3");
  say(heading, "waiting");
  const body = make("div", { className: "body" }, heading, make("p", { className: "name", textContent: name, title: name }));
  const element = make("li", { className: "card waiting", fileName: name }, make("div", { className: "picture" }), body, remove);
  return element;
}

export function showError(element, { error, megapixels }) {
  element.className = "card error";
  say(element.querySelector("h3"), "unreadable");
  const reason = make("p", { className: "reason" });
  say(reason, error, () => ({ megapixels: Math.round(megapixels) }));
  element.querySelector(".body").append(reason);
}

// Fills the card; returns the label, "" for none of these.
export function showAnswer(element, { picture, outputs }, { labels, refuseBelow }) {
  const probabilities = [...outputs.probabilities.data];
  const familiarity = outputs.familiarity?.data[0];
  const best = probabilities.indexOf(Math.max(...probabilities));
  const unknown = familiarity !== undefined && familiarity < refuseBelow;
  element.className = unknown ? "card unknown" : "card";
  element.answer = { probabilities, familiarity, label: unknown ? "" : labels[best], evidence: [...(outputs.evidence?.data ?? [])] };
  const heading = element.querySelector("h3");
  if (unknown) say(heading, "unknown");
  else sayLabel(heading, labels[best]);
  const body = element.querySelector(".body");
  if (unknown) {
    const reason = make("p", { className: "reason" });
    say(reason, "unfamiliar");
    body.append(reason);
  }
  body.append(bars(labels, probabilities));
  if (familiarity !== undefined) body.append(familiarityBar(familiarity, refuseBelow));
  showPicture(element, picture, outputs.evidence && { evidence: outputs.evidence, best, label: labels[best] });
  return element.answer.label;
}

function sayLabel(element, label) {
  element.update = () => (element.textContent = labelText(label));
  element.update();
  element.dataset.said = "";
}

function bars(labels, probabilities) {
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  const rows = order.slice(0, BARS).map((index) => {
    const name = make("span", { className: "what" });
    sayLabel(name, labels[index]);
    return bar(name, probabilities[index], 1);
  });
  return make("ul", { className: "bars", role: "list" }, ...rows);
}

function bar(name, share, digits) {
  const value = make("span", { className: "share" });
  value.update = () => (value.textContent = percent(share, digits));
  value.update();
  value.dataset.said = "";
  const fill = make("span", { className: "fill" });
  fill.style.width = `${100 * share}%`;
  return make("li", {}, name, make("span", { className: "track", ariaHidden: "true" }, fill), value);
}

function familiarityBar(familiarity, refuseBelow) {
  const name = make("span", { className: "what" });
  say(name, "familiarity");
  const row = bar(name, familiarity, 0);
  const mark = make("span", { className: "mark" });
  mark.style.left = `${100 * refuseBelow}%`;
  row.querySelector(".track").append(mark);
  return make("ul", { className: "bars familiarity", role: "list" }, row);
}

function showPicture(element, blob, explained) {
  const url = URL.createObjectURL(blob);
  element.release = () => URL.revokeObjectURL(url);
  const image = make("img", { src: url, alt: element.fileName });
  const frame = element.querySelector(".picture");
  frame.append(image);
  if (!explained) return;
  const button = make("button", { type: "button", className: "why", ariaPressed: "false" });
  say(button, "evidence");
  button.onclick = () => {
    const shown = element.classList.toggle("explained");
    button.ariaPressed = String(shown);
    if (shown && !frame.querySelector("canvas")) image.after(overlay(image, explained, element.fileName));
  };
  frame.append(button);
}

// For and against is counted from the mean of all labels, since only differences of logits decide; the strongest place
// gets the full colour. As `fruitcnn identify --explain` draws it.
function overlay(image, { evidence, best, label }, name) {
  const [, count, height, width] = evidence.dims;
  const places = height * width;
  const strength = Array.from({ length: places }, (_, place) => {
    const values = Array.from({ length: count }, (_, index) => evidence.data[index * places + place]);
    return values[best] - values.reduce((a, b) => a + b) / count;
  });
  const most = Math.max(1e-9, ...strength.map(Math.abs));
  const grid = new ImageData(width, height);
  strength.forEach((value, place) => {
    grid.data.set([...(value > 0 ? FOR : AGAINST), (255 * COVER * Math.abs(value)) / most], 4 * place);
  });
  const small = new OffscreenCanvas(width, height);
  small.getContext("2d").putImageData(grid, 0, 0);
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight, role: "img" });
  canvas.ariaLabel = text("evidence_of", { name, label: labelText(label) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}
