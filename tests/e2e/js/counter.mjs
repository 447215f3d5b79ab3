// Every behaviour of the official client that the example's actor can show, in one encoding. Prints one line per behaviour.
import { args, connectTo, failure, print, shown, until } from "./common.mjs";

const { encoding } = args;
const client = connectTo(encoding);
const counter = (...key) => client.counter.getOrCreate([args.run, encoding, ...key]);

// Awaits an action, so that what was sent on the socket before it has been handled.
async function connected(handle) {
	const connection = handle.connect();
	await connection.getCount();
	return connection;
}

const behaviours = {
	async action() {
		const handle = counter("action");
		return [await handle.increment(2), await handle.increment(3), await handle.getCount()];
	},
	async action_without_arguments_uses_the_default() {
		return await counter("default").increment();
	},
	async action_by_name() {
		return await counter("by name").action({ name: "increment", args: [7] });
	},
	async many_actions_at_once_are_all_counted() {
		const handle = counter("many");
		const replies = await Promise.all(Array.from({ length: 50 }, () => handle.increment(1)));
		return [replies.sort((a, b) => a - b).join() === Array.from({ length: 50 }, (_, i) => i + 1).join(), await handle.getCount()];
	},
	async many_actions_at_once_on_a_socket_are_all_counted() {
		const connection = await connected(counter("many on a socket"));
		const replies = await Promise.all(Array.from({ length: 50 }, () => connection.increment(1)));
		await connection.dispose();
		return replies.join() === Array.from({ length: 50 }, (_, i) => i + 1).join();
	},
	async get_finds_what_get_or_create_made() {
		await counter("found").increment(5);
		return await client.counter.get([args.run, encoding, "found"]).getCount();
	},
	async get_of_a_missing_actor_fails() {
		return await client.counter.get([args.run, encoding, "missing"]).getCount();
	},
	async create_makes_an_actor_once() {
		const key = [args.run, encoding, "created"];
		const handle = await client.counter.create(key);
		const count = await handle.increment(4);
		const again = await client.counter.create(key).then(() => "created twice", (error) => `${error.group}.${error.code}`);
		return [count, again, (await handle.resolve()) === (await client.counter.get(key).resolve())];
	},
	async resolve_gives_the_same_id_every_time() {
		const ids = [await counter("resolved").resolve(), await counter("resolved").resolve(), await counter("another").resolve()];
		return [ids[0] === ids[1], ids[0] === ids[2], ids[0].length];
	},
	async resolve_of_a_missing_actor_fails() {
		return await client.counter.get([args.run, encoding, "not there"]).resolve();
	},
	async an_actor_answers_by_its_id() {
		const handle = counter("by id");
		await handle.increment(6);
		return await client.counter.getForId(await handle.resolve()).getCount();
	},
	async a_malformed_id_is_not_found() {
		return await client.counter.getForId("not-an-actor-id").getCount();
	},
	async an_unknown_action_fails() {
		return await counter("unknown action").noSuchAction();
	},
	async an_unknown_dotted_action_fails_with_its_whole_name() {
		return await counter("unknown action").action({ name: "no.such.action", args: [] }).catch((error) => error.message.includes("no.such.action") || error.message);
	},
	async an_unknown_actor_name_fails() {
		return await client.nobody.getOrCreate(["x"]).getCount();
	},
	async a_key_may_have_slashes_and_percent_signs_and_umlauts() {
		const keys = [["a/b"], ["a", "b"], ["a\\/b"], ["50%"], ["ü", ""], [" "], ["a?b#c&d=e"]];
		await Promise.all(keys.map((key, index) => counter("odd", ...key).increment(index + 1)));
		return await Promise.all(keys.map((key) => client.counter.get([args.run, encoding, "odd", ...key]).getCount()));
	},
	async a_comma_in_a_key_splits_it_as_the_official_engine_does() {
		await counter("comma", "x,y").increment(1);
		return await counter("comma", "x", "y").getCount();
	},
	async a_key_may_be_a_text_or_nothing() {
		const text = client.counter.getOrCreate(`${args.run}${encoding}`);
		const nothing = client.counter.getOrCreate();
		return [await text.increment(1), (await nothing.increment(1)) > 0, (await text.resolve()) !== (await nothing.resolve())];
	},
	async an_oversized_key_is_refused() {
		return await counter("x".repeat(2000)).getCount();
	},
	async a_connection_answers_and_hears_events_before_the_reply() {
		const connection = await connected(counter("events"));
		const heard = [];
		connection.on("ping", (...payload) => heard.push(["event", ...payload]));
		await connection.broadcastPing({ x: [1, "two", null] }).then((reply) => heard.push(["reply", reply]));
		await connection.dispose();
		return heard;
	},
	async an_event_reaches_every_connection_that_subscribed_and_no_other() {
		const connections = await Promise.all([1, 2, 3].map(() => connected(counter("fan out"))));
		const heard = [[], [], []];
		connections[0].on("ping", (payload) => heard[0].push(payload));
		connections[1].on("ping", (payload) => heard[1].push(payload));
		connections[2].on("other", (payload) => heard[2].push(payload));
		await Promise.all(connections.map((connection) => connection.getCount()));
		await counter("fan out").broadcastPing(1);
		await counter("fan out").broadcastPing(2);
		await until("the events", () => heard[0].length === 2 && heard[1].length === 2);
		await Promise.all(connections.map((connection) => connection.getCount()));
		await Promise.all(connections.map((connection) => connection.dispose()));
		return heard;
	},
	async once_hears_one_event_and_unsubscribe_ends_the_rest() {
		const connection = await connected(counter("once"));
		const heard = [];
		connection.once("ping", (payload) => heard.push(["once", payload]));
		const off = connection.on("ping", (payload) => heard.push(["on", payload]));
		await connection.broadcastPing(1);
		await connection.broadcastPing(2);
		off();
		await connection.broadcastPing(3);
		await connection.dispose();
		return heard;
	},
	async a_connection_by_id_answers() {
		const handle = counter("connection by id");
		await handle.increment(8);
		const connection = await connected(client.counter.getForId(await handle.resolve()));
		const count = await connection.getCount();
		await connection.dispose();
		return count;
	},
	async an_unknown_action_on_a_connection_leaves_it_open() {
		const connection = await connected(counter("error on a socket"));
		const error = await connection.noSuchAction().then(() => null, failure);
		const count = await connection.increment(1);
		await connection.dispose();
		return [error, count];
	},
	async a_connection_to_a_destroyed_actor_fails() {
		const handle = counter("destroyed");
		const id = await handle.resolve();
		await handle.destroySelf();
		const errors = [];
		const connection = client.counter.getForId(id).connect();
		connection.onError((error) => errors.push(failure(error)));
		await until("the error", () => errors.length > 0);
		await connection.dispose();
		return errors[0];
	},
	async an_oversized_message_is_refused() {
		return await counter("too long").echo("x".repeat(70_000));
	},
	async a_message_within_the_limit_passes() {
		return (await counter("long").echo("x".repeat(60_000))).length;
	},
};

