// Behaviours of the official client that need an actor with every hook, in one encoding. Prints one line per behaviour.
import { args, connectTo, failure, print, shown, until } from "./common.mjs";

const { encoding } = args;
const client = connectTo(encoding);
const key = (name) => [args.run, encoding, name];
const everything = (name, options) => client.everything.getOrCreate(key(name), options);
const counter = (name) => client.counter.getOrCreate(key(name));

// Opens a raw socket and collects what it gets.
async function opened(handle, path) {
	const socket = await handle.webSocket(path);
	socket.binaryType = "arraybuffer";
	const got = [];
	socket.addEventListener("message", ({ data }) => got.push(typeof data === "string" ? data : shown(data)));
	const closed = new Promise((resolve) => socket.addEventListener("close", ({ code, reason }) => resolve([code, reason])));
	await until("the first frame", () => got.length > 0);
	return { socket, got, closed };
}

const behaviours = {
	async an_error_of_the_actor_has_its_code_and_metadata() {
		return await counter("fails").failUser().then(() => "no error", (error) => [failure(error), error.message]);
	},
	async an_error_of_the_actor_on_a_socket_has_them_too() {
		const connection = counter("fails").connect();
		const result = await connection.failUser().then(() => "no error", (error) => [failure(error), error.message]);
		await connection.dispose();
		return result;
	},
	async an_internal_error_tells_no_details() {
		return await counter("fails").failInternal().then(() => "no error", (error) => [error.message.includes("secret"), error.code]);
	},
	async input_reaches_the_actor_once() {
		const input = { text: "é", list: [1, null] };
		const handle = everything("input", { createWithInput: input });
		const first = await handle.input();
		const again = await everything("input", { createWithInput: "another" }).input();
		return [first, again];
	},
	async input_of_create_reaches_the_actor() {
		return await (await client.everything.create(key("create with input"), { input: [1, { b: "c" }] })).input();
	},
	async no_input_is_null() {
		return await everything("no input").input();
	},
	async connection_parameters_reach_the_actor() {
		const connection = everything("params", { params: { name: "Ada" } }).connect();
		const state = await connection.connectionState();
		const overHttp = await everything("params", { params: { name: "Grace" } }).connectionState();
		await connection.dispose();
		return [state.name, overHttp.name, (await everything("params").connectionState()).name];
	},
	async connection_state_lives_as_long_as_the_connection() {
		const connection = everything("connection state").connect();
		const counts = [await connection.countConnection(), await connection.countConnection()];
		await connection.dispose();
		const other = everything("connection state").connect();
		counts.push(await other.countConnection());
		await other.dispose();
		return counts;
	},
	async a_refused_connection_gets_the_reason() {
		return await everything("refused", { params: { refuse: true } }).value();
	},
	async a_refused_socket_gets_the_reason() {
		const connection = everything("refused", { params: { refuse: true } }).connect();
		const errors = [];
		connection.onError((error) => errors.push(failure(error)));
		await until("the error", () => errors.length > 0);
		await connection.dispose();
		return errors[0];
	},
	async a_connection_may_be_accepted_later() {
		return (await everything("late", { params: { name: "late", deferMs: 50 } }).connectionState()).name;
	},
	async an_event_to_one_connection_reaches_it_without_a_subscription() {
		const connections = [everything("one").connect(), everything("one").connect()];
		const heard = [[], []];
		connections.forEach((connection, index) => connection.on("whisper", (payload) => heard[index].push(payload)));
		await Promise.all(connections.map((connection) => connection.value()));
		const sent = await connections[0].sendToMe("whisper", { x: 1 });
		await Promise.all(connections.map((connection) => connection.value()));
		await Promise.all(connections.map((connection) => connection.dispose()));
		return [sent, heard];
	},
	async a_broadcast_may_have_any_number_of_arguments() {
		const connection = everything("arguments").connect();
		const heard = [];
		connection.on("note", (...values) => heard.push(values));
		await connection.value();
		await connection.broadcast("note", []);
		await connection.broadcast("note", [1, "two", { three: 3 }]);
		await connection.dispose();
		return heard;
	},
	async a_refused_subscription_says_so_and_hears_nothing() {
		const connection = everything("secret").connect();
		const errors = [];
		const heard = [];
		await connection.value();
		connection.onError((error) => errors.push(failure(error)));
		connection.on("secret", (payload) => heard.push(payload));
		await until("the error", () => errors.length > 0);
		await everything("secret").broadcast("secret", [1]);
		await connection.dispose();
		return [errors[0], heard];
	},
	async a_connection_that_was_closed_comes_back_with_its_subscriptions() {
		const connection = everything("disconnect").connect();
		const heard = [];
		connection.on("note", (payload) => heard.push(payload));
		await connection.value();
		let closed = 0;
		connection.onClose(() => closed++);
		await connection.disconnectMe().catch(() => {});
		await until("the close", () => closed > 0);
		await until("the next connection", () => connection.connStatus === "connected");
		await connection.broadcast("note", ["heard"]);
		await connection.dispose();
		return heard;
	},
	async disconnects_are_counted() {
		const handle = everything("count connections");
		const connections = [handle.connect(), handle.connect()];
		await Promise.all(connections.map((connection) => connection.value()));
		const open = (await connections[0].connectionIds()).length;
		await Promise.all(connections.map((connection) => connection.dispose()));
		await until("the disconnects", async () => (await handle.counts()).disconnects >= 2);
		return open >= 2;
	},
	async a_deferred_reply_comes_when_it_is_ready() {
		const handle = everything("deferred");
		const waiting = handle.waitFor(100);
		const meanwhile = await handle.setValue(5).then(() => handle.value());
		return [meanwhile, await waiting];
	},
	async an_action_of_another_actor_answers_through_this_one() {
		return await everything("caller").callOn(`${args.run}${encoding}callee`, "clock", []).then((now) => now > 0);
	},
	async a_queue_message_completes() {
		return await everything("queue").send("jobs", { n: 1 }, { wait: true, timeout: 5000 });
	},
	async a_queue_message_without_waiting_is_taken() {
		const handle = everything("queue without waiting");
		await handle.send("jobs", { n: 2 });
		return await until("the message", async () => (await handle.queued())[0]);
	},
	async a_queue_message_may_complete_later() {
		const handle = everything("slow queue");
		const waiting = handle.send("slow", "x", { wait: true, timeout: 10_000 });
		await until("the message", async () => (await handle.queued()).length === 1);
		return [await handle.completeSlow({ done: true }), await waiting];
	},
	async a_queue_message_may_time_out() {
		return await everything("queue timeout").send("slow", "x", { wait: true, timeout: 100 });
	},
	async raw_requests_keep_method_path_headers_and_body() {
		const response = await counter("raw").fetch("/foo/bar?x=1&y=%20", { method: "PUT", body: "hi", headers: { "x-a": "b", "content-type": "text/plain" } });
		const { method, path, url, headers, body } = await response.json();
		return [response.status, response.headers.get("x-from-actor"), method, path, new URL(url).pathname, headers["x-a"], body];
	},
	async raw_requests_carry_bytes() {
		const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256);
		const response = await everything("raw").fetch("/echo", { method: "POST", body: bytes, headers: { "content-type": "image/png" } });
		const back = new Uint8Array(await response.arrayBuffer());
		return [response.status, response.headers.get("content-type"), back.length, back.every((byte, index) => byte === index % 256)];
	},
	async raw_requests_keep_the_status() {
		const statuses = [200, 204, 404, 418, 500, 503];
		return await Promise.all(statuses.map(async (status) => (await everything("raw").fetch(`/status/${status}`)).status));
	},
	async raw_requests_may_be_answered_later() {
		const response = await everything("raw").fetch("/later?50");
		return [response.status, await response.text()];
	},
	async raw_sockets_carry_text_and_bytes() {
		const { socket, got, closed } = await opened(counter("socket"), "/chat?z=1");
		socket.send("text");
		socket.send(new Uint8Array([1, 2, 255]));
		socket.send("");
		await until("the echo", () => got.length >= 4);
		socket.close(1000, "bye");
		return [got, await closed];
	},
	async raw_sockets_count_their_messages_and_reach_each_other() {
		const one = await opened(everything("sockets"), "/");
		const two = await opened(everything("sockets"), "/");
		one.socket.send("index");
		one.socket.send("index");
		await until("the numbers", () => one.got.length >= 3);
		two.socket.send("broadcast:x");
		await until("the frames", () => one.got.length >= 4 && two.got.length >= 2);
		const sent = await everything("sockets").broadcastFrame("to all");
		await until("the frame to all", () => one.got.length >= 5 && two.got.length >= 3);
		one.socket.close();
		two.socket.close();
		return [one.got, two.got, sent];
	},
	async a_call_that_meets_a_sleep_is_answered_all_the_same() {
		const handle = everything("races");
		const results = await Promise.all(Array.from({ length: 60 }, (_, index) => (index % 3 === 0 ? handle.sleepNow() : handle.setValue(index)).then(() => "done", failure)));
		return [...new Set(results.map((result) => JSON.stringify(result)))];
	},
	async state_survives_sleep_and_connections_stay() {
		const handle = everything("sleep");
		const connection = handle.connect();
		const heard = [];
		connection.on("note", (value) => heard.push(value));
		await connection.setValue("kept");
		await connection.countConnection();
		const before = await handle.counts();
		await handle.sleepNow();
		await until("the sleep", async () => (await everything("sleep").counts()).sleeps > before.sleeps);
		await handle.broadcast("note", ["after the sleep"]);
		await until("the event", () => heard.length > 0);
		const result = [await handle.value(), connection.connStatus, heard, await connection.countConnection(), (await handle.counts()).creates];
		await connection.dispose();
		return result;
	},
	async timers_fire_in_order_also_after_a_sleep() {
		const handle = everything("timers");
		const now = Date.now();
		await handle.timerAt(now + 2500, "second");
		await handle.timerAt(now + 1500, "first");
		const cancelled = await handle.timerAt(now + 9000, "never");
		const gone = [await handle.cancelTimer(cancelled), await handle.cancelTimer(cancelled)];
		await handle.sleepNow();
		const ran = await until("the timers", async () => {
			const ran = await handle.ran();
			return ran.length === 2 && ran;
		});
		return [gone, ran.map(({ label, due, at }) => [label, at >= due]), (await handle.timers()).length];
	},
	async messages_between_actors_come_in_order() {
		const to = `${args.run}${encoding}receiver`;
		const handle = everything("sender");
		for (let number = 1; number <= 10; number++) await handle.sendTo(to, number);
		return await until("the messages", async () => {
			const messages = await client.everything.getOrCreate([to]).messages();
			return messages.length === 10 && messages;
		});
	},
	async a_failed_action_keeps_nothing_unless_it_says_so() {
		const handle = everything("keep");
		await handle.setValue(1);
		const forgotten = await handle.failAndForget(2).then(() => null, failure);
		const after = await handle.value();
		const kept = await handle.failAndKeep(3).then(() => null, failure);
		return [forgotten, after, kept, await handle.value()];
	},
	async bytes_from_an_actor_are_bytes_at_the_client() {
		const bytes = await everything("random").randomBytes(8);
		return [bytes instanceof Uint8Array, bytes.length];
	},
	async an_actor_knows_who_it_is() {
		const handle = everything("identity");
		const { name, key, namespace, id } = await handle.identity();
		return [name, key.at(-1), namespace, id === (await handle.resolve())];
	},
	async a_destroyed_actor_is_gone_and_its_key_is_free() {
		const handle = everything("destroyed");
		await handle.setValue("old");
		const id = await handle.resolve();
		await handle.destroyMe();
		await until("the end", async () => (await client.everything.getForId(id).value().then(() => null, failure))?.error === "actor.not_found");
		const again = everything("destroyed");
		return [await again.value(), (await again.resolve()) === id];
	},
	async an_actor_may_be_destroyed_by_another() {
		const name = `${args.run}${encoding}victim`;
		const victim = client.everything.getOrCreate([name]);
		await victim.observeDestroy(`${name} observer`);
		await everything("destroyer").destroyOther(name);
		return await until("the message of the end", async () => (await client.everything.getOrCreate([`${name} observer`]).messages())[0]?.destroyed?.length);
	},
};

await Promise.all(
	Object.entries(behaviours).map(async ([behaviour, run]) => {
		const result = await run().then(shown, failure);
		print({ behaviour, result });
	}),
);
process.exit(0);
