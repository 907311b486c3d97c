// Fills the results of a report from the data elements of the page.
const report = JSON.parse(element("report").textContent);
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const jpeg = (base64) => (base64 ? `data:image/jpeg;base64,${base64}` : "");

function picture(row) {
  if (!row.picture) return null;
  const saved = JSON.parse(element(`picture-${row.number}`).textContent);
  return {
    image: jpeg(saved.image),
    spectrum: jpeg(saved.spectrum),
    heatmaps: Object.fromEntries(Object.entries(saved.heatmaps).map(([branch, levels]) => [branch, bytes(levels)])),
    peaks: saved.peaks,
  };
}

showResults({
  ...report,
  colours: bytes(report.colours),
  picture,
  whyNoPicture: (row) => (row.earlier ? "An earlier run scored this image; its picture was not kept."
    : "Only the most suspicious images are here as pictures."),
});
