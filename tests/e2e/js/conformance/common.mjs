// What the conformance scripts share: handles with keys of their own, connections, raw sockets, and running all cases at once.
import { args, connectTo, failure, print, shown, until } from "../common.mjs";

export { args, failure, until };
export const { encoding } = args;
export const client = connectTo(encoding);
export const sleepFor = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A handle of the actor `name` that no other case and no other encoding has.
export const actor = (name, key, options) => client[name].getOrCreate([args.run, encoding, ...[key].flat()], options);

// An error as `group.code: message`.
export const told = (error) => `${error.group}.${error.code}: ${error.message}`;

// Whether the error is one of `code`, whatever its group; what it is instead if not.
export const isCode = (code) => (error) => error.code === code || failure(error);

export async function connected(handle, ...calls) {
	const connection = handle.connect();
	await new Promise((resolve, reject) => {
		connection.onOpen(resolve);
		connection.onError(reject);
	});
	for (const call of calls) await connection[call]();
	return connection;
}

// A raw WebSocket with the messages that have come, JSON parsed.
export async function rawSocket(handle, path) {
	const socket = await handle.webSocket(path);
	socket.binaryType = "arraybuffer";
	const messages = [];
	const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
	socket.addEventListener("message", ({ data }) => messages.push(typeof data === "string" ? parsed(data) : [...new Uint8Array(data)]));
	if (socket.readyState !== 1) await new Promise((resolve) => socket.addEventListener("open", resolve));
	return {
		socket,
		messages,
		closed,
		send: (value) => socket.send(typeof value === "string" || value instanceof Uint8Array ? value : JSON.stringify(value)),
		next: (what, condition = () => true) => until(what, () => messages.find(condition)),
		close: async () => {
			socket.close(1000, "done");
			await closed;
		},
	};
}

const parsed = (text) => {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
};

export async function run(behaviours) {
	await Promise.all(
		Object.entries(behaviours).map(async ([behaviour, attempt]) => {
			const result = await attempt().then(shown, failure);
			print({ behaviour, result });
		}),
	);
	process.exit(0);
}
