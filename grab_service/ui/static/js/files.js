// The dropped or chosen files, also those in folders.

const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|gif|bmp)$/i;

/** Files of file managers and storage servers; some are named like pictures. */
const OF_THE_SYSTEM = new RegExp(
  "^(\\._.*|__macosx|\\.appledouble|\\.ds_store|thumbs\\.db|desktop\\.ini|@eadir|#recycle|\\$recycle\\.bin|" +
    "\\.@__thumb|\\.thumbnails|\\.trashes|\\.spotlight-v100|\\.fseventsd)$", // as in stageline/cli/folders.py
  "i",
);

const isPicture = (file) =>
  (file.type.startsWith("image/") || PICTURE.test(file.name)) &&
  !(file.webkitRelativePath || file.name).split("/").some((name) => OF_THE_SYSTEM.test(name));

/** In a folder, only files that may be pictures: not its .DS_Store. */
export function pick(files) {
  const all = [...files];
  const pictures = all.filter(isPicture);
  return { files: pictures, leftOut: all.length - pictures.length };
}

/** The files of a drop. The entries must be read at once: after the event they are gone. */
export async function dropped(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return { files: [...transfer.files], leftOut: 0 };
  const alone = [];
  const walked = [];
  for (const entry of entries) {
    if (entry?.isDirectory) await walk(entry, walked);
    else if (entry) alone.push(await fileOf(entry));
  }
  const found = pick(walked);
  return { files: [...alone, ...found.files], leftOut: found.leftOut };
}

async function walk(folder, into) {
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
    if (!some.length) return;
    for (const entry of some) {
      if (entry.isDirectory && OF_THE_SYSTEM.test(entry.name)) continue;
      if (entry.isDirectory) await walk(entry, into);
      else into.push(await fileOf(entry));
    }
  }
}

const fileOf = (entry) => new Promise((done, failed) => entry.file(done, failed));
