// Load on the actor `ledger` while the host is killed again and again. Every amount has an id, noted before it is sent and again
// when it is acknowledged; what failed is sent again under the same id. A consumer per actor hears the events and goes on after the
// last one that it heard. Prints `{"acknowledged": n}` whenever that grew. The command `end` stops the load; then the verdict is printed.
import { args, commands, connectTo, persistent, print, until } from "./common.mjs";

const encodings = ["json", "cbor", "bare"];
const PAUSE_AFTER_FAILURE_MS = 10;
const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS));
let ending = false;
let acknowledged = 0;

const actors = Array.from({ length: args.actors }, (_, index) => {
	const client = connectTo(encodings[index % encodings.length]);
	const key = ["ledger", String(index)];
	return { index, client, key, handle: client.ledger.getOrCreate(key), sent: new Map(), acked: new Set(), heard: [], wrong: [] };
});

// One writer: over HTTP, or over a socket. `target` gives what to call, or nothing while there is no connection.
async function write(actor, writer, target) {
	for (let number = 1; !ending; number++) {
		const id = `${actor.index}-${writer}-${number}`;
		const amount = (number % 7) + 1;
		actor.sent.set(id, amount);
		while (!actor.acked.has(id)) {
			try {
				await target().add(id, amount);
				actor.acked.add(id);
				acknowledged++;
			} catch {
				// The host is away, or the socket closed under the call. Whether it was kept is not known.
				await pause();
			}
		}
	}
}

// Hears every event once and in order; notes what is not.
function consume(actor) {
	let last = 0;
	const getParams = async () => ({ after: last });
	return persistent(actor.client.ledger.getOrCreate(actor.key, { getParams }), (connection) => {
		connection.on("added", ({ id, total }, { seq }) => {
			if (seq !== last + 1) actor.wrong.push(`${seq} after ${last}`);
			last = seq;
			actor.heard.push({ id, total });
		});
		connection.on("resync", () => actor.wrong.push("resync"));
	});
}

actors.forEach(consume);
const sockets = actors.map((actor) => persistent(actor.handle, () => {}));
const load = actors.flatMap((actor, index) => [
	write(actor, "http", () => actor.handle),
	write(actor, "socket", () => sockets[index].current),
]);
let shown = -1;
const progress = setInterval(() => {
	if (acknowledged !== shown) print({ acknowledged });
	shown = acknowledged;
}, 5);

const { next } = commands();
while ((await next()) !== "end");
ending = true;
await Promise.all(load);
clearInterval(progress);

const verdict = await Promise.all(
	actors.map(async ({ handle, sent, acked, heard, wrong }) => {
		const entries = new Map(await handle.entries());
		await until("the last event", () => heard.length >= entries.size || wrong.length > 0, 40_000);
		const sum = [...entries.values()].reduce((sum, amount) => sum + amount, 0);
		let running = 0;
		return {
			acknowledged: acked.size,
			lost: [...acked].filter((id) => !entries.has(id)),
			foreign: [...entries].filter(([id, amount]) => sent.get(id) !== amount),
			total_is_the_sum: (await handle.total()) === sum,
			events: heard.length,
			events_not_one_per_entry: heard.length - entries.size,
			repeated: heard.length - new Set(heard.map(({ id }) => id)).size,
			totals_in_events_wrong: heard.filter(({ id, total }) => total !== (running += sent.get(id) ?? Number.NaN)).length,
			wrong,
		};
	}),
);
print({ verdict });
process.exit(0);
