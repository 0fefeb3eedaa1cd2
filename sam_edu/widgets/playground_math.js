// The playground's network, losses and training steps: pure functions on flat arrays, without a DOM.
// tests/widgets/test_playground_math.py compares every method with sam_edu in float64, step for step.
import { multiply } from "./playground_kernel.js";

// ---- random numbers ----------------------------------------------------------------------------
// mulberry32 (Tommy Ettinger's 32-bit generator, public domain): uniform in [0, 1), 2^32 values.
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
// Independent numbers for each purpose of a seed: 0 data, 1 initial weights, 2 order of the batches,
// 3 random starts of the training attack. So two methods with one seed see the same batches.
export const stream = (seed, purpose) =>
  random(Math.imul(seed + 1, 0x9e3779b1) + Math.imul(purpose, 0x85ebca6b));
// Box and Muller: a standard normal number from two uniform ones.
export const normal = (next) => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
// Fisher and Yates: 0..n-1 in random order.
export function shuffled(n, next) {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1)),
      kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}

// ---- the network -------------------------------------------------------------------------------
// Fully connected with ReLU: logits = W_L relu(... relu(W_1 x + b_1)) + b_L. `sizes` are the widths, input
// first; W_l is (out, in) row by row, as torch stores it. All weights lie in one flat array `w`, each layer's
// matrix before its bias; `g` is the gradient of the mean cross-entropy, `v` the momentum. `Type` is
// Float32Array in the page and Float64Array in the tests; `most` is the largest batch.
export class Network {
  constructor(sizes, Type = Float32Array, most = 64) {
    this.sizes = sizes;
    this.Type = Type;
    this.most = most;
    const make = (n) => new Type(n),
      count = sizes.slice(1).reduce((sum, m, i) => sum + m * (sizes[i] + 1), 0);
    for (const name of ["w", "g", "v", "saved"]) this[name] = make(count);
    let at = 0;
    this.layers = sizes.slice(1).map((m, i) => {
      const k = sizes[i],
        split = at + m * k,
        end = split + m,
        from = at;
      at = end;
      const part = (a) => [a.subarray(from, split), a.subarray(split, end)];
      return {
        k,
        m,
        from,
        split,
        end,
        W: part(this.w)[0],
        b: part(this.w)[1],
        gW: part(this.g)[0],
        gb: part(this.g)[1],
        turned: make(m * k),
      };
    });
    this.a = sizes.map((m) => make(most * m)); // activations: the input, hidden layers, logits
    this.d = sizes.map((m) => make(most * m)); // derivative of the loss with respect to them
    const widest = most * Math.max(...sizes);
    this.left = make(widest);
    this.right = make(widest);
    this.fresh = false; // are the turned matrices those of the weights?
  }

  // torch's own start for Linear: weights and biases uniform within 1/sqrt(in). Momentum 0.
  start(next) {
    for (const { k, from, end } of this.layers) {
      const bound = 1 / Math.sqrt(k);
      for (let i = from; i < end; i++) this.w[i] = (2 * next() - 1) * bound;
    }
    this.v.fill(0);
    this.fresh = false;
  }

  // Logits (n, classes) of the n rows that stand in a[0].
  forward(n) {
    const last = this.layers.length - 1;
    this.layers.forEach(({ W, b, k, m }, l) => multiply(this.a[l], W, this.a[l + 1], n, m, k, b, l < last));
    return this.a[last + 1];
  }

  // Mean cross-entropy of the logits in a[last]; d[last] becomes its derivative times `scale` times n.
  loss(y, n, scale = 1 / n) {
    const last = this.sizes.length - 1,
      c = this.sizes[last],
      z = this.a[last],
      d = this.d[last];
    let total = 0;
    for (let i = 0; i < n; i++) {
      const o = i * c;
      let top = z[o],
        sum = 0;
      for (let j = 1; j < c; j++) if (z[o + j] > top) top = z[o + j];
      for (let j = 0; j < c; j++) sum += d[o + j] = Math.exp(z[o + j] - top);
      const factor = scale / sum;
      for (let j = 0; j < c; j++) d[o + j] *= factor;
      d[o + y[i]] -= scale;
      total += Math.log(sum) + top - z[o + y[i]];
    }
    return total / n;
  }

