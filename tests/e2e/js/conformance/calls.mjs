// Actions, errors, sizes and connections, as the official fixtures have them.
import { actor, args, client, connected, encoding, failure, run, told, until } from "./common.mjs";

const refused = (promise) => promise.then(() => "no error", told);
const codeOf = (promise) => promise.then(() => "no error", (error) => `${error.group}.${error.code}`);

// How a connection that is refused ends.
async function connectionError(handle) {
	const connection = handle.connect();
	const error = await new Promise((resolve) => {
		connection.onError(resolve);
		connection.onOpen(() => resolve({ group: "no", code: "error" }));
	});
	await connection.dispose();
	return `${error.group}.${error.code}`;
}

await run({
	async timeouts() {
		const short = actor("shortTimeoutActor", "x");
		return [
			await short.quickAction(),
			(await refused(short.slowAction())).includes("Action timed out"),
			await actor("longTimeoutActor", "x").delayedAction(),
			await actor("defaultTimeoutActor", "x").normalAction(),
			await actor("syncTimeoutActor", "x").syncAction(),
			await actor("customTimeoutActor", "x").quickAction(),
			(await refused(actor("customTimeoutActor", "x").slowAction())).includes("timed out"),
		];
	},
	async sync_and_async_actions() {
		const [sync, slow] = [actor("syncActionActor", "x"), actor("asyncActionActor", "x")];
		const counts = [await sync.increment(5), await sync.increment(), (await sync.getInfo()).currentValue];
		await sync.reset();
		const data = await slow.fetchData("id1");
		return [counts, (await sync.getInfo()).currentValue, await slow.delayedIncrement(5), data.id, typeof data.timestamp, await slow.asyncWithError(false), await refused(slow.asyncWithError(true))];
	},
	async actions_of_one_actor_overlap() {
		const handle = actor("concurrentActionActor", "x");
		const slow = handle.runWithDelay("slow", 400);
		await until("the start", async () => (await handle.getEvents()).length === 1);
		const replies = await Promise.all([slow, handle.runWithDelay("fast", 0)]);
		return [replies, await handle.getEvents()];
	},
	async a_name_with_a_dot_is_an_action() {
		const handle = actor("nestedActionActor", "x");
		const total = await handle.calculator.add(5);
		return [total, await handle.calculator.read(), await codeOf(handle.calculator.add("five"))];
	},
	async promises() {
		const handle = actor("promiseActor", "x");
		return [await handle.resolvedPromise(), await handle.delayedPromise(), await refused(handle.rejectedPromise()), await handle.getResults()];
	},
	async errors() {
		const handle = actor("errorHandlingActor", "x");
		const detailed = await handle.throwDetailedError().catch((error) => error);
		const simple = await handle.throwSimpleError().catch((error) => error);
		const internal = await handle.throwInternalError().catch((error) => error);
		await handle.logError("one");
		const log = await handle.getErrorLog();
		await handle.clearErrorLog();
		return [
			told(simple),
			simple.metadata === undefined,
			told(detailed),
			detailed.metadata.reason,
			internal.code,
			internal.message,
			await handle.successfulAction(),
			(await refused(handle.timeoutAction())).includes("timed out"),
			await handle.delayedAction(100),
			log,
			await handle.getErrorLog(),
		];
	},
	async errors_on_a_connection_leave_it_open() {
		const connection = await connected(actor("errorHandlingActor", "connection"));
		const error = await refused(connection.throwSimpleError());
		const after = await connection.successfulAction();
		await connection.dispose();
		return [error, after];
	},
	async large_payloads() {
		const handle = actor("largePayloadActor", "x");
		const items = (count) => ({ items: Array.from({ length: count }, (_, index) => `Item ${index} with some additional text to increase size`) });
		const request = await handle.processLargeRequest(items(800));
		const response = await handle.getLargeResponse(800);
		return [request.itemCount, response.items.length, await codeOf(handle.processLargeRequest(items(1500))), await codeOf(handle.getLargeResponse(20000)), await handle.echo({ a: 1 })];
	},
	async large_payloads_on_a_connection() {
		const items = (count) => ({ items: Array.from({ length: count }, (_, index) => `Item ${index} with some additional text to increase size`) });
		const connection = await connected(actor("largePayloadConnActor", "x"));
		await connection.processLargeRequest(items(800));
		const size = await connection.getLastRequestSize();
		const tooLong = await codeOf(connection.getLargeResponse(20000));
		const still = await connection.echo("still here");
		const [incoming, other] = await Promise.all([codeOf(connection.processLargeRequest(items(1500))), connection.getLastRequestSize().then(() => "answered", () => "failed")]);
		await connection.dispose();
		return [size, tooLong, still, incoming, other];
	},
	async connection_state() {
		const handle = actor("connStateActor", "x");
		const one = handle.connect();
		const hello = [];
		for (const event of ["connectedFromOnConnect", "connectedFromOnConnectConns"]) one.on(event, ({ username }) => hello.push([event, username]));
		await one.incrementConnCounter(5);
		const two = await connected(actor("connStateActor", "x", { params: { username: "u2", role: "admin" } }));
		const [first, second] = [await one.getConnectionState(), await two.getConnectionState()];
		const messages = [];
		two.on("directMessage", (message) => messages.push(message));
		await two.getConnectionState();
		const sent = [await one.sendToConnection(second.id, "hi"), await one.sendToConnection("no such id", "hi")];
		await until("the message", () => messages.length === 1);
		const updated = await one.updateConnection({ username: "new" });
		const ids = (await one.getConnectionIds()).length;
		const states = (await one.getAllConnectionStates()).map(({ id }) => id);
		const gone = [];
		one.on("userDisconnected", ({ id }) => gone.push(id === second.id));
		await one.incrementSharedCounter();
		await two.dispose();
		await until("the disconnection", () => gone.length > 0);
		const counted = await one.getDisconnectionCount();
		await one.dispose();
		return [hello, [first.username, first.role, first.counter, first.noCount], [second.username, second.role], sent, messages[0].from === first.id, messages[0].message, updated.username, updated.role, ids, states.includes(first.id) && states.includes(second.id), gone, counted];
	},
	async a_connection_can_close_itself() {
		const connection = await connected(actor("connStateActor", "self"));
		const closed = new Promise((resolve) => connection.onClose(() => resolve(true)));
		const answer = await connection.disconnectSelf("bye").catch(() => "closed first");
		const result = [answer, await closed];
		await connection.dispose();
		return result;
	},
	async a_connection_is_invisible_until_it_is_accepted() {
		const at = (params) => actor("connPreflightVisibilityActor", "x", { params });
		const first = await connected(at({ label: "first" }));
		const pending = at({ label: "second", beforeDelayMs: 500, createDelayMs: 500 }).connect();
		const during = await until("the hook", async () => {
			const snapshot = await first.snapshot();
			return snapshot.beforeStarted === 2 && snapshot;
		});
		await pending.snapshot();
		const after = await first.snapshot();
		const refusals = [await connectionError(at({ label: "no", beforeDelayMs: 10, rejectBefore: true })), await connectionError(at({ label: "no", createDelayMs: 10, rejectCreate: true }))];
		const last = await first.snapshot();
		await Promise.all([first.dispose(), pending.dispose()]);
		return [during.visibleLabels, after.visibleLabels, after.connectSnapshots.at(-1), refusals, last.visibleLabels, last.disconnectSnapshots];
	},
	async refused_connections() {
		const reject = (params) => actor("beforeConnectRejectActor", "x", { params });
		const rejected = await reject({ shouldReject: true }).ping().catch((error) => error);
		return [
			await connectionError(actor("connErrorSerializationActor", "x", { params: { shouldThrow: true } })),
			await actor("connErrorSerializationActor", "y").getValue(),
			await connectionError(reject({ shouldReject: true })),
			[told(rejected), rejected.metadata],
			await reject({}).ping(),
			await connectionError(actor("beforeConnectGenericErrorActor", "x", { params: { shouldFail: true } })),
			await actor("beforeConnectGenericErrorActor", "x").ping(),
			await connectionError(actor("beforeConnectTimeoutActor", "x")),
			await connectionError(actor("rejectConnectionActor", "x", { params: { reject: true } })),
		];
	},
	async access_control() {
		const handle = actor("accessControlActor", "x");
		const allowed = await connected(handle);
		const events = [];
		allowed.on("allowedEvent", ({ value }) => events.push(value));
		const action = await allowed.allowedAction("a");
		await allowed.allowedBroadcastAllowedEvent("v");
		await until("the event", () => events.length === 1);
		const subscriber = await allowed.allowedGetLastCanSubscribeConnId();
		await handle.send("allowedQueue", 1);
		const publisher = await allowed.allowedGetLastCanPublishConnId();
		const received = [await allowed.allowedReceiveQueue(), await allowed.allowedReceiveAnyQueue()];
		const denied = await codeOf(handle.send("blockedQueue", 1));
		const after = (await allowed.allowedGetLastCanPublishConnId()) !== publisher;
		const undeclared = [await handle.send("undeclared", 1), await handle.send("undeclared", 1, { wait: true, timeout: 500 })];
		await allowed.dispose();
		const blocked = await connected(handle);
		blocked.on("blockedEvent", () => {});
		const next = await codeOf(blocked.allowedAction("x"));
		await blocked.dispose();
		const closed = { params: { allowRequest: false } };
		const request = await actor("accessControlActor", "y", closed).fetch("/status");
		const socket = await actor("accessControlActor", "y", closed).webSocket();
		const close = await new Promise((resolve) => socket.addEventListener("close", resolve));
		const open = await handle.fetch("/status");
		const none = actor("accessControlNoQueuesActor", "x");
		await none.send("anything", 1);
		return [action, subscriber !== "", publisher !== "", received, denied, after, undeclared, next, request.status, close.code, [open.status, await open.json()], await none.readAnyQueue()];
	},
	async request_access() {
		const handle = actor("requestAccessActor", "x", { params: { trackRequest: true } });
		const connection = await connected(handle);
		const { onBeforeConnect, createConnState } = await connection.getRequestInfo();
		await connection.dispose();
		const overHttp = actor("requestAccessActor", "http", { params: { trackRequest: true } });
		const info = await overHttp.getRequestInfo();
		const untracked = await actor("requestAccessActor", "no").getRequestInfo();
		const raw = await (await handle.fetch("/some/path?x=1", { headers: { "x-test": "yes" } })).json();
		return [
			[onBeforeConnect.hasRequest, onBeforeConnect.requestMethod, "sec-websocket-protocol" in onBeforeConnect.requestHeaders],
			createConnState.hasRequest,
			[info.onBeforeConnect.hasRequest, info.onBeforeConnect.requestMethod, info.onBeforeConnect.requestHeaders["x-rivet-encoding"] === encoding],
			untracked.onBeforeConnect,
			[raw.requestMethod, new URL(raw.requestUrl).pathname, raw.requestHeaders["x-test"]],
		];
	},
	async the_actor_sees_that_nobody_waits_for_it_to_be_ready() {
		const handle = client.requestAccessActor.getOrCreate([args.run, encoding, "skip"], { params: { trackRequest: true } });
		const info = await handle.action({ name: "getRequestInfo", args: [], skipReadyWait: true }).catch(failure);
		return info.onBeforeConnect?.requestHeaders?.["x-rivet-skip-ready-wait"] ?? null;
	},
});
