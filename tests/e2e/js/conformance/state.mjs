// Counters, input, metadata, variables, state changes, schedules and queues, as the official fixtures have them.
import { actor, args, client, connected, encoding, isCode, run, sleepFor, told, until } from "./common.mjs";

await run({
	async counter() {
		const handle = actor("counter", "counter");
		const connection = await connected(handle);
		const events = [];
		connection.on("newCount", (count) => events.push(count));
		const results = [await connection.increment(5), await connection.setCount(9), await connection.getCount()];
		await connection.dispose();
		const key = await handle.getKey();
		return [results, events, key.at(-1)];
	},
	async counter_conn() {
		const handle = actor("counterConn", "conn");
		const [one, two] = [await connected(handle), await connected(handle)];
		const events = [];
		two.on("newCount", (count) => events.push(count));
		await two.getCount();
		await one.increment(3);
		await one.increment(4);
		await until("the events", () => events.length === 2);
		const counts = [await one.getCount(), await two.getCount(), await one.getConnectionCount()];
		await two.dispose();
		await until("the disconnection", async () => (await one.getConnectionCount()) === 1);
		await one.dispose();
		return [counts, events];
	},
	async counter_with_params() {
		const handle = actor("counterWithParams", "params", { params: { name: "user1" } });
		const connection = await connected(handle);
		const events = [];
		connection.on("newCount", (event) => events.push(event));
		const count = await connection.increment(1);
		const overHttp = await actor("counterWithParams", "params").getInitializers();
		await connection.dispose();
		return [count, events, overHttp];
	},
	async counter_with_lifecycle() {
		const handle = actor("counterWithLifecycle", "lifecycle", { params: { trackLifecycle: true } });
		const connection = await connected(handle);
		await connection.increment(1);
		const before = await connection.getEvents();
		await connection.dispose();
		const plain = actor("counterWithLifecycle", "lifecycle");
		await until("the disconnection", async () => (await plain.getEvents()).includes("onDisconnect"));
		await handle.increment(1);
		await until("the end of the request", async () => (await plain.getEvents()).length === 7);
		return [before, await plain.getEvents()];
	},
	async input() {
		const handle = client.inputActor.getOrCreate([args.run, encoding, "input"], { createWithInput: { name: "x", n: [1] } });
		const without = await actor("inputActor", "none").getInputs();
		return [await handle.getInputs(), without.initialInput === undefined, without.onCreateInput === undefined];
	},
	async metadata() {
		const handle = actor("metadataActor", "meta");
		await handle.setupTestTags({ foo: "bar" });
		await handle.setupTestRegion("here");
		const metadata = await handle.getMetadata();
		return [await handle.getActorName(), await handle.getStoredActorName(), metadata, await handle.getTag("foo"), await handle.getTag("no"), await handle.getLastMetadata()];
	},
	async stateless() {
		const handle = actor("statelessActor", "none");
		const state = await handle.tryGetState();
		const db = await handle.tryGetDb();
		return [await handle.ping(), await handle.echo("x"), (await handle.getActorId()) === (await handle.resolve()), state.success, state.error.includes("state"), db.success, db.error.includes("database")];
	},
	async vars() {
		const [one, two] = [actor("nestedVarActor", "one"), actor("nestedVarActor", "two")];
		await one.modifyNested();
		const dynamic = await actor("dynamicVarActor", "x").getVars();
		const ids = [(await actor("uniqueVarActor", "1").getVars()).id, (await actor("uniqueVarActor", "2").getVars()).id];
		return [
			await actor("staticVarActor", "x").getVars(),
			(await one.getVars()).nested,
			(await two.getVars()).nested,
			typeof dynamic.random,
			/^Actor-\d+$/.test(dynamic.computed),
			ids[0] !== ids[1],
			"hasDriverCtx" in (await actor("driverCtxActor", "x").getVars()),
		];
	},
	async on_state_change() {
		const handle = actor("onStateChangeActor", "x");
		await handle.setValue(10);
		await handle.incrementMultiple(3);
		const counted = [await handle.getValue(), await handle.getDoubled(), await handle.getChangeCount()];
		await handle.resetChangeCount();
		await handle.seedLarge(2000);
		return [counted, await handle.stateIdentityStable(), (await handle.churn(100)) < 250];
	},
	async state_zod_coercion() {
		const handle = actor("stateZodCoercionActor", "x");
		await handle.setCount(4);
		await handle.triggerSleep();
		await sleepFor(300);
		return await handle.getState();
	},
	async state_change_recursion() {
		const handle = actor("stateChangeRecursionActor", "x");
		await handle.setValue(5);
		const reentrant = actor("stateChangeReentrantMutationActor", "x");
		await reentrant.setValue(2);
		return [await handle.getAll(), await reentrant.getResult()];
	},
	async the_inspector_shows_the_state_to_whoever_has_the_token() {
		const handle = actor("counter", "inspected");
		await handle.increment(5);
		const url = new URL(await handle.getGatewayUrl());
		url.pathname += "/inspector/state";
		const byQuery = await fetch(url, { headers: { authorization: "Bearer token" } });
		const byId = await fetch(`${args.url}/gateway/${await handle.resolve()}/inspector/state`, { headers: { authorization: "Bearer token" } });
		const refused = [await fetch(url), await fetch(url, { headers: { authorization: "Bearer other" } })];
		return [byQuery.status, await byQuery.json(), await byId.json(), refused.map((response) => response.status)];
	},
	async scheduled() {
		const handle = actor("scheduled", "x");
		const connection = await connected(handle);
		const events = [];
		connection.on("scheduled", (event) => events.push(event.count));
		connection.on("scheduledWithId", (event) => events.push([event.taskId, event.count]));
		await connection.getScheduledCount();
		await connection.scheduleTaskAfter(50);
		await connection.scheduleTaskAfterWithId("second", 150);
		await connection.scheduleTaskAt(Date.now() + 250);
		await until("the tasks", () => events.length === 3);
		const counts = [await connection.getScheduledCount(), await connection.getTaskHistory(), (await connection.getLastRun()) > 0];
		await connection.dispose();
		return [events, counts];
	},
	async scheduled_db() {
		const handle = actor("scheduledDb", "x");
		await handle.scheduleDbWrite(30);
		await until("the write", async () => (await handle.getLogCount()) === 1);
		return await handle.getScheduledCount();
	},
	async kv() {
		const handle = actor("kvActor", "x");
		for (const key of ["a1", "a2", "b1"]) await handle.putText(key, `v${key}`);
		const listed = await handle.listText("a");
		const range = await handle.listTextRange("a1", "b1", { reverse: true, limit: 1 });
		await handle.deleteTextRange("a1", "a2");
		return [await handle.getText("b1"), await handle.getText("a1"), listed.length, range, await handle.roundtripArrayBuffer("bytes", [1, 2, 255])];
	},
	async queue_receive() {
		const handle = actor("queueActor", "receive");
		await handle.send("greeting", { hello: "world" });
		const one = await handle.receiveOne("greeting");
		await handle.sendToSelf("self", { value: 42 });
		const self = await handle.receiveOne("self");
		for (const [index, name] of ["a", "b", "c"].entries()) await handle.send(name, index);
		const many = await handle.receiveMany(["a", "b"], { count: 2 });
		const rest = await handle.receiveRequest({ count: 5 });
		const none = await handle.receiveMany(["missing"], { timeout: 50 });
		const without = await handle.tryReceiveMany({ names: ["missing"], count: 1 });
		const later = handle.receiveOne("one");
		await sleepFor(20);
		await handle.send("one", "first");
		const waited = await later;
		await handle.send("two", "second");
		return [one, self, many, rest, none, without, waited, await handle.receiveWithAsyncIterator()];
	},
	async queue_completion() {
		const handle = actor("queueActor", "complete");
		const received = handle.receiveAndComplete("tasks");
		const sent = await handle.send("tasks", { value: 123 }, { wait: true, timeout: 5000 });
		await received;
		const alone = await handle.send("timeout", 1, { wait: true, timeout: 50 });
		await handle.send("twice", 1);
		const twice = await handle.receiveAndCompleteTwice("twice");
		await handle.send("nowait", { value: "test" });
		const first = await handle.receiveWithoutComplete("nowait");
		const method = await handle.receiveWithoutCompleteMethod("nowait");
		return [sent, alone, twice, first, method, await handle.receiveOne("nowait")];
	},
	async queue_abort() {
		const aborted = await actor("queueActor", "abort").waitForAbort().then(() => "no error", (error) => `${error.group}.${error.code}`);
		const manual = actor("queueActor", "manual");
		await manual.send("tasks", 1);
		return [
			aborted,
			await actor("queueActor", "signal").waitForSignalAbort(),
			await actor("queueActor", "signal").waitForActorAbortWithSignal(),
			await actor("queueActor", "signal").iterWithSignalAbort(),
			await manual.receiveManualThenNextWithoutComplete("tasks"),
		];
	},
	async queue_limits() {
		const handle = actor("queueLimitedActor", "x");
		await handle.send("message", 1);
		const full = await handle.send("message", 2).then(() => "sent", told);
		const large = await actor("queueLimitedActor", "y").send("oversize", "a".repeat(200)).then(() => "sent", isCode("message_too_large"));
		return [full, large];
	},
	async many_queues() {
		const key = `${args.run}${encoding}child`;
		const spawned = await actor("manyQueueActionParentActor", "x").spawnChild(key);
		const child = client.manyQueueChildActor.getOrCreate([key]);
		await Promise.all(Array.from({ length: 64 }, (_, index) => child.send(`cmd.${index % 32}`, { index })));
		const snapshot = await child.getSnapshot();
		const waited = await child.send("cmd.0", { index: 64 }, { wait: true, timeout: 1000 });
		const parent = actor("manyQueueRunParentActor", "x");
		const queued = await parent.queueSpawn(`${key}2`);
		return [spawned.key === key, await child.ping().then(({ label, pong }) => [label === key, pong]), snapshot.started, snapshot.processed.length, new Set(snapshot.processed).size, waited, queued, (await parent.getSpawned()).length];
	},
});
