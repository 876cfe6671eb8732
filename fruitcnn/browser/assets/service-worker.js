// Keeps the page's files, so that it starts without a network. The export fills in the two constants: a new version
// has another name, takes its own copy, and drops the old one.

const VERSION = "{version}";
const FILES = ["{files}"];
const PREFIX = `fruitcnn ${self.registration.scope} `;

self.addEventListener("install", (event) => {
  event.waitUntil(keepFiles());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers());
});

self.addEventListener("fetch", (event) => {
  event.respondWith(answer(event.request));
});

async function keepFiles() {
  const cache = await caches.open(PREFIX + VERSION);
  // Asks the server whether what the page has just loaded is still the newest, and does not load it twice.
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function dropOthers() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== PREFIX + VERSION) await caches.delete(name);
  }
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(PREFIX + VERSION);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}
