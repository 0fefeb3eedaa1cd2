// Runs in the page that benchmarks/playground.py opens: epochs of the playground and of TensorFlow.js in turn, on
// the same digits, the same network (64-128-128-10), batches of 64, SGD with momentum 0.9 and weight decay.
const SETTINGS = {
  hidden: [128, 128],
  batch: 64,
  seed: 0,
  rate: 0.05,
  momentum: 0.9,
  decay: 5e-4,
  rho: 0.2,
  eps: 0.1,
  steps: 3,
  size: 0.05,
  box: [0, 1],
};

function ours(math, data) {
  const runs = Object.fromEntries(
    ["sgd", "sam", "at"].map((method) => [method, new math.Run(data, { ...SETTINGS, method })]),
  );
  return Object.fromEntries(
    Object.entries(runs).map(([method, run]) => ["playground " + method, async () => run.epoch()]),
  );
}

// The same epoch as a user of TensorFlow.js would write it with its own layers, loss and optimizer; the order of
// the batches is drawn as ours. Weight decay is left out: its optimizer has none, which saves it a little time.
function theirs(tf, math, data) {
  const layer = (units, activation, inputShape) =>
    tf.layers.dense({ units, activation, ...(inputShape ? { inputShape } : {}) });
  const model = tf.sequential({ layers: [layer(128, "relu", [64]), layer(128, "relu"), layer(10)] });
  const optimizer = tf.train.momentum(0.05, 0.9),
    n = data.trainY.length,
    next = math.stream(0, 2);
  const x = tf.tensor2d(data.trainX, [n, 64]),
    y = tf.oneHot(tf.tensor1d(data.trainY, "int32"), 10);
  return async () => {
    const order = tf.tensor1d(math.shuffled(n, next), "int32");
    let last;
    for (let from = 0; from < n; from += 64) {
      last?.dispose();
      last = tf.tidy(() => {
        const chosen = order.slice(from, Math.min(64, n - from)),
          batch = x.gather(chosen),
          label = y.gather(chosen);
        return optimizer.minimize(() => tf.losses.softmaxCrossEntropy(label, model.predict(batch)), true);
      });
    }
    order.dispose();
    const loss = (await last.data())[0]; // waits until all is computed
    last.dispose();
    return loss;
  };
}

// Each round takes every case once; milliseconds per epoch of each, round by round, and the last losses.
export async function compare(math, tf, data, backends, rounds) {
  const cases = ours(math, data),
    losses = {},
    times = {};
  for (const backend of backends) {
    await tf.setBackend(backend);
    await tf.ready();
    const epoch = theirs(tf, math, data);
    cases["TensorFlow.js " + backend] = async () => {
      await tf.setBackend(backend);
      return epoch();
    };
  }
  for (let round = -2; round < rounds; round++)
    for (const [name, epoch] of Object.entries(cases)) {
      const start = performance.now();
      losses[name] = await epoch();
      if (round >= 0) (times[name] ||= []).push(performance.now() - start);
    }
  return { times, losses };
}