  // One step back through layer l: d[l] from d[l + 1]. `masked`: through the ReLU below, too.
  back(l, n, masked) {
    const { k, m, turned } = this.layers[l],
      d = this.d[l],
      a = this.a[l];
    multiply(this.d[l + 1], turned, d, n, k, m, null, false);
    if (masked) for (let i = 0, end = n * k; i < end; i++) if (!(a[i] > 0)) d[i] = 0;
  }

  turn() {
    if (this.fresh) return;
    for (const { W, m, k, turned } of this.layers) transpose(W, m, k, turned);
    this.fresh = true;
  }

  // Loss of the n rows in a[0] and its gradient with respect to the weights, into g. One gradient pass.
  gradient(y, n) {
    this.forward(n);
    const loss = this.loss(y, n);
    this.turn();
    for (let l = this.layers.length - 1; l >= 0; l--) {
      const { k, m, gW, gb } = this.layers[l];
      const dT = transpose(this.d[l + 1], n, m, this.left);
      for (let j = 0; j < m; j++) {
        let sum = 0;
        for (let i = j * n, end = i + n; i < end; i++) sum += dT[i];
        gb[j] = sum;
      }
      multiply(dT, transpose(this.a[l], n, k, this.right), gW, m, k, n, null, false);
      if (l > 0) this.back(l, n, true);
    }
    return loss;
  }

  // Derivative of the *sum* of the losses with respect to the n rows in a[0], into d[0].
  inputGradient(y, n) {
    this.loss(y, n, 1);
    this.turn();
    for (let l = this.layers.length - 1; l >= 0; l--) this.back(l, n, l > 0);
    return this.d[0];
  }

  // The class of each of the n rows whose logits stand in a[last].
  guess(i) {
    const last = this.sizes.length - 1,
      c = this.sizes[last],
      z = this.a[last];
    let best = 0;
    for (let j = 1; j < c; j++) if (z[i * c + j] > z[i * c + best]) best = j;
    return best;
  }
}

// (rows, columns) -> (columns, rows), into `to`.
function transpose(from, rows, columns, to) {
  for (let i = 0; i < rows; i++)
    for (let j = 0, o = i * columns; j < columns; j++) to[j * rows + i] = from[o + j];
  return to;
}

// ---- what moves the inputs ---------------------------------------------------------------------
// Projected gradient descent in the l-infinity ball (Madry et al. 2018), cut with the box [low, high] of valid
// inputs (null: none): x <- clip(x + size * sign(gradient)). `start`, uniform numbers in [0, 1) of x's shape or
// null, gives the point to begin with: x + (2 u - 1) eps. As sam_edu.attacks.pgd.
export function pgd(net, x, y, n, { eps, steps, size, box }, start, into) {
  const count = n * net.sizes[0],
    a = net.a[0],
    [low, high] = box || [-Infinity, Infinity];
  for (let i = 0; i < count; i++) {
    const from = start ? x[i] + (2 * start[i] - 1) * eps : x[i];
    a[i] = Math.min(Math.max(from, Math.max(x[i] - eps, low)), Math.min(x[i] + eps, high));
  }
  for (let step = 0; step < steps; step++) {
    net.forward(n);
    climbInputs(a, net.inputGradient(y, n), x, count, eps, size, low, high);
  }
  for (let i = 0; i < count; i++) into[i] = a[i];
  return into;
}

function climbInputs(a, d, x, count, eps, size, low, high) {
  for (let i = 0; i < count; i++) {
    const moved = a[i] + size * Math.sign(d[i]),
      least = Math.max(x[i] - eps, low),
      most = Math.min(x[i] + eps, high);
    a[i] = moved < least ? least : moved > most ? most : moved;
  }
}

