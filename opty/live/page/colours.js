// Colour maps: levels between which colours are interpolated; and complex numbers as colours.
const LEVELS = {
  grey:
    "000000ffffff",
  viridis:
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e" +
    "21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51b" +
    "fde725",
  magma:
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337d" +
    "b73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2" +
    "fcfdbf",
  cividis:
    "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f7073767676" +
    "7d7c788482798c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03a" +
    "fee838",
  cyclic:
    "30143738114545135c511b77592a8f5d3da15e51ad5f64b56276ba6887be7297c181a6c395b5c7acc2ccc4ced4d7d7dd" +
    "e2d9e2dfd4d6d8c7bed1b6a3cca389c89073c27c63bb6958b25652a64550983550872750741e4f5f174a4a13423a113a" +
    "2f1436",
};

/** Return 256 colours of a map as 32-bit numbers, as they lie in the memory of an image. */
function coloursOf(name) {
  const text = LEVELS[name], count = text.length / 6, found = new Uint32Array(256);
  const level = (k, part) => parseInt(text.substr(6 * k + 2 * part, 2), 16);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (count - 1), k = Math.min(Math.floor(at), count - 2), rest = at - k;
    let colour = 255 << 24;
    for (let part = 0; part < 3; part++)
      colour |= Math.round(level(k, part) * (1 - rest) + level(k + 1, part) * rest) << (8 * part);
    found[i] = colour >>> 0;
  }
  return found;
}

/** Return the colour of a hue [rad] and a brightness in [0, 1]: a circle in Oklab, all of one lightness. */
function hueColour(angle, brightness) {
  const a = 0.124 * Math.cos(angle + 0.4), b = 0.124 * Math.sin(angle + 0.4);
  const l = (0.74 + 0.3963377774 * a + 0.2158037573 * b) ** 3, m = (0.74 - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (0.74 - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((v) => {
    const c = Math.min(Math.max(v, 0), 1), shown = c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055;
    return Math.round(255 * shown * brightness);
  });
}

const HUES = Array.from({ length: 256 }, (_, k) => hueColour((k / 256) * 2 * Math.PI, 1));

/** Return a colour of the page by its name in the style. */
const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
