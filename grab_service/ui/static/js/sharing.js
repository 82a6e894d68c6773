// One tab holds the stream of events and forwards it: a browser has only six connections to a host.

const NAME = "stageline-events-1"; // another number when the messages change: tabs may show another version of the page
const HEARTBEAT_MS = 3000;
const SILENT_MS = 10_000; // a holder that is silent for so long is frozen and replaced
const TO_HOLDER = new Set(["hello", "retry"]);

/** Join the tabs of this browser. `lead()` is called when this tab must hold the stream, `follow()` when another has
 * replaced it, `hear(message)` for messages from the holder or requests to it; `now()` returns the stream's state.
 * Where the browser cannot share (plain http to another machine), each tab holds its own stream. */
export function join({ lead, follow, hear, now }) {
  if (!navigator.locks || !globalThis.BroadcastChannel) {
    lead();
    return { say() {}, leave() {} };
  }
  const channel = new BroadcastChannel(NAME);
  const say = (message) => channel.postMessage(message);
  const sendHeartbeat = () => say({ kind: "state", state: now() });
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
      .catch(() => mine === asked && given()); // another tab has replaced this frozen one
  }

  function hold(done) {
    release = done;
    leading = true;
    lead();
    sendHeartbeat();
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
    if (data.kind === "hello") sendHeartbeat();
    else hear(data);
  });
  const timer = setInterval(() => {
    if (leading) sendHeartbeat();
    else if (Date.now() - heardAt > SILENT_MS) steal();
  }, HEARTBEAT_MS);
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