// What a value is after a round trip. `connection` says how: an action over HTTP, or over a socket.
const values = {
	null: null, true: true, integer: 42, negative: -7, large: 2 ** 40, unsafe: 2 ** 53, fraction: 1.5, text: "é\u0000\"\\😀",
	empty_array: [], nested: { a: [1, { b: null }], c: "d" }, bigint: 5n, huge_bigint: 2n ** 70n, negative_bigint: -(2n ** 63n),
	undefined_field: { u: undefined, n: 1 }, date: new Date(1_700_000_000_123), bytes: new Uint8Array([0, 1, 255]), no_bytes: new Uint8Array(),
	buffer: new Uint8Array([9, 8]).buffer, map: new Map([["k", 1]]), set: new Set([1, "x"]), looks_like_a_tag: ["$BigInt", "5"],
	looks_like_another: ["$x", 1], escaped: ["$$x", 1], not_a_number: Number.NaN, infinite: Infinity,
};
for (const [name, value] of Object.entries(values)) {
	behaviours[`echo ${name}`] = async () => await counter("echo").echo(value);
	behaviours[`echo ${name} on a socket`] = async () => {
		const connection = counter("echo").connect();
		const result = await connection.echo(value).finally(() => connection.dispose());
		return result;
	};
}

await Promise.all(
	Object.entries(behaviours).map(async ([behaviour, run]) => {
		const result = await run().then(shown, failure);
		print({ behaviour, result });
	}),
);
process.exit(0);
