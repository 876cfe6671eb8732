// Identify pictures with onnxruntime-web in Chromium: node identify_chromium.mjs FOLDER PICTURE...
import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { chromium } from "playwright-core";

// In the page: decode as browsers do, lay over white, and hand the pixels to the image graph. No canvas may resize.
async function identify(count) {
  const { InferenceSession, Tensor } = await import("/dist/ort.wasm.bundle.min.mjs");
  const session = await InferenceSession.create("/image.onnx");
  for (let number = 0; number < count; number++) {
    const picture = await createImageBitmap(await (await fetch(`/${number}`)).blob(), { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    Object.assign(canvas, { fillStyle: "white" }).fillRect(0, 0, picture.width, picture.height);
    canvas.drawImage(picture, 0, 0);
    const { data } = canvas.getImageData(0, 0, picture.width, picture.height);
    const photo = new Uint8Array((data.length / 4) * 3);
    for (let to = 0, from = 0; to < photo.length; from++) if (from % 4 < 3) photo[to++] = data[from];
    const answers = await session.run({ photo: new Tensor("uint8", photo, [picture.height, picture.width, 3]) });
    await answer(Array.from(answers.probabilities.data));
  }
}

const [folder, ...pictures] = process.argv.slice(2);
const { labels } = JSON.parse(readFileSync(`${folder}/card.json`, "utf-8"));
const library = `${import.meta.dirname}/node_modules/onnxruntime-web`;
const types = { ".mjs": "text/javascript", ".wasm": "application/wasm", "": "text/html" };
const server = createServer(({ url }, response) => {
  const file = pictures[url.slice(1)] ?? (url === "/image.onnx" ? folder + url : library + url);
  response.setHeader("Content-Type", types[extname(url)] ?? "application/octet-stream");
  url === "/" ? response.end('<!doctype html><link rel=icon href=data:,>') : createReadStream(file).pipe(response);
}).listen(0, "127.0.0.1");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
const print = (values) => console.log(JSON.stringify(Object.fromEntries(labels.map((label, i) => [label, values[i]]))));
await page.exposeFunction("answer", print);
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.evaluate(identify, pictures.length);
await browser.close();
server.close();
