// From a picture's file to upright RGB bytes, as fruitcnn's image.py decodes it: colours as they stand in the file
// (no colour profile), the EXIF orientation applied, transparency over white.

import { pictureSize } from "./size.js";
import { acrossWeights, narrowRow } from "./narrow.js";

// A browser that says how many gigabytes the device has may use a tenth of them for the bitmap, 4 bytes a pixel; of
// the others 60 megapixels are asked. No more than `fruitcnn identify` takes.
const MOST_PIXELS = Math.min(178e6, 25e6 * (navigator.deviceMemory ?? 2.4));
// From here on a picture that can't be decoded is taken for too large rather than broken, if its file's head is sound.
const LARGE = 16e6;
// Browsers limit the sides of a canvas, some to 4,096; so the pixels are read in tiles.
const TILE = 2048;
const ROWS = 64;

export class PhotoError extends Error {
  constructor(kind, megapixels) {
    super(kind);
    Object.assign(this, { kind, megapixels });
  }
}

// { megapixels, bitmap: to draw it and to be closed, height, width, data: Uint8Array [height, width, 3] }; what is
// wider than `size` has been narrowed to it.
export async function readPhoto(file, size) {
  const stored = await pictureSize(file);
  const megapixels = stored ? (stored.width * stored.height) / 1e6 : 0;
  if (megapixels * 1e6 > MOST_PIXELS) throw new PhotoError("too_large", megapixels);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
    const width = Math.min(bitmap.width, size);
    return { megapixels, bitmap, height: bitmap.height, width, data: readPixels(bitmap, width) };
  } catch {
    bitmap?.close();
    throw new PhotoError(megapixels * 1e6 > LARGE ? "too_large" : "broken", megapixels);
  }
}

function readPixels(bitmap, width) {
  const data = new Uint8Array(bitmap.height * width * 3);
  const weights = acrossWeights(bitmap.width, width);
  const strip = new Uint8ClampedArray(bitmap.width * ROWS * 4);
  const canvas = new OffscreenCanvas(Math.min(bitmap.width, TILE), ROWS);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < bitmap.height; top += ROWS) {
    const rows = Math.min(ROWS, bitmap.height - top);
    readStrip(bitmap, context, top, rows, strip);
    for (let y = 0; y < rows; y++) {
      narrowRow(strip.subarray(y * bitmap.width * 4), weights, data.subarray((top + y) * width * 3));
    }
  }
  return data;
}

// Rows of the bitmap over white, as RGBA.
function readStrip(bitmap, context, top, rows, strip) {
  for (let left = 0; left < bitmap.width; left += TILE) {
    const across = Math.min(TILE, bitmap.width - left);
    context.fillStyle = "white";
    context.fillRect(0, 0, across, rows);
    context.drawImage(bitmap, left, top, across, rows, 0, 0, across, rows);
    const tile = context.getImageData(0, 0, across, rows).data;
    for (let y = 0; y < rows; y++) {
      strip.set(tile.subarray(y * across * 4, (y + 1) * across * 4), (y * bitmap.width + left) * 4);
    }
  }
}
