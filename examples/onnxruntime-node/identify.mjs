// Identify pictures with onnxruntime in Node: node identify.mjs FOLDER PICTURE...
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

// The picture upright, over white where it is transparent: uint8 [height, width, 3]. sharp decodes; it must not resize.
async function photo(file) {
  const picture = sharp(file).autoOrient().flatten({ background: "white" }).toColourspace("srgb").removeAlpha();
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return new Tensor("uint8", new Uint8Array(data), [info.height, info.width, info.channels]);
}

const [folder, ...pictures] = process.argv.slice(2);
const session = await InferenceSession.create(`${folder}/image.onnx`);
const { labels } = JSON.parse(readFileSync(`${folder}/card.json`, "utf-8"));
for (const picture of pictures) {
  const { probabilities } = await session.run({ photo: await photo(picture) }, ["probabilities"]);
  console.log(JSON.stringify(Object.fromEntries(labels.map((label, i) => [label, probabilities.data[i]]))));
}
