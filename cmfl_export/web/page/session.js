// What a session keeps of its rows: entries for the cards, counts, and a CSV as `cmfl predict` writes it.

const COLUMNS = ["path", "p_real", "p_real_rgb", "p_real_spectrum", "decision", "status", "error"];
const FACE_COLUMNS = ["face", "faces", "left", "top", "right", "bottom"];
const DOMAIN_COLUMNS = ["domain", "out_of_domain"];
const SCORES = COLUMNS.slice(1, 4);

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const NAMED = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

/** The text with every invisible character written out, as Python's `base.text.visible` does. */
function visible(text) {
  return text.replace(UNSEEN, (letter) => {
    const code = letter.codePointAt(0);
    const [sign, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return NAMED[letter] ?? `\\${sign}${code.toString(16).padStart(digits, "0")}`;
  });
}

/** A number as Python prints a float: 1.0, 0.0001, 1e-05. */
function pythonFloat(value) {
  const [digits, power] = value.toExponential().split("e").map((part, place) => (place ? Number(part) : part));
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (power < 0) return `${value < 0 ? "-" : ""}0.${"0".repeat(-power - 1)}${digits.replace(/[-.]/g, "")}`;
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** The number with the fewest digits that is the same float32, as scores are written. */
function shortFloat32(value) {
  const single = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return Number(single.toPrecision(9));
}

function csvField(row, column) {
  const value = row[column];
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (SCORES.includes(column)) return pythonFloat(shortFloat32(value));
  if (typeof value === "number") return column.startsWith("face") ? String(value) : pythonFloat(value);
  if (typeof value === "boolean") return String(value);
  return /[,"\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

/** The rows as CSV; with the columns of faces if they were looked for in any of the images, and of the domain if the
 * model that gave them has one. */
function csvOf(rows) {
  const columns = [...COLUMNS];
  if (rows.some((row) => "face" in row)) columns.push(...FACE_COLUMNS);
  if (rows.some((row) => "domain" in row)) columns.push(...DOMAIN_COLUMNS);
  const lines = rows.map((row) => columns.map((column) => csvField(row, column)).join(","));
  return [columns.join(","), ...lines, ""].join("\n");
}

/** A row as `results.js` shows it, without its picture. Without a band, `low` and `high` are the threshold. */
function entryOf(row, number, [low, high]) {
  const scores = SCORES.map((name) => row[name] ?? null);
  const [, rgb, spectrum] = scores;
  const face = row.faces > 1 ? ` (face ${row.face + 1} of ${row.faces})` : "";
  return {
    number,
    path: visible(row.path) + face,
    name: visible(row.path.split("/").pop()) + face,
    scores,
    decision: row.decision ?? null,
    status: row.status,
    error: visible(row.error ?? ""),
    domain: row.domain ?? null,
    outside: row.out_of_domain === true,
    disagree: rgb !== null && spectrum !== null && Math.min(rgb, spectrum) < low && Math.max(rgb, spectrum) >= high,
    link: "",
  };
}

/** Counts of all rows, by what the summary calls them. */
function countsOf(entries) {
  const counts = { images: 0, synthetic: 0, uncertain: 0, real: 0, failed: 0, disagree: 0, outside: 0 };
  for (const entry of entries) {
    counts.images += 1;
    counts[entry.decision ?? "failed"] += 1;
    counts.disagree += entry.disagree;
    counts.outside += entry.outside;
  }
  return counts;
}

/** The values of a model card as texts, nested names with dots. */
function cardItems(card, prefix = "") {
  const items = [];
  for (const [key, value] of Object.entries(card)) {
    if (prefix === "calibration." && key === "subjects") continue; // hashes
    const nested = value !== null && typeof value === "object" && Object.keys(value).length > 0;
    if (nested && (!Array.isArray(value) || value.some((item) => typeof item === "object"))) {
      const named = Array.isArray(value) ? Object.fromEntries(value.map((item, place) => [place + 1, item])) : value;
      items.push(...cardItems(named, `${prefix}${key}.`));
    } else {
      const text = Array.isArray(value) ? value.join(", ") : nested || typeof value !== "object" ? String(value) : "";
      items.push([prefix + key, text.trim() || "-"]);
    }
  }
  return items;
}

if (typeof module !== "undefined") module.exports = { visible, pythonFloat, shortFloat32, csvOf, entryOf, cardItems };