// Share of right answers without attack and under attack: a sample counts as fooled if it is misclassified
// at *any* point that the attack visits, the first one included (sam_edu.attacks.pgd, stop_when_fooled).
// With `from` and `to` a part of the data; `fooled` (optional) receives 1 where a sample falls.
export function accuracies(net, x, y, attack, from = 0, to = y.length, fooled = null) {
  const k = net.sizes[0],
    a = net.a[0],
    clean = { right: 0 },
    [low, high] = attack.box || [-Infinity, Infinity];
  let standing = 0;
  for (let begin = from; begin < to; begin += net.most) {
    const centre = new net.Type(net.most * k),
      label = new Int32Array(net.most),
      who = new Int32Array(net.most);
    let n = Math.min(net.most, to - begin);
    for (let i = 0; i < n; i++) {
      label[i] = y[begin + i];
      who[i] = begin + i;
    }
    for (let i = 0; i < n * k; i++) a[i] = centre[i] = x[begin * k + i];
    for (let step = 0; n > 0; step++) {
      net.forward(n);
      const keep = [];
      for (let i = 0; i < n; i++) if (net.guess(i) === label[i]) keep.push(i);
      if (fooled)
        for (let i = 0, j = 0; i < n; i++)
          if (keep[j] === i) j++;
          else fooled[who[i]] = 1;
      if (step === 0) clean.right += keep.length;
      if (step === attack.steps || attack.eps === 0) {
        standing += keep.length;
        break;
      }
      net.inputGradient(label, n);
      keep.forEach((i, j) => {
        // close the ranks
        label[j] = label[i];
        who[j] = who[i];
        for (let q = 0; q < k; q++) {
          a[j * k + q] = a[i * k + q];
          centre[j * k + q] = centre[i * k + q];
          net.d[0][j * k + q] = net.d[0][i * k + q];
        }
      });
      n = keep.length;
      climbInputs(a, net.d[0], centre, n * k, attack.eps, attack.size, low, high);
    }
  }
  return { clean: clean.right / (to - from), robust: standing / (to - from) };
}

// ---- what moves the weights --------------------------------------------------------------------
// The climb e(w) of SAM (Foret et al. 2021), rho g / ||g||, or of ASAM (Kwon et al. 2021), rho T^2 g / ||T g||
// with T = |w| + eta on matrices and 1 on biases; 0 where the gradient is 0. Adds it to w.
export function climb(net, rho, adaptive, eta = 0.01) {
  const { w, g, layers } = net,
    all = w.length;
  const square = adaptive
    ? layers.reduce(
        (sum, { from, split, end }) => sum + squares(w, g, from, split, eta) + squares(null, g, split, end),
        0,
      )
    : squares(null, g, 0, all);
  const size = square > 0 && square < Infinity ? rho / Math.sqrt(square) : 0;
  if (!adaptive) for (let i = 0; i < all; i++) w[i] += size * g[i];
  else
    for (const { from, split, end } of layers) {
      for (let i = from; i < split; i++) w[i] += size * (Math.abs(w[i]) + eta) ** 2 * g[i];
      for (let i = split; i < end; i++) w[i] += size * g[i];
    }
  net.fresh = false;
}

function squares(w, g, from, to, eta) {
  let sum = 0,
    i = from;
  if (w) for (; i < to; i++) sum += ((Math.abs(w[i]) + eta) * g[i]) ** 2;
  else {
    // four sums, so that no addition waits for the one before it
    let p = 0,
      q = 0,
      r = 0;
    for (; i + 3 < to; i += 4) {
      sum += g[i] * g[i];
      p += g[i + 1] * g[i + 1];
      q += g[i + 2] * g[i + 2];
      r += g[i + 3] * g[i + 3];
    }
    for (; i < to; i++) sum += g[i] * g[i];
    sum += p + q + r;
  }
  return sum;
}

// torch.optim.SGD: v <- momentum v + (g + decay w), w <- w - rate v.
export function descend(net, { rate, momentum, decay }) {
  const { w, g, v } = net;
  for (let i = 0; i < w.length; i++) {
    v[i] = momentum * v[i] + (g[i] + decay * w[i]);
    w[i] -= rate * v[i];
  }
  net.fresh = false;
}

