// The peer's counter as a Rivet runner in TypeScript's runtime. RIVET_ENDPOINT names the engine. Prints {"ready": true}.
import { actor, event, setup } from "rivetkit";

/** Idle actors stay awake while their memory is measured. */
const SLEEP_TIMEOUT_MS = 600_000;

const counter = actor({
	state: { count: 0 },
	events: { ping: event() },
	options: { sleepTimeout: SLEEP_TIMEOUT_MS },
	actions: {
		increment: (c, by = 1) => (c.state.count += by),
		getCount: (c) => c.state.count,
		broadcastPing: (c, payload) => {
			c.broadcast("ping", payload);
			return true;
		},
	},
});

const registry = setup({ use: { counter }, startServices: false, noWelcome: true });
await registry.startAndWait();
console.log(JSON.stringify({ ready: true }));
