// One tab of a browser holds the line's stream and hands on what it hears: a browser has only six connections to a host.

const NAME = "stageline-events-1"; // another number when the messages change: tabs may show another version of the page
const BEAT_MS = 3000;
const SILENT_MS = 10_000; // a holder that says nothing for so long is frozen: its place is taken
const TO_HOLDER = new Set(["hello", "retry"]);

/** Take part among this browser's tabs. `lead()` is called when this one shall hold the stream, `follow()` when another
 * took its place, `hear(message)` on what the holder says, or on what it is asked; `now()` is how the holder's stream is.
 * Where the browser cannot share (plain http to another machine), each tab holds a stream of its own. */
export function join({ lead, follow, hear, now }) {
  if (!navigator.locks || !globalThis.BroadcastChannel) {
    lead();
    return { say() {}, leave() {} };
  }
  const channel = new BroadcastChannel(NAME);
  const say = (message) => channel.postMessage(message);
  const beat = () => say({ kind: "state", state: now() });
  let leading = false;
  let left = false;
  let asked = null;
  let release = null;
  let heardAt = Date.now();

  function take(options) {
    asked = new AbortController();
    const request = options ?? { signal: asked.signal };
    const mine = asked;
    navigator.locks
      .request(NAME, request, () => (left || mine !== asked ? null : new Promise(hold)))
      .catch(() => mine === asked && given()); // another took it, since this one was frozen
  }

  function hold(done) {
    release = done;
    leading = true;
    lead();
    beat();
  }

  function given() {
    leading = false;
    heardAt = Date.now();
    if (left) return;
    follow();
    take();
  }

  function steal() {
    asked.abort();
    heardAt = Date.now();
    take({ steal: true });
  }

  channel.addEventListener("message", ({ data }) => {
    if (left || leading !== TO_HOLDER.has(data?.kind)) return;
    heardAt = Date.now();
    if (data.kind === "hello") beat();
    else hear(data);
  });
  const timer = setInterval(() => {
    if (leading) beat();
    else if (Date.now() - heardAt > SILENT_MS) steal();
  }, BEAT_MS);
  take();
  say({ kind: "hello" });

  return {
    say,
    leave() {
      left = true;
      clearInterval(timer);
      if (leading) release();
      else asked.abort();
      channel.close();
    },
  };
}
