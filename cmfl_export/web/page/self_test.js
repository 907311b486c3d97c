// The self-test: pictures made of whole numbers, the same as in web/self_test.py, and their golden scores.

function selfTestPicture(number) {
  const side = 224;
  const rgb = new Uint8Array(3 * side * side);
  let place = 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let c = 0; c < 3; c++) {
        const wave = x * (2 * number + c + 1) + y * (5 - number + c) + 97 * c;
        const smooth = (Math.abs((wave % 512) - 256) * 3) >> 2;
        let mixed = Math.imul(x, 73856093) ^ Math.imul(y, 19349663);
        mixed ^= Math.imul(c + 1, 83492791) ^ Math.imul(number + 1, 2654435761);
        mixed = Math.imul(mixed ^ (mixed >>> 15), 2246822519);
        rgb[place++] = smooth + (mixed >>> 26);
      }
    }
  }
  return rgb;
}

// Throws unless the model gives the golden scores. `score` is a function from RGB to scores by name.
async function selfTest(score, { tolerance, scores }) {
  const names = Object.keys(scores);
  for (let number = 0; number < scores[names[0]].length; number++) {
    const found = await score(selfTestPicture(number));
    for (const name of names) {
      const difference = Math.abs(found[name] - scores[name][number]);
      // Written so that a NaN fails.
      if (!(difference <= tolerance)) {
        throw new Error(
          `This browser computes wrong scores, so the page does not work in it (self-test picture ${number + 1}: ` +
            `${name} is ${Number(found[name]).toFixed(4)} and must be ${scores[name][number].toFixed(4)}). ` +
            'Another browser may help.',
        );
      }
    }
  }
}

if (typeof module !== 'undefined') module.exports = { selfTestPicture, selfTest };
