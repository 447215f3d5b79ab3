// Two ways to talk to a counter: a plain client (ws and undici), and the official Rivet client.
//
// Both give the same few calls, so that every phase is written once: `open(name)` gives a connection with `increment`, `get`,
// `onEvent` and `close`; `increment`, `get` and `broadcast` without a connection go over HTTP; `close` ends everything.

/** How long one call may take before the measurement fails. */
const CALL_TIMEOUT_MS = 15_000;

/** Fails when a promise takes too long. */
export async function within(promise, what, timeoutMs = CALL_TIMEOUT_MS) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what} took more than ${timeoutMs} ms`)), timeoutMs);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

export async function driver(options) {
	return options.driver === "official" ? officialDriver(options) : plainDriver(options);
}

// Frames and bodies are {id, op, v}; answers are {id, r}; events are {ev}. An echo server answers with the message itself.
async function plainDriver({ url, prefix, http_connections = 64 }) {
	const { default: WebSocket } = await import("ws");
	const { Pool } = await import("undici");
	const pool = new Pool(url, { connections: http_connections, pipelining: 1, keepAliveTimeout: 600_000 });
	const result = (message) => ("r" in message ? message.r : message.v);

	async function post(name, op, v) {
		const body = JSON.stringify({ id: 1, op, v });
		const headers = { "content-type": "application/json" };
		const response = await pool.request({ method: "POST", path: `${prefix}/${name}`, headers, body });
		const text = await response.body.text();
		if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}: ${text.slice(0, 200)}`);
		return result(JSON.parse(text));
	}

	function open(name) {
		const socket = new WebSocket(`${url.replace("http", "ws")}${prefix}/${name}`, { perMessageDeflate: false });
		const waiting = new Map();
		let last = 0;
		let listener = () => {};
		const call = (op, v) =>
			new Promise((resolve, reject) => {
				last += 1;
				waiting.set(last, { resolve, reject });
				socket.send(JSON.stringify({ id: last, op, v }), (error) => error && reject(error));
			});
		socket.on("message", (data) => {
			const message = JSON.parse(data);
			if (message.ev !== undefined) return listener(message.ev);
			waiting.get(message.id)?.resolve(result(message));
			waiting.delete(message.id);
		});
		const lost = (error) => {
			for (const { reject } of waiting.values()) reject(error);
			waiting.clear();
		};
		socket.on("close", (code) => lost(new Error(`the socket was closed (${code})`)));
		const connection = {
			increment: (by) => call("increment", by),
			get: () => call("get", 0),
			info: () => call("info", 0),
			onEvent: (seen) => (listener = seen),
			isOpen: () => socket.readyState === WebSocket.OPEN,
			close: async () => socket.terminate(),
		};
		return new Promise((resolve, reject) => {
			socket.once("open", () => resolve(connection));
			socket.on("error", (error) => (lost(error), reject(error)));
		});
	}

	return {
		open,
		increment: (name, by) => post(name, "increment", by),
		get: (name) => post(name, "get", 0),
		broadcast: (name, payload) => post(name, "broadcast", payload),
		close: () => pool.destroy(),
	};
}

async function officialDriver({ url, actor = "counter" }) {
	process.env.RIVET_LOG_LEVEL ??= "silent";
	const { createClient } = await import("rivetkit/client");
	const client = createClient({ endpoint: url, namespace: "default", poolName: "default", encoding: "bare", devtools: false });
	const handles = new Map();
	const handle = (name) => {
		if (!handles.has(name)) handles.set(name, client[actor].getOrCreate([name]));
		return handles.get(name);
	};
	const call = (target, name, ...args) => target.action({ name, args });

	async function open(name) {
		const connection = handle(name).connect();
		let listener = () => {};
		connection.on("ping", (payload) => listener(payload));
		await connection.ready;
		return {
			increment: (by) => call(connection, "increment", by),
			get: () => call(connection, "getCount"),
			onEvent: (seen) => (listener = seen),
			isOpen: () => connection.connStatus === "connected",
			close: () => connection.dispose(),
		};
	}

	return {
		open,
		call: (name, action, ...args) => call(handle(name), action, ...args),
		increment: (name, by) => call(handle(name), "increment", by),
		get: (name) => call(handle(name), "getCount"),
		broadcast: (name, payload) => call(handle(name), "broadcastPing", payload),
		close: () => client.dispose(),
	};
}
