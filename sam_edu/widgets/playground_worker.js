// The playground's other thread: trains, measures, answers. The page stays free meanwhile. A classic script:
// Python sends it as text, and the figure starts it from a Blob, which works on file:// pages as well.
import { Run, accuracies, alongClimb, pgd } from "./playground_math.js";
import { plane, unpack } from "./playground_data.js";

// What is measured after each epoch: the first `test` test and `train` training samples, attacked by PGD (7 steps
// of eps / 4, no random start), and the loss along the climb on the first `climbed` training samples.
const MEASURE = { test: 250, train: 125, climbed: 192, steps: 7, lengths: [0, 0.1, 0.2, 0.3, 0.4, 0.5] };
const GRID = 48,
  SHOWN = { plane: 36, images: 12 },
  PAUSE = 40; // ms between two reports: the eye follows
const sets = {}; // name -> promise of the data
const runs = new Map(); // id -> { run, weights: one array per epoch, points: one measurement per epoch }
let attack = 0.1,
  going = 0; // `going` counts the orders: a new one ends what is going on
const rest = (ms) => new Promise((done) => setTimeout(done, ms));
const how = (data, eps) => ({ eps, steps: MEASURE.steps, size: eps / 4, box: data.box });

function measured({ run: { net, data, passes }, ...own }, eps, loss) {
  const test = accuracies(
    net,
    data.testX,
    data.testY,
    how(data, eps),
    0,
    Math.min(data.testY.length, MEASURE.test),
  );
  const train = accuracies(
    net,
    data.trainX,
    data.trainY,
    how(data, eps),
    0,
    Math.min(data.trainY.length, MEASURE.train),
  );
  const k = data.features,
    n = Math.min(data.trainY.length, MEASURE.climbed);
  const along =
    own.along || alongClimb(net, data.trainX.subarray(0, n * k), data.trainY.subarray(0, n), MEASURE.lengths);
  return {
    clean: test.clean,
    robust: test.robust,
    train: train.clean,
    trainRobust: train.robust,
    loss,
    passes,
    along,
    attack: eps,
  };
}

// What the network answers, to draw: everywhere in the plane, or for a dozen test images.
function picture({ net, data }, eps) {
  const k = data.features,
    n = Math.min(k === 2 ? SHOWN.plane : SHOWN.images, data.testY.length),
    y = data.testY.subarray(0, n);
  const x = data.testX.slice(0, n * k),
    moved = pgd(net, x, y, n, how(data, eps), null, x.slice());
  const answers = (points) => {
    net.a[0].set(points);
    net.forward(n);
    return Array.from({ length: n }, (_, i) => net.guess(i));
  };
  return {
    eps,
    x,
    y: y.slice(),
    moved,
    before: answers(x),
    after: answers(moved),
    ...(k === 2 ? { regions: regions(net) } : {}),
  };
}

// Probability of class 1 at GRID x GRID points of [-1.3, 1.3]^2, from the top left on.
function regions(net) {
  const out = new Float32Array(GRID * GRID),
    at = (i) => -1.3 + (2.6 * (i + 0.5)) / GRID,
    c = net.sizes.at(-1);
  for (let from = 0; from < out.length; from += net.most) {
    const n = Math.min(net.most, out.length - from);
    for (let i = 0; i < n; i++)
      net.a[0].set([at((from + i) % GRID), -at(Math.floor((from + i) / GRID))], 2 * i);
    const z = net.forward(n);
    for (let i = 0; i < n; i++) out[from + i] = 1 / (1 + Math.exp(z[i * c] - z[i * c + 1]));
  }
  return out;
}

function report(id, entry, epoch, done) {
  postMessage({
    id,
    epoch,
    done,
    point: entry.points[epoch],
    picture: picture(entry.run, attack),
    lengths: MEASURE.lengths,
  });
}

async function begin(id, settings) {
  const run = new Run(await sets[settings.data], settings);
  const entry = { run, weights: [run.net.w.slice()], points: [] };
  entry.points.push(measured(entry, attack, null));
  runs.set(id, entry);
  report(id, entry, 0, false);
}

// Up to so many epochs, or until another order comes; each epoch that was trained is reported, whatever comes.
async function train(id, epochs) {
  const order = ++going,
    entry = runs.get(id);
  let reported = 0;
  while (order === going && entry.run.epochs < epochs) {
    const loss = entry.run.epoch(),
      epoch = entry.run.epochs;
    if (!Number.isFinite(loss)) {
      postMessage({ id, diverged: true, done: true });
      return;
    }
    entry.weights.push(entry.run.net.w.slice());
    entry.points.push(measured(entry, attack, loss));
    report(id, entry, epoch, order === going && epoch >= epochs);
    await rest(Math.max(0, PAUSE - (performance.now() - reported)));
    reported = performance.now();
  }
}

// Another radius of the test: every run is measured anew, from the weights that were kept.
async function remeasure(eps, ids) {
  const order = ++going;
  attack = eps;
  for (const id of [...ids].reverse()) {
    const entry = runs.get(id),
      now = entry.run.net.w.slice();
    for (let epoch = entry.points.length - 1; epoch >= 0; epoch--) {
      const old = entry.points[epoch],
        { net, data } = entry.run;
      net.w.set(entry.weights[epoch]);
      net.fresh = false;
      entry.points[epoch] = {
        ...measured({ run: { net, data, passes: old.passes }, along: old.along }, eps, old.loss),
      };
      const drawn = epoch === entry.points.length - 1 ? { picture: picture(entry.run, eps) } : {};
      net.w.set(now);
      net.fresh = false;
      postMessage({ id, epoch, point: entry.points[epoch], lengths: MEASURE.lengths, again: true, ...drawn });
      await rest(0);
      if (order !== going) return;
    }
  }
  postMessage({ measured: true });
}

let queue = Promise.resolve();
const orders = {
  data({ name, packed, about }) {
    sets[name] = packed ? unpack(packed, about) : Promise.resolve(plane(name, 0));
  },
  begin: ({ id, settings, epochs, eps }) => {
    attack = eps;
    return begin(id, settings).then(() => {
      train(id, epochs);
    });
  },
  go({ id, epochs }) {
    train(id, epochs);
  },
  stop() {
    going += 1;
  },
  drop({ id }) {
    runs.delete(id);
  },
  look({ eps, ids }) {
    remeasure(eps, ids);
  },
};
onmessage = ({ data }) => {
  if (data.order === "stop") going += 1; // at once, whatever waits in the queue
  queue = queue.then(() => orders[data.order](data)).catch((error) => postMessage({ error: String(error) }));
};
