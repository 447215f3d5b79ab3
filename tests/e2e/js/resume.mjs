// Event resume with the connection parameter `after`, in one encoding. Prints one line per behaviour.
// The actor `counter` keeps many events; `forgetful` is the same component and keeps three.
import { args, connectTo, failure, print, until } from "./common.mjs";

const { encoding } = args;
const client = connectTo(encoding);
const key = (name) => [args.run, encoding, name];
const actor = (name, params) => client.counter.getOrCreate(key(name), params === undefined ? {} : { params });

async function broadcast(handle, from, to) {
	for (let number = from; number <= to; number++) await handle.broadcastPing(number);
}

// Listens to `ping` and `resync`. An event is `[payload, seq]`; anything else that comes is shown as it is.
function listen(handle) {
	const connection = handle.connect();
	const heard = [];
	connection.on("ping", (...values) => {
		const [payload, position, ...rest] = values;
		const good = rest.length === 0 && position !== undefined && Number.isInteger(position.ts) && Object.keys(position).join() === "seq,ts";
		heard.push(good ? [payload, position.seq] : values);
	});
	connection.on("resync", () => heard.push("resync"));
	return { connection, heard };
}

async function heardAfter(name, params, from, to, count) {
	await broadcast(actor(name), 1, from);
	const { connection, heard } = listen(actor(name, params));
	await connection.getCount();
	await broadcast(actor(name), from + 1, to);
	await until("the events", () => heard.length >= count);
	await connection.getCount();
	await connection.dispose();
	return heard;
}

const behaviours = {
	from_the_beginning: () => heardAfter("beginning", { after: 0 }, 3, 5, 5),
	from_a_number: () => heardAfter("number", { after: 2 }, 3, 5, 3),
	from_the_last_number: () => heardAfter("last", { after: 3 }, 3, 5, 2),
	from_now_on: () => heardAfter("now", { after: "now" }, 3, 5, 2),
	without_the_parameter: () => heardAfter("plain", undefined, 3, 5, 2),
	with_other_parameters_only: () => heardAfter("others", { color: "red" }, 3, 5, 2),
	async outside_the_window() {
		const handle = (params) => client.forgetful.getOrCreate(key("window"), { params });
		await broadcast(handle(), 1, 10);
		const { connection, heard } = listen(handle({ after: 2 }));
		await connection.getCount();
		await broadcast(handle(), 11, 11);
		await until("the event after the resync", () => heard.some((entry) => entry[0] === 11));
		await connection.dispose();
		return [heard[0], heard.filter((entry) => entry === "resync").length, heard.at(-1)];
	},
	async a_long_replay_under_new_events_has_no_gap_and_no_repeat() {
		const sender = actor("long").connect();
		const send = (from) => Promise.all(Array.from({ length: 500 }, (_, index) => sender.broadcastPing(from + index)));
		for (const from of [1, 501, 1001]) await send(from);
		const { connection, heard } = listen(actor("long", { after: 0 }));
		await send(1501);
		await until("all events", () => heard.length >= 2000, 30_000);
		await connection.getCount();
		await Promise.all([connection.dispose(), sender.dispose()]);
		return [heard.length, heard.every(([payload, seq], index) => payload === index + 1 && seq === index + 1)];
	},
	async each_reconnect_goes_on_where_the_last_one_ended() {
		let last = 0;
		const numbers = [];
		for (let round = 0; round < 5; round++) {
			const connection = actor("rounds", { after: last }).connect();
			connection.on("ping", (payload, { seq }) => {
				numbers.push([payload, seq]);
				last = seq;
			});
			await connection.broadcastPing(2 * round + 1);
			await until("the events of the round", () => last >= 2 * round + 1);
			await connection.dispose();
			await actor("rounds").broadcastPing(2 * round + 2);
		}
		return numbers;
	},
};

await Promise.all(
	Object.entries(behaviours).map(async ([behaviour, run]) => {
		const result = await run().catch(failure);
		print({ behaviour, result });
	}),
);
process.exit(0);
