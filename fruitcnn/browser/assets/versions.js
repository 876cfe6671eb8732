// The service worker: the page offline, and a newer version of it, which is offered and never takes over unasked.

const $ = (id) => document.getElementById(id);
// This file lies in a folder that is named by the version.
const VERSION = new URL(".", import.meta.url).pathname.split("/").at(-2);

// Without one the page works as well, but for that: over http, with cookies blocked, in some private windows.
export async function keepVersions() {
  try {
    const container = navigator.serviceWorker;
    const controlled = Boolean(container.controller);
    // By another tab, which asked for the newer version; this one keeps its own until it is loaded again.
    container.addEventListener("controllerchange", () => controlled && offer(() => location.reload()));
    const registration = await container.register("service-worker.js", { updateViaCache: "none" });
    watch(registration);
    await container.ready;
    container.controller?.postMessage(VERSION);
    $("offline").hidden = false;
  } catch {
    // Said nowhere: nothing was promised.
  }
}

function watch(registration) {
  const offerWaiting = () => {
    if (registration.waiting && registration.active) offer(() => replace(registration.waiting));
  };
  offerWaiting();
  registration.addEventListener("updatefound", () => {
    registration.installing.addEventListener("statechange", offerWaiting);
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") registration.update().catch(() => {});
  });
}

function replace(waiting) {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
  waiting.postMessage("take over");
}

function offer(load) {
  $("renew").onclick = load;
  $("newer").hidden = false;
}
