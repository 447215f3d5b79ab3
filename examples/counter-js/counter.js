// The counter actor in JavaScript: the same contract as ../counter, against the same WIT.
// Values cross as JSON text. QuickJS has no TextEncoder and no TextDecoder, so UTF-8 is written by hand below.
import * as state from "growqr:actor/state@1.0.0";
import * as events from "growqr:actor/events@1.0.0";
import * as actors from "growqr:actor/actors@1.0.0";
import * as connections from "growqr:actor/connections@1.0.0";
import * as log from "growqr:actor/log@1.0.0";

const readCount = () => {
	const bytes = state.get("count");
	return bytes == null ? 0 : Number(String.fromCharCode(...bytes));
};

// What an action returns is its reply, and what it throws its failure. `args` are the parsed arguments, `raw` is their JSON text.
const actions = {
	increment: ([by]) => {
		// A missing argument is undefined; one that the client called undefined comes as a tag.
		const step = by === undefined || by === null || isTag(by, "$Undefined") ? 1 : by;
		if (!Number.isInteger(step)) throw failure("actor", "validation_error", "argument 1 (`by`) is not a whole number");
		const count = readCount() + step;
		state.set("count", Uint8Array.from(String(count), (digit) => digit.charCodeAt(0)));
		return count;
	},
	getCount: () => readCount(),
	echo: ([value]) => value,
	noop: () => null,
	broadcastPing: ([payload]) => {
		events.broadcast("ping", JSON.stringify([payload ?? null]));
		return true;
	},
	failUser: () => {
		throw failure("user", "my_code", "nope", { a: 1 });
	},
	failInternal: () => {
		throw new Error("secret detail");
	},
	destroySelf: () => {
		actors.destroySelf();
		return true;
	},
};
const readOnly = ["getCount", "echo", "noop", "failUser", "failInternal"];

const isTag = (value, tag) => Array.isArray(value) && value.length === 2 && value[0] === tag;

// The contract's record `failure`. `metadata` is left out when there is none.
function failure(group, code, message, metadata) {
	return { group, code, message, metadata: metadata === undefined ? undefined : JSON.stringify(metadata) };
}

// What the actor did not mean to throw is none of the caller's business: it goes to the log.
function guarded(run) {
	try {
		return run();
	} catch (error) {
		if (error instanceof Error) {
			log.write("error", `${error.message}\n${error.stack}`);
			throw failure("core", "internal_error", "An internal error occurred");
		}
		throw error;
	}
}

function toUtf8(text) {
	const bytes = [];
	for (const character of text) {
		const code = character.codePointAt(0);
		if (code < 0x80) bytes.push(code);
		else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
		else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
		else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
	}
	return Uint8Array.from(bytes);
}

// Bytes that are no UTF-8 are an error of the caller.
function fromUtf8(bytes) {
	let percent = "";
	for (const byte of bytes) percent += `%${byte.toString(16).padStart(2, "0")}`;
	try {
		return decodeURIComponent(percent);
	} catch {
		throw failure("actor", "validation_error", "the body is not UTF-8");
	}
}

export const handlers = {
	describe: () => ({
		actions: Object.keys(actions).map((name) => ({ name, readOnly: readOnly.includes(name) })),
		events: ["ping"],
		queues: [],
		hooks: { request: true, socket: true },
		stateVersion: 1,
		migratesFrom: 1,
		migratesBackTo: 1,
		requires: [],
		options: "{}",
	}),
	onAction: (call) =>
		guarded(() => {
			const action = Object.hasOwn(actions, call.name) ? actions[call.name] : undefined;
			if (!action) throw failure("actor", "action_not_found", `The action \`${call.name}\` was not found.`);
			const reply = action(JSON.parse(call.args));
			return reply === null || reply === undefined ? { tag: "done" } : { tag: "reply", val: JSON.stringify(reply) };
		}),
	// Says what it was asked, as JSON with status 207.
	onRequest: (_connection, request) =>
		guarded(() => {
			const { method, url } = request;
			const path = url.replace(/^[a-z]+:\/\/[^/]*/, "").replace(/#.*$/, "") || "/";
			const headers = Object.fromEntries(request.headers.map(({ name, value }) => [name, value]));
			const body = method === "GET" || method === "HEAD" ? null : fromUtf8(request.body);
			const answer = {
				status: 207,
				headers: [
					{ name: "content-type", value: "application/json" },
					{ name: "x-from-actor", value: "yes" },
				],
				body: toUtf8(JSON.stringify({ method, url, path, headers, body })),
			};
			return { tag: "response", val: answer };
		}),
	// Greets, and then gives every frame back.
	onSocket: (connection, event) => {
		if (event.tag === "open") connections.sendFrame(connection, { tag: "text", val: "hello from actor" });
		if (event.tag === "message") connections.sendFrame(connection, event.val.frame);
	},
	// Not declared in `describe`, so the host does not call them; the contract wants them to be there.
	onCreate: () => {},
	onWake: () => {},
	onBeforeConnect: () => ({ tag: "accept", val: undefined }),
	onConnect: () => {},
	onDisconnect: () => {},
	onSubscribe: () => {},
	onQueueMessage: () => ({ tag: "done" }),
	onMessage: () => {},
	onTimer: () => {},
	onSandboxEvent: () => {},
	onEffectResult: () => {},
	migrate: () => {},
	check: () => {},
	onSleep: () => {},
	onDestroy: () => {},
};