// One training step on the n rows of `batch`: an attack moves x (AT), a climb moves w (SAM, ASAM), the optimizer
// steps: sam_edu.training.step. Returns the loss at the weights before it, on the inputs trained on.
export function trainStep(net, batch, y, n, settings, noise) {
  const { method, eps, box, steps, rho } = settings,
    x = net.a[0],
    count = n * net.sizes[0];
  if (attacks(method)) pgd(net, batch, y, n, { eps, steps, size: settings.size, box }, noise, batch);
  for (let i = 0; i < count; i++) x[i] = batch[i];
  const loss = net.gradient(y, n);
  if (climbs(method)) {
    net.saved.set(net.w);
    climb(net, rho, method === "asam");
    net.gradient(y, n);
    net.w.set(net.saved);
    net.fresh = false;
  }
  descend(net, settings);
  return loss;
}
export const attacks = (method) => method === "at" || method === "both";
export const climbs = (method) => method === "sam" || method === "asam" || method === "both";
/** Gradient passes that one step costs: a pass is one forward and one backward run over the batch. */
export const passes = (method, steps) => (climbs(method) ? 2 : 1) + (attacks(method) ? steps : 0);

// The loss along the climb direction, L(w + t g / ||g||) on the rows of x for each t of `lengths`, weights
// restored: where t = rho this is the loss at SAM's point, and its rise is the sharpness gauge.
export function alongClimb(net, x, y, lengths) {
  const k = net.sizes[0],
    n = y.length,
    mean = new net.Type(net.w.length);
  const each = (use) => {
    for (let from = 0; from < n; from += net.most) {
      const m = Math.min(net.most, n - from);
      for (let i = 0; i < m * k; i++) net.a[0][i] = x[from * k + i];
      use(y.subarray(from, from + m), m);
    }
  };
  each((part, m) => {
    net.gradient(part, m);
    for (let i = 0; i < mean.length; i++) mean[i] += (m / n) * net.g[i];
  });
  net.g.set(mean);
  net.saved.set(net.w);
  const losses = Array.from(lengths, (t) => {
    climb(net, t, false);
    let total = 0;
    each((part, m) => {
      net.forward(m);
      total += net.loss(part, m) * m;
    });
    net.w.set(net.saved);
    return total / n;
  });
  net.fresh = false;
  return losses;
}

// ---- a run -------------------------------------------------------------------------------------
// A run of one method: `epoch()` trains once through the data in the order of the seed. The same seed
// gives every method the same initial weights and the same batches.
export class Run {
  constructor(data, settings, Type = Float32Array) {
    const k = data.features,
      most = Math.min(64, Math.max(settings.batch, 1));
    this.data = data;
    this.settings = settings;
    this.net = new Network([k, ...settings.hidden, data.classes], Type, Math.max(most, 64));
    this.net.start(stream(settings.seed, 1));
    this.order = stream(settings.seed, 2);
    this.starts = stream(settings.seed, 3);
    this.batch = new Type(this.net.most * k);
    this.noise = new Type(this.net.most * k);
    this.labels = new Int32Array(this.net.most);
    this.epochs = 0;
    this.passes = 0; // over the training set
  }

  epoch() {
    const { trainX, trainY, features: k } = this.data,
      { settings } = this,
      n = trainY.length;
    const order = shuffled(n, this.order);
    let total = 0;
    for (let from = 0; from < n; from += settings.batch) {
      const m = Math.min(settings.batch, n - from);
      total += m * this.step(order.subarray(from, from + m), trainX, trainY, k);
    }
    this.epochs += 1;
    this.passes += passes(settings.method, settings.steps);
    return total / n;
  }

  step(chosen, x, y, k) {
    const m = chosen.length;
    for (let i = 0; i < m; i++) {
      const o = chosen[i] * k;
      this.labels[i] = y[chosen[i]];
      for (let q = 0; q < k; q++) this.batch[i * k + q] = x[o + q];
    }
    if (attacks(this.settings.method)) for (let i = 0; i < m * k; i++) this.noise[i] = this.starts();
    return trainStep(this.net, this.batch, this.labels, m, this.settings, this.noise);
  }
}
