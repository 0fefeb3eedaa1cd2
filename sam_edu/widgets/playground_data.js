// The playground's data: four sets in the plane, made from a seed, and images that Python has packed.
import { normal, stream } from "./playground_math.js";

const POINTS = { train: 200, test: 400 },
  TURN = 2 * Math.PI;
// Each returns [x_1, x_2] of a point of class y (0 or 1) from uniform numbers; coordinates lie about in [-1, 1].
const PLANES = {
  moons: (y, next) => {
    const t = Math.PI * next(),
      [a, b] = y ? [1 - Math.cos(t), 0.5 - Math.sin(t)] : [Math.cos(t), Math.sin(t)];
    return [(a - 0.5) * 0.6 + 0.07 * normal(next), (b - 0.25) * 0.8 + 0.07 * normal(next)];
  },
  rings: (y, next) => {
    const t = TURN * next(),
      r = (y ? 0.8 : 0.4) + 0.07 * normal(next);
    return [r * Math.cos(t), r * Math.sin(t)];
  },
  spirals: (y, next) => {
    const r = Math.sqrt(next()),
      t = 0.9 * TURN * r + (y ? Math.PI : 0),
      noise = 0.03;
    return [0.95 * r * Math.cos(t) + noise * normal(next), 0.95 * r * Math.sin(t) + noise * normal(next)];
  },
  // The toy model's idea in two features: x_1 is far apart and wrong for one point in ten, x_2 nearly always
  // right and so close to 0 that a small attack turns it round.
  features: (y, next) => {
    const side = y ? 1 : -1,
      wrong = next() < 0.1 ? -1 : 1;
    return [0.6 * side * wrong + 0.13 * normal(next), 0.1 * side + 0.035 * normal(next)];
  },
};

// 200 training and 400 test points, the two classes in turn.
export function plane(name, seed) {
  const next = stream(seed, 0),
    make = (n) => {
      const x = new Float32Array(2 * n),
        y = Int32Array.from({ length: n }, (_, i) => i % 2);
      for (let i = 0; i < n; i++) x.set(PLANES[name](y[i], next), 2 * i);
      return [x, y];
    };
  const [trainX, trainY] = make(POINTS.train),
    [testX, testY] = make(POINTS.test);
  return { features: 2, classes: 2, box: null, trainX, trainY, testX, testY };
}

// Python's arrays: zlib-packed bytes, levels 0..`levels` (a pixel is level / levels) or, where levels is 0, float32.
export async function unpack(bytes, { features, classes, levels, train, test, box }) {
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = await new Response(inflated).arrayBuffer(),
    size = (train + test) * features * (levels ? 1 : 4);
  const x = levels
    ? Float32Array.from(new Uint8Array(raw, 0, size), (v) => v / levels)
    : new Float32Array(raw, 0, size / 4);
  const y = Int32Array.from(new Uint8Array(raw, size)),
    cut = train * features;
  return {
    features,
    classes,
    box,
    trainX: x.slice(0, cut),
    trainY: y.slice(0, train),
    testX: x.slice(cut),
    testY: y.slice(train),
  };
}
