// One picture after the other through image.onnx, beside the page's own thread, so that the page stays awake.

import * as ort from "./onnxruntime/ort.wasm.bundle.min.js";
import { fetchBytes, fetchJson, FileError } from "./files.js";
import { readPhoto } from "./photo.js";

// Long side of the picture that the page shows.
const SHOWN = 720;

ort.env.wasm.numThreads = 1;
const loading = load();
loading.then(
  () => postMessage({ loaded: true }),
  (error) => postMessage({ loaded: false, reason: error.message, missing: error instanceof FileError }),
);

async function load() {
  // Its own loading would want the right type from the server, and not say which file was missing.
  ort.env.wasm.wasmBinary = await fetchBytes("onnxruntime/ort-wasm-simd-threaded.wasm");
  const [graph, card] = await Promise.all([fetchBytes("image.onnx"), fetchJson("card.json")]);
  return { session: await ort.InferenceSession.create(graph), size: card.input.size };
}

let last = Promise.resolve();

onmessage = ({ data: { id, file } }) => {
  last = last.then(async () => postMessage({ id, ...(await answer(file)) }));
};

// { picture: a small JPEG, and of each output of the network { data, dims } }, or { error, megapixels, over }; over:
// this worker can't go on.
async function answer(file) {
  const { session, size } = await loading.catch(() => ({}));
  if (!session) return { error: "failed" };
  let photo;
  try {
    photo = await readPhoto(file, size);
  } catch (error) {
    // Without a kind it is the file itself that can't be read: a folder, or one that has gone.
    return { error: error.kind ?? "broken", megapixels: error.megapixels };
  }
  try {
    const picture = await shownPicture(photo.bitmap);
    photo.bitmap.close();
    return { picture, outputs: await run(session, photo) };
  } catch (error) {
    // WebAssembly that has run out of memory is of no more use.
    return { error: "too_large", megapixels: photo.megapixels, over: String(error) };
  }
}

async function run(session, { data, height, width }) {
  const input = new ort.Tensor("uint8", data, [height, width, 3]);
  const outputs = await session.run({ photo: input });
  return Object.fromEntries(Object.entries(outputs).map(([name, { data, dims }]) => [name, { data, dims }]));
}

function shownPicture(bitmap) {
  const scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  const side = (length) => Math.max(1, Math.round(length * scale));
  const canvas = new OffscreenCanvas(side(bitmap.width), side(bitmap.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}
