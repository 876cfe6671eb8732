// Width and height by the head of a file, before anything is decoded: what would not fit must not be tried.

const HEAD = 1 << 20;

// { width, height } of a JPEG, PNG, WebP or GIF as stored; null where the head does not say.
export async function pictureSize(file) {
  const view = new DataView(await file.slice(0, HEAD).arrayBuffer());
  try {
    return png(view) ?? gif(view) ?? webp(view) ?? jpeg(view);
  } catch (error) {
    // A head that ends too early.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const ascii = (view, at, length) => String.fromCharCode(...new Uint8Array(view.buffer, at, length));

function png(view) {
  return ascii(view, 1, 3) === "PNG" ? { width: view.getUint32(16), height: view.getUint32(20) } : null;
}

function gif(view) {
  return ascii(view, 0, 4) === "GIF8" ? { width: view.getUint16(6, true), height: view.getUint16(8, true) } : null;
}

function webp(view) {
  if (ascii(view, 0, 4) !== "RIFF" || ascii(view, 8, 4) !== "WEBP") return null;
  const kind = ascii(view, 12, 4);
  const three = (at) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (kind === "VP8X") return { width: three(24) + 1, height: three(27) + 1 };
  if (kind === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
}

function jpeg(view) {
  if (view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at++;
    const marker = view.getUint8(at + 1);
    // Start of frame, of whatever coding; the tables that share its numbers are not.
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    if (view.getUint8(at) !== 0xff || marker === 0xda) return null;
  }
}
