// The files of this version of the page, which lie beside this one; what goes wrong is told from what a browser can't do.

export class FileError extends Error {
  // status: what the server answered; null where it did not.
  constructor(file, status) {
    super(`${file}: ${status ?? "no answer"}`);
    Object.assign(this, { file, status });
  }
}

export function fileUrl(name) {
  return new URL(name, import.meta.url).href;
}

async function fetchFile(name) {
  let response;
  try {
    response = await fetch(fileUrl(name));
  } catch {
    throw new FileError(name, null);
  }
  if (!response.ok) throw new FileError(name, response.status);
  return response;
}

export async function fetchBytes(name) {
  const response = await fetchFile(name);
  return new Uint8Array(await response.arrayBuffer());
}

export async function fetchJson(name) {
  const response = await fetchFile(name);
  return response.json();
}
