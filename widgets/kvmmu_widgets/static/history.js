// What the message says about any step, found without replaying the steps before it.

/**
 * The values that one thing takes, each from its step on.
 * @template V
 * @typedef {{ steps: number[], values: V[] }} Track
 */

/** @template V @param {Track<V>} track @param {number} step */
function lastIndex(track, step) {
  let low = 0;
  let high = track.steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (track.steps[middle]) <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * @template V
 * @param {Step[]} steps
 * @param {(step: Step) => Record<string, V> | undefined} pick
 * @returns {Map<string, Track<V>>}
 */
function tracksOf(steps, pick) {
  const tracks = new Map();
  steps.forEach((step, n) => {
    for (const [id, value] of Object.entries(pick(step) ?? {})) {
      let track = tracks.get(id);
      if (!track) tracks.set(id, (track = { steps: [], values: [] }));
      track.steps.push(n);
      track.values.push(value);
    }
  });
  return tracks;
}

export class History {
  /** @param {Message} message */
  constructor(message) {
    const { steps } = message;
    this.steps = steps;
    this.ops = message.ops ?? [];
    this.nodes = tracksOf(steps, (step) => step.nodes);
    this.edges = tracksOf(steps, (step) => step.edges);
    this.counters = tracksOf(steps, (step) => step.counters);
    this.checks = tracksOf(steps, (step) => step.checks);
    this.locks = tracksOf(steps, (step) => step.locks);
    this.tasks = [...new Set(steps.map((step) => step.task).filter(Boolean))];
    this.last = steps.length - 1;
  }

  /** Return the value of a track at a step. @template V @param {Track<V>} track @param {number} step */
  valueAt(track, step) {
    return track.values[lastIndex(track, step)];
  }

  /** Return at which step the value of a step was set. @template V @param {Track<V>} track @param {number} step */
  sinceAt(track, step) {
    return track.steps[lastIndex(track, step)];
  }

  /**
   * Return what is to be seen of a node or an edge: its value, and whether this very step took it
   * away. What a step took away is seen once more if the step marks it.
   * @template V
   * @param {Track<V | null> | undefined} track
   * @param {number} step
   * @param {boolean} marked
   * @returns {{ value: V, gone: boolean } | null}
   */
  shownAt(track, step, marked) {
    if (!track) return null;
    const i = lastIndex(track, step);
    const value = track.values[i];
    if (value !== null && value !== undefined) return { value, gone: false };
    const before = track.values[i - 1];
    if (!marked || track.steps[i] !== step || before === null || before === undefined) return null;
    return { value: before, gone: true };
  }

  /**
   * Return the nodes (or edges) that may look different at two steps.
   * @param {"nodes" | "edges"} kind
   * @param {number} from -1 for: before anything was shown
   * @param {number} to
   */
  touched(kind, from, to) {
    const ids = new Set(Object.keys(this.steps[from]?.[kind] ?? {}));
    for (let n = Math.min(from, to) + 1; n <= Math.max(from, to); n++) {
      for (const id in this.steps[n]?.[kind]) ids.add(id);
    }
    for (const id in this.steps[to]?.[kind]) ids.add(id);
    return ids;
  }

  /** Return the number of the operation that a step belongs to, or -1. @param {number} step */
  opAt(step) {
    let found = -1;
    this.ops.forEach((op, i) => {
      if (op.first <= step && step <= op.last) found = i;
    });
    return found;
  }

  /** Return where the operation before, or the next one, begins. @param {number} step @param {-1 | 1} way */
  opStart(step, way) {
    const starts = this.ops.map((op) => op.first);
    if (way > 0) return starts.find((first) => first > step) ?? this.last;
    return starts.reverse().find((first) => first < step) ?? 0;
  }
}
