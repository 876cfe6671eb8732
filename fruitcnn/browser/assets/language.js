// What the page says, in the language that was chosen: all of it stands in strings.json.

import { fetchJson } from "./files.js";

const strings = await fetchJson("strings.json");
const known = Object.keys(strings);
const wished = [remembered(), ...navigator.languages].map((tag) => tag?.split("-")[0]);
let language = wished.find((tag) => known.includes(tag)) ?? "en";

// A string by its key, with {names} replaced by values.
export function text(key, values = {}) {
  return strings[language][key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A label as people call it; one that strings.json does not know stays as it is.
export function labelText(label) {
  return strings[language].labels[label] ?? label;
}

export function percent(share, digits = 1) {
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
}

export function list(items) {
  return new Intl.ListFormat(language, { style: "long", type: "conjunction" }).format(items);
}

// Say something on an element, now and whenever the language changes.
export function say(element, key, values = () => ({})) {
  element.update = () => (element.textContent = text(key, values()));
  element.update();
  element.dataset.said = "";
}

export function currentLanguage() {
  return language;
}

export function setLanguage(tag) {
  language = tag;
  remember(tag);
  document.documentElement.lang = tag;
  for (const element of document.querySelectorAll("[data-said]")) element.update();
}

// Where cookies are blocked, a browser refuses to remember anything, and throws.
function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {
    return null;
  }
}

function remember(tag) {
  try {
    localStorage.setItem("language", tag);
  } catch {
    // Then it is asked again the next time.
  }
}
