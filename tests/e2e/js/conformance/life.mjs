// Raw HTTP and WebSockets, destruction, work beside the actions, sleep and hibernation, as the official fixtures have them.
import { actor, args, client, connected, encoding, rawSocket, run, sleepFor, until } from "./common.mjs";

const sleepNow = async (handle) => {
	const id = await handle.resolve();
	const response = await fetch(`${args.url}/actors/${id}/sleep?namespace=default`, {
		method: "POST",
		headers: { authorization: "Bearer dev", "content-type": "application/json" },
		body: "{}",
	});
	return response.status;
};

// Whether the actor slept between each of these counts and the next.
const slept = (...counts) => counts.slice(1).map(({ sleepCount }, index) => sleepCount > counts[index].sleepCount);

// Whether an actor is asleep, without waking it.
async function isAsleep(id) {
	const { actors } = await (await fetch(`${args.url}/actors?actor_ids=${id}&namespace=default`)).json();
	return actors[0].sleep_ts !== null;
}

const asJson = async (promise) => {
	const response = await promise;
	return [response.status, await response.json()];
};

await run({
	async raw_http() {
		const handle = actor("rawHttpActor", "x");
		const hello = await asJson(handle.fetch("/api/hello"));
		const echo = await handle.fetch("/api/echo", { method: "POST", body: JSON.stringify({ a: 1 }), headers: { "content-type": "application/json", "x-mine": "yes" } });
		const headers = await (await handle.fetch("/api/headers", { headers: { "x-other": "here" } })).json();
		const none = await handle.fetch("/nope");
		return [hello, [echo.status, await echo.json(), echo.headers.get("x-mine")], headers["x-other"], none.status, (await handle.fetch("/api/state").then((response) => response.json())).requestCount];
	},
	async raw_http_without_an_answer() {
		const none = await actor("rawHttpNoHandlerActor", "x").fetch("/anything");
		const nothing = await actor("rawHttpVoidReturnActor", "x").fetch("/anything");
		return [none.status, nothing.status, (await nothing.text()).includes("onRequest handler must return a Response")];
	},
	async raw_http_routes() {
		const handle = actor("rawHttpHonoActor", "x");
		const send = (method, path, body) => handle.fetch(path, { method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" } });
		return [
			await asJson(handle.fetch("/")),
			await asJson(handle.fetch("/users")),
			await asJson(handle.fetch("/users/1")),
			await asJson(send("POST", "/users", { name: "New" })),
			await asJson(send("PUT", "/users/2", { name: "Changed" })),
			await asJson(send("DELETE", "/users/2")),
			(await handle.fetch("/nope")).status,
		];
	},
	async raw_http_request_properties() {
		const handle = actor("rawHttpRequestPropertiesActor", "x");
		const get = await (await handle.fetch("/a/b?x=1&y=two%20words&x=3")).json();
		const post = await (await handle.fetch("/p", { method: "POST", body: JSON.stringify({ k: "v" }), headers: { "content-type": "application/json" } })).json();
		const text = await (await handle.fetch("/p", { method: "PUT", body: "plain", headers: { "content-type": "text/plain" } })).json();
		const large = await (await handle.fetch("/p", { method: "POST", body: "x".repeat(700_000), headers: { "content-type": "text/plain" } })).json();
		const head = await handle.fetch("/p", { method: "HEAD" });
		const options = await handle.fetch("/p", { method: "OPTIONS" });
		const custom = await (await handle.fetch("/p", { method: "PROPFIND" })).json();
		return [[get.pathname, get.search, get.searchParams, get.hash, get.method, get.body], [post.body, post.headers["content-type"]], [text.body, text.bodyText], large.bodyText.length, head.status, options.status, custom.method];
	},
	async raw_websocket() {
		const handle = actor("rawWebSocketActor", "x");
		const raw = await rawSocket(handle, "/some/path?a=1");
		await raw.next("the welcome", ({ type }) => type === "welcome");
		raw.send({ type: "ping" });
		raw.send({ type: "getRequestInfo" });
		raw.send("plain text");
		raw.send(new Uint8Array([1, 2, 3]));
		raw.send({ type: "indexedEcho", payload: "p" });
		raw.send({ type: "indexedAckProbe", payload: "12345" });
		raw.send({ type: "getStats" });
		raw.send({ type: "getIndexedMessageOrder" });
		await until("the answers", () => raw.messages.length === 9);
		const info = raw.messages.find(({ type }) => type === "requestInfo");
		const shown = raw.messages.map((message) => (message.type === "pong" ? "pong" : message.type === "requestInfo" ? [info.pathname.endsWith("/some/path"), info.search] : message));
		await raw.close();
		await until("the close", async () => (await handle.getStats()).connectionCount === 0);
		return [shown, await handle.getStats()];
	},
	async a_raw_websocket_stays_open_over_a_sleep() {
		const handle = actor("rawWebSocketActor", "sleeps");
		const raw = await rawSocket(handle);
		raw.send({ type: "indexedEcho", payload: 1 });
		await raw.next("the first", ({ payload }) => payload === 1);
		await handle.triggerSleep();
		await sleepFor(200);
		raw.send({ type: "indexedEcho", payload: 2 });
		const second = await raw.next("the second", ({ payload }) => payload === 2);
		raw.send({ type: "getIndexedMessageOrder" });
		const { order } = await raw.next("the order", ({ type }) => type === "indexedMessageOrder");
		await raw.close();
		return [second.rivetMessageIndex, order];
	},
	async other_raw_websockets() {
		const binary = await rawSocket(actor("rawWebSocketBinaryActor", "x"));
		binary.send(new Uint8Array([1, 2, 3]));
		const reversed = await binary.next("the frame");
		await binary.close();
		const opening = actor("rawWebSocketAsyncOpenActor", "x");
		const raw = await rawSocket(opening);
		const opened = await raw.next("the late opening");
		const slept = await sleepNow(opening);
		const { code } = await raw.closed;
		const context = await rawSocket(actor("rawWebSocketConnContextActor", "x"));
		const { connId, state } = await context.next("the context");
		await context.close();
		return [reversed, opened, slept, code !== 1006, await opening.getOpenCount(), connId === state.connId && state.opened];
	},
	async destroy() {
		const key = [args.run, encoding, "destroyed"];
		const handle = client.destroyActor.getOrCreate(key);
		await handle.setValue(42);
		await handle.setEphemeral("kept");
		await handle.send("values", "queued");
		const before = [await handle.getValue(), await handle.getEphemeral(), await handle.receiveValue(), await handle.receiveValue()];
		const state = await (await handle.fetch("/state")).json();
		const id = await handle.resolve();
		const observer = client.destroyObserver.getOrCreate(["observer"]);
		await handle.destroy();
		await until("the destruction", () => observer.wasDestroyed(key.join("/")));
		const byId = await client.destroyActor.getForId(id).getValue().then(() => "there", (error) => `${error.group}.${error.code}`);
		return [before, state.value, byId, await handle.getValue(), await handle.getEphemeral(), (await client.destroyActor.get(key).resolve()) !== id];
	},
	async destroy_is_no_part_of_the_action() {
		const key = [args.run, encoding, "signal"];
		const result = await client.destroyAbortSignalActor.getOrCreate(key).requestDestroy();
		await until("the destruction", () => client.destroyObserver.getOrCreate(["observer"]).wasDestroyed(key.join("/")));
		return result;
	},
	async start_and_stop_race() {
		const key = [args.run, encoding, "race"];
		const handle = client.startStopRaceActor.getOrCreate(key);
		const started = Date.now();
		const state = await handle.getState();
		const waited = Date.now() - started >= 95;
		const second = client.startStopRaceActor.getOrCreate([...key, "2"]);
		await second.destroy();
		const observer = client.lifecycleObserver.getOrCreate(["observer"]);
		const of = async () => (await observer.getEvents()).filter(({ actorKey }) => actorKey === [...key, "2"].join("/")).map(({ event }) => event);
		await until("the destruction", async () => (await of()).length === 2);
		return [state.initialized, state.startCompleted, waited, await handle.ping(), await of()];
	},
	async run_handlers() {
		const [exits, ticks, plain, fails, sleeps] = ["runWithEarlyExit", "runWithTicks", "runWithoutHandler", "runWithError", "runSelfInitiatedSleep"].map((name) => actor(name, "x"));
		const id = await exits.resolve();
		await Promise.all([exits, ticks, plain, fails, sleeps].map((handle) => handle.getState()));
		await sleepFor(1700);
		const ticking = await ticks.getState();
		const asleep = await isAsleep(id);
		const exited = await exits.getState();
		const observed = (await client.lifecycleObserver.getOrCreate(["run-with-early-exit"]).getEvents()).filter(({ actorKey }) => actorKey === id).map(({ event }) => event);
		const error = await fails.getState();
		const consumer = actor("runWithQueueConsumer", "x");
		await consumer.send("messages", { n: 1 });
		await consumer.sendMessage({ n: 2 });
		const stubborn = actor("runIgnoresAbortStopTimeout", "x");
		await stubborn.getState();
		const started = Date.now();
		await stubborn.destroy();
		return [
			[ticking.tickCount > 20, ticking.runExited],
			[asleep, exited.runExited, exited.sleepCount > 0, observed.length === exited.sleepCount],
			(await plain.getState()).wakeCount > 1,
			[error.destroyCalled, error.sleepCount > 0],
			await sleeps.getState().then(({ marker, sleepCount, runCount }) => [marker, sleepCount > 0, runCount > 1]),
			(await consumer.getState()).messagesReceived,
			Date.now() - started < 1500,
		];
	},
	async an_actor_destroys_itself_when_it_starts() {
		const handle = actor("runSelfInitiatedDestroy", "x");
		const id = await handle.resolve();
		await handle.getState().catch(() => {});
		const observer = client.lifecycleObserver.getOrCreate(["self-initiated-destroy"]);
		await until("the destruction", async () => (await observer.getEvents()).some(({ actorKey }) => actorKey === id));
		return true;
	},
	async sleep_and_alarms() {
		const handle = actor("sleep", "x");
		const counts = [await handle.getCounts()];
		await handle.triggerSleep();
		await sleepFor(200);
		counts.push(await handle.getCounts());
		await sleepFor(1300);
		counts.push(await handle.getCounts());
		await handle.setAlarm(1250);
		await sleepFor(1600);
		counts.push(await handle.getCounts());
		return [counts[0], slept(...counts), counts.every(({ startCount, sleepCount }) => startCount === sleepCount + 1)];
	},
	async what_keeps_an_actor_awake() {
		const [rpc, http, socket, never] = ["sleepWithLongRpc", "sleepWithRawHttp", "sleepWithRawWebSocket", "sleepWithNoSleepOption"].map((name) => actor(name, "x"));
		const connection = await connected(rpc);
		const waiting = new Promise((resolve) => connection.on("waiting", () => resolve(true)));
		const long = connection.longRunningRpc();
		const request = asJson(http.fetch("/long-request?duration=1300"));
		const raw = await rawSocket(socket);
		await never.getCounts();
		const heard = await waiting;
		await sleepFor(1400);
		await connection.finishLongRunningRpc();
		await long;
		const during = [await rpc.getCounts(), await http.getCounts(), await socket.getCounts(), await never.getCounts()].map(({ startCount, sleepCount }) => [startCount, sleepCount]);
		raw.send({ type: "keepAlive" });
		await raw.next("the answer", ({ type }) => type === "ack");
		await raw.close();
		await connection.dispose();
		await sleepFor(1300);
		const after = [await rpc.getCounts(), await http.getCounts(), await socket.getCounts(), await never.getCounts()].map(({ sleepCount }) => sleepCount > 0);
		return [heard, await request, during, after];
	},
	async what_is_said_before_a_sleep_arrives() {
		const handle = actor("sleepWithWaitUntilMessage", "x");
		const connection = await connected(handle);
		const said = new Promise((resolve) => connection.on("sleeping", resolve));
		await connection.triggerSleep();
		const event = await said;
		await sleepFor(200);
		const { waitUntilMessageCount } = await handle.getCounts();
		await connection.dispose();
		const sockets = [];
		for (const name of ["sleepRawWsSendOnSleep", "sleepRawWsDelayedSendOnSleep"]) {
			const told = actor(name, "x");
			const raw = await rawSocket(told);
			await raw.next("the connection", ({ type }) => type === "connected");
			await told.triggerSleep();
			sockets.push(await raw.next("the goodbye", ({ type }) => type === "sleeping"));
			await raw.closed;
		}
		const waits = actor("sleepWithWaitUntilInOnWake", "x");
		await waits.getStatus();
		await until("the work", async () => (await waits.getStatus()).waitUntilCompleted);
		return [event, waitUntilMessageCount, sockets];
	},
	async a_running_handler_delays_the_sleep() {
		const results = [];
		for (const name of ["sleepRawWsOnMessage", "sleepRawWsOnClose"]) {
			const handle = actor(name, "x");
			const raw = await rawSocket(handle);
			raw.send("track-message");
			await raw.next("the start", ({ type }) => type === "message-started");
			await raw.close();
			await sleepFor(900);
			// An actor that sleeps while a handler runs is woken by its end, and so sleeps twice.
			results.push(await handle.getStatus());
		}
		return results;
	},
	async a_connection_hibernates() {
		const handle = actor("hibernationActor", "x");
		const connection = await connected(handle);
		const closed = [];
		connection.onClose(() => closed.push(1));
		const counts = [await connection.connIncrement(), await connection.connIncrement()];
		const ids = await connection.getConnectionIds();
		await connection.triggerSleep();
		await sleepFor(300);
		const after = [await connection.ping(), await connection.getConnCount(), await connection.getConnLifecycleCounts(), (await connection.getActorCounts()).sleepCount > 0];
		const same = (await connection.getConnectionIds()).join() === ids.join();
		const open = closed.length === 0;
		await connection.triggerSleep();
		await sleepFor(300);
		await connection.dispose();
		const left = await until("the close", async () => (await handle.getConnectionIds()).length === 1);
		return [counts, after, same, open, left];
	},
	async an_action_in_the_window_of_a_sleep_is_answered() {
		const connection = await connected(actor("hibernationSleepWindowActor", "x"));
		const said = new Promise((resolve) => connection.on("sleeping", resolve));
		await connection.ping();
		await connection.triggerSleep();
		await said;
		const answer = await connection.ping();
		const { sleepCount, wakeCount } = await connection.getActorCounts();
		await connection.dispose();
		return [answer, sleepCount > 0, wakeCount > 1];
	},
	async a_connection_that_closes_during_a_sleep_is_told_after_the_wake() {
		const handle = actor("fileSystemHibernationCleanupActor", "x");
		const connection = await connected(handle);
		await connection.ping();
		await connection.triggerSleep();
		await sleepFor(200);
		await connection.dispose();
		await until("the hook", async () => (await handle.getDisconnectWakeCounts()).length > 0);
		const [first, ...more] = await handle.getDisconnectWakeCounts();
		return [first > 1, more];
	},
	async a_namespace_is_made_on_request() {
		const name = `ns${args.run}${encoding}`;
		const made = await fetch(`${args.url}/namespaces`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name, display_name: name }) });
		const created = await fetch(`${args.url}/actors?namespace=${name}`, { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "counter", key: "x", runner_name_selector: "default", crash_policy: "sleep" }) });
		return [made.status, created.status];
	},
});
