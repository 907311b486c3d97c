// Which files a person gives: chosen, or dropped as files and folders.

/** The files of a drop, those of folders in order of their names, with their path in `webkitRelativePath`. */
async function filesOfDrop(transfer, endings) {
  // Before the first await: after it the list of a drop is empty.
  const given = Array.from(transfer.items, (item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const files = [];
  for (const [entry, file] of given) {
    if (entry?.isDirectory) await walk(entry, endings, files);
    else if (file) files.push(file);
  }
  return files;
}

/** The images of a chosen folder, in order of their names; as from a drop. */
function filesOfFolder(files, endings) {
  const parts = (file) => file.webkitRelativePath.split("/");
  const kept = Array.from(files).filter((file) => parts(file).every((part) => !part.startsWith("."))
    && hasEnding(file.name, endings));
  const order = (a, b) => {
    const [x, y] = [parts(a), parts(b)];
    const at = x.findIndex((part, place) => part !== y[place]);
    return at < 0 ? 0 : x[at] < (y[at] ?? "") ? -1 : 1;
  };
  return kept.sort(order);
}

const hasEnding = (name, endings) => endings.some((ending) => name.toLowerCase().endsWith(ending));

async function walk(folder, endings, files) {
  const entries = [];
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((give, fail) => reader.readEntries(give, fail)); // at most 100 at a time
    if (!some.length) break;
    entries.push(...some);
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory) {
      await walk(entry, endings, files);
    } else if (hasEnding(entry.name, endings)) {
      const file = await new Promise((give, fail) => entry.file(give, fail));
      Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.slice(1) });
      files.push(file);
    }
  }
}
