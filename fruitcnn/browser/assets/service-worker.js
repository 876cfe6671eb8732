// Keeps one whole version of the page, so that it starts without a network and no two versions are ever mixed. The
// export fills in the two constants. Each file's sha256 is checked before this version may take over: what is half
// uploaded or stale is not kept, and the version before it goes on. A tab keeps the version that it was opened with:
// all names but two carry the version, and what is open is not dropped. A new version waits until its tab asks for it.

const VERSION = "{version}";
const FILES = { "{files}": "" };
const START = "index.html";
const PREFIX = `fruitcnn ${self.registration.scope} `;
// By it a file that has not changed is taken from the version before.
const DIGEST = "x-sha256";

self.addEventListener("install", (event) => {
  event.waitUntil(keepAll());
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
  // A page of this version has started.
  if (event.data === VERSION) event.waitUntil(dropOthers());
});

self.addEventListener("fetch", (event) => {
  event.respondWith(answer(event.request));
});

async function keepAll() {
  const cache = await caches.open(PREFIX + VERSION);
  try {
    for (const [file, digest] of Object.entries(FILES)) await keep(cache, file, digest);
  } catch (error) {
    await caches.delete(PREFIX + VERSION);
    throw error;
  }
}

async function keep(cache, file, digest) {
  const response = (await keptBefore(file, digest)) ?? (await fetch(new Request(file, { cache: "no-cache" })));
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  const content = await response.arrayBuffer();
  if ((await sha256(content)) !== digest) throw new Error(`${file}: another version, or not whole yet`);
  const headers = { "Content-Type": response.headers.get("Content-Type") ?? "", [DIGEST]: digest };
  await cache.put(file, new Response(content, { headers }));
}

// The same bytes under the same name but for the version.
async function keptBefore(file, digest) {
  const name = file.split("/").pop();
  for (const cache of await Promise.all((await own()).map((version) => caches.open(version)))) {
    const found = (await cache.keys()).find(({ url }) => url.split("/").pop() === name);
    const response = found && (await cache.match(found));
    if (response?.headers.get(DIGEST) === digest) return response;
  }
  return undefined;
}

async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function own() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

// Other versions, once at most one tab is open: the one that has just started with this version.
async function dropOthers() {
  if ((await self.clients.matchAll({ type: "window", includeUncontrolled: true })).length > 1) return;
  for (const name of await own()) if (name !== PREFIX + VERSION) await caches.delete(name);
}

async function answer(request) {
  if (request.mode === "navigate") {
    const start = new URL("./", self.registration.scope).href;
    const asked = request.url.split(/[?#]/)[0];
    if (asked === start || asked === start + START) {
      const kept = await (await caches.open(PREFIX + VERSION)).match(START);
      if (kept) return kept;
    }
  }
  for (const version of await own()) {
    const kept = await (await caches.open(version)).match(request, { ignoreSearch: true });
    if (kept) return kept;
  }
  return fetch(request);
}
